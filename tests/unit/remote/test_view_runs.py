"""The runs of a snapshot: polls list live runs only, so what is known to have ended must not be lost between reads."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.remote.view import RemoteView

JOB = RemoteJob(uuid="j-1", status="RUNNING")
OTHER = RemoteJob(uuid="j-2", status="RUNNING")


def _run(uuid: str, status: str, minute: int | None = 0) -> RemoteRun:
    created_at = None if minute is None else datetime(2026, 11, 23, 14, minute, tzinfo=UTC)
    return RemoteRun(uuid=uuid, job_uuid="j-1", status=status, created_at=created_at)


FAILED = _run("r-1", "FAILED", 1)
LOST = _run("r-2", "TIMEOUT", 2)
LIVE = _run("r-3", "RUNNING", 3)


def _read(*runs: RemoteRun, seen: float = 1.0) -> RemoteView:
    """A view after a read of the job with all its runs."""
    view = RemoteView()
    assert view.record(JOB, runs, seen=seen)
    return view


def _poll(view: RemoteView, *runs: RemoteRun, seen: float = 2.0) -> bool:
    """Whether a poll that lists the job with these live runs is a change."""
    return "j-1" in view.update_jobs([JOB], runs, tracked={"j-1"}, seen=seen)


def _runs(view: RemoteView) -> tuple[str, ...]:
    snapshot = view.get("j-1")
    assert snapshot is not None
    return tuple(run.uuid for run in snapshot.runs)


@pytest.mark.failure_mode(43)
def test_ended_runs_stay_in_the_snapshot_newest_first() -> None:
    """A status made of a poll must not forget the runs that were paid for."""
    ended = replace(LOST, status="FAILED")
    view = _read(LIVE, ended, FAILED)
    assert not _poll(view, LIVE), "nothing has changed"
    assert _runs(view) == ("r-3", "r-2", "r-1")
    newer = _run("r-4", "PENDING", 4)
    assert _poll(view, newer, LIVE, seen=3.0)
    assert _runs(view) == ("r-4", "r-3", "r-2", "r-1")


@pytest.mark.failure_mode(43)
def test_a_live_run_that_a_poll_lacks_leaves_the_snapshot_and_is_a_change() -> None:
    """Its end is not known: showing it as running would be a claim, and the job must be read."""
    view = _read(LIVE, FAILED)
    assert _poll(view)
    assert _runs(view) == ("r-1",)


@pytest.mark.failure_mode(47)
def test_a_run_with_an_unknown_status_stays() -> None:
    """A poll asks for the statuses known to be live, so it can never list this one: absence says nothing."""
    view = _read(_run("r-9", "HIBERNATING", 9), FAILED)
    assert not _poll(view)
    assert _runs(view) == ("r-9", "r-1")


def test_what_a_poll_lists_replaces_what_was_known_of_the_same_run() -> None:
    """One run must not be counted twice, whatever its status was before."""
    view = _read(_run("r-9", "HIBERNATING", 9))
    assert _poll(view, _run("r-9", "RUNNING", 9))
    assert _runs(view) == ("r-9",)


def test_a_run_without_any_time_is_taken_for_the_oldest() -> None:
    """The newest run is the current one; a run of which no time is known must not take its place."""
    view = _read(_run("r-0", "FAILED", None), FAILED)
    _poll(view, LIVE)
    assert _runs(view) == ("r-3", "r-1", "r-0")


def test_snapshots_of_jobs_that_nobody_tracks_are_dropped() -> None:
    """A process that lives for months would otherwise remember every job that ever was."""
    view = _read(LIVE)
    view.record(OTHER, (), seen=2.0)
    view.update_jobs([JOB, OTHER], [LIVE], tracked={"j-1"}, seen=3.0)
    assert view.get("j-1") is not None
    assert view.get("j-2") is None


def test_a_job_that_was_recorded_while_the_poll_was_under_way_is_kept() -> None:
    """The poll asked who is tracked before this job was: it knows nothing of it."""
    view = _read(LIVE)
    view.record(OTHER, (), seen=5.0)
    view.update_jobs([JOB], [LIVE], tracked={"j-1"}, seen=4.0)
    assert view.get("j-2") is not None


def test_a_job_whose_runs_were_not_asked_for_keeps_those_that_are_known() -> None:
    """A poll asks for the runs of jobs that are on their way only."""
    view = _read(LIVE, FAILED)
    stopping = replace(JOB, status="CANCELLING")
    assert view.update_jobs([JOB], [], tracked={"j-1"}, seen=2.0, runs_of=()) == frozenset()
    assert view.update_jobs([stopping], [], tracked={"j-1"}, seen=3.0, runs_of=()) == {"j-1"}
    assert _runs(view) == ("r-3", "r-1")
    assert view.update_jobs([stopping], [], tracked={"j-1"}, seen=4.0, runs_of={"j-1"}) == {"j-1"}
    assert _runs(view) == ("r-1",)
