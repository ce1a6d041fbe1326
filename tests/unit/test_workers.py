"""The workers: when they are stuck and when they only have nothing to do, and that none of them dies in silence."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from dispersed_operator.errors import KubernetesConflict, KubernetesInvalid, StateLost
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.reconciler import Outcome
from dispersed_operator.telemetry.metrics import Metrics
from dispersed_operator.workers import Workers
from dispersed_operator.workqueue import WorkQueue

FIRST = ResourceKey(Kind.JOB, "team-a", "first")
SECOND = ResourceKey(Kind.JOB, "team-a", "second")
THIRD = ResourceKey(Kind.JOB, "team-a", "third")
DEADLINE = 3600.0
PATIENCE = 60.0
CONFLICTS = "dispersed_operator_conflicts_total"


class Floor:
    """One queue with its workers, on a clock that the test moves; each reconcile lasts until the test lets it end."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.metrics = Metrics()
        self.fatal: list[BaseException] = []
        self.begun: list[ResourceKey] = []
        self.failure: Exception | None = None
        self._gates: dict[ResourceKey, asyncio.Event] = {}
        self.queue: WorkQueue[ResourceKey] = WorkQueue(monotonic=lambda: self.now, random=lambda: 0.5)
        self.workers = Workers(
            queue=self.queue,
            reconcile=self._reconcile,
            metrics=self.metrics,
            deadline=DEADLINE,
            monotonic=lambda: self.now,
            fatal=self.fatal.append,
        )

    def hold(self, key: ResourceKey) -> None:
        """Let the next reconcile of `key` hang."""
        self._gates[key] = asyncio.Event()

    def let_go(self, key: ResourceKey) -> None:
        self._gates.pop(key).set()

    def conflicts(self) -> float:
        """The counter of conflicts, from what a scrape shows."""
        for family in self.metrics.registry.collect():
            for sample in family.samples:
                if sample.name == CONFLICTS and sample.labels == {"kind": Kind.JOB.value}:
                    return sample.value
        return 0.0

    async def _reconcile(self, key: ResourceKey) -> Outcome:
        self.begun.append(key)
        gate = self._gates.get(key)
        if gate is not None:
            await gate.wait()
        if self.failure is not None:
            raise self.failure
        return Outcome()


@asynccontextmanager
async def _floor(workers: int = 1) -> AsyncIterator[Floor]:
    floor = Floor()
    floor.workers.start(workers)
    try:
        yield floor
    finally:
        floor.queue.close(drain=False)
        await floor.workers.stop(0.0)


async def _until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; a test that waits in vain fails here."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0)


async def test_workers_without_work_are_not_stuck_however_long_it_lasts() -> None:
    """An idle operator that called itself stuck would be restarted for ever."""
    async with _floor() as floor:
        floor.now += 86400.0
        assert floor.workers.stuck_for() == 0.0


async def test_the_first_key_after_a_long_idle_time_has_only_just_become_due() -> None:
    """The idle time before it is no waiting: a probe at this moment must not end the process."""
    async with _floor() as floor:
        floor.now += 86400.0
        floor.queue.add(FIRST)
        floor.now += 0.5
        assert floor.workers.stuck_for() == 0.5
        await _until(lambda: floor.begun == [FIRST])
        assert floor.workers.stuck_for() == 0.0


async def test_a_worker_that_hangs_while_something_is_due_is_stuck_for_ever_longer() -> None:
    """This is what the liveness probe exists for: nobody else would notice that statuses stand still."""
    async with _floor() as floor:
        floor.hold(FIRST)
        floor.queue.add(FIRST)
        await _until(lambda: floor.begun == [FIRST])
        floor.now += 50.0
        assert floor.workers.stuck_for() == 0.0, "one slow key that nobody waits behind"
        floor.queue.add(SECOND)
        floor.now += 100.0
        assert floor.workers.stuck_for() == 100.0
        floor.now += 100.0
        assert floor.workers.stuck_for() == 200.0


async def test_a_backlog_that_is_worked_off_is_not_stuck() -> None:
    """A restart would only make a long queue longer."""
    async with _floor() as floor:
        for key in (FIRST, SECOND, THIRD):
            floor.hold(key)
            floor.queue.add(key)
        await _until(lambda: floor.begun == [FIRST])
        floor.now += 100.0
        floor.let_go(FIRST)
        await _until(lambda: floor.begun == [FIRST, SECOND])
        floor.now += 7.0
        assert floor.workers.stuck_for() == 7.0, "the third key has been due for 107 s, but work flows"


@pytest.mark.parametrize("workers", [1, 16])
async def test_a_backlog_of_passes_that_wait_for_nothing_leaves_the_loop_to_others_in_between(workers: int) -> None:
    """At a start thousands of resources are looked at that need nothing. If nobody else had a turn meanwhile, requests
    would time out, and the Lease would be lost."""
    backlog = [ResourceKey(Kind.JOB, "team-a", f"job-{number}") for number in range(500)]
    async with _floor(workers) as floor:
        for key in backlog:
            floor.queue.add(key)
        served = [0]
        async with asyncio.timeout(PATIENCE):
            while len(floor.begun) < len(backlog):
                await asyncio.sleep(0)
                served.append(len(floor.begun))
    assert max(after - before for before, after in itertools.pairwise(served)) == 1


async def test_a_worker_that_dies_is_told_to_whoever_ends_the_process() -> None:
    """With one worker less, and then another, the process would look alive and do nothing."""
    async with _floor() as floor:
        floor.hold(FIRST)
        floor.queue.add(FIRST)
        await _until(lambda: floor.begun == [FIRST])
        floor.queue.done(FIRST)  # a defect in the bookkeeping: the worker gives back what it does not have
        floor.let_go(FIRST)
        await _until(lambda: bool(floor.fatal))
        assert isinstance(floor.fatal[0], KeyError)
        assert not floor.workers.alive


async def test_workers_that_are_stopped_are_no_fatal_error() -> None:
    """A stop cancels what hangs; that is no defect."""
    floor = Floor()
    floor.workers.start(2)
    floor.hold(FIRST)
    floor.queue.add(FIRST)
    await _until(lambda: floor.begun == [FIRST])
    floor.queue.close(drain=False)
    await floor.workers.stop(0.0)
    assert floor.fatal == []


async def test_a_state_that_went_back_in_time_is_fatal() -> None:
    """Nothing may be decided on a store that answers with older versions than it did before."""
    async with _floor() as floor:
        floor.failure = StateLost("the API server went back in time")
        floor.queue.add(FIRST)
        await _until(lambda: bool(floor.fatal))
        assert floor.fatal == [floor.failure]


@pytest.mark.parametrize(
    ("error", "counted"),
    [(KubernetesConflict("409", status=409), 1.0), (KubernetesInvalid("422", status=422), 0.0)],
    ids=["conflict", "invalid"],
)
async def test_a_write_that_is_invalid_is_tried_again_and_not_counted_as_a_conflict(
    error: Exception, counted: float
) -> None:
    """A refused write that shows as ordinary contention would never be looked into."""
    async with _floor() as floor:
        floor.failure = error
        floor.queue.add(FIRST)
        await _until(lambda: floor.queue.oldest_age() == 0.0 and floor.begun == [FIRST])
        floor.failure = None
        floor.now += 10.0
        floor.queue.add(SECOND)  # wakes the worker, whose timer follows the real clock
        await _until(lambda: sorted(floor.begun, key=str) == sorted([FIRST, FIRST, SECOND], key=str))
        assert floor.conflicts() == counted
        assert floor.fatal == []
