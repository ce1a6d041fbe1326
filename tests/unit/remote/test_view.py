"""The remote view: only a change of meaning counts, and absence is never an end."""

from dataclasses import replace

from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.remote.view import ENDED_SECONDS, RemoteView

JOB = RemoteJob(uuid="j-1", status="RUNNING")
OTHER = RemoteJob(uuid="j-2", status="PENDING")
RUN = RemoteRun(uuid="r-1", job_uuid="j-1", status="RUNNING", duration_ms=10)


def polled(*, seen: float = 1.0) -> RemoteView:
    view = RemoteView()
    assert view.update_jobs([JOB, OTHER], [RUN], tracked={"j-1"}, seen=seen) == {"j-1"}
    return view


def test_the_first_sight_of_a_tracked_job_is_a_change_and_foreign_jobs_are_not_kept() -> None:
    view = polled()
    snapshot = view.get("j-1")
    assert snapshot is not None
    assert (snapshot.job, snapshot.runs, snapshot.seen) == (JOB, (RUN,), 1.0)
    assert view.get("j-2") is None
    assert view.polled == 1.0


def test_an_equal_poll_changes_nothing_though_time_logs_and_durations_move() -> None:
    view = polled()
    ticking = replace(RUN, duration_ms=999, logs="more")
    assert view.update_jobs([JOB], [ticking], tracked={"j-1"}, seen=2.0) == frozenset()
    snapshot = view.get("j-1")
    assert snapshot is not None
    assert snapshot.seen == 2.0


def test_a_status_a_new_run_and_a_run_that_left_are_changes() -> None:
    view = polled()
    second = replace(RUN, uuid="r-2")
    assert view.update_jobs([JOB], [RUN, second], tracked={"j-1"}, seen=2.0) == {"j-1"}
    assert view.update_jobs([JOB], [second], tracked={"j-1"}, seen=3.0) == {"j-1"}
    assert view.update_jobs([replace(JOB, status="X")], [second], tracked={"j-1"}, seen=4.0) == {"j-1"}


def test_an_older_reading_never_replaces_a_newer_one() -> None:
    view = polled(seen=5.0)
    done = replace(JOB, status="COMPLETED")
    assert view.record(done, (), seen=7.0)
    assert view.update_jobs([JOB], [RUN], tracked={"j-1"}, seen=6.0) == frozenset()
    snapshot = view.get("j-1")
    assert snapshot is not None
    assert snapshot.job == done


def test_a_tracked_job_that_is_absent_has_vanished_until_somebody_reads_it() -> None:
    view = polled()
    view.update_jobs([], [], tracked={"j-1"}, seen=2.0)
    assert view.vanished({"j-1", "j-9"}) == {"j-1", "j-9"}
    view.record(JOB, (), seen=3.0)
    assert view.vanished({"j-1"}) == frozenset()
    view.update_jobs([], [], tracked={"j-1"}, seen=4.0)
    assert view.vanished({"j-1"}) == {"j-1"}


def test_a_job_known_to_be_terminal_does_not_vanish() -> None:
    view = polled()
    view.record(replace(JOB, status="FAILED"), (), seen=2.0)
    view.update_jobs([], [], tracked={"j-1"}, seen=3.0)
    assert view.vanished({"j-1"}) == frozenset()


def test_before_the_first_poll_nothing_has_vanished() -> None:
    assert RemoteView().vanished({"j-1"}) == frozenset()


def test_a_job_that_is_not_tracked_any_more_is_forgotten_and_new_if_it_comes_back() -> None:
    view = polled()
    view.update_jobs([], [], tracked=set(), seen=1.5)
    assert view.get("j-1") is None
    assert view.update_jobs([JOB], [RUN], tracked={"j-1"}, seen=2.0) == {"j-1"}


def test_a_list_that_was_not_read_to_its_end_says_of_nobody_that_he_is_absent() -> None:
    view = polled()
    newer = replace(OTHER, status="RUNNING")
    assert view.update_jobs([newer], [], tracked={"j-1", "j-2"}, seen=2.0, whole=False) == {"j-2"}
    assert (view.lists("j-1"), view.lists("j-2")) == (True, True)
    assert view.vanished({"j-1", "j-2"}) == frozenset()
    assert view.get("j-1") is not None
    assert view.polled == 1.0, "the newest whole poll"


def test_a_job_that_a_later_look_shows_as_alive_has_not_vanished() -> None:
    view = polled()
    view.update_jobs([], [], tracked={"j-1"}, seen=2.0)
    view.update_jobs([JOB], [], tracked={"j-1"}, seen=3.0, runs_of=(), whole=False)
    assert view.vanished({"j-1"}) == frozenset()


def test_a_row_is_known_if_the_newest_reading_said_the_same() -> None:
    view = polled()
    assert view.knows(replace(JOB))
    assert not view.knows(replace(JOB, status="CANCELLING"))
    assert not view.knows(OTHER), "nobody tracks it"


def test_the_row_of_an_ended_job_is_taken_once_and_soon() -> None:
    view, done = polled(), replace(JOB, status="COMPLETED")
    view.hold_ended([done], seen=2.0)
    assert view.take_ended("j-2", now=2.0) is None
    assert view.take_ended("j-1", now=2.0 + ENDED_SECONDS) == (done, 2.0)
    assert view.take_ended("j-1", now=2.0) is None, "what became of the job since then is to be read"
    view.hold_ended([done], seen=2.0)
    assert view.take_ended("j-1", now=2.1 + ENDED_SECONDS) is None


def test_the_row_of_an_ended_job_that_lives_again_by_a_newer_poll_is_not_taken() -> None:
    view = polled()
    view.hold_ended([replace(JOB, status="FAILED")], seen=2.0)
    view.update_jobs([JOB], [RUN], tracked={"j-1"}, seen=3.0)
    assert view.take_ended("j-1", now=3.0) is None


def test_rows_of_ended_jobs_that_nobody_took_are_forgotten() -> None:
    view = polled()
    view.hold_ended([OTHER], seen=2.0)
    view.update_jobs([JOB], [RUN], tracked={"j-1"}, seen=2.0 + ENDED_SECONDS)
    assert view.take_ended("j-2", now=3.0) is not None
    view.hold_ended([OTHER], seen=2.0)
    view.update_jobs([JOB], [RUN], tracked={"j-1"}, seen=2.1 + ENDED_SECONDS)
    assert view.take_ended("j-2", now=3.0) is None
