"""The queue for workers: waiting, waking, back-off, closing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from dispersed_operator.workqueue import Lane, QueueClosed, WorkQueue


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Journal:
    lines: list[str] = field(default_factory=list)

    def added(self, lane: Lane) -> None:
        self.lines.append(f"added {lane.value}")

    def served(self, lane: Lane, waited: float) -> None:
        self.lines.append(f"served {lane.value} after {waited:g}")

    def retried(self, failures: int, delay: float) -> None:
        self.lines.append(f"failure {failures}, again in {delay:g}")


def queue_on(clock: Callable[[], float], *, random: float = 0.5, hooks: Journal | None = None) -> WorkQueue[str]:
    return WorkQueue(monotonic=clock, random=lambda: random, hooks=hooks)


async def test_an_idle_worker_is_woken_by_an_addition() -> None:
    queue = queue_on(time.monotonic)
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    assert await worker == "a"


async def test_every_idle_worker_is_woken_when_several_keys_come() -> None:
    queue = queue_on(time.monotonic)
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for key in "abc":
        queue.add(key)
    assert sorted(await asyncio.gather(*workers)) == ["a", "b", "c"]


async def test_an_idle_worker_is_woken_when_a_delayed_key_is_due() -> None:
    queue = queue_on(time.monotonic)
    workers = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.add_after("late", 0.02, Lane.POLLING)
    queue.add_after("early", 0.01, Lane.POLLING)
    assert sorted(await asyncio.gather(*workers)) == ["early", "late"]


@pytest.mark.failure_mode(18)
async def test_a_key_added_while_it_is_worked_on_is_served_again_only_after_done() -> None:
    queue = queue_on(time.monotonic)
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    second = asyncio.create_task(queue.get())
    queue.add("b")
    assert await second == "b"
    queue.done("a")
    assert await queue.get() == "a"


async def test_a_worker_that_is_cancelled_as_it_is_woken_hands_the_key_to_another() -> None:
    queue = queue_on(time.monotonic)
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")  # wakes the first one
    first.cancel()
    assert await second == "a"
    assert first.cancelled()


async def test_failures_back_off_from_one_second_to_five_minutes_until_forgotten() -> None:
    clock = Clock()
    queue = queue_on(clock)
    delays = [queue.retry("a", Lane.LIFECYCLE) for _ in range(12)]
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert queue.retry("other", Lane.LIFECYCLE) == 1, "back-off is per key"
    queue.forget("a")
    assert queue.retry("a", Lane.LIFECYCLE) == 1


async def test_back_off_survives_a_key_that_fails_for_weeks() -> None:
    queue = queue_on(Clock())
    for _ in range(5000):
        queue.retry("a", Lane.LIFECYCLE)
    assert queue.retry("a", Lane.LIFECYCLE) == 300


@pytest.mark.parametrize(("random", "delay"), [(0.0, 0.8), (0.5, 1.0), (0.999999, 1.2)])
async def test_back_off_varies_by_a_fifth_so_that_keys_do_not_return_together(random: float, delay: float) -> None:
    assert queue_on(Clock(), random=random).retry("a", Lane.LIFECYCLE) == pytest.approx(delay)


async def test_a_failed_key_is_not_served_before_its_delay() -> None:
    clock = Clock()
    queue = queue_on(clock)
    queue.add("a")
    await queue.get()
    delay = queue.retry("a", Lane.LIFECYCLE)
    queue.done("a")
    assert (queue.depth(Lane.LIFECYCLE), queue.oldest_age()) == (0, 0.0)
    clock.now += delay
    assert queue.depth(Lane.LIFECYCLE) == 1
    assert await queue.get() == "a"


async def test_a_new_event_overtakes_a_pending_back_off() -> None:
    queue = queue_on(Clock())
    queue.retry("a", Lane.LIFECYCLE)
    queue.add("a")
    assert await queue.get() == "a"


async def test_depth_and_age_tell_what_waits() -> None:
    clock = Clock()
    queue = queue_on(clock)
    queue.add("a")
    clock.now += 3
    queue.add("b", Lane.POLLING)
    assert (queue.depth(Lane.LIFECYCLE), queue.depth(Lane.POLLING), queue.oldest_age()) == (1, 1, 3.0)
    assert (queue.oldest_age(Lane.LIFECYCLE), queue.oldest_age(Lane.POLLING)) == (3.0, 0.0)
    await queue.get()
    assert (queue.depth(Lane.LIFECYCLE), queue.oldest_age()) == (0, 0.0)


async def test_the_hooks_see_additions_services_and_failures() -> None:
    clock, journal = Clock(), Journal()
    queue = queue_on(clock, hooks=journal)
    queue.add("a", Lane.POLLING)
    queue.add("a", Lane.POLLING)
    clock.now += 2
    await queue.get()
    queue.retry("a", Lane.LIFECYCLE)
    assert journal.lines == ["added polling", "served polling after 2", "failure 1, again in 1", "added lifecycle"]


async def test_a_closed_queue_serves_what_is_due_and_then_ends_its_workers() -> None:
    queue = queue_on(Clock())
    queue.add("a")
    queue.add_after("later", 60, Lane.LIFECYCLE)
    queue.close()
    queue.add("too late")
    assert queue.closed
    assert await queue.get() == "a"
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_a_key_that_became_dirty_before_the_close_is_still_served() -> None:
    queue = queue_on(Clock())
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.close()
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_a_queue_closed_without_draining_ends_at_once() -> None:
    queue = queue_on(Clock())
    queue.add("a")
    queue.close(drain=False)
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_closing_ends_the_workers_that_wait() -> None:
    queue = queue_on(time.monotonic)
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.add_after("later", 60, Lane.LIFECYCLE)
    queue.close()
    results = await asyncio.gather(*workers, return_exceptions=True)
    assert [type(result) for result in results] == [QueueClosed] * 3


async def test_giving_back_a_key_that_was_not_got_is_an_error() -> None:
    with pytest.raises(KeyError):
        queue_on(Clock()).done("a")
