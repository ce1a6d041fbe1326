"""D1 to D7: the resource goes only when its remote job is certainly gone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.intent import Origin, Refusal
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.cancellation import CANCEL_DELAYS
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    Action,
    CancelJob,
    DeleteSecret,
    DropFinalizer,
    Facts,
    Problem,
    ReadJob,
    ReadListing,
    RecordCreate,
    RefuseIntent,
    RememberSighting,
    Rest,
    SecretState,
    Situation,
)
from tests.support.builders import (
    CLUSTER,
    CREATED,
    IDENTITY,
    JOB,
    MONOTONIC,
    NOW,
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

GOING = a_job().created().deleting()
RUNNING = a_row(status="RUNNING")
ENDED = a_row(status="CANCELLED")
ENDED_RUN = a_run(status="CANCELLED", ended_at=moment(NOW))


def _situation(action: Action) -> Situation:
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    return action.situation


# --- D1 ---


def test_a_deleting_resource_without_any_trace_of_us_is_none_of_our_business() -> None:
    bare = a_job().metadata(deletionTimestamp="2026-11-23T14:00:00Z", finalizers=["someone.else/hold"])
    assert plan_job(bare.resource, facts()) == Rest(None)


@pytest.mark.parametrize(
    ("builder", "given", "because"),
    [
        (GOING.paused(), facts(), "a pause holds creates back, not ends"),
        (GOING, facts(account=an_account(blocker=Problem(Reason.CLOCK_SKEW, "skew"))), "cancelling needs no clock"),
        (GOING, facts(body_problem=Problem(Reason.REMOTE_VALIDATION_FAILED, "x"), digest=None), "nor a good spec"),
        (GOING.spec({"task": "Batch"}), facts(), "nor a spec that can be read"),
        (GOING.annotated(naming.RESOLVE_CREATE_ANNOTATION, "x:abandon"), facts(), "nor anybody's answer"),
    ],
)
@pytest.mark.failure_mode(21)
def test_what_holds_back_a_create_does_not_hold_back_a_deletion(
    builder: JobBuilder, given: Facts, because: str
) -> None:
    assert plan_job(builder.resource, given) == ReadJob(JOB, runs=False), because


@pytest.mark.failure_mode(71)
def test_a_deletion_runs_on_any_trace_though_the_finalizer_was_stripped() -> None:
    stripped = GOING.metadata(finalizers=["someone.else/hold"]).resource
    assert plan_job(stripped, facts()) == ReadJob(JOB, runs=False)
    assert isinstance(plan_job(stripped, facts(**reads(RUNNING, [a_run()]))), CancelJob)
    assert plan_job(stripped, facts(**reads(ENDED, [ENDED_RUN]))) == Rest(None), "there is nothing left to remove"


# --- D2 ---


@pytest.mark.parametrize(
    ("builder", "since", "because"),
    [
        (a_job().intent().deleting(), CREATED - 3600, "what proves absence also shows every earlier attempt"),
        (a_job().record(uuid=None, state="Unknown").deleting(), CREATED - 3600, "the record alone asks the same"),
        (a_job().deleting(), CREATED - 3600, "only the finalizer is left: the job may be as old as the resource"),
        (a_job().intent("{").deleting(), CREATED - 3600, "a garbled intent says nothing"),
        (a_job().status(jobUUID=JOB).deleting(), CREATED - 3600, "the copy for people is no record"),
    ],
)
@pytest.mark.failure_mode(22)
def test_an_unresolved_create_is_looked_up_before_anything_else(builder: JobBuilder, since: int, because: str) -> None:
    action = plan_job(builder.resource, facts())
    assert isinstance(action, ReadListing)
    assert action.since == since, because


@pytest.mark.parametrize(("after", "gone"), [(419, False), (420, True)])
def test_an_unknown_create_must_be_proven_absent_before_the_finalizer_may_go(after: int, gone: bool) -> None:
    date = SIGNED + after + 30
    given = facts(at=date, listing=a_listing(stranger(), date=date), memory=memory(sightings=(sighting(date - 30),)))
    action = plan_job(a_job().intent().deleting().resource, given)
    assert isinstance(action, RefuseIntent) is gone, "the proof is written down, then the refused intent lets go"
    assert isinstance(action, RememberSighting) is not gone


@pytest.mark.parametrize(
    ("created", "deleted", "first_seen"), [(0, 100, 50), (0, 50, 100), (0, 0, 100)], ids=["deletion", "sight", "only"]
)
def test_without_any_time_the_proof_waits_from_the_latest_of_creation_deletion_and_first_sight(
    created: int, deleted: int, first_seen: int
) -> None:
    latest = CREATED + max(created, deleted, first_seen)
    builder = a_job().deleting(CREATED + deleted)
    for after, gone in ((419, False), (420, True)):
        date = latest + after + 30
        given = facts(
            at=date,
            listing=a_listing(date=date),
            memory=memory(first_seen=CREATED + first_seen, sightings=(sighting(date - 30),)),
        )
        assert isinstance(plan_job(builder.resource, given), DropFinalizer) is gone


def test_a_job_that_the_lookup_finds_is_recorded_first_and_then_cancelled() -> None:
    action = plan_job(a_job().intent().deleting().resource, facts(listing=a_listing(RUNNING)))
    assert isinstance(action, RecordCreate)


@pytest.mark.parametrize("refusal", [Refusal.VALIDATION, Refusal.NOT_SENT, Refusal.ABSENT, Refusal.PERMISSION])
def test_a_refused_create_has_nothing_to_prove(refusal: Refusal) -> None:
    action = plan_job(a_job().intent(refused(refusal)).deleting().resource, facts())
    assert isinstance(action, DropFinalizer)
    assert (action.reason, action.forced) == (EventReason.RELEASED, False)


def test_an_abandoned_create_goes_without_a_claim_that_nothing_was_created() -> None:
    action = plan_job(a_job().intent(refused(Refusal.ABANDONED)).deleting().resource, facts())
    assert isinstance(action, DropFinalizer)
    assert "NOT verified" in action.message


@pytest.mark.failure_mode(8)
def test_duplicates_are_cancelled_before_the_recorded_job_as_nothing_on_the_object_names_them() -> None:
    given = facts(**reads(ENDED, [ENDED_RUN]), memory=memory(extras=(OTHER_JOB,)))
    assert plan_job(GOING.resource, given) == CancelJob(OTHER_JOB, "DispersedJob deleted", extra=True)
    just_now = replace(given, memory=memory(extras=(OTHER_JOB,), last_extra=MONOTONIC - 1))
    assert isinstance(plan_job(GOING.resource, just_now), Rest)
    unreachable = replace(given, account=closed_account())
    assert isinstance(plan_job(GOING.resource, unreachable), Rest)


# --- D3 to D5 ---


@pytest.mark.parametrize(
    ("job", "runs", "expected", "because"),
    [
        (RUNNING, [a_run()], CancelJob, "a live job is cancelled"),
        (a_row(status="HIBERNATING"), [], CancelJob, "an unknown status is alive"),
        (a_row(status="CANCELLING"), [a_run()], CancelJob, "a cancel may have been somebody else's, or lost"),
        (ENDED, [ENDED_RUN], DropFinalizer, "job and runs are terminal"),
        (ENDED, [], DropFinalizer, "a job without runs has nothing else to end"),
        (ENDED, [ENDED_RUN, a_run()], Rest, "a run still lives"),
        (ENDED, [a_run(status="HIBERNATING")], Rest, "a run of unknown status is alive"),
    ],
)
@pytest.mark.failure_mode(43)
@pytest.mark.failure_mode(47)
def test_the_job_and_all_its_runs_must_be_terminal(job: Any, runs: Any, expected: type, because: str) -> None:
    assert isinstance(plan_job(GOING.resource, facts(**reads(job, runs))), expected), because


@pytest.mark.failure_mode(43)
@pytest.mark.parametrize(
    ("retries", "age", "expected", "because"),
    [
        (1, 10, Rest, "the service may start the failed job again a moment later"),
        (1, 60, DropFinalizer, "a minute later it has not"),
        (0, 10, DropFinalizer, "it was not asked to"),
    ],
)
def test_a_fresh_failure_with_remote_retries_left_is_waited_out(
    retries: int, age: int, expected: type, because: str
) -> None:
    spec = {**a_job().body["spec"], "retry": {"remoteRetries": retries}}
    builder = a_job().spec(spec).created().deleting()
    failed = a_run(status="FAILED", ended_at=moment(NOW - age))
    action = plan_job(builder.resource, facts(**reads(a_row(status="FAILED"), [failed])))
    assert isinstance(action, expected), because


@pytest.mark.parametrize("changes", [{"job": None}, {"job": stranger(), "runs": ()}])
def test_what_was_not_read_in_this_pass_is_read(changes: dict[str, Any]) -> None:
    assert plan_job(GOING.resource, facts(**changes)) == ReadJob(JOB, runs=False)


def test_runs_matter_only_once_the_job_is_over() -> None:
    live, over = facts(job=RUNNING, runs=None), facts(job=a_row(status="CANCELLED"), runs=None)
    assert plan_job(GOING.resource, live) == CancelJob(JOB, "DispersedJob deleted")
    assert plan_job(GOING.resource, over) == ReadJob(JOB)


def test_the_first_second_after_a_cancel_belongs_to_what_still_has_to_be_cancelled() -> None:
    sent = memory(cancels=1, last_cancel=MONOTONIC - 0.5)
    assert plan_job(GOING.resource, facts(memory=sent)) == Rest(None, 0.5)
    later = memory(cancels=1, last_cancel=MONOTONIC - 1.0)
    assert plan_job(GOING.resource, facts(memory=later)) == ReadJob(JOB, runs=False)


@pytest.mark.failure_mode(25)
def test_a_job_that_is_long_in_ending_goes_on_to_show_what_it_costs() -> None:
    def shown(count: int) -> Any:
        sent = memory(cancels=1, last_cancel=MONOTONIC - 2)
        given = facts(memory=sent, job=a_row(status="CANCELLING"), snapshot_job=RUNNING, snapshot_runs=(a_run(),))
        rest = plan_job(GOING.status(runCount=count).resource, given)
        assert isinstance(rest, Rest)
        assert isinstance(rest.situation, Situation)
        return rest.situation.runs

    assert shown(1) == (a_run(),), "as the poller saw them: the price of what they cost so far"
    assert shown(2) is None, "but not if it saw fewer than there were"


@pytest.mark.failure_mode(25)
def test_a_cancel_that_the_service_works_on_is_repeated_later_than_one_that_was_lost() -> None:
    def due(status: str, since: float) -> bool:
        sent = memory(cancels=1, last_cancel=MONOTONIC - since)
        return isinstance(plan_job(GOING.resource, facts(memory=sent, job=a_row(status=status))), CancelJob)

    assert (due("RUNNING", 1.9), due("RUNNING", 2.1)) == (False, True)
    assert (due("CANCELLING", 7.9), due("CANCELLING", 8.1)) == (False, True)


@pytest.mark.failure_mode(23)
@pytest.mark.failure_mode(25)
@pytest.mark.parametrize("cancels", range(1, 8))
def test_a_cancel_is_repeated_after_2_4_8_16_and_then_every_30_seconds(cancels: int) -> None:
    delay = CANCEL_DELAYS[min(cancels, len(CANCEL_DELAYS)) - 1]
    assert delay == (2, 4, 8, 16, 30, 30, 30)[cancels - 1]
    for waited, expected in ((delay - 0.1, Rest), (delay, CancelJob)):
        told = memory(cancels=cancels, last_cancel=MONOTONIC - waited, cancelled_by_us=True)
        action = plan_job(GOING.resource, facts(**reads(RUNNING, [a_run()]), memory=told))
        assert isinstance(action, expected)


@pytest.mark.failure_mode(25)
@pytest.mark.reason("Stopping")
def test_a_job_stuck_in_cancelling_keeps_the_finalizer_for_ever() -> None:
    told = memory(cancels=1000, last_cancel=MONOTONIC - 1, cancelled_by_us=True)
    action = plan_job(GOING.resource, facts(**reads(a_row(status="CANCELLING"), [a_run()]), memory=told))
    assert _situation(action).reason is Reason.STOPPING
    assert isinstance(action, Rest)
    assert action.after is not None


# --- D4 ---


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(stranger(JOB), id="no title of ours"),
        pytest.param(a_row(identity=replace(IDENTITY, namespace="team-b"), status="RUNNING"), id="another tenant"),
        pytest.param(a_row(identity=replace(IDENTITY, cluster_id="b"), status="RUNNING"), id="another cluster"),
        pytest.param(a_row(status="RUNNING", title=a_row().title[:45], description="", env_token=None), id="cut short"),
    ],
)
@pytest.mark.failure_mode(52)
@pytest.mark.reason("OwnershipAmbiguous")
def test_a_job_whose_title_does_not_verify_is_never_cancelled(row: Any) -> None:
    situation = _situation(plan_job(GOING.resource, facts(**reads(row, [a_run()]))))
    assert situation.reason is Reason.OWNERSHIP_AMBIGUOUS
    assert situation.stalled


# --- D6 ---


def test_the_connection_secret_goes_before_the_finalizer() -> None:
    builder = GOING.status(connectionSecretRef={"name": "train-connection"})
    ended = facts(**reads(ENDED, [ENDED_RUN]))
    assert plan_job(builder.resource, ended) == DeleteSecret("train-connection")
    assert isinstance(plan_job(builder.resource, replace(ended, secret=SecretState.REMOVED)), DropFinalizer)


@pytest.mark.parametrize(("by_us", "reason"), [(True, EventReason.CANCELLED), (False, EventReason.RELEASED)])
def test_the_last_event_says_whether_we_cancelled(by_us: bool, reason: EventReason) -> None:
    given = facts(**reads(ENDED, [ENDED_RUN]), memory=memory(cancelled_by_us=by_us))
    action = plan_job(GOING.resource, given)
    assert isinstance(action, DropFinalizer)
    assert action.reason is reason
    assert action.situation is not None
    assert action.situation.runs == (ENDED_RUN,), "the final cost is made of them"


# --- D7 ---


@pytest.mark.parametrize(
    ("builder", "problem"),
    [
        pytest.param(
            GOING, Problem(Reason.CREDENTIALS_REJECTED, "HTTP 401"), marks=pytest.mark.reason("CredentialsRejected")
        ),
        pytest.param(
            GOING, Problem(Reason.INVALID_REFERENCE, "no Secret"), marks=pytest.mark.reason("InvalidReference")
        ),
        (a_job().intent().deleting(), Problem(Reason.INVALID_REFERENCE, "no Secret")),
    ],
)
@pytest.mark.failure_mode(26)
@pytest.mark.failure_mode(27)
def test_without_credentials_the_resource_stays_and_says_why(builder: JobBuilder, problem: Problem) -> None:
    action = plan_job(builder.resource, facts(account=closed_account(problem)))
    situation = _situation(action)
    assert situation.reason is problem.reason
    assert situation.account_problem == problem
    assert isinstance(action, Rest)
    assert action.after is not None


FORCED = f"{naming.uid_mark(IDENTITY.uid)}:the account was closed by its provider"


def test_the_newest_intent_is_settled_first_though_an_earlier_job_is_recorded() -> None:
    builder = a_job().intent(an_intent(attempt=2)).record(attempt=1).deleting()
    assert isinstance(plan_job(builder.resource, facts(**reads(ENDED, [ENDED_RUN]))), ReadListing)


@pytest.mark.failure_mode(9)
def test_a_late_job_of_an_earlier_attempt_is_ended_before_a_resource_goes_whose_newest_create_made_nothing() -> None:
    date = SIGNED + 450
    given = facts(
        at=date,
        listing=a_listing(a_row(attempt=1, status="RUNNING"), date=date),
        memory=memory(sightings=(sighting(date - 30),)),
    )
    action = plan_job(a_job().intent(an_intent(attempt=2)).deleting().resource, given)
    assert isinstance(action, RecordCreate)
    assert action.attempt == 1


def test_a_clone_whose_own_create_is_proven_absent_goes_without_touching_the_intent_it_inherited() -> None:
    date = NOW + 450
    clone = a_job().intent(an_intent(origin=Origin("other", "team-a/neighbour", CLUSTER))).deleting()
    given = facts(
        at=date,
        listing=a_listing(date=date),
        memory=memory(first_seen=NOW, sightings=(sighting(date - 30),)),
    )
    assert isinstance(plan_job(clone.resource, given), DropFinalizer)


def test_an_earlier_attempt_that_is_over_needs_no_end() -> None:
    date = SIGNED + 450
    given = facts(
        at=date,
        listing=a_listing(a_row(attempt=1, status="FAILED"), date=date),
        memory=memory(sightings=(sighting(date - 30),)),
    )
    assert isinstance(plan_job(a_job().intent(an_intent(attempt=2)).deleting().resource, given), RefuseIntent)


@pytest.mark.parametrize("refusal", [Refusal.ABANDONED, Refusal.ABSENT])
def test_duplicates_of_a_choice_that_was_never_recorded_hold_nothing_back(refusal: Refusal) -> None:
    """The write of the choice failed, and the create was settled another way: nothing is left that they duplicate."""
    going = a_job().intent(refused(refusal)).deleting().resource
    assert isinstance(plan_job(going, facts(memory=memory(extras=(OTHER_JOB,)))), DropFinalizer)
