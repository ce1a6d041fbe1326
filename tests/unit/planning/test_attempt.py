"""C3 to C6 from the journal of this very process: one signature, one request, one outcome."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.model.intent import Refusal
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    OwnAttempt,
    ReadListing,
    RecordCreate,
    RefuseIntent,
    SendCreate,
    SendState,
)
from tests.support.builders import (
    CREATED,
    JOB,
    MONOTONIC,
    NONCE,
    SIGNED,
    a_job,
    a_row,
    an_account,
    an_intent,
    facts,
    memory,
)


def _own(nonce: str = NONCE, *, won_at: float = MONOTONIC - 1, **changes: Any) -> OwnAttempt:
    return OwnAttempt(nonce, won_at, **changes)


def test_an_intent_that_was_just_won_is_sent() -> None:
    assert plan_job(a_job().intent().resource, facts(memory=memory(own=_own()))) == SendCreate()


@pytest.mark.failure_mode(17)
@pytest.mark.parametrize(("age", "sent"), [(20.0, True), (20.1, False), (86400.0, False)])
def test_after_twenty_seconds_an_intent_is_refused_instead_of_sent(age: float, sent: bool) -> None:
    action = plan_job(a_job().intent().resource, facts(memory=memory(own=_own(won_at=MONOTONIC - age))))
    assert isinstance(action, SendCreate) is sent
    assert isinstance(action, RefuseIntent) is not sent


def test_an_intent_is_refused_instead_of_sent_if_its_account_was_closed_meanwhile() -> None:
    closed = an_account(reachable=False, mark=None)
    action = plan_job(a_job().intent().resource, facts(memory=memory(own=_own()), account=closed))
    assert action == RefuseIntent(Refusal.NOT_SENT, "not sent: the account was closed first")


@pytest.mark.failure_mode(16)
@pytest.mark.failure_mode(64)
def test_a_journal_of_another_nonce_sends_and_writes_nothing() -> None:
    for state in SendState:
        own = _own("the nonce of an intent that is gone", state=state, uuid=JOB, refusal=Refusal.VALIDATION)
        action = plan_job(a_job().intent().resource, facts(memory=memory(own=own)))
        assert isinstance(action, ReadListing), state


def test_an_accepted_request_is_recorded_under_the_account_that_it_was_signed_for() -> None:
    job = a_row()
    own = _own(state=SendState.ACCEPTED, uuid=JOB, job=job)
    intent = an_intent()
    assert plan_job(a_job().intent().resource, facts(memory=memory(own=own))) == RecordCreate(
        uuid=JOB,
        attempt=1,
        token=intent.token,
        signed_at=SIGNED,
        body_sha256=intent.body_sha256,
        account=intent.account,
        job=job,
        adopted=False,
    )


def test_a_refused_request_marks_its_intent() -> None:
    own = _own(state=SendState.REFUSED, refusal=Refusal.VALIDATION, message="HTTP 422")
    action = plan_job(a_job().intent().resource, facts(memory=memory(own=own)))
    assert action == RefuseIntent(Refusal.VALIDATION, "HTTP 422")


@pytest.mark.failure_mode(4)
@pytest.mark.failure_mode(7)
@pytest.mark.failure_mode(54)
def test_an_unknown_outcome_is_looked_up_and_never_sent_again() -> None:
    own = _own(state=SendState.UNKNOWN, message="HTTP 502")
    action = plan_job(a_job().intent().resource, facts(memory=memory(own=own)))
    assert action == ReadListing(since=CREATED - 3600, begun_after=MONOTONIC, page_size=50)


@pytest.mark.failure_mode(2)
@pytest.mark.failure_mode(3)
def test_an_intent_of_an_earlier_process_is_looked_up() -> None:
    assert isinstance(plan_job(a_job().intent().resource, facts()), ReadListing)


@pytest.mark.failure_mode(21)
@pytest.mark.parametrize(
    ("own", "expected", "because"),
    [
        (_own(), RefuseIntent, "what was not sent need not be: there is nothing to prove"),
        (_own(state=SendState.REFUSED, refusal=Refusal.FUNDS), RefuseIntent, "the refusal still has to be marked"),
        (_own(state=SendState.ACCEPTED, uuid=JOB), RecordCreate, "the uuid is recorded, so that it can be cancelled"),
        (_own(state=SendState.UNKNOWN), ReadListing, "the job may exist"),
    ],
)
def test_a_deletion_first_settles_the_attempt_in_flight(own: OwnAttempt, expected: type, because: str) -> None:
    action = plan_job(a_job().intent().deleting().resource, facts(memory=memory(own=own)))
    assert isinstance(action, expected), because
