"""The server's clock as this process knows it: the newest `Date` header plus the monotonic time since.

Why it exists: signatures expire by the server's clock (protocol, "The property to build on"), so signing with the
local wall clock would be refused on a machine whose clock is wrong, and a proof of absence made with it would be void.
Invariant: once a `Date` was seen, a step of the local wall clock changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Observation:
    server: int
    received: float
    offset: float


class ServerClock:
    """Estimates the server's time in seconds since the epoch. One clock per API host; not thread-safe."""

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._newest: _Observation | None = None

    def observe(self, date_header_seconds: int, received_monotonic: float) -> None:
        """Take the `Date` of an answer that was received at `received_monotonic`; the newest answer wins.

        The caller passes no answer that came from a cache (an `Age` header): its `Date` is that of the stored answer.
        """
        if self._newest is not None and received_monotonic < self._newest.received:
            return
        wall_then = self._wall() - (self._monotonic() - received_monotonic)
        self._newest = _Observation(date_header_seconds, received_monotonic, date_header_seconds - wall_then)

    def now(self) -> float | None:
        """The server's time in seconds since the epoch, None before the first answer."""
        if self._newest is None:
            return None
        return self._newest.server + (self._monotonic() - self._newest.received)

    def age(self) -> float | None:
        """Seconds since the newest observation, None before the first (protocol C0 wants at most 60)."""
        return None if self._newest is None else self._monotonic() - self._newest.received

    def offset(self) -> float | None:
        """Server minus local wall clock, in seconds, at the newest observation; None before the first."""
        return None if self._newest is None else self._newest.offset

    def time_ms(self) -> int:
        """The time to sign with, in milliseconds: the server's if known, else the local wall clock."""
        now = self.now()
        return int((self._wall() if now is None else now) * 1000)
