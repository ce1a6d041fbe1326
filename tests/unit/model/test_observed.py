"""Reading a DispersedJob: tolerant of whatever stands there, and never believing that less happened than may have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispersed_operator.model import naming
from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.observed import LOST_RECORD, epoch, money, parse_job, rfc3339
from tests.support.builders import ACCOUNT, CREATED, IDENTITY, JOB, SIGNED, JobBuilder, a_job, an_intent, refused
from tests.unit.model.test_intent import json_values

TOKEN = naming.create_token(IDENTITY, 1)


def test_an_untouched_resource_has_no_trace_and_nothing_pending() -> None:
    resource = a_job().resource
    assert not resource.has_trace
    assert resource.pending_create() is None
    assert resource.highest_attempt() == 0
    assert (resource.created_at, resource.deleting) == (CREATED, False)


@pytest.mark.parametrize(
    ("builder", "because"),
    [
        (a_job().held(), "our finalizer is put on with the intent"),
        (a_job().intent(), "an intent may have been sent"),
        (a_job().intent("not json"), "a garbled intent was an intent once"),
        (a_job().record(uuid=None), "a record without a uuid tells of an unknown outcome"),
        (a_job().status(jobUUID=JOB), "the copy for people may be all that is left"),
    ],
)
@pytest.mark.failure_mode(71)
def test_each_of_these_alone_is_a_trace(builder: Any, because: str) -> None:
    assert builder.resource.has_trace, because


def test_an_open_intent_is_pending_with_all_that_finds_its_job_again() -> None:
    pending = a_job().intent().resource.pending_create()
    assert pending is not None
    assert (pending.attempt, pending.token, pending.signed_at) == (1, TOKEN, SIGNED)
    assert pending.account == ACCOUNT


@pytest.mark.failure_mode(53)
def test_the_uuid_of_an_earlier_attempt_does_not_resolve_a_newer_intent() -> None:
    pending = a_job().intent(an_intent(attempt=2)).record(attempt=1).resource.pending_create()
    assert pending is not None
    assert pending.attempt == 2


@pytest.mark.failure_mode(11)
@pytest.mark.parametrize(
    ("record", "pending", "because"),
    [
        ({"uuid": JOB}, False, "the record of the attempt carries its uuid"),
        ({"uuid": None, "state": "Unknown"}, True, "the record alone says that the outcome is unknown"),
        ({"uuid": None, "state": "Refused"}, True, "a newer attempt than the refused one may have begun"),
        ({"uuid": JOB, "ended": True}, True, "a newer attempt than the one that is over may have begun"),
        ({"uuid": None, "state": None, "token": None, "signedAt": None}, True, "a record of nothing is still a record"),
    ],
)
def test_a_stripped_annotation_leaves_the_record(record: dict[str, Any], pending: bool, because: str) -> None:
    found = a_job().held().record(**record).resource.pending_create()
    assert (found is not None) is pending, because


@pytest.mark.failure_mode(11)
@pytest.mark.parametrize(
    ("builder", "signed_at"),
    [
        (a_job().held().record(uuid=None, state="Unknown"), None),
        (a_job().intent(an_intent(attempt=1)).record(uuid=None, state="Unknown", attempt=2), None),
        (a_job().record(uuid=None, state="Unknown"), SIGNED),
    ],
    ids=["taken away", "replaced by an older one", "another object's, or no trace of one"],
)
def test_the_time_of_a_recorded_create_does_not_hold_for_one_whose_intent_was_lost(
    builder: JobBuilder, signed_at: int | None
) -> None:
    pending = builder.resource.pending_create()
    assert pending is not None
    assert pending.signed_at == signed_at


@pytest.mark.failure_mode(11)
@pytest.mark.parametrize("record", [{"uuid": None, "state": "Refused"}, {"uuid": JOB, "ended": True}])
def test_a_settled_record_alone_says_that_nothing_is_under_way(record: dict[str, Any]) -> None:
    assert a_job().record(**record).resource.pending_create() is None


@pytest.mark.failure_mode(56)
def test_an_intent_older_than_the_record_is_not_the_newest() -> None:
    assert a_job().intent(an_intent(attempt=1)).record(attempt=2).resource.pending_create() is None


def test_a_refused_intent_is_resolved() -> None:
    assert a_job().intent(refused(Refusal.VALIDATION)).resource.pending_create() is None


def test_a_garbled_intent_is_a_create_of_which_nothing_is_known() -> None:
    assert a_job().intent("{").resource.pending_create() is LOST_RECORD


def test_a_garbled_intent_beside_a_refused_record_may_be_a_newer_attempt() -> None:
    resource = a_job().intent("{").record(uuid=None, state="Refused").resource
    assert resource.pending_create() is LOST_RECORD


def test_a_garbled_intent_does_not_unsettle_a_job_that_is_recorded() -> None:
    assert a_job().intent("{").record().resource.pending_create() is None


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-1", "1E+30", "1E+999999999", "a lot", {"USD": 1}])
def test_an_amount_with_which_nobody_can_reckon_counts_as_none(amount: object) -> None:
    assert money(amount) == 0
    record = a_job().record(priorCostUSD=amount).resource.record
    assert record is not None
    assert record.prior_cost == 0


@pytest.mark.parametrize("attempt", [-1, 1296, 10**12, True, "1", 1.5, [1]])
def test_a_recorded_attempt_that_makes_no_sense_counts_as_none(attempt: object) -> None:
    assert a_job().record(attempt=attempt).resource.highest_attempt() == 0


def test_the_account_is_default_where_the_spec_names_none_or_cannot_be_read() -> None:
    assert a_job().resource.account_names[0] == "default"
    unreadable = a_job().spec({"task": "Batch"}).resource
    assert unreadable.spec is None
    assert unreadable.account_names[0] == "default"


def test_a_spec_that_does_not_fit_names_its_fields_and_no_values() -> None:
    resource = a_job().spec({"task": "Nonsense", "template": {"title": "t", "image": ["sk_secret"]}}).resource
    assert "task" in resource.spec_error
    assert "template.image" in resource.spec_error
    assert "sk_secret" not in resource.spec_error


@pytest.mark.parametrize("text", [None, "", "yesterday", 7, "2026-13-01T00:00:00Z", []])
def test_a_time_that_makes_no_sense_is_none(text: object) -> None:
    assert epoch(text) is None


def test_times_are_read_as_they_were_written() -> None:
    assert epoch(rfc3339(SIGNED)) == SIGNED
    assert epoch("2026-11-23T14:00:00") == epoch("2026-11-23T14:00:00+00:00")


@given(st.dictionaries(st.sampled_from(["create", "jobUUID", "conditions", "phase"]), json_values))
def test_garbage_in_a_status_never_fails(status: dict[str, Any]) -> None:
    resource = parse_job({**a_job().body, "status": status})
    resource.pending_create()
    assert 0 <= resource.highest_attempt() <= naming.MAX_ATTEMPT


@given(
    st.dictionaries(
        st.sampled_from(["token", "attempt", "uuid", "state", "locked", "signedAt", "bodySHA256", "account"]),
        json_values | st.datetimes().map(str),
    )
)
def test_garbage_in_the_record_never_fails_and_never_hides_the_record(record: dict[str, Any]) -> None:
    resource = parse_job({**a_job().body, "status": {"create": record}})
    assert resource.record is not None
    assert resource.record.signed_at >= 0
    assert resource.pending_create() is not None or record.get("uuid") or record.get("state") == "Refused"


@given(st.text(max_size=50))
def test_garbage_in_the_annotation_is_a_trace(text: str) -> None:
    resource = a_job().annotated(naming.INTENT_ANNOTATION, text).resource
    assert resource.has_trace is bool(text)


@pytest.mark.parametrize("status", [None, [], "text", 7])
def test_a_status_that_is_no_object_is_empty(status: object) -> None:
    assert parse_job({**a_job().body, "status": status}).status == {}
