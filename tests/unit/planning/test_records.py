"""`status.create`: it agrees with the newest intent, never loses a uuid, and locks the spec exactly while it must."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.intent import Origin, Refusal
from dispersed_operator.model.observed import rfc3339
from dispersed_operator.model.status import DispersedJobStatus
from dispersed_operator.planning.records import accepted_record, with_record
from dispersed_operator.planning.vocabulary import RecordCreate
from tests.support.builders import (
    ACCOUNT,
    BATCH,
    CLUSTER,
    IDENTITY,
    JOB,
    SIGNED,
    JobBuilder,
    a_job,
    an_intent,
    digest_of,
    refused,
)

EDITED = {**BATCH, "deadlines": {**BATCH["deadlines"], "runSeconds": 700}}
NOT_ASCII = {**BATCH, "template": {**BATCH["template"], "env": [{"name": "A", "value": "ä"}]}}


def _with_record(builder: JobBuilder) -> dict[str, Any]:
    return with_record(builder.resource, dict(builder.resource.status))


@pytest.mark.parametrize(
    ("intent", "state"), [(an_intent(), "Unknown"), (refused(Refusal.VALIDATION), "Refused")], ids=["open", "refused"]
)
@pytest.mark.failure_mode(11)
def test_an_intent_gets_a_record_beside_it(intent: Any, state: str) -> None:
    status = _with_record(a_job().intent(intent))
    assert status["create"] == {
        "token": naming.create_token(IDENTITY, 1),
        "attempt": 1,
        "state": state,
        "locked": False,
        "signedAt": rfc3339(SIGNED),
        "notAfter": rfc3339(SIGNED + 300),
        "account": {"host": ACCOUNT.host, "publicKey": ACCOUNT.public_key},
        "bodySHA256": digest_of(),
    }
    DispersedJobStatus.model_validate(status)


@pytest.mark.parametrize(
    ("builder", "because"),
    [
        (a_job(), "there is no intent"),
        (a_job().intent("{"), "a garbled intent tells nothing to record"),
        (a_job().intent(an_intent(origin=Origin("another", IDENTITY.namespaced_name, CLUSTER))), "it is inherited"),
        (a_job().intent().record(uuid=None, state="Refused", attempt=2), "the record is newer"),
        (a_job().created(), "the record is complete"),
        (a_job().intent(an_intent(attempt=2)).record(attempt=1), "a uuid is never overwritten by an intent"),
    ],
)
def test_a_record_stays_as_it_is_where_the_intent_adds_nothing(builder: JobBuilder, because: str) -> None:
    assert _with_record(builder) == builder.resource.status, because


def test_a_record_that_agrees_is_written_once() -> None:
    status = _with_record(a_job().intent())
    assert _with_record(a_job().intent().status(**status)) == status


@pytest.mark.parametrize(
    ("spec", "locked", "because"),
    [
        (BATCH, True, "the job runs with this spec: it cannot be edited"),
        (EDITED, False, "an edit that slipped in can be taken back"),
        (NOT_ASCII, False, "so can one that cannot even be sent"),
        ({"task": "Batch"}, False, "and one that cannot be read"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.failure_mode(72)
def test_the_lock_holds_while_the_spec_is_that_of_the_job(
    spec: dict[str, Any], locked: bool, because: str, before: bool
) -> None:
    builder = a_job().intent().record(locked=before, bodySHA256=digest_of()).spec(spec)
    status = _with_record(builder)
    assert status["create"]["locked"] is locked, because
    assert status["create"]["uuid"] == JOB


def test_a_record_without_a_digest_locks_nothing() -> None:
    assert _with_record(a_job().intent().record(bodySHA256=None))["create"]["locked"] is False


def test_a_refusal_leaves_the_spec_open_for_mending() -> None:
    assert _with_record(a_job().intent(refused(Refusal.VALIDATION)))["create"]["locked"] is False


def _accepted(**changes: Any) -> RecordCreate:
    fields = {
        "uuid": JOB,
        "attempt": 1,
        "token": naming.create_token(IDENTITY, 1),
        "signed_at": SIGNED,
        "body_sha256": digest_of(),
        "account": ACCOUNT,
        "job": None,
        "adopted": False,
        **changes,
    }
    return RecordCreate(**fields)


def test_an_accepted_create_is_recorded_and_resolves_its_intent() -> None:
    builder = a_job().intent()
    written = accepted_record(builder.resource, _accepted())
    assert (written["jobUUID"], written["account"], written["create"]["locked"]) == (JOB, "default", True)
    assert builder.status(**written).resource.pending_create() is None
    DispersedJobStatus.model_validate(written)


def test_an_adopted_job_of_which_little_is_known_is_recorded_without_inventions() -> None:
    written = accepted_record(a_job().resource, _accepted(signed_at=0, body_sha256="", adopted=True))
    assert not written["create"].keys() & {"signedAt", "notAfter", "bodySHA256"}
    assert written["create"]["locked"] is False
