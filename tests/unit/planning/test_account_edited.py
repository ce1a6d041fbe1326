"""`accountRef` is edited between request and record: the job lives in the account that the spec does not name any more.

Nothing can watch or end the job but that account, so the edit must stay open to be taken back.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispersed_operator.model.observed import JobResource, parse_job
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.records import accepted_record, with_record
from dispersed_operator.planning.vocabulary import Missing, OwnAttempt, RecordCreate, Rest, SendState, Situation
from tests.support.builders import (
    BATCH,
    JOB,
    MONOTONIC,
    NONCE,
    NOW,
    OTHER_ACCOUNT,
    JobBuilder,
    a_job,
    a_row,
    an_account,
    an_intent,
    facts,
    memory,
)

EDITED = {**BATCH, "accountRef": {"name": "other"}}
ACCEPTED = OwnAttempt(
    NONCE,
    MONOTONIC - 1,
    state=SendState.ACCEPTED,
    intent=an_intent(),
    uuid=JOB,
    job=a_row(),
    account_name="default",
)


def recorded() -> tuple[JobBuilder, JobResource]:
    """The resource after C5 of a request that was signed for `default`, with a spec that now names `other`."""
    builder = a_job().spec(EDITED).intent()
    elsewhere = facts(account=an_account(name="other", mark=OTHER_ACCOUNT), memory=memory(own=ACCEPTED))
    action = plan_job(builder.resource, elsewhere)
    assert isinstance(action, RecordCreate)
    after = builder.status(**accepted_record(builder.resource, action))
    return after, after.resource


@pytest.mark.failure_mode(55)
@pytest.mark.failure_mode(72)
def test_the_record_names_the_account_that_accepted_the_job_and_leaves_the_edit_open() -> None:
    builder, resource = recorded()
    assert resource.status["account"] == "default"
    assert resource.status["create"]["locked"] is False
    assert with_record(resource, dict(resource.status)) == resource.status, "and no later write locks it"
    back = builder.spec(BATCH).resource
    assert with_record(back, dict(back.status))["create"]["locked"] is True


@pytest.mark.failure_mode(55)
@pytest.mark.reason("AccountMismatch")
def test_the_resource_says_which_account_has_the_job() -> None:
    _, resource = recorded()
    account = an_account(name="other", mark=OTHER_ACCOUNT)
    action = plan_job(resource, facts(account=account, job=Missing(NOW)))
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    assert action.situation.reason is Reason.ACCOUNT_MISMATCH
    assert "set spec.accountRef back" in action.situation.message
    assert "default" in action.situation.message


def test_a_job_that_its_own_account_recorded_is_locked_as_ever() -> None:
    builder = a_job().intent()
    action = plan_job(builder.resource, facts(memory=memory(own=replace(ACCEPTED))))
    assert isinstance(action, RecordCreate)
    status = accepted_record(builder.resource, action)
    assert status["create"]["locked"] is True
    assert parse_job({**builder.body, "status": status}).job_uuid == JOB
