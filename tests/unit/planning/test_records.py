"""`status.create`: it agrees with the newest intent, never loses a uuid, and locks the spec exactly while it must."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.intent import Origin, Refusal
from dispersed_operator.model.observed import rfc3339
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import DispersedJobStatus
from dispersed_operator.planning.records import accepted_record, before_attempt, with_ending, with_record
from dispersed_operator.planning.vocabulary import RecordCreate, RecordEnding
from tests.support.builders import (
    ACCOUNT,
    BATCH,
    CLUSTER,
    IDENTITY,
    JOB,
    SIGNED,
    JobBuilder,
    a_job,
    a_row,
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


@pytest.mark.parametrize(
    ("action", "written", "because"),
    [
        (_accepted(), f"{SIGNED + 4800}", "what was sent follows from the spec"),
        (_accepted(job=a_row(signed_at=SIGNED + 60)), f"{SIGNED + 4860}", "the title tells what was sent"),
        (_accepted(job=a_row(title="rewritten")), f"{SIGNED + 4800}", "a title that was rewritten tells nothing"),
        (_accepted(signed_at=0), "", "nothing is known"),
    ],
)
def test_the_expiry_that_stands_in_the_title_is_recorded(action: RecordCreate, written: str, because: str) -> None:
    found = accepted_record(a_job().resource, action)["create"].get("expiresAt")
    assert found == (rfc3339(int(written)) if written else None), because


def test_a_job_that_nobody_reaps_says_so() -> None:
    assert accepted_record(a_job().persistent().resource, _accepted())["create"]["expiresAt"] == "never"


def test_the_decision_to_end_a_job_is_added_to_its_record() -> None:
    resource = a_job().created().resource
    written = with_ending(resource, RecordEnding(Reason.COST_LIMIT_EXCEEDED, "it cost 2 USD"))
    assert written["create"].items() > {"ending": "CostLimitExceeded", "endingMessage": "it cost 2 USD"}.items()
    read = a_job().created().status(**written).resource.record
    assert read is not None
    assert (read.ending, read.ending_message) == (Reason.COST_LIMIT_EXCEEDED, "it cost 2 USD")
    assert read.uuid == JOB


@pytest.mark.failure_mode(45)
def test_the_suspension_of_an_earlier_attempt_is_not_the_verified_end_of_this_one() -> None:
    """The answer to the second create was a bare uuid, so its record left the conditions of the first one as they were;
    then the job is suspended again, and the next call fails."""
    conditions = [{"type": "Ready", "status": "False"}, {"type": "Suspended", "status": "True"}]
    again = a_job().intent(an_intent(attempt=2)).record(attempt=2, settledAttempts=1).status(conditions=conditions)
    written = with_ending(again.resource, RecordEnding(Reason.SUSPENDED, "spec.suspend was set to true"))
    assert [item["type"] for item in written["conditions"]] == ["Ready"]
    read = again.status(**written).resource
    kept = with_record(read, dict(read.status))
    assert not kept["create"].get("ended"), "the job lives: nobody would look at it again"


def _suspended(**record: Any) -> JobBuilder:
    conditions = [{"type": "Suspended", "status": "True"}]
    return a_job().created().record(ending="Suspended", **record).status(conditions=conditions, costUSD="1.5000")


@pytest.mark.failure_mode(45)
def test_a_suspension_opens_the_lock_once_its_end_is_verified() -> None:
    assert _with_record(_suspended())["create"].items() > {"locked": False, "ended": True}.items()
    going = a_job().created().record(ending="Suspended")
    assert _with_record(going) == going.resource.status, "its end is not verified yet"
    claimed = a_job().created().status(conditions=[{"type": "Suspended", "status": "True"}])
    assert _with_record(claimed) == claimed.resource.status, "nobody decided to suspend it"


@pytest.mark.failure_mode(53)
def test_the_record_of_the_next_attempt_knows_what_is_settled_and_what_it_cost() -> None:
    over = _suspended(ended=True, locked=False)
    second = over.intent(an_intent(attempt=2, nonce="nonce-2"))
    assert "jobUUID" not in _with_record(second)
    unknown = _with_record(second)["create"]
    assert unknown["state"] == "Unknown"
    assert "uuid" not in unknown
    assert (unknown["attempt"], unknown["settledAttempts"], unknown["priorCostUSD"]) == (2, 1, "1.5000")
    assert not unknown.keys() & {"ending", "ended"}
    accepted = accepted_record(second.resource, _accepted(attempt=2))["create"]
    assert (accepted["settledAttempts"], accepted["priorCostUSD"]) == (1, "1.5000")
    kept = (
        a_job()
        .intent(an_intent(attempt=3))
        .record(attempt=2, uuid=None, state="Refused", settledAttempts=1, priorCostUSD="1.5000")
    )
    third = _with_record(kept)["create"]
    assert (third["attempt"], third["settledAttempts"], third["priorCostUSD"]) == (3, 1, "1.5000")


def test_a_new_attempt_shows_no_run_of_the_one_before() -> None:
    over = _suspended(ended=True).status(runs=[{"uuid": "r"}], runCount=1, startTime="2026-11-18T07:00:00Z")
    assert not before_attempt(over.resource, 2).keys() & {"runs", "runCount", "startTime"}
    assert before_attempt(over.resource, 2)["costUSD"] == "1.5000"
    assert before_attempt(over.resource, 1) == over.resource.status
    assert before_attempt(a_job().created().resource, 2) == a_job().created().resource.status


def test_an_adopted_job_of_which_little_is_known_is_recorded_without_inventions() -> None:
    written = accepted_record(a_job().resource, _accepted(signed_at=0, body_sha256="", adopted=True))
    assert not written["create"].keys() & {"signedAt", "notAfter", "bodySHA256"}
    assert written["create"]["locked"] is False
