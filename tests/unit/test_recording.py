"""The write that records a job is not answered: what only this process knows must outlive it."""

from __future__ import annotations

import pytest

from dispersed_operator.errors import KubernetesError
from dispersed_operator.passes import Pass
from dispersed_operator.planning.vocabulary import OwnAttempt, RecordCreate, SendState
from dispersed_operator.store import ResourceStore
from tests.support.builders import ACCOUNT, JOB, NONCE, OTHER_JOB, SIGNED, a_job, a_row, an_intent, digest_of, memory
from tests.support.effects import effects_on
from tests.unit.kube.scripted import client_of, failure, hang_up

CHOICE = RecordCreate(
    uuid=JOB,
    attempt=1,
    token=an_intent().token,
    signed_at=SIGNED,
    body_sha256=digest_of(),
    account=ACCOUNT,
    job=a_row(),
    adopted=True,
    extras=(OTHER_JOB,),
)


@pytest.mark.failure_mode(8)
@pytest.mark.failure_mode(10)
@pytest.mark.failure_mode(68)
@pytest.mark.parametrize("answer", [failure(500, "InternalError"), hang_up], ids=["500", "connection lost"])
async def test_duplicates_are_known_though_nobody_says_whether_the_choice_was_recorded(answer: object) -> None:
    """Nothing on the object names them: if the write did happen, no later pass would find them again."""
    builder = a_job().intent()
    store = ResourceStore()
    store.put(builder.resource.key, builder.body)
    own = OwnAttempt(NONCE, 0.0, state=SendState.UNKNOWN, intent=an_intent())
    work = Pass(resource=builder.resource, memory=memory(own=own), session=None, forced=False)
    async with client_of(answer) as (kube, script):  # type: ignore[arg-type]
        with pytest.raises(KubernetesError):
            await effects_on(kube, store).carry_out(work, CHOICE)
        assert script.requests[0].startswith("PATCH ")
    assert work.memory.extras == (OTHER_JOB,)
    assert work.memory.own == own, "the journal stays open until the record is seen"
