"""The two lanes of the limiter, on a virtual clock: who starts first, and that neither lane starves."""

import asyncio

import pytest

from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.workqueue import Lane
from tests.unit.remote.test_limiter import VirtualTime, limiter, settled

PAGES = 400


class Starts:
    """Requests on one limiter, and the order in which they started."""

    def __init__(self, bound: Limiter) -> None:
        self.bound = bound
        self.order: list[str] = []

    async def request(self, name: str, lane: Lane) -> None:
        async with self.bound.slot(lane):
            self.order.append(name)

    def begin(self, name: str, lane: Lane) -> asyncio.Task[None]:
        return asyncio.create_task(self.request(name, lane))

    async def poll(self, pages: int) -> None:
        """Page after page, as the poller reads them."""
        for page in range(pages):
            await self.request(f"page {page}", Lane.POLLING)


async def test_a_create_starts_before_a_page_that_has_waited_longer() -> None:
    starts = Starts(limiter(VirtualTime(), concurrency=1))
    held = await starts.bound.reserve()
    waiting = [starts.begin("page", Lane.POLLING), starts.begin("create", Lane.LIFECYCLE)]
    await settled()
    held.release()
    await asyncio.gather(*waiting)
    assert starts.order == ["create", "page"]


async def test_every_fourth_start_is_for_polling_and_each_lane_keeps_its_order() -> None:
    starts = Starts(limiter(VirtualTime(), concurrency=1))
    held = await starts.bound.reserve(Lane.POLLING)
    waiting = [starts.begin(f"create {number}", Lane.LIFECYCLE) for number in range(7)]
    waiting += [starts.begin(f"page {number}", Lane.POLLING) for number in range(3)]
    await settled()
    held.release()
    await asyncio.gather(*waiting)
    assert [name for name in starts.order if name.startswith("create")] == [f"create {number}" for number in range(7)]
    assert [starts.order.index(f"page {number}") for number in range(3)] == [3, 7, 9]


@pytest.mark.parametrize(("per_minute", "concurrency"), [(60, 16), (None, 1)], ids=["by tokens", "by slots"])
async def test_a_poll_of_many_pages_delays_no_create_by_more_than_one(per_minute: int | None, concurrency: int) -> None:
    starts = Starts(limiter(VirtualTime(), per_minute, concurrency))
    poll = asyncio.create_task(starts.poll(PAGES))
    for number in range(20):
        await settled()
        before = len(starts.order)
        await starts.begin(f"create {number}", Lane.LIFECYCLE)
        assert len(starts.order) - before <= 2
    await poll
    assert len(starts.order) == PAGES + 20


async def test_a_poll_ends_although_creates_never_cease() -> None:
    """It has a quarter of the starts, however many creates wait."""
    time = VirtualTime()
    starts = Starts(limiter(time, per_minute=60, concurrency=16))
    poll = asyncio.create_task(starts.poll(PAGES))

    async def create_for_ever() -> None:
        while not poll.done():
            await starts.request("create", Lane.LIFECYCLE)

    await asyncio.gather(*(create_for_ever() for _ in range(12)))
    assert len(starts.order) <= 4 * PAGES + 20
    assert time.now - 1000.0 == pytest.approx(4 * PAGES, abs=20)


async def test_a_waiter_that_is_cancelled_as_its_turn_comes_gives_the_slot_to_the_next() -> None:
    bound = limiter(VirtualTime(), concurrency=1)
    held = await bound.reserve()
    first, second = asyncio.create_task(bound.reserve()), asyncio.create_task(bound.reserve(Lane.POLLING))
    await settled()
    held.release()
    first.cancel()
    with await second:
        assert bound.in_flight == 1
    assert first.cancelled()
    assert bound.in_flight == 0


async def test_a_slot_that_grows_back_is_used_at_once() -> None:
    bound = limiter(VirtualTime(), concurrency=2)
    bound.throttled(0.0)
    held = await bound.reserve()
    waiter = asyncio.create_task(bound.reserve())
    await settled()
    assert not waiter.done()
    bound.succeeded()
    with held, await waiter:
        assert bound.in_flight == 2


@pytest.mark.parametrize(
    ("per_minute", "seconds", "startable"),
    [(None, 5.0, 32), (60, 5.0, 11), (60, 30.0, 32), (6, 5.0, 1), (1, 0.0, 1)],
    ids=["no bucket", "six tokens and five more", "never more than two for each slot", "one token", "at least one"],
)
def test_it_tells_how_many_may_hope_to_start(per_minute: int | None, seconds: float, startable: int) -> None:
    assert limiter(VirtualTime(), per_minute).startable_within(seconds) == startable


async def test_an_account_that_was_throttled_tells_that_fewer_may_start() -> None:
    bound = limiter(VirtualTime())
    bound.throttled(1.0)
    assert bound.startable_within(5.0) == 16


@pytest.mark.parametrize(("lane", "seconds"), [(Lane.LIFECYCLE, 10.0), (Lane.POLLING, 40.0)])
def test_a_lane_gets_a_token_within_its_turn(lane: Lane, seconds: float) -> None:
    """A poll that gave up earlier would never get a page while creates wait."""
    assert limiter(VirtualTime(), per_minute=6).turn_seconds(lane) == seconds
