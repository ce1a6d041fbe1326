"""A job is suspended, and resumed: never posted meanwhile, ended before it is said, run again as a new attempt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.intent import IntentState, Refusal
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    CancelJob,
    ClaimIntent,
    DeleteSecret,
    DropFinalizer,
    Kept,
    Missing,
    OwnAttempt,
    Problem,
    ReadJob,
    ReadListing,
    RecordCreate,
    RecordEnding,
    RefuseIntent,
    RememberMissing,
    Rest,
    SecretState,
    SendCreate,
)
from tests.support.builders import (
    BATCH,
    IDENTITY,
    JOB,
    MONOTONIC,
    NONCE,
    NOW,
    OTHER_ACCOUNT,
    OTHER_JOB,
    SIGNED,
    JobBuilder,
    a_job,
    a_listing,
    a_row,
    a_run,
    an_account,
    an_intent,
    closed_account,
    facts,
    memory,
    moment,
    reads,
    refused,
    sighting,
    stranger,
)
from tests.support.endings import CANCELLED, ENDED_RUN, ENDING, RUNNING, SUSPEND, created, over, situation_of

# --- a suspended resource never posts ---


def test_a_resource_that_is_created_suspended_is_suspended_at_once_and_asks_for_nothing() -> None:
    for given in (facts(), facts(account=closed_account()), facts(listing=a_listing())):
        action = plan_job(a_job().spec(SUSPEND).resource, given)
        said = situation_of(action)
        assert (said.phase, said.reason, said.suspended, said.stalled) == (
            Phase.SUSPENDED,
            Reason.SUSPENDED,
            True,
            False,
        )
        assert action == Rest(said, None)


def test_an_intent_that_was_won_but_not_sent_is_not_sent_any_more() -> None:
    won = OwnAttempt(NONCE, MONOTONIC - 1, intent=an_intent())
    going_on = a_job().intent()
    assert plan_job(going_on.resource, facts(memory=memory(own=won))) == SendCreate()
    action = plan_job(going_on.spec(SUSPEND).resource, facts(memory=memory(own=won)))
    assert isinstance(action, RefuseIntent)
    assert action.refusal is Refusal.NOT_SENT


@pytest.mark.failure_mode(45)
def test_an_unknown_create_is_settled_before_the_suspension() -> None:
    unknown = a_job().spec(SUSPEND).intent().resource
    assert isinstance(plan_job(unknown, facts()), ReadListing)
    found = plan_job(unknown, facts(listing=a_listing(RUNNING)))
    assert isinstance(found, RecordCreate)
    assert found.uuid == JOB
    late = SIGNED + 460
    proven = facts(
        at=late, memory=memory(sightings=(sighting(SIGNED + 425),)), listing=a_listing(date=late, page_size=50)
    )
    action = plan_job(unknown, proven)
    assert isinstance(action, RefuseIntent)
    assert action.refusal is Refusal.ABSENT
    settled = a_job().spec(SUSPEND).intent(refused(Refusal.ABSENT)).resource
    assert situation_of(plan_job(settled, facts())).suspended


# --- suspending a live job ---


@pytest.mark.failure_mode(45)
def test_a_live_job_is_ended_and_only_its_verified_end_is_a_suspension() -> None:
    asked = created(SUSPEND)
    decided = created(SUSPEND, **ENDING).status(connectionSecretRef={"name": "train-connection"})
    alive = reads(RUNNING, [a_run()])
    assert plan_job(asked.resource, facts(**alive)) == RecordEnding(Reason.SUSPENDED, "spec.suspend was set to true")
    cancel = plan_job(decided.resource, facts(**alive))
    assert isinstance(cancel, CancelJob)
    assert (cancel.uuid, cancel.extra) == (JOB, False)
    sent = memory(cancels=1, last_cancel=MONOTONIC - 1)
    waiting = situation_of(plan_job(decided.resource, facts(**alive, memory=sent)))
    assert (waiting.phase, waiting.reason, waiting.suspended) == (Phase.STOPPING, Reason.STOPPING, False)
    run_lives = facts(**reads(CANCELLED, [a_run()]), memory=sent)
    assert situation_of(plan_job(decided.resource, run_lives)).suspended is False
    ended = reads(CANCELLED, [ENDED_RUN], memory=sent)
    assert plan_job(decided.resource, facts(**ended)) == DeleteSecret("train-connection")
    done = plan_job(decided.resource, facts(**ended, secret=SecretState.REMOVED))
    said = situation_of(done)
    assert (said.phase, said.suspended, said.ended, said.secret_name) == (Phase.SUSPENDED, True, None, None)
    assert done == Rest(said, None)


def test_the_poll_is_enough_to_begin_but_the_cancel_waits_for_a_read_of_its_own() -> None:
    polled = facts(snapshot_job=RUNNING, snapshot_runs=(a_run(),))
    assert isinstance(plan_job(created(SUSPEND).resource, polled), RecordEnding)
    assert plan_job(created(SUSPEND, **ENDING).resource, polled) == ReadJob(JOB, runs=False)


def test_a_suspension_that_is_taken_back_halfway_is_carried_out_and_leads_to_a_new_attempt() -> None:
    taken_back = created(BATCH, **ENDING).resource
    assert isinstance(plan_job(taken_back, facts(**reads(RUNNING, [a_run()]))), CancelJob)
    done = plan_job(taken_back, facts(**reads(CANCELLED, [ENDED_RUN])))
    assert situation_of(done).suspended
    assert isinstance(done, Rest)
    assert done.after is not None


@pytest.mark.parametrize(
    ("status", "phase", "because"),
    [
        ("COMPLETED", Phase.SUCCEEDED, "it was done before the cancel reached it"),
        ("FAILED", Phase.FAILED, "it failed by itself"),
        ("CANCELLED", Phase.STOPPED, "somebody else cancelled it: we had not even decided to"),
    ],
)
def test_a_job_that_ended_by_itself_keeps_its_ending(status: str, phase: Phase, because: str) -> None:
    ended = reads(a_row(status=status), [a_run(status=status, ended_at=moment(NOW))], run=a_run(logs=""))
    said = situation_of(plan_job(created(SUSPEND).resource, facts(**ended)))
    assert (said.phase, said.suspended) == (phase, False), because
    if status != "CANCELLED":
        decided = situation_of(plan_job(created(SUSPEND, **ENDING).resource, facts(**ended)))
        assert decided.phase is phase, because


@pytest.mark.parametrize("type_", ["Complete", "Failed"])
def test_suspending_or_resuming_a_job_that_has_ended_does_nothing(type_: str) -> None:
    for spec in (SUSPEND, BATCH):
        finished = created(spec).status(conditions=[{"type": type_, "status": "True"}])
        assert plan_job(finished.resource, facts()) == Rest(Kept(), None)


def test_our_own_cancel_is_recognised_by_its_reason_where_the_record_of_it_is_lost() -> None:
    cancel = plan_job(created(SUSPEND, **ENDING).resource, facts(**reads(RUNNING, [a_run()])))
    assert isinstance(cancel, CancelJob)
    seen = replace(CANCELLED, status_reason=f"by the account: {cancel.reason}")
    for spec in (SUSPEND, BATCH):
        action = plan_job(created(spec).resource, facts(**reads(seen, [ENDED_RUN])))
        assert isinstance(action, RecordEnding)
        assert action.ending is Reason.SUSPENDED


def test_a_pause_holds_a_suspension_of_a_live_job_back_but_not_one_that_was_decided() -> None:
    alive = facts(**reads(RUNNING, [a_run()]))
    assert situation_of(plan_job(created(SUSPEND).paused().resource, alive)).phase is Phase.RUNNING
    assert isinstance(plan_job(created(SUSPEND, **ENDING).paused().resource, alive), CancelJob)


def test_a_job_with_a_foreign_title_is_not_ended() -> None:
    for record in ({}, ENDING):
        action = plan_job(created(SUSPEND, **record).resource, facts(**reads(stranger(uuid=JOB), [a_run()])))
        assert situation_of(action).reason is Reason.OWNERSHIP_AMBIGUOUS


def test_a_job_that_vanishes_while_it_is_ended_must_be_proven_gone() -> None:
    going = created(SUSPEND, **ENDING).resource
    assert plan_job(going, facts(job=Missing(NOW))) == RememberMissing(NOW)
    twice = memory(first_missing=NOW - 40)
    assert isinstance(plan_job(going, facts(job=Missing(NOW), memory=twice)), ReadListing)
    gone = facts(job=Missing(NOW), memory=twice, listing=a_listing(begun=MONOTONIC))
    assert situation_of(plan_job(going, gone)).suspended
    other_account = facts(job=Missing(NOW), memory=twice, account=an_account(mark=OTHER_ACCOUNT))
    assert situation_of(plan_job(going, other_account)).reason is Reason.ACCOUNT_MISMATCH


# --- suspended, and resumed ---


def test_a_suspended_resource_rests_without_any_call_in_the_same_words() -> None:
    concluded = situation_of(plan_job(created(SUSPEND, **ENDING).resource, facts(**reads(CANCELLED, [ENDED_RUN]))))
    for given in (facts(), facts(account=closed_account()), facts(polled=False)):
        action = plan_job(over(SUSPEND).resource, given)
        said = situation_of(action)
        assert action == Rest(said, None)
        assert (said.message, said.created) == (concluded.message, concluded.created)


def test_a_job_that_is_said_to_be_over_but_lives_is_ended_again() -> None:
    seen = facts(snapshot_job=RUNNING, snapshot_runs=(a_run(),))
    assert plan_job(over(SUSPEND).resource, seen) == ReadJob(JOB, runs=False)
    read = facts(**reads(RUNNING, [a_run()]), snapshot_job=RUNNING, snapshot_runs=(a_run(),))
    assert isinstance(plan_job(over(SUSPEND).resource, read), CancelJob)
    assert isinstance(plan_job(over(BATCH).resource, facts(**reads(RUNNING, [a_run()]))), CancelJob)


@pytest.mark.failure_mode(53)
def test_a_resume_verifies_the_end_anew_and_then_is_a_new_attempt_from_c0() -> None:
    resumed = over().resource
    assert plan_job(resumed, facts()) == ReadJob(JOB, runs=False)
    ended = reads(CANCELLED, [ENDED_RUN])
    listing = plan_job(resumed, facts(**ended))
    assert isinstance(listing, ReadListing)
    assert listing.begun_after == MONOTONIC, "another attempt wants a listing of its own"
    fresh = a_listing(CANCELLED, begun=MONOTONIC + 1)
    assert plan_job(resumed, facts(**ended, listing=fresh)) == ClaimIntent(2)
    waiting = situation_of(plan_job(resumed, facts(**reads(CANCELLED, [a_run()]))))
    assert (waiting.phase, waiting.suspended) == (Phase.PENDING, False), "a run of it still lives"


@pytest.mark.parametrize(
    ("builder", "given", "reason"),
    [
        (over().paused(), facts(), Reason.PAUSED),
        (over(), facts(account=an_account(blocker=Problem(Reason.CLOCK_SKEW, "x"))), Reason.CLOCK_SKEW),
        (over(), facts(account=closed_account()), Reason.INVALID_REFERENCE),
        (over(), facts(body_problem=Problem(Reason.REMOTE_VALIDATION_FAILED, "x")), Reason.REMOTE_VALIDATION_FAILED),
    ],
)
def test_what_holds_back_a_create_holds_back_a_resume(builder: JobBuilder, given: Any, reason: Reason) -> None:
    said = situation_of(plan_job(builder.resource, given))
    assert (said.reason, said.phase, said.suspended) == (reason, Phase.PENDING, False)


@pytest.mark.failure_mode(53)
def test_the_uuid_of_the_suspended_attempt_answers_nothing_about_the_next_one() -> None:
    second = over().intent(an_intent(attempt=2, nonce="nonce-2"))
    old = reads(CANCELLED, [ENDED_RUN])
    assert isinstance(plan_job(second.resource, facts(**old)), ReadListing), "the second attempt is unknown"
    listed = facts(**old, listing=a_listing(CANCELLED))
    action = plan_job(second.resource, listed)
    assert not isinstance(action, RecordCreate), "the first attempt's job is history"
    newer = a_row(uuid=OTHER_JOB, attempt=2, status="PENDING")
    found = plan_job(second.resource, facts(**old, listing=a_listing(CANCELLED, newer)))
    assert isinstance(found, RecordCreate)
    assert (found.uuid, found.attempt, found.extras) == (OTHER_JOB, 2, ())


@pytest.mark.failure_mode(11)
@pytest.mark.failure_mode(53)
def test_the_record_of_the_second_attempt_alone_still_tells_that_it_is_unknown() -> None:
    stripped = a_job().held().record(attempt=2, uuid=None, state="Unknown", settledAttempts=1)
    assert isinstance(plan_job(stripped.resource, facts()), ReadListing)
    found = plan_job(stripped.resource, facts(listing=a_listing(CANCELLED)))
    assert not isinstance(found, RecordCreate)


def test_a_refused_second_attempt_is_mended_by_an_edit_and_never_takes_the_first_ones_job() -> None:
    record = {"attempt": 2, "uuid": None, "state": "Refused", "settledAttempts": 1}
    again = a_job().intent(refused(Refusal.VALIDATION, attempt=2, body_sha256="other")).record(**record)
    listing = a_listing(CANCELLED, begun=MONOTONIC + 1)
    assert plan_job(again.resource, facts(listing=listing)) == ClaimIntent(3)
    suspended_again = again.spec(SUSPEND).resource
    assert situation_of(plan_job(suspended_again, facts(listing=listing))).suspended


def test_where_every_record_is_lost_the_newest_attempt_tells_how_the_story_ended() -> None:
    second = a_row(uuid=OTHER_JOB, attempt=2, status="COMPLETED", created_at=moment(SIGNED + 1))
    listing = a_listing(CANCELLED, second)
    action = plan_job(a_job().held().resource, facts(listing=listing))
    assert isinstance(action, RecordCreate)
    assert (action.uuid, action.attempt) == (OTHER_JOB, 2)


def test_a_garbled_intent_over_a_suspended_record_may_be_a_newer_attempt() -> None:
    garbled = over().intent("{")
    assert isinstance(plan_job(garbled.resource, facts()), ReadListing)
    pending = garbled.resource.pending_create()
    assert pending is not None
    assert pending.token is None


@pytest.mark.failure_mode(11)
def test_an_intent_taken_away_from_a_suspended_record_may_have_been_a_newer_attempt() -> None:
    """Its request may be under way while no listing shows it; a resume and a deletion wait for the proof."""
    stripped = a_job().held().record(locked=False, ended=True, **ENDING)
    late = a_listing(CANCELLED, begun=MONOTONIC + 1)
    for builder in (stripped, stripped.deleting()):
        assert isinstance(plan_job(builder.resource, facts()), ReadListing)
        action = plan_job(builder.resource, facts(**reads(CANCELLED, [ENDED_RUN]), listing=late))
        assert not isinstance(action, ClaimIntent | DropFinalizer)
    newer = a_listing(CANCELLED, a_row(uuid=OTHER_JOB, attempt=2, status="RUNNING"), begun=MONOTONIC + 1)
    found = plan_job(stripped.deleting().resource, facts(listing=newer))
    assert isinstance(found, RecordCreate)
    assert (found.uuid, found.attempt) == (OTHER_JOB, 2)


def test_a_deletion_reads_the_suspended_job_itself_even_if_nothing_newer_was_created() -> None:
    late = NOW + 460
    given = facts(
        at=late,
        memory=memory(sightings=(sighting(NOW + 425),), first_seen=NOW),
        listing=a_listing(date=late, page_size=50),
    )
    stripped = a_job().held().record(locked=False, ended=True, **ENDING).deleting()
    assert plan_job(stripped.resource, given) == ReadJob(JOB, runs=False)


@pytest.mark.parametrize("record", [{"uuid": None, "state": "Refused"}, {"ended": True, "locked": False, **ENDING}])
def test_a_suspended_resource_whose_intent_was_taken_away_rests_once_absence_is_proven(record: dict[str, Any]) -> None:
    stripped = a_job().spec(SUSPEND).held().record(**record).resource
    late = NOW + 460
    proven = facts(
        at=late,
        memory=memory(sightings=(sighting(NOW + 425),), first_seen=NOW),
        listing=a_listing(date=late, page_size=50),
    )
    action = plan_job(stripped, proven)
    assert isinstance(action, RefuseIntent), "marked, so that it need not be proven again"


def test_an_intent_of_the_first_attempt_is_resolved_by_its_token() -> None:
    resource = over().resource
    assert resource.intent is not None
    assert resource.intent.state is IntentState.OPEN
    assert resource.intent.token == naming.create_token(IDENTITY, 1)
    assert resource.pending_create() is None
