"""What the process knows beyond the object: its journal, duplicates to end, earlier attempts; and what polls leave out.

Each of these was overlooked once: the object alone looked settled, and a second job or a leaked one would have come.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.naming import Identity
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.attempt import newest_pending
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    Action,
    CancelJob,
    ClaimIntent,
    DropFinalizer,
    Facts,
    Memory,
    OwnAttempt,
    ReadJob,
    ReadListing,
    RecordCreate,
    RefuseIntent,
    RememberSighting,
    Rest,
    RestoreFinalizer,
    SendState,
    Situation,
)
from tests.support.builders import (
    CREATED,
    IDENTITY,
    JOB,
    MONOTONIC,
    NOW,
    OTHER_JOB,
    RUN,
    SIGNED,
    JobBuilder,
    a_job,
    a_listing,
    a_row,
    a_run,
    an_intent,
    facts,
    memory,
    moment,
    reads,
    refused,
    sighting,
)

SECOND_SIGNED = SIGNED + 480
SECOND = an_intent(attempt=2, nonce="nonce-2", signed_at=SECOND_SIGNED)
FIRST_RECORDED = a_job().held().record(uuid=None, state="Unknown")
STRIPPED = a_job().metadata(deletionTimestamp="2026-11-23T14:00:00Z", finalizers=["someone.else/hold"])
RUNNING = a_row(status="RUNNING")
LATE = SIGNED + 420
GOING = a_job().created().deleting()
FORCED = f"{naming.uid_mark(IDENTITY.uid)}:the account was closed by its provider"


def _own(state: SendState, **changes: Any) -> OwnAttempt:
    """The journal of the second attempt."""
    standard = OwnAttempt(
        SECOND.nonce, MONOTONIC - 1, state=state, intent=SECOND, uuid=JOB if state is SendState.ACCEPTED else None
    )
    return replace(standard, **changes)


def _proven(*rows: RemoteJob, **changes: Any) -> Facts:
    """The second of two listings that prove the absence of a create of `SIGNED`, unless one of `rows` is it."""
    told = memory(sightings=(sighting(LATE),), **changes)
    return facts(at=LATE + 31, listing=a_listing(*rows, date=LATE + 30), memory=told)


def _situation(action: Action) -> Situation:
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    return action.situation


# --- the journal outranks what is left on the object ---


@pytest.mark.failure_mode(11)
@pytest.mark.failure_mode(53)
def test_a_stripped_intent_of_an_unknown_second_attempt_outranks_the_record_of_the_first() -> None:
    """Otherwise the first attempt's old proof of absence would let a third one follow while the second may commit. And
    another process may have sent a third one already, so time counts from the loss."""
    own = memory(own=_own(SendState.UNKNOWN), first_seen=SECOND_SIGNED + 9)
    pending = newest_pending(FIRST_RECORDED.resource, own)
    assert pending is not None
    assert (pending.attempt, pending.token, pending.signed_at) == (2, SECOND.token, None)
    date = SECOND_SIGNED + 33
    early = replace(own, sightings=(sighting(date - 31),))
    given = facts(at=date, listing=a_listing(date=date), memory=early)
    assert isinstance(plan_job(FIRST_RECORDED.resource, given), RememberSighting)
    late = SECOND_SIGNED + 9 + 450
    proven = replace(own, sightings=(sighting(late - 30),))
    after = plan_job(FIRST_RECORDED.resource, facts(at=late, listing=a_listing(date=late), memory=proven))
    assert after == ClaimIntent(3)


@pytest.mark.failure_mode(11)
@pytest.mark.failure_mode(53)
@pytest.mark.parametrize(
    ("own", "left"),
    [
        (memory(), FIRST_RECORDED),
        (memory(own=_own(SendState.UNKNOWN, intent=an_intent(), nonce=an_intent().nonce)), FIRST_RECORDED),
        (memory(), a_job().intent(an_intent()).record(uuid=None, state="Unknown", attempt=2)),
    ],
    ids=["seen by another process", "seen by the sender of the first", "replaced by an older intent"],
)
def test_a_missing_intent_may_have_been_a_newer_one_than_the_record_knows(own: Memory, left: JobBuilder) -> None:
    """Two processes: the first attempt was proven lost, the second intent was claimed, sent, and taken away before
    anybody wrote its record. What proves that the first is lost says nothing of the second."""
    lost_at = SECOND_SIGNED + 2
    own = replace(own, first_seen=lost_at)
    soon = replace(own, sightings=(sighting(lost_at + 1),))
    again = facts(at=lost_at + 40, listing=a_listing(date=lost_at + 40), memory=soon)
    assert isinstance(plan_job(left.resource, again), RememberSighting)
    later = replace(own, sightings=(sighting(lost_at + 420),))
    proven = facts(at=lost_at + 460, listing=a_listing(date=lost_at + 460), memory=later)
    assert isinstance(plan_job(left.resource, proven), ClaimIntent)


@pytest.mark.failure_mode(11)
def test_an_accepted_second_attempt_is_recorded_though_its_intent_was_stripped() -> None:
    """The uuid is known to this process only: looking for the first attempt instead would lose it."""
    action = plan_job(FIRST_RECORDED.resource, facts(memory=memory(own=_own(SendState.ACCEPTED))))
    assert isinstance(action, RecordCreate)
    assert (action.uuid, action.attempt, action.token) == (JOB, 2, SECOND.token)


@pytest.mark.parametrize("state", [SendState.ACCEPTED, SendState.UNKNOWN])
@pytest.mark.parametrize("attempt", [2, 3])
@pytest.mark.failure_mode(16)
def test_a_newer_intent_of_somebody_else_outranks_the_journal(state: SendState, attempt: int) -> None:
    """Whoever won the object decides; the journal of a process that was overtaken must not answer for it."""
    theirs = an_intent(attempt=attempt, nonce="theirs", signed_at=SECOND_SIGNED + 60)
    pending = newest_pending(a_job().intent(theirs).resource, memory(own=_own(state)))
    assert pending is not None
    assert (pending.attempt, pending.nonce) == (attempt, "theirs")


@pytest.mark.parametrize("state", [SendState.ACCEPTED, SendState.UNKNOWN])
def test_a_record_of_our_token_with_a_uuid_settles_the_journal(state: SendState) -> None:
    """A create that is recorded must not be looked for again, or its own job would be found and adopted for ever."""
    recorded = a_job().held().record(attempt=2, signedAt=None)
    assert newest_pending(recorded.resource, memory(own=_own(state))) is None
    uuid_of_the_first = a_job().held().record()
    pending = newest_pending(uuid_of_the_first.resource, memory(own=_own(state)))
    assert pending is not None, "the uuid of an earlier attempt settles nothing"
    assert pending.token == SECOND.token


@pytest.mark.parametrize(
    ("state", "expected"), [(SendState.ACCEPTED, RecordCreate), (SendState.UNKNOWN, ReadListing)], ids=str
)
@pytest.mark.failure_mode(12)
@pytest.mark.failure_mode(71)
def test_a_going_resource_without_any_trace_is_ours_while_the_journal_knows_of_a_request(
    state: SendState, expected: type
) -> None:
    """Every trace may be stripped while the request is under way; the job that it makes must still be ended."""
    given = facts(memory=memory(own=_own(state)))
    assert isinstance(plan_job(STRIPPED.resource, given), expected)
    assert plan_job(STRIPPED.resource, facts()) == Rest(None), "without the journal it is none of our business"


@pytest.mark.parametrize("word", ["abandon", "retry"])
def test_what_the_journal_knows_precedes_what_a_person_says(word: str) -> None:
    """A person's answer is a guess about a create whose outcome this process knows: the job exists."""
    intent = an_intent()
    builder = a_job().intent(intent).annotated(naming.RESOLVE_CREATE_ANNOTATION, f"{intent.token}:{word}")
    accepted = OwnAttempt(intent.nonce, MONOTONIC, state=SendState.ACCEPTED, intent=intent, uuid=JOB)
    action = plan_job(builder.resource, facts(at=LATE + 1, memory=memory(own=accepted)))
    assert isinstance(action, RecordCreate)
    assert (action.uuid, action.adopted) == (JOB, False)


# --- a row with our title that our request cannot have made ---


@pytest.mark.parametrize(
    "builder", [a_job().intent(), a_job(), a_job().intent().deleting()], ids=["lookup", "C0", "deletion"]
)
@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED"])
@pytest.mark.failure_mode(42)
@pytest.mark.reason("OwnershipAmbiguous")
def test_a_finished_copy_of_the_pending_attempt_is_a_doubt_and_no_absence(builder: JobBuilder, status: str) -> None:
    """A row that ended carries our title as much as a live one; creating beside it would run the work twice."""
    copy = a_row(status=status, created_at=moment(SIGNED + 5 * 3600))
    situation = _situation(plan_job(builder.resource, _proven(copy)))
    assert situation.reason is Reason.OWNERSHIP_AMBIGUOUS
    assert situation.stalled


# --- earlier attempts that committed late ---


@pytest.mark.failure_mode(9)
@pytest.mark.failure_mode(53)
def test_a_newest_intent_that_made_nothing_is_refused_and_the_earlier_job_is_kept() -> None:
    """A third attempt beside a recorded job of the first would be a second job."""
    builder = a_job().record().intent(an_intent(attempt=2))
    assert isinstance(plan_job(builder.resource, _proven(RUNNING)), RefuseIntent)
    settled = a_job().record().intent(refused(Refusal.ABSENT, attempt=2)).resource
    assert plan_job(settled, facts()) == ReadJob(JOB)


@pytest.mark.failure_mode(9)
@pytest.mark.failure_mode(53)
def test_a_deletion_refuses_the_newest_intent_and_then_ends_the_recorded_job_of_an_earlier_attempt() -> None:
    """The proof is about the newest attempt alone; letting go then would leak the recorded job."""
    going = a_job().record().intent(an_intent(attempt=2)).deleting()
    refusal = plan_job(going.resource, _proven(RUNNING))
    assert isinstance(refusal, RefuseIntent)
    assert refusal.refusal is Refusal.ABSENT
    settled = a_job().record().intent(refused(Refusal.ABSENT, attempt=2)).deleting().resource
    assert plan_job(settled, facts()) == ReadJob(JOB, runs=False)
    assert plan_job(settled, facts(**reads(RUNNING, [a_run()]))) == CancelJob(JOB, "DispersedJob deleted")


@pytest.mark.parametrize("builder", [a_job(), a_job().deleting()], ids=["wanted", "going"])
@pytest.mark.failure_mode(9)
def test_a_live_row_of_an_earlier_attempt_is_recorded_when_the_newest_made_nothing(builder: JobBuilder) -> None:
    """The listing that proves the newest attempt absent shows a job that costs money: it is the resource's job."""
    action = plan_job(builder.intent(an_intent(attempt=2)).resource, _proven(RUNNING))
    assert isinstance(action, RecordCreate)
    assert (action.uuid, action.attempt) == (JOB, 1)


def test_a_forced_resource_that_only_foreign_finalizers_hold_is_let_be() -> None:
    """Our finalizer is gone already; dropping it once more would write and tell the same in every pass."""
    forced = GOING.annotated(naming.FORCE_FINALIZE_ANNOTATION, FORCED)
    assert isinstance(plan_job(forced.resource, facts(memory=memory(orphan_left=True))), DropFinalizer)
    left = forced.metadata(finalizers=["someone.else/hold"]).resource
    assert plan_job(left, facts()) == Rest(None)


# --- duplicates ---


@pytest.mark.failure_mode(8)
def test_a_deletion_ends_duplicates_between_its_reads_and_waits_for_them() -> None:
    """Nothing on the object names a duplicate: once the finalizer is gone, nobody would ever end it."""
    ended = reads(a_row(status="CANCELLED"), [a_run(status="CANCELLED")])
    due = facts(**ended, memory=memory(extras=(OTHER_JOB,), last_extra=MONOTONIC - 2))
    assert plan_job(GOING.resource, due) == CancelJob(OTHER_JOB, "DispersedJob deleted", extra=True)
    told = memory(extras=(OTHER_JOB,), last_extra=MONOTONIC - 1)
    assert plan_job(GOING.resource, facts(memory=told)) == ReadJob(JOB, runs=False), (
        "the recorded job does not wait for it"
    )
    live = facts(**reads(RUNNING, [a_run()]), memory=told)
    assert plan_job(GOING.resource, live) == CancelJob(JOB, "DispersedJob deleted")
    rest = plan_job(GOING.resource, facts(**ended, memory=told))
    assert isinstance(rest, Rest)
    assert rest.after == 2.0
    assert OTHER_JOB in _situation(rest).message
    assert isinstance(plan_job(GOING.resource, facts(**ended)), DropFinalizer)


@pytest.mark.failure_mode(8)
def test_duplicates_take_turns_and_the_recorded_job_is_watched_meanwhile() -> None:
    """One that will not end is put behind the others after each cancel, and hides neither them nor the job itself."""
    resource = a_job().created().resource
    read = facts(**reads(RUNNING, [a_run()]))
    for order in ((OTHER_JOB, "third"), ("third", OTHER_JOB)):
        action = plan_job(resource, replace(read, memory=memory(extras=order, last_extra=MONOTONIC - 2)))
        assert isinstance(action, CancelJob)
        assert (action.uuid, action.extra) == (order[0], True)
    rest = plan_job(resource, replace(read, memory=memory(extras=(OTHER_JOB,), last_extra=MONOTONIC - 1)))
    assert isinstance(rest, Rest)
    assert (_situation(rest).reason, rest.after) == (Reason.RUNNING, 2.0)


# --- what polls leave out ---


@pytest.mark.parametrize(
    ("shown", "polled", "read", "because"),
    [
        ({"currentRun": {"uuid": "gone", "status": "RUNNING"}}, [a_run()], True, "the live run may have ended"),
        ({"currentRun": {"uuid": RUN, "status": "RUNNING"}, "runCount": 2}, [a_run()], True, "a run got lost"),
        ({"currentRun": {"uuid": RUN, "status": "RUNNING"}, "runCount": 1}, [a_run()], False, "nothing is missing"),
        ({"currentRun": {"uuid": "gone", "status": "FAILED"}, "runCount": 1}, [a_run()], False, "its end is known"),
        ({}, [a_run()], False, "nothing was shown yet"),
    ],
)
@pytest.mark.failure_mode(43)
def test_a_poll_that_lacks_a_run_that_was_shown_is_not_believed(
    shown: dict[str, Any], polled: list[RemoteRun], read: bool, because: str
) -> None:
    """A poll lists live runs; what it lacks ended or fell between two pages, and only a read tells which."""
    resource = a_job().created().status(**shown).resource
    action = plan_job(resource, facts(snapshot_job=RUNNING, snapshot_runs=tuple(polled)))
    assert (action == ReadJob(JOB)) is read, because
    own_read = plan_job(resource, facts(**reads(RUNNING, polled)))
    assert isinstance(own_read, Rest), "a read of its own is the last word"


@pytest.mark.failure_mode(43)
def test_a_failed_job_without_runs_and_without_retries_is_over() -> None:
    """No run can follow, so "the service may start another" would be said for ever."""
    failed = a_row(status="FAILED", completed_at=moment(NOW - 10))
    situation = _situation(plan_job(a_job().created().resource, facts(**reads(failed))))
    assert situation.ended is False
    assert situation.phase is Phase.FAILED


@pytest.mark.parametrize(("listed", "after"), [(False, 30.0), (True, None)])
def test_a_live_job_that_the_poll_does_not_list_is_looked_at_again(listed: bool, after: float | None) -> None:
    """The poller tells once that a job vanished from its listing; whoever read it alive must look again by himself."""
    run = a_run(hourly_rate_usd=None)
    action = plan_job(a_job().created().resource, facts(**reads(RUNNING, [run]), listed=listed))
    assert isinstance(action, Rest)
    assert action.after == after


@pytest.mark.parametrize(
    ("token", "restored"),
    [
        (naming.create_token(IDENTITY, 1), True),
        (naming.create_token(IDENTITY, 2), False),
        (naming.create_token(Identity("another", "team-a", "train", IDENTITY.uid), 1), False),
        ("made-up", False),
        (None, False),
    ],
)
@pytest.mark.failure_mode(12)
def test_the_finalizer_comes_back_only_for_a_record_of_this_very_resource(token: str | None, restored: bool) -> None:
    """A status that somebody made up must not hold an object back for ever."""
    action = plan_job(a_job().record(token=token).resource, facts(**reads(RUNNING, [a_run()])))
    assert isinstance(action, RestoreFinalizer) is restored


# --- C0 again, and later ---


def test_a_listing_that_began_too_late_in_history_is_no_ground_for_a_further_attempt() -> None:
    """A listing made for another question may end after the resource's creation and miss what an attempt made."""
    resource = a_job().intent(refused(Refusal.ABSENT)).resource
    short = facts(listing=a_listing(since=CREATED - 3599))
    assert plan_job(resource, short) == ReadListing(since=CREATED - 3600, begun_after=MONOTONIC)
    assert plan_job(resource, facts(listing=a_listing(since=CREATED - 3600))) == ClaimIntent(2)


@pytest.mark.parametrize("refusal", [Refusal.PERMISSION, Refusal.FUNDS, Refusal.NOT_FOUND])
@pytest.mark.parametrize(("attempt", "wait"), [(1, 300), (2, 600), (3, 1200), (4, 2400), (5, 3600), (98, 3600)])
def test_a_refusal_that_lasts_is_tried_ever_more_rarely_up_to_once_an_hour(
    refusal: Refusal, attempt: int, wait: int
) -> None:
    """There are 99 attempts: at five minutes each, an account without funds would use them up within a day."""
    resource = a_job().intent(refused(refusal, attempt=attempt)).resource
    assert isinstance(plan_job(resource, facts(at=SIGNED + wait - 1, listing=a_listing())), Rest)
    assert plan_job(resource, facts(at=SIGNED + wait, listing=a_listing())) == ClaimIntent(attempt + 1)


def test_an_intent_that_was_not_sent_is_tried_again_after_half_a_minute_however_often() -> None:
    """Nobody refused anything: the process stopped or was late."""
    resource = a_job().intent(refused(Refusal.NOT_SENT, attempt=9)).resource
    assert isinstance(plan_job(resource, facts(at=SIGNED + 29, listing=a_listing())), Rest)
    assert plan_job(resource, facts(at=SIGNED + 30, listing=a_listing())) == ClaimIntent(10)
