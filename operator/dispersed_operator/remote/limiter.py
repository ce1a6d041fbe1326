"""How many requests may be on their way to the service, and how fast.

Why it exists: the service publishes no rate limit but must be expected to answer 429 (API reference §3.6), and a create
that is answered 429 has an unknown outcome (protocol C4). So requests wait here, before they are signed, and neither at
the service nor in the HTTP pool. The lanes are the queue's: creates and cancels go before the pages of a poll, of which
there may be hundreds, and the poll has its share, or no status would move while creates wait. Invariants: never more
than `concurrency` requests in flight; after a 429 nothing starts before the service said so, 300 s at most; waiters of
a lane start in the order in which they came.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Protocol

from dispersed_operator.workqueue import POLLING_SHARE, Lane, Turns

LONGEST_PAUSE = 300.0
CALLERS_PER_SLOT = 2
"""Whoever works for an account also speaks to the API server: with one for each slot, slots stand idle meanwhile."""
_FIRST_PAUSE = 1.0
_LONGEST_BACKOFF = 60.0
_BURST_MINUTES = 0.1
_ALMOST_ONE = 1.0 - 1e-6


class Timer(Protocol):
    """What can be called off."""

    def cancel(self) -> object: ...


CallLater = Callable[[float, Callable[[], None]], Timer]


def _call_later(seconds: float, callback: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(seconds, callback)


class Reservation:
    """A slot that is held, with its rate-limit token spent. Release it once it is used; releasing is idempotent."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter: Limiter | None = limiter

    def release(self) -> None:
        """Give the slot back. The token stays spent."""
        if self._limiter is not None:
            self._limiter._released()
            self._limiter = None

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Limiter:
    """A token bucket (if `requests_per_minute` is set) and an adaptive bound on requests in flight.

    After a 429 the bound is halved and everything pauses for `Retry-After`, or for 1, 2, 4 … seconds if there was none;
    each run of successes as long as the bound gives one slot back. One limiter per account, one event loop.
    """

    def __init__(
        self,
        requests_per_minute: int | None = None,
        concurrency: int = 16,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        call_later: CallLater = _call_later,
    ) -> None:
        if concurrency < 1 or (requests_per_minute is not None and requests_per_minute < 1):
            raise ValueError("a limiter needs at least one request per minute and one slot")
        self._monotonic = monotonic
        self._call_later = call_later
        self._concurrency = concurrency
        self._allowed = concurrency
        self._in_flight = 0
        self._waiting: dict[Lane, deque[asyncio.Future[None]]] = {lane: deque() for lane in Lane}
        self._turns = Turns()
        self._timer: Timer | None = None
        self._interval = None if requests_per_minute is None else 60.0 / requests_per_minute
        self._capacity = 1.0 if requests_per_minute is None else max(1.0, requests_per_minute * _BURST_MINUTES)
        self._tokens = self._capacity
        self._refilled = monotonic()
        self._paused_until = monotonic()
        self._next_pause = _FIRST_PAUSE
        self._successes = 0

    @property
    def allowed(self) -> int:
        """The present bound on requests in flight."""
        return self._allowed

    @property
    def interval(self) -> float:
        """Seconds in which the bucket gains one token; 0 without a bucket."""
        return self._interval or 0.0

    def turn_seconds(self, lane: Lane) -> float:
        """Seconds in which the bucket has a token for the lane, whatever waits in the other one; 0 without a bucket."""
        return self.interval * (POLLING_SHARE if lane is Lane.POLLING else 1)

    @property
    def in_flight(self) -> int:
        """Slots that are held at the moment."""
        return self._in_flight

    @property
    def held_back_for(self) -> float:
        """Seconds until the next request may start, however many slots are free: by a pause, or for want of a token."""
        return max(self.paused_for, self._token_wait())

    @property
    def paused_for(self) -> float:
        """Seconds until the next request may start after a 429; 0 if there is no pause."""
        return max(0.0, self._paused_until - self._monotonic())

    def startable_within(self, seconds: float) -> int:
        """For how many callers there is work within `seconds`, at least 1: some of them wait for a slot meanwhile."""
        callers = CALLERS_PER_SLOT * self._allowed
        if self._interval is None:
            return callers
        self._refill()
        return max(1, min(callers, int(self._tokens + seconds / self._interval)))

    async def reserve(self, lane: Lane = Lane.LIFECYCLE) -> Reservation:
        """Wait for a slot and a token and hold them (protocol C0: taken before signing, so that a POST never waits
        after C2).

        Whoever holds a reservation must not wait for another slot of the same limiter.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[lane].append(turn)
        self._start()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._released()  # it came in the same moment
            raise
        return Reservation(self)

    @asynccontextmanager
    async def slot(self, lane: Lane = Lane.LIFECYCLE) -> AsyncIterator[Reservation]:
        """A reservation for the length of a block."""
        with await self.reserve(lane) as reservation:
            yield reservation

    def throttled(self, retry_after: float | None) -> None:
        """Note a 429. `retry_after` is in seconds, None if the service did not say."""
        self._successes = 0
        backing_off = self.paused_for == 0.0  # answers of requests that were on their way already count once
        if backing_off:
            self._allowed = max(1, self._allowed // 2)
        if retry_after is not None:
            self._pause(min(retry_after, LONGEST_PAUSE))
        elif backing_off:
            self._pause(self._next_pause)
            self._next_pause = min(self._next_pause * 2, _LONGEST_BACKOFF)

    def succeeded(self) -> None:
        """Note an answer that was not a 429; enough of them in a row give a slot back."""
        self._successes += 1
        if self._successes >= self._allowed:
            self._successes = 0
            self._next_pause = _FIRST_PAUSE
            if self._allowed < self._concurrency:
                self._allowed += 1
                self._start()

    def _pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._monotonic() + seconds)

    def _start(self) -> None:
        """Let waiters start as long as one may; if only time is missing, come back then."""
        while self._in_flight < self._allowed and (lane := self._next_lane()) is not None:
            wait = self.held_back_for
            if wait > 0:
                self._come_back(wait)
                return
            if self._interval is not None:
                self._tokens -= 1.0
            self._in_flight += 1
            self._turns.taken(lane)
            self._waiting[lane].popleft().set_result(None)

    def _next_lane(self) -> Lane | None:
        for lane in self._turns.order():
            line = self._waiting[lane]
            while line and line[0].done():
                line.popleft()  # cancelled
            if line:
                return lane
        return None

    def _come_back(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._call_later(seconds, self._start)

    def _token_wait(self) -> float:
        """Seconds until the bucket holds a whole token."""
        if self._interval is None:
            return 0.0
        self._refill()
        return 0.0 if self._tokens >= _ALMOST_ONE else (1.0 - self._tokens) * self._interval

    def _refill(self) -> None:
        now = self._monotonic()
        if self._interval is not None:
            self._tokens = min(self._capacity, self._tokens + (now - self._refilled) / self._interval)
        self._refilled = now

    def _released(self) -> None:
        self._in_flight -= 1
        self._start()
