"""The poller: two list calls per poll, none without tracked jobs, and patience after an error."""

import asyncio
from collections.abc import Collection

from dispersed_operator.errors import RateLimited, RemoteError
from dispersed_operator.remote.poller import AccountPoller
from dispersed_operator.remote.view import RemoteView

from .conftest import Bench, until

GAP = 2.0


class Desk:
    """One poller with everything that it reported; its sleeps last until the test lets them end."""

    def __init__(self, bench: Bench, tracked: set[str], *, interval: float = 15.0) -> None:
        self.tracked = tracked
        self.view = RemoteView()
        self.changes: list[frozenset[str]] = []
        self.errors: list[RemoteError] = []
        self.successes = 0
        self.durations: list[float] = []
        self.sleeps: list[float] = []
        self._slept = asyncio.Event()
        self.poller = AccountPoller(
            bench.client(attempts=1),
            self.view,
            interval=lambda: interval,
            tracked=lambda: self.tracked,
            on_change=self._changed,
            on_error=self.errors.append,
            on_success=self._succeeded,
            random=lambda: 0.5,
            monotonic=lambda: 0.0,
            sleep=self._sleep,
        )

    def _changed(self, uuids: Collection[str]) -> None:
        self.changes.append(frozenset(uuids))

    def _succeeded(self, seconds: float) -> None:
        self.durations.append(seconds)
        self.successes += 1

    async def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        if seconds != GAP:  # it passes at once
            await self._slept.wait()
            self._slept.clear()

    @property
    def rests(self) -> list[float]:
        """The sleeps without the gaps that are kept before a poll, for the clock stands still."""
        return [seconds for seconds in self.sleeps if seconds != GAP]

    async def rested(self, times: int) -> None:
        await until(lambda: len(self.rests) == times)

    def time_passes(self) -> None:
        self._slept.set()


async def stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait({task})


def persistent(bench: Bench) -> str:
    return str(bench.simulator.control.insert_job("p", fate={"run_seconds": 100_000}, task="PERSISTENT")["uuid"])


async def test_a_poll_is_two_list_calls_and_names_what_changed(bench: Bench) -> None:
    bench.simulator.control.set_rate(0)
    tracked, foreign = persistent(bench), persistent(bench)
    desk = Desk(bench, {tracked})
    await desk.poller.poll()
    await desk.poller.poll()
    assert desk.changes == [{tracked}]
    assert [row["path"] for row in bench.received("GET")] == ["/v1/jobs", "/v1/job-runs"] * 2
    bench.simulator.control.advance(60)
    await desk.poller.poll()
    assert desk.changes == [{tracked}, {tracked}]
    snapshot = desk.view.get(tracked)
    assert snapshot is not None
    assert snapshot.job.status == snapshot.runs[0].status == "RUNNING"
    assert desk.view.get(foreign) is None


async def test_a_job_that_left_the_live_list_is_named_once_and_read_by_whoever_tracks_it(bench: Bench) -> None:
    uuid = persistent(bench)
    desk = Desk(bench, {uuid})
    await desk.poller.poll()
    bench.simulator.control.force_status(uuid, "MIGRATING")
    await desk.poller.poll()
    await desk.poller.poll()
    assert desk.changes == [{uuid}] * 2
    assert desk.view.lists(uuid) is False


async def test_nothing_is_asked_while_nothing_is_tracked(bench: Bench) -> None:
    desk = Desk(bench, set())
    task = asyncio.create_task(desk.poller.run())
    await until(lambda: len(desk.sleeps) == 1)
    desk.time_passes()
    await until(lambda: len(desk.sleeps) >= 2)
    assert bench.received("GET") == []
    assert desk.successes == 0
    await stop(task)


async def test_a_wake_polls_before_the_interval_is_over(bench: Bench) -> None:
    desk = Desk(bench, set())
    task = asyncio.create_task(desk.poller.run())
    await until(lambda: len(desk.sleeps) == 1)
    desk.tracked.add(persistent(bench))
    desk.poller.wake()
    await until(lambda: desk.successes == 1)
    assert desk.sleeps[:2] == [15.0, 2.0]
    assert desk.durations == [0.0], "by the poller's own clock, which stands still here"
    await stop(task)


async def test_a_failed_poll_changes_nothing_is_reported_and_backs_off(bench: Bench) -> None:
    uuid = persistent(bench)
    desk = Desk(bench, {uuid})
    bench.simulator.control.add_fault("server_error", path="^/v1/job-runs$", times=2)
    task = asyncio.create_task(desk.poller.run())
    for polls in (1, 2):
        await desk.rested(polls)
        desk.poller.wake()
        desk.time_passes()
    await until(lambda: desk.successes == 1)
    assert len(desk.errors) == 2
    assert desk.changes == [{uuid}]
    assert desk.rests[:2] == [15.0, 30.0]
    await stop(task)


async def test_after_a_failure_the_next_poll_comes_as_soon_as_the_service_is_known_to_answer(bench: Bench) -> None:
    """A back-off grows to minutes, and after an outage all statuses would be as old."""
    desk = Desk(bench, {persistent(bench)})
    desk.poller.resume()  # nothing has failed yet: this shortens no later back-off
    bench.simulator.control.add_fault("server_error", path="^/v1/jobs$", times=1)
    task = asyncio.create_task(desk.poller.run())
    await until(lambda: len(desk.sleeps) == 1)
    await asyncio.sleep(0)
    assert (desk.sleeps, desk.successes) == ([15.0], 0)
    desk.poller.resume()
    await until(lambda: desk.successes == 1)
    assert desk.sleeps[:2] == [15.0, 2.0], "and not before the shortest gap is over"
    await stop(task)


async def test_retry_after_outranks_a_wake(bench: Bench) -> None:
    desk = Desk(bench, {persistent(bench)})
    bench.simulator.control.add_fault("rate_limit", retry_after=120)
    task = asyncio.create_task(desk.poller.run())
    await until(lambda: len(desk.sleeps) == 1)
    desk.poller.wake()
    await asyncio.sleep(0)
    assert desk.sleeps[0] >= 119
    assert isinstance(desk.errors[0], RateLimited)
    assert desk.successes == 0
    await stop(task)
