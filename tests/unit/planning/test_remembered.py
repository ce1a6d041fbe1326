"""What is remembered between passes belongs to one question; another question starts with nothing."""

from __future__ import annotations

import pytest

from dispersed_operator.model.intent import Origin, Refusal
from dispersed_operator.model.observed import JobResource
from dispersed_operator.passes import remembered
from dispersed_operator.planning.attempt import newest_pending
from dispersed_operator.planning.vocabulary import Memory, OwnAttempt, SendState
from tests.support.builders import (
    CLUSTER,
    JOB,
    NONCE,
    NOW,
    OTHER_JOB,
    a_job,
    an_intent,
    memory,
    refused,
    sighting,
)

CLONE = a_job().intent(refused(Refusal.VALIDATION, origin=Origin("other", "team-a/neighbour", CLUSTER))).deleting()
SENT = OwnAttempt(NONCE, 0.0, state=SendState.UNKNOWN, intent=an_intent())


def _next(before: Memory, resource: JobResource) -> Memory:
    return remembered(before, resource, float(NOW), CLUSTER)


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(a_job().intent().resource, id="open"),
        pytest.param(a_job().intent().deleting().resource, id="open, going"),
        pytest.param(a_job().intent("{").resource, id="garbled"),
        pytest.param(a_job().deleting().resource, id="only a finalizer, going"),
        pytest.param(a_job().metadata(deletionTimestamp="2026-11-23T14:00:00Z").resource, id="no trace at all, going"),
        pytest.param(CLONE.resource, id="a clone, going"),
    ],
)
def test_sightings_of_a_pending_create_last_until_it_is_settled(resource: JobResource) -> None:
    """Whatever planning looks up must be remembered, or its proof could never be completed."""
    first = _next(memory(), resource)
    assert first.first_seen == NOW + 1
    told = _next(first, resource)
    assert told == first
    seen = memory(
        lookup_for=first.lookup_for, first_seen=first.first_seen, sightings=(sighting(NOW),), lookups=1, next_lookup=9.0
    )
    assert _next(seen, resource).sightings == (sighting(NOW),)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(a_job().intent(an_intent(attempt=2)).resource, id="another attempt"),
        pytest.param(a_job().intent(an_intent(nonce="another")).resource, id="another nonce"),
        pytest.param(a_job().held().record(uuid=None, state="Unknown").resource, id="its intent was taken away"),
        pytest.param(a_job().created().resource, id="recorded"),
        pytest.param(a_job().intent(refused(Refusal.ABSENT)).resource, id="refused"),
    ],
)
@pytest.mark.failure_mode(53)
def test_sightings_of_one_create_prove_nothing_about_another(other: JobResource) -> None:
    first = _next(memory(), a_job().intent().resource)
    seen = memory(lookup_for=first.lookup_for, sightings=(sighting(NOW),), lookups=3, first_seen=1)
    after = _next(seen, other)
    assert (after.sightings, after.lookups) == ((), 0)


def test_without_a_server_time_the_first_sight_is_not_dated() -> None:
    assert remembered(memory(), a_job().intent().resource, None, CLUSTER).first_seen is None


# --- the journal of our own request ---


@pytest.mark.failure_mode(11)
def test_an_intent_that_was_stripped_while_its_request_was_under_way_is_still_pending() -> None:
    pending = newest_pending(a_job().resource, memory(own=SENT))
    assert pending is not None
    assert (pending.token, pending.nonce) == (an_intent().token, NONCE)


@pytest.mark.parametrize(
    ("resource", "because"),
    [
        (a_job().created().resource, "the record carries the uuid of our token"),
        (a_job().held().record(attempt=2).resource, "a newer attempt is recorded"),
        (a_job().intent(refused(Refusal.ABSENT, nonce="another")).resource, "another intent took its place"),
    ],
)
def test_a_journal_that_is_overtaken_makes_nothing_pending(resource: JobResource, because: str) -> None:
    assert newest_pending(resource, memory(own=SENT)) is None, because


def test_an_intent_that_was_not_sent_leaves_no_journal_behind() -> None:
    won = OwnAttempt(NONCE, 0.0, intent=an_intent())
    assert newest_pending(a_job().resource, memory(own=won)) is None


@pytest.mark.failure_mode(68)
def test_a_job_of_ours_that_another_process_did_not_choose_is_a_duplicate() -> None:
    accepted = OwnAttempt(NONCE, 0.0, state=SendState.ACCEPTED, intent=an_intent(), uuid=OTHER_JOB)
    after = _next(memory(own=accepted), a_job().created().resource)
    assert (after.own, after.extras) == (None, (OTHER_JOB,))
    same = OwnAttempt(NONCE, 0.0, state=SendState.ACCEPTED, intent=an_intent(), uuid=JOB)
    assert _next(memory(own=same), a_job().created().resource).extras == ()
