"""Watching a job that exists: what the service says, and what the resource then shows or does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.tracking import current_run, first_situation
from dispersed_operator.planning.vocabulary import (
    Action,
    CancelJob,
    Created,
    Facts,
    Kept,
    Problem,
    ReadJob,
    ReadRun,
    Rest,
    RestoreFinalizer,
    Situation,
)
from tests.support.builders import (
    JOB,
    MONOTONIC,
    NOW,
    OTHER_JOB,
    RUN,
    SSH_URL,
    WEB_URL,
    JobBuilder,
    a_job,
    a_row,
    a_run,
    an_account,
    closed_account,
    facts,
    memory,
    moment,
    reads,
    stranger,
)

BATCH = a_job().created()
BENCH = a_job().persistent().created()
UP = a_run(node_urls=(WEB_URL, SSH_URL), access_tokens=("token-of-the-run",))
RUNNING = a_row(status="RUNNING")
SECRET = "train-connection"


def _situation(action: Action) -> Situation:
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    return action.situation


# --- what is read ---


@pytest.mark.parametrize(
    ("given", "expected", "because"),
    [
        (facts(), ReadJob(JOB), "nothing is known of the job"),
        (facts(job=RUNNING), ReadJob(JOB), "its runs are not known"),
        (facts(snapshot_job=RUNNING), ReadJob(JOB), "the poller has not seen its runs"),
        (facts(snapshot_job=a_row(status="COMPLETED"), snapshot_runs=()), ReadJob(JOB), "an end is read, not inferred"),
        (
            facts(snapshot_job=RUNNING, snapshot_runs=(a_run(),), forced=True),
            ReadJob(JOB),
            "a person wants a look at the service and not at what is remembered",
        ),
    ],
)
def test_what_is_missing_is_read(given: Facts, expected: Action, because: str) -> None:
    assert plan_job(BATCH.resource, given) == expected, because


def test_the_pollers_view_of_a_live_job_is_enough() -> None:
    given = facts(snapshot_job=RUNNING, snapshot_runs=(a_run(),))
    assert _situation(plan_job(BATCH.resource, given)).reason is Reason.RUNNING


def test_after_a_start_a_known_job_waits_for_the_first_poll_instead_of_being_read() -> None:
    told = BATCH.status(phase="Running").resource
    action = plan_job(told, facts(polled=False))
    assert isinstance(action, Rest)
    assert action.situation == Kept()
    assert plan_job(BATCH.resource, facts(polled=False)) == ReadJob(JOB), "a job without a status cannot wait"
    assert plan_job(told, facts(polled=False, forced=True)) == ReadJob(JOB)


@pytest.mark.failure_mode(27)
def test_without_an_account_what_is_said_stays_and_the_account_is_said_to_be_missing() -> None:
    action = plan_job(BATCH.status(phase="Running").resource, facts(account=closed_account()))
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Kept)
    assert action.situation.account_problem is not None
    assert action.after is not None


@pytest.mark.reason("AccountProbing")
def test_an_account_that_was_not_looked_at_yet_is_no_news_of_a_job() -> None:
    probing = closed_account(Problem(Reason.ACCOUNT_PROBING, "the account is being checked"))
    action = plan_job(BATCH.status(phase="Running").resource, facts(account=probing))
    assert isinstance(action, Rest)
    assert action.situation in (None, Kept())


@pytest.mark.parametrize("condition", ["Complete", "Failed"])
def test_a_job_that_is_over_asks_nothing_any_more(condition: str) -> None:
    over = BATCH.status(conditions=[{"type": condition, "status": "True", "reason": "Completed"}])
    assert plan_job(over.resource, facts()) == Rest(Kept(), None)
    untidy = over.status(connectionSecretRef={"name": SECRET})
    assert plan_job(untidy.resource, facts()) == ReadJob(JOB), "its Secret still has to go"


@pytest.mark.failure_mode(12)
def test_a_stripped_finalizer_comes_back_while_the_job_lives() -> None:
    bare = a_job().record().resource
    assert plan_job(bare, facts(**reads(RUNNING, [a_run()]))) == RestoreFinalizer()


# --- what it shows ---


@pytest.mark.parametrize(
    ("status", "phase", "reason"),
    [
        pytest.param("PENDING", Phase.QUEUED, Reason.WAITING_FOR_NODE, marks=pytest.mark.reason("WaitingForNode")),
        pytest.param("ASSIGNED", Phase.STARTING, Reason.PULLING_IMAGE, marks=pytest.mark.reason("PullingImage")),
        ("PREPARING", Phase.STARTING, Reason.PULLING_IMAGE),
        pytest.param("RUNNING", Phase.RUNNING, Reason.RUNNING, marks=pytest.mark.reason("Running")),
        pytest.param("FAILING", Phase.STOPPING, Reason.STOPPING, marks=pytest.mark.reason("Stopping")),
        ("CANCELLING", Phase.STOPPING, Reason.STOPPING),
        pytest.param(
            "HIBERNATING", Phase.UNKNOWN, Reason.UNKNOWN_REMOTE_STATUS, marks=pytest.mark.reason("UnknownRemoteStatus")
        ),
        ("", Phase.UNKNOWN, Reason.UNKNOWN_REMOTE_STATUS),
    ],
)
@pytest.mark.failure_mode(47)
def test_each_status_of_a_live_job(status: str, phase: Phase, reason: Reason) -> None:
    situation = _situation(plan_job(BATCH.resource, facts(**reads(a_row(status=status)))))
    assert (situation.phase, situation.reason) == (phase, reason)
    assert (situation.created, situation.ready, situation.stalled, situation.ended) == (Created.YES, False, False, None)


@pytest.mark.parametrize(
    ("job", "run", "phase", "because"),
    [
        ("PENDING", "RUNNING", Phase.RUNNING, "the run was read a moment later"),
        ("RUNNING", "PREPARING", Phase.RUNNING, "the job was read a moment later"),
        ("CANCELLING", "RUNNING", Phase.STOPPING, "the job decides where it is not making progress"),
        ("RUNNING", "FAILED", Phase.RUNNING, "a run that is over says nothing of the job"),
    ],
)
@pytest.mark.failure_mode(43)
def test_the_further_of_job_and_run_is_shown(job: str, run: str, phase: Phase, because: str) -> None:
    situation = _situation(plan_job(BATCH.resource, facts(**reads(a_row(status=job), [a_run(status=run)]))))
    assert situation.phase is phase, because


@pytest.mark.failure_mode(72)
@pytest.mark.reason("ImmutableFieldChanged")
def test_an_edit_that_slipped_in_during_the_create_is_said_aloud() -> None:
    edited = a_job().intent().record(locked=False)
    situation = _situation(plan_job(edited.resource, facts(**reads(RUNNING, [a_run()]), digest="of the edit")))
    assert situation.reason is Reason.IMMUTABLE_FIELD_CHANGED
    assert situation.stalled
    assert situation.phase is Phase.RUNNING, "the job runs all the same"
    taken_back = _situation(plan_job(edited.resource, facts(**reads(RUNNING, [a_run()]))))
    assert taken_back.reason is Reason.RUNNING


# --- remote retries ---


@pytest.mark.failure_mode(43)
@pytest.mark.parametrize(
    ("retries", "runs", "age", "over", "because"),
    [
        (1, 1, 10, False, "the second run may start any moment"),
        (1, 2, 10, True, "all runs are used up"),
        (0, 1, 10, True, "there are no retries"),
        (1, 1, 60, True, "a minute passed and no run came"),
    ],
)
def test_a_failed_job_is_over_when_no_further_run_can_come(
    retries: int, runs: int, age: int, over: bool, because: str
) -> None:
    builder = a_job().spec({**a_job().body["spec"], "retry": {"remoteRetries": retries}}).created()
    failed = [a_run(uuid=f"run-{number}", status="FAILED", ended_at=moment(NOW - age)) for number in range(runs)]
    given = facts(**reads(a_row(status="FAILED"), failed, run=failed[0]))
    situation = _situation(plan_job(builder.resource, given))
    assert (situation.ended is False) is over, because


# --- the end ---


@pytest.mark.reason("Completed")
@pytest.mark.failure_mode(43)
@pytest.mark.parametrize("status", ["PENDING", "RUNNING", "A_NEW_WORD"])
def test_a_failed_job_whose_retry_has_begun_is_not_over(status: str) -> None:
    """Once it is said to be over nobody looks again: the last run would cost money unseen, beyond all limits."""
    builder = a_job().spec({**a_job().body["spec"], "retry": {"remoteRetries": 1}}).created()
    failed = a_run(uuid="run-1", status="FAILED", ended_at=moment(NOW - 10))
    given = facts(**reads(a_row(status="FAILED"), [a_run(uuid="run-2", status=status), failed], run=failed))
    action = plan_job(builder.resource, given)
    assert isinstance(action, Rest)
    assert _situation(action).ended is None
    assert action.after is not None, "it is looked at again"


def test_a_completed_batch_job_is_complete_and_ready() -> None:
    ended = a_run(status="COMPLETED", ended_at=moment(NOW))
    situation = _situation(plan_job(BATCH.resource, facts(**reads(a_row(status="COMPLETED"), [ended]))))
    assert (situation.ended, situation.ready, situation.stalled) == (True, True, False)
    assert (situation.phase, situation.reason) == (Phase.SUCCEEDED, Reason.COMPLETED)


def test_a_persistent_job_that_ends_by_itself_is_not_ready_and_wants_attention() -> None:
    ended = a_run(status="COMPLETED", ended_at=moment(NOW))
    situation = _situation(plan_job(BENCH.resource, facts(**reads(a_row(status="COMPLETED"), [ended]))))
    assert (situation.ended, situation.ready, situation.stalled) == (True, False, True)


def test_a_failed_job_is_read_for_its_log_tail_first() -> None:
    failed = a_run(status="FAILED", ended_at=moment(NOW), exit_code=3)
    given = facts(**reads(a_row(status="FAILED"), [failed]))
    assert plan_job(BATCH.resource, given) == ReadRun(RUN)
    situation = _situation(plan_job(BATCH.resource, replace(given, run=replace(failed, logs="the end"))))
    assert (situation.ended, situation.log_tail) == (False, "the end")


def test_logs_that_cannot_be_read_do_not_hold_back_the_end_for_ever() -> None:
    failed = a_run(status="FAILED", ended_at=moment(NOW), exit_code=3)
    given = facts(**reads(a_row(status="FAILED"), [failed]), memory=memory(log_reads=5))
    assert _situation(plan_job(BATCH.resource, given)).ended is False


@pytest.mark.reason("CancelledExternally")
def test_a_job_that_somebody_cancelled_elsewhere_is_stopped_and_never_run_again() -> None:
    given = facts(**reads(a_row(status="CANCELLED"), [a_run(status="CANCELLED")], run=a_run(status="CANCELLED")))
    situation = _situation(plan_job(BATCH.resource, given))
    assert (situation.phase, situation.reason) == (Phase.STOPPED, Reason.CANCELLED_EXTERNALLY)


# --- duplicates ---


@pytest.mark.failure_mode(8)
@pytest.mark.failure_mode(68)
def test_a_duplicate_is_cancelled_once_the_choice_is_recorded() -> None:
    given = facts(**reads(RUNNING, [a_run()]), memory=memory(extras=(OTHER_JOB,)))
    action = plan_job(BATCH.resource, given)
    assert isinstance(action, CancelJob)
    assert (action.uuid, action.extra) == (OTHER_JOB, True)
    later = replace(given, memory=memory(extras=(OTHER_JOB,), last_extra=MONOTONIC - 1))
    rest = plan_job(BATCH.resource, later)
    assert isinstance(rest, Rest)
    assert rest.after is not None


def test_a_duplicate_of_a_finished_job_is_ended_too() -> None:
    over = BATCH.status(conditions=[{"type": "Complete", "status": "True"}])
    assert isinstance(plan_job(over.resource, facts(memory=memory(extras=(OTHER_JOB,)))), CancelJob)


@pytest.mark.parametrize("builder", [BATCH, BENCH])
@pytest.mark.failure_mode(52)
@pytest.mark.reason("OwnershipAmbiguous")
def test_a_recorded_job_of_somebody_else_is_never_shown(builder: JobBuilder) -> None:
    action = plan_job(builder.resource, facts(**reads(stranger(JOB), [UP], run=UP)))
    assert _situation(action).reason is Reason.OWNERSHIP_AMBIGUOUS


# --- the account of a job that lives ---


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        pytest.param(Reason.CREDENTIALS_REJECTED, True, marks=pytest.mark.reason("CredentialsRejected")),
        pytest.param(Reason.CLOCK_SKEW, True, marks=pytest.mark.reason("ClockSkew")),
        (Reason.ACCOUNT_PROBING, False),
    ],
)
@pytest.mark.failure_mode(27)
def test_a_job_that_runs_says_what_its_account_lacks_and_goes_on(reason: Reason, said: bool) -> None:
    blocked = an_account(blocker=Problem(reason, "the account is not ready"))
    situation = _situation(plan_job(BATCH.resource, facts(**reads(RUNNING, [a_run()]), account=blocked)))
    assert situation.reason is Reason.RUNNING
    assert (situation.account_problem is not None) is said


def test_a_run_that_is_shown_alive_and_is_missing_from_a_poll_is_read() -> None:
    shown = BATCH.status(currentRun={"uuid": "earlier", "status": "RUNNING"}).resource
    polled = facts(snapshot_job=RUNNING, snapshot_runs=(a_run(),))
    assert plan_job(shown, polled) == ReadJob(JOB)
    ended = BATCH.status(currentRun={"uuid": "earlier", "status": "FAILED"}).resource
    assert isinstance(plan_job(ended, polled), Rest)


def test_a_job_is_described_in_the_very_write_that_records_it() -> None:
    situation = first_situation(a_row(status="PENDING"), is_new=True)
    assert (situation.phase, situation.created, situation.runs) == (Phase.QUEUED, Created.YES, ())


def test_the_runs_of_an_adopted_job_are_not_known_in_the_write_that_records_it() -> None:
    assert first_situation(a_row(status="RUNNING"), is_new=False).runs is None


def test_the_current_run_is_the_newest_that_lives_else_the_newest() -> None:
    newest, older = a_run(uuid="newest", status="FAILED"), a_run(uuid="older", status="RUNNING")
    assert current_run((newest, older)) is older
    assert current_run((newest, replace(older, status="FAILED"))) is newest
    assert current_run(()) is None
