"""The simulated server's clock: what tests step instead of waiting.

Every instant that the simulator shows (rows, time-outs, the `Date` header, the window for `X-Time`) comes from one
clock, so that a step moves all of them together.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from dispersed_simulator.wire import seconds_to_ms


class Clock(Protocol):
    """Anything that tells the simulated time."""

    def now_ms(self) -> int:
        """Simulated epoch time in milliseconds."""
        ...


class VirtualClock:
    """A clock that moves only when told to: for in-process, deterministic runs."""

    def __init__(self, start_ms: int = 1_760_000_000_000) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        """Simulated epoch time in milliseconds."""
        return self._now_ms

    def advance(self, seconds: float) -> None:
        """Move by so many seconds; negative moves back."""
        self._now_ms += seconds_to_ms(seconds)


class SteppableClock:
    """now = base + rate * elapsed (monotonic) + offset.

    The offset against the wall clock is the only thing worth saving: a restarted simulator continues from the wall
    clock plus that offset, so that time goes on while it is down, as it does for a real service.
    """

    def __init__(
        self,
        *,
        rate: float = 1.0,
        offset_ms: int = 0,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._rate = rate
        self._base_ms = seconds_to_ms(wall()) + offset_ms
        self._started = monotonic()

    @property
    def rate(self) -> float:
        """Simulated seconds per real second."""
        return self._rate

    @property
    def offset_ms(self) -> int:
        """Distance of the simulated time from the wall clock now."""
        return self.now_ms() - seconds_to_ms(self._wall())

    def now_ms(self) -> int:
        """Simulated epoch time in milliseconds."""
        return self._base_ms + seconds_to_ms(self._rate * (self._monotonic() - self._started))

    def advance(self, seconds: float) -> None:
        """Jump by so many simulated seconds; negative jumps back."""
        self._base_ms += seconds_to_ms(seconds)

    def set_to(self, at_ms: int) -> None:
        """Jump to an instant."""
        self._base_ms = at_ms
        self._started = self._monotonic()

    def set_rate(self, rate: float) -> None:
        """Go on from here at another speed. 0 freezes the clock. Raises ValueError for a negative rate."""
        if rate < 0:
            raise ValueError("the clock rate must not be negative")
        self._base_ms = self.now_ms()
        self._started = self._monotonic()
        self._rate = rate
