"""The limiter on a virtual clock: bounded flight, a token bucket, and a pause after each 429."""

import asyncio
from collections.abc import Callable

import pytest

from dispersed_operator.remote.limiter import LONGEST_PAUSE, Limiter


class VirtualTime:
    """Time that moves only when somebody waits for it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.Handle:
        def due() -> None:
            self.slept.append(seconds)
            self.now += seconds
            callback()

        return asyncio.get_running_loop().call_soon(due)


def limiter(time: VirtualTime, per_minute: int | None = None, concurrency: int = 16) -> Limiter:
    return Limiter(per_minute, concurrency, monotonic=time, call_later=time.call_later)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_never_more_than_the_bound_are_in_flight_and_waiters_start_in_order() -> None:
    bound = limiter(VirtualTime(), concurrency=2)
    first, second = await bound.reserve(), await bound.reserve()
    started: list[int] = []

    async def wait(number: int) -> None:
        async with bound.slot():
            started.append(number)

    waiters = [asyncio.create_task(wait(number)) for number in range(3)]
    await settled()
    assert (started, bound.in_flight) == ([], 2)
    first.release()
    await asyncio.gather(*waiters)
    assert started == [0, 1, 2]
    second.release()
    assert bound.in_flight == 0


async def test_releasing_twice_gives_one_slot_back() -> None:
    bound = limiter(VirtualTime(), concurrency=2)
    reservation = await bound.reserve()
    with reservation:
        reservation.release()
    reservation.release()
    assert bound.in_flight == 0


async def test_a_waiter_that_is_cancelled_keeps_nothing() -> None:
    bound = limiter(VirtualTime(), concurrency=1)
    held = await bound.reserve()
    waiter = asyncio.create_task(bound.reserve())
    await settled()
    waiter.cancel()
    await asyncio.wait({waiter})
    held.release()
    with await bound.reserve():
        assert bound.in_flight == 1


async def test_the_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    time = VirtualTime()
    bucket = limiter(time, per_minute=60)
    for _ in range(6):
        (await bucket.reserve()).release()
    assert time.now == 1000.0
    for _ in range(30):
        (await bucket.reserve()).release()
    assert time.now == pytest.approx(1030.0)


async def test_the_slowest_bucket_holds_one_token() -> None:
    time = VirtualTime()
    bucket = limiter(time, per_minute=1)
    for _ in range(3):
        (await bucket.reserve()).release()
    assert time.now == pytest.approx(1120.0)


async def test_after_a_429_nothing_starts_before_the_service_said_so() -> None:
    time = VirtualTime()
    paused = limiter(time)
    paused.throttled(7.0)
    assert paused.paused_for == 7.0
    (await paused.reserve()).release()
    assert time.now == 1007.0


async def test_without_retry_after_the_pause_doubles_and_the_bound_halves() -> None:
    time = VirtualTime()
    paused = limiter(time)
    pauses = []
    for _ in range(8):
        paused.throttled(None)
        pauses.append(paused.paused_for)
        time.now += paused.paused_for
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert paused.allowed == 1


async def test_several_429s_of_one_burst_count_once() -> None:
    paused = limiter(VirtualTime())
    for _ in range(10):
        paused.throttled(None)
    assert (paused.allowed, paused.paused_for) == (8, 1.0)


async def test_success_gives_the_slots_back_one_by_one_and_resets_the_pause() -> None:
    time = VirtualTime()
    paused = limiter(time, concurrency=4)
    paused.throttled(None)
    time.now += 1
    for _ in range(2):
        paused.succeeded()
    assert paused.allowed == 3
    for _ in range(20):
        paused.succeeded()
    assert paused.allowed == 4
    paused.throttled(None)
    assert paused.paused_for == 1.0


async def test_an_absurd_retry_after_is_capped() -> None:
    paused = limiter(VirtualTime())
    paused.throttled(1e9)
    assert paused.paused_for == LONGEST_PAUSE


@pytest.mark.parametrize(("per_minute", "concurrency"), [(0, 1), (-1, 1), (None, 0)])
def test_a_limiter_that_lets_nothing_through_is_refused(per_minute: int | None, concurrency: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Limiter(per_minute, concurrency)
