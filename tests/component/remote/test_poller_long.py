"""The poller with more jobs than two pages hold: what it asks for, what it leaves out, and how often it comes."""

import asyncio
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from dispersed_operator.errors import RemoteError
from dispersed_operator.remote.live import ended_jobs
from dispersed_operator.remote.poller import (
    CALLS_PER_SECOND,
    CALM_CALLS_PER_SECOND,
    MANY_ENDED,
    RUNS_POLLS,
    RUNS_SECONDS,
    AccountPoller,
)
from dispersed_operator.remote.view import RemoteView

from .conftest import Bench, until

PAGES = 3
COUNT = 50 * PAGES - 20


class Desk:
    """One poller on a clock that moves with each answer, by the latency, and when it is told to."""

    def __init__(self, bench: Bench, *, latency: float = 0.0) -> None:
        self.bench = bench
        self.passed = 1000.0
        self._latency = latency
        self.hurried: set[str] = set()
        self.changes: list[set[str]] = []
        self.errors: list[RemoteError] = []
        self.whole_polls = 0
        self.sleeps: list[float] = []
        self._moved = asyncio.Event()
        self.view = RemoteView()
        bench.simulator.control.set_rate(0)
        with ThreadPoolExecutor(4) as pool:
            self.jobs = list(pool.map(self._insert, range(COUNT)))
        bench.simulator.control.advance(120)
        self.poller = AccountPoller(
            bench.client(attempts=1),
            self.view,
            interval=lambda: 15.0,
            tracked=lambda: self.jobs,
            hurried=lambda: self.hurried,
            on_change=lambda uuids: self.changes.append(set(uuids)),
            on_error=self.errors.append,
            on_success=self._succeeded,
            random=lambda: 0.5,
            monotonic=lambda: self.now,
            sleep=self._sleep,
        )

    @property
    def now(self) -> float:
        return self.passed + self._latency * len(self.bench.responses)

    def _insert(self, number: int) -> str:
        row = self.bench.simulator.control.insert_job(f"p-{number}", fate={"run_seconds": 100_000}, task="PERSISTENT")
        return str(row["uuid"])

    def _succeeded(self, _: float) -> None:
        self.whole_polls += 1

    async def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        end = self.now + seconds
        while self.now < end:
            self._moved.clear()
            await self._moved.wait()

    def pass_time(self, seconds: float) -> None:
        self.passed += seconds
        self._moved.set()

    def start(self, uuid: str) -> None:
        """The resource of this job says that it starts or stops."""
        self.hurried.add(uuid)

    def asked(self) -> list[str]:
        """The lists asked for since the last time, with the number of calls."""
        rows = self.bench.received("GET")
        self.bench.simulator.control.clear_requests()
        paths = [str(row["path"]) for row in rows]
        return [f"{path} {paths.count(path)}" for path in dict.fromkeys(paths)]


WHOLE = [f"/v1/jobs {PAGES}", f"/v1/job-runs {PAGES}"]


async def test_runs_are_left_out_where_no_row_moved_and_asked_for_once_a_minute(bench: Bench) -> None:
    desk = Desk(bench)
    await desk.poller.poll()
    assert desk.asked() == WHOLE
    assert desk.changes == [set(desk.jobs)]
    await desk.poller.poll()
    assert desk.asked() == [f"/v1/jobs {PAGES}"]
    desk.pass_time(RUNS_SECONDS)
    await desk.poller.poll()
    assert desk.asked() == WHOLE
    assert len(desk.changes) == 1, "nothing changed"
    assert desk.view.vanished(desk.jobs) == frozenset()


async def test_the_runs_of_a_job_whose_row_moved_are_read_with_it(bench: Bench) -> None:
    desk = Desk(bench)
    await desk.poller.poll()
    desk.asked()
    bench.simulator.control.force_status(desk.jobs[3], "CANCELLING")
    await desk.poller.poll()
    assert desk.asked() == [f"/v1/jobs {PAGES}", "/v1/job-runs 1"]
    assert desk.changes[1:] == [{desk.jobs[3]}]
    snapshot = desk.view.get(desk.jobs[3])
    assert snapshot is not None
    assert (snapshot.job.status, len(snapshot.runs)) == ("CANCELLING", 1)


async def test_where_as_many_rows_moved_as_there_are_pages_all_runs_are_listed(bench: Bench) -> None:
    desk = Desk(bench)
    await desk.poller.poll()
    desk.asked()
    for uuid in desk.jobs[:PAGES]:
        bench.simulator.control.force_status(uuid, "CANCELLING")
    await desk.poller.poll()
    assert desk.asked() == WHOLE
    assert desk.changes[1:] == [set(desk.jobs[:PAGES])]


async def test_a_job_that_starts_is_seen_by_a_glance_at_the_newest_pages(bench: Bench) -> None:
    desk = Desk(bench)
    task = asyncio.create_task(desk.poller.run())
    await until(lambda: desk.sleeps)
    desk.asked()
    newest = desk.jobs[-1]
    assert desk.sleeps == [5.0], "a glance each third of the interval"
    bench.simulator.control.force_status(newest, "CANCELLING")
    desk.start(newest)
    desk.pass_time(3.0)
    desk.poller.wake()
    await until(lambda: len(desk.sleeps) == 2)
    assert desk.asked() == ["/v1/jobs 1", "/v1/job-runs 1"]
    assert desk.changes[1:] == [{newest}]
    assert (desk.whole_polls, desk.sleeps[1]) == (1, 5.0), "a third of the interval while jobs start"
    assert desk.view.polled == 1000.0, "only a whole poll says who is absent"
    desk.pass_time(12.0)
    await until(lambda: desk.whole_polls == 2)
    task.cancel()
    await asyncio.wait({task})
    assert desk.errors == []


@pytest.mark.failure_mode(47)
async def test_a_glance_that_does_not_show_a_job_says_nothing_of_it(bench: Bench) -> None:
    desk = Desk(bench)
    await desk.poller.poll()
    oldest = desk.jobs[0]
    bench.simulator.control.force_status(oldest, "CANCELLED")
    desk.start(oldest)
    desk.asked()
    await desk.poller.glance()
    assert desk.asked() == ["/v1/jobs 2"]
    assert (desk.changes[1:], desk.view.vanished(desk.jobs)) == ([], frozenset())
    await desk.poller.poll()
    assert desk.changes[1:] == [{oldest}]
    assert desk.view.vanished(desk.jobs) == {oldest}


async def test_polls_that_take_long_rest_as_long(bench: Bench) -> None:
    desk = Desk(bench, latency=10.0)
    task = asyncio.create_task(desk.poller.run())
    await until(lambda: desk.sleeps)
    assert desk.sleeps == [10.0 * 2 * PAGES]
    task.cancel()
    await asyncio.wait({task})


MANY_CALLS = 2 * COUNT
"""Of a whole poll with runs where a page has one row. Ten thousand jobs are four hundred calls: at the default interval
that would be one call each 37 ms for ever."""


async def _until_the_second_whole_poll(desk: Desk, *, meanwhile: Callable[[], object] = lambda: None) -> float:
    """After how many seconds it came, with nothing but glances before. `meanwhile` is called after the first one."""
    task = asyncio.create_task(desk.poller.run())
    await until(lambda: desk.sleeps)
    begun = desk.now
    meanwhile()
    while desk.whole_polls == 1:
        await _pass_a_rest(desk)
    task.cancel()
    await asyncio.wait({task})
    assert desk.errors == []
    return desk.now - begun


async def _pass_a_rest(desk: Desk) -> None:
    slept = len(desk.sleeps)
    desk.pass_time(desk.sleeps[-1])
    await until(lambda: len(desk.sleeps) > slept)


async def test_whole_polls_of_a_long_list_that_stands_still_are_far_apart(bench: Bench) -> None:
    desk = Desk(bench)
    bench.simulator.control.switch(largest_page=1)
    assert await _until_the_second_whole_poll(desk) == pytest.approx(MANY_CALLS / CALM_CALLS_PER_SECOND)
    assert desk.sleeps[0] == 5.0, "a glance each third of the interval"


async def test_a_glance_that_counts_fewer_jobs_brings_the_next_whole_poll_forward(bench: Bench) -> None:
    desk = Desk(bench)
    bench.simulator.control.switch(largest_page=1)
    end = functools.partial(bench.simulator.control.force_status, desk.jobs[0], "COMPLETED")
    assert await _until_the_second_whole_poll(desk, meanwhile=end) == pytest.approx(MANY_CALLS / CALLS_PER_SECOND)
    assert desk.view.vanished(desk.jobs) == {desk.jobs[0]}


@pytest.mark.parametrize(("ended", "soon"), [(True, 7.5), (False, 15.0)], ids=["a-job-ended", "all-is-as-it-was"])
async def test_where_a_job_has_ended_the_next_whole_poll_comes_after_half_the_interval(
    bench: Bench, ended: bool, soon: float
) -> None:
    desk = Desk(bench)
    oldest = desk.jobs[0]

    def end() -> None:
        if ended:
            bench.simulator.control.force_status(oldest, "COMPLETED")

    assert await _until_the_second_whole_poll(desk, meanwhile=end) == pytest.approx(soon)
    assert desk.view.vanished(desk.jobs) == ({oldest} if ended else frozenset())


async def test_a_job_that_begins_brings_no_whole_poll_before_the_interval_is_over(bench: Bench) -> None:
    desk = Desk(bench)
    assert await _until_the_second_whole_poll(desk, meanwhile=lambda: desk._insert(COUNT)) == pytest.approx(15.0)


async def test_a_job_that_begins_to_start_brings_the_next_whole_poll_forward(bench: Bench) -> None:
    desk = Desk(bench)
    bench.simulator.control.switch(largest_page=1)
    start = functools.partial(desk.start, desk.jobs[0])
    assert await _until_the_second_whole_poll(desk, meanwhile=start) == pytest.approx(MANY_CALLS / CALLS_PER_SECOND)


async def test_the_runs_of_a_list_of_many_pages_are_a_fifth_of_what_is_read(bench: Bench) -> None:
    desk = Desk(bench)
    bench.simulator.control.switch(largest_page=1)
    await desk.poller.poll()
    desk.asked()
    desk.pass_time(RUNS_POLLS * COUNT / CALM_CALLS_PER_SECOND - 1)
    await desk.poller.poll()
    assert desk.asked() == [f"/v1/jobs {COUNT}"]
    desk.pass_time(1)
    await desk.poller.poll()
    assert desk.asked() == [f"/v1/jobs {COUNT}", f"/v1/job-runs {COUNT}"]


async def test_a_total_that_counts_the_page_only_slows_nothing_down(bench: Bench) -> None:
    desk = Desk(bench)
    bench.simulator.control.switch(largest_page=1, total_counts="page")
    with_last_pages = MANY_CALLS + 2  # an empty one ends each list
    assert await _until_the_second_whole_poll(desk) == pytest.approx(with_last_pages / CALLS_PER_SECOND)
    assert desk.view.vanished(desk.jobs) == frozenset(), "every page was read"


async def test_while_a_job_starts_whole_polls_are_as_close_as_their_calls_allow(bench: Bench) -> None:
    desk = Desk(bench)
    bench.simulator.control.switch(largest_page=1)
    desk.start(desk.jobs[0])
    assert await _until_the_second_whole_poll(desk) == pytest.approx(MANY_CALLS / CALLS_PER_SECOND)


async def test_a_page_that_fails_changes_nothing_and_the_next_poll_brings_it(bench: Bench) -> None:
    desk = Desk(bench)
    await desk.poller.poll()
    for uuid in desk.jobs[:PAGES]:
        bench.simulator.control.force_status(uuid, "CANCELLING")
    bench.simulator.control.add_fault("server_error", path="^/v1/job-runs$")
    with pytest.raises(RemoteError):
        await desk.poller.poll()
    assert len(desk.changes) == 1
    await desk.poller.poll()
    assert desk.changes[1:] == [set(desk.jobs[:PAGES])]


def _end(bench: Bench, uuids: Sequence[str]) -> None:
    for uuid in uuids:
        bench.simulator.control.force_status(uuid, "COMPLETED")


async def test_the_rows_of_many_jobs_that_ended_at_once_are_read_page_by_page(bench: Bench) -> None:
    desk = Desk(bench)
    await desk.poller.poll()
    desk.asked()
    _end(bench, desk.jobs[-MANY_ENDED:])
    await desk.poller.poll()
    assert desk.asked() == [f"/v1/jobs {PAGES + 1}"], "they are the newest"
    assert desk.changes[1:] == [set(desk.jobs[-MANY_ENDED:])]
    taken = [desk.view.take_ended(uuid, now=desk.now) for uuid in desk.jobs]
    assert [row[0].status for row in taken if row is not None] == ["COMPLETED"] * MANY_ENDED


async def test_a_few_jobs_that_ended_are_left_to_single_reads(bench: Bench) -> None:
    desk = Desk(bench)
    await desk.poller.poll()
    desk.asked()
    _end(bench, desk.jobs[1:MANY_ENDED])
    await desk.poller.poll()
    assert desk.asked() == [f"/v1/jobs {PAGES}"]
    assert desk.changes[1:] == [set(desk.jobs[1:MANY_ENDED])]


async def test_ended_jobs_that_lie_too_deep_are_left_to_single_reads(bench: Bench) -> None:
    desk = Desk(bench)
    await desk.poller.poll()
    _end(bench, desk.jobs)  # the newest hundred fill the pages that are read for some
    await desk.poller.poll()
    desk.asked()
    lost = set(desk.jobs[:MANY_ENDED])
    found = await ended_jobs(bench.client(), lost, abreast=1, most=2)
    assert (found, desk.asked()) == ((), ["/v1/jobs 2"])
    found = await ended_jobs(bench.client(), lost, abreast=1, most=3)
    assert ({job.uuid for job in found}, desk.asked()) == (lost, ["/v1/jobs 3"])


class _Tripwire(list[tuple[str, str, int]]):
    """The responses, with something to do when the last of so many is there."""

    def __init__(self, length: int, act: Callable[[], object]) -> None:
        super().__init__()
        self._length, self._act = length, act

    def append(self, response: tuple[str, str, int]) -> None:
        super().append(response)
        if len(self) == self._length:
            self._act()


async def test_where_ended_jobs_cannot_be_listed_the_poll_is_good_and_they_are_read_one_by_one(bench: Bench) -> None:
    desk = Desk(bench)
    await desk.poller.poll()
    _end(bench, desk.jobs[-MANY_ENDED:])
    spoil = functools.partial(bench.simulator.control.add_fault, "server_error", path="^/v1/jobs$", times=None)
    bench.responses = _Tripwire(PAGES, spoil)
    await desk.poller.poll()
    assert [status for *_, status in bench.responses] == [200] * PAGES + [502]
    assert desk.changes[1:] == [set(desk.jobs[-MANY_ENDED:])]
    assert desk.view.take_ended(desk.jobs[-1], now=desk.now) is None
