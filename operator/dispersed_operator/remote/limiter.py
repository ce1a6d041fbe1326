"""How many requests may be on their way to the service, and how fast.

Why it exists: the service publishes no rate limit but must be expected to answer 429 (API reference §3.6), and a create
that is answered 429 has an unknown outcome (protocol C4). So requests wait here, before they are signed, and not at the
service. Invariants: never more than `concurrency` requests in flight, so that none queues inside the HTTP pool with its
signature ageing; after a 429 nothing starts before the service said so; waiters start in the order in which they came.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType

LONGEST_PAUSE = 300.0
_FIRST_PAUSE = 1.0
_LONGEST_BACKOFF = 60.0
_BURST_MINUTES = 0.1
_ALMOST_ONE = 1.0 - 1e-6


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
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if concurrency < 1 or (requests_per_minute is not None and requests_per_minute < 1):
            raise ValueError("a limiter needs at least one request per minute and one slot")
        self._monotonic = monotonic
        self._sleep = sleep
        self._concurrency = concurrency
        self._allowed = concurrency
        self._in_flight = 0
        self._gate = asyncio.Lock()
        self._freed = asyncio.Event()
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

    @property
    def in_flight(self) -> int:
        """Slots that are held at the moment."""
        return self._in_flight

    @property
    def paused_for(self) -> float:
        """Seconds until the next request may start after a 429; 0 if there is no pause."""
        return max(0.0, self._paused_until - self._monotonic())

    async def reserve(self) -> Reservation:
        """Wait for a slot and a token and hold them (protocol C0: taken before signing, so that a POST never waits
        after C2).

        Whoever holds a reservation must not wait for another slot of the same limiter.
        """
        async with self._gate:
            while self._in_flight >= self._allowed:
                self._freed.clear()
                await self._freed.wait()
            while (wait := max(self.paused_for, self._token_wait())) > 0:
                await self._sleep(wait)
            if self._interval is not None:
                self._tokens -= 1.0
            self._in_flight += 1
        return Reservation(self)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[Reservation]:
        """A reservation for the length of a block."""
        with await self.reserve() as reservation:
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
                self._freed.set()

    def _pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._monotonic() + seconds)

    def _token_wait(self) -> float:
        """Seconds until the bucket holds a whole token."""
        if self._interval is None:
            return 0.0
        now = self._monotonic()
        self._tokens = min(self._capacity, self._tokens + (now - self._refilled) / self._interval)
        self._refilled = now
        return 0.0 if self._tokens >= _ALMOST_ONE else (1.0 - self._tokens) * self._interval

    def _released(self) -> None:
        self._in_flight -= 1
        self._freed.set()
