"""What a pass makes of its memory: when the journal is closed, which jobs are duplicates, and what a poll has told."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.observed import JobResource
from dispersed_operator.passes import remembered
from dispersed_operator.planning.vocabulary import Memory, OwnAttempt, SendState
from tests.support.builders import (
    CLUSTER,
    IDENTITY,
    JOB,
    MONOTONIC,
    NOW,
    OTHER_JOB,
    a_job,
    an_intent,
    memory,
    refused,
)

THIRD_JOB = "33333333-3333-4333-8333-333333333333"


def _journal(state: SendState, *, attempt: int = 1, uuid: str | None = None) -> OwnAttempt:
    return OwnAttempt("nonce-own", MONOTONIC, state=state, intent=an_intent(attempt=attempt), uuid=uuid)


def _next(before: Memory, resource: JobResource) -> Memory:
    return remembered(before, resource, float(NOW), CLUSTER)


def _recorded(attempt: int = 1, **changes: Any) -> JobResource:
    return a_job().held().record(attempt=attempt, **changes).resource


@pytest.mark.parametrize("attempt", [1, 2, 5])
@pytest.mark.failure_mode(68)
def test_our_job_beside_a_record_of_the_same_or_a_higher_attempt_is_a_duplicate(attempt: int) -> None:
    """Another process recorded another job first; ours costs money and no object names it."""
    own = _journal(SendState.ACCEPTED, uuid=OTHER_JOB)
    after = _next(memory(own=own, extras=(THIRD_JOB,)), _recorded(attempt))
    assert (after.own, after.extras) == (None, (THIRD_JOB, OTHER_JOB))


@pytest.mark.failure_mode(68)
def test_a_duplicate_is_remembered_once() -> None:
    """Two entries would be cancelled in turns, and the second would be looked for after its end."""
    own = _journal(SendState.ACCEPTED, uuid=OTHER_JOB)
    assert _next(memory(own=own, extras=(OTHER_JOB,)), _recorded()).extras == (OTHER_JOB,)


@pytest.mark.failure_mode(53)
def test_a_record_of_an_earlier_attempt_leaves_the_journal_open() -> None:
    """The uuid of our newer attempt is not recorded yet; closing the journal would lose it."""
    own = _journal(SendState.ACCEPTED, attempt=2, uuid=OTHER_JOB)
    after = _next(memory(own=own), _recorded(1))
    assert (after.own, after.extras) == (own, ())


@pytest.mark.parametrize("own", [None, _journal(SendState.ACCEPTED, uuid=JOB)], ids=["no journal", "our own uuid"])
@pytest.mark.failure_mode(8)
def test_the_recorded_job_is_never_a_duplicate(own: OwnAttempt | None) -> None:
    """A choice that was written by somebody else may name a job that we had put down as a duplicate: it must live."""
    after = _next(memory(own=own, extras=(OTHER_JOB, JOB)), _recorded())
    assert (after.own, after.extras) == (None, (OTHER_JOB,))


@pytest.mark.failure_mode(16)
def test_an_unknown_create_is_settled_by_a_record_of_its_token() -> None:
    """Whoever found the job recorded it; looking on would adopt it again and again."""
    own = _journal(SendState.UNKNOWN)
    assert _next(memory(own=own), _recorded()).own is None


@pytest.mark.failure_mode(53)
def test_an_unknown_create_is_not_settled_by_another_token() -> None:
    """Another attempt's uuid says nothing about what our request made."""
    own = _journal(SendState.UNKNOWN)
    other = _recorded(2, token=naming.create_token(IDENTITY, 2))
    assert _next(memory(own=own), other).own == own


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(a_job().resource, id="no trace"),
        pytest.param(a_job().intent(an_intent(nonce="nonce-own")).resource, id="intent only"),
        pytest.param(_recorded(uuid=None, state="Unknown"), id="record without uuid"),
        pytest.param(a_job().intent(refused(None, attempt=2)).resource, id="refused later attempt"),
    ],
)
@pytest.mark.failure_mode(11)
def test_without_a_recorded_uuid_the_journal_stays_open(resource: JobResource) -> None:
    """Only a uuid on the object makes it safe to forget what this process knows of its own request."""
    own = _journal(SendState.ACCEPTED, uuid=OTHER_JOB)
    after = _next(memory(own=own), resource)
    assert (after.own, after.extras) == (own, ())


def test_an_intent_that_is_not_sent_yet_outlives_the_record_of_an_earlier_job() -> None:
    """The request may be about to leave: the journal says so until it is marked refused or answered."""
    own = _journal(SendState.WON, attempt=2)
    assert _next(memory(own=own), _recorded(1)).own == own


@pytest.mark.failure_mode(11)
def test_that_a_resource_had_records_is_remembered_when_they_are_gone() -> None:
    """Its next create must not rest on a listing from before."""
    assert not _next(memory(), a_job().resource).traced
    for trace in (_recorded(), a_job().intent().resource, a_job().held().resource):
        assert _next(_next(memory(), trace), a_job().resource).traced
    assert not _next(memory(), a_job().paused().resource).traced
