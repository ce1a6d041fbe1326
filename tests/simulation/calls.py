"""The line between a simulated process and the two APIs: where it is slow, where it breaks, where the process dies.

Every call passes `leave` before the service sees it and `arrive` after the service has acted. Both are moments at
which a process can be killed; what comes out of a dead process reaches nobody.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Call(StrEnum):
    """What a call is, as far as kills and faults tell them apart."""

    POST = "post"
    CANCEL = "cancel"
    REMOTE_READ = "remote-read"
    INTENT = "object-patch"
    STATUS = "status-patch"
    KUBE_READ = "kube-read"
    KUBE_WRITE = "kube-write"


class Side(StrEnum):
    """Before the service has seen the call, or after it has acted and before the caller knows."""

    BEFORE = "before"
    AFTER = "after"


class KubeFault(StrEnum):
    """What can happen to a call to the API server."""

    NO_CONNECTION = "kube-no-connection"
    LOST_BEFORE = "kube-lost-before"
    LOST_AFTER = "kube-lost-after"
    UNAVAILABLE = "kube-503"
    THROTTLED = "kube-429"
    SLOW = "kube-slow"


@dataclass(slots=True)
class Snare:
    """A kill that waits for the next call of its kind (None: any); with `seconds` not a kill, but a SIGSTOP; with
    `act` that is done and the process goes on."""

    call: Call | None
    side: Side
    seconds: float = 0.0
    act: Callable[[], None] | None = None

    def springs(self, call: Call, side: Side) -> bool:
        return side is self.side and self.call in {None, call}


@dataclass(slots=True)
class KubeTrouble:
    """A fault that waits for the next `times` calls of its kind (None: any)."""

    fault: KubeFault
    call: Call | None
    times: int


class Line:
    """One process's line. `kill` and `freeze` act on the process; `count` notes what was injected; `trace` tells it."""

    def __init__(
        self,
        *,
        rng: random.Random,
        kill: Callable[[str], None],
        freeze: Callable[[float], None],
        count: Counter[str],
        trace: Callable[[str], None],
    ) -> None:
        self._rng = rng
        self._kill = kill
        self._freeze = freeze
        self._count = count
        self._trace = trace
        self.cut = False
        self.calm = False
        self.snares: list[Snare] = []
        self.troubles: list[KubeTrouble] = []

    async def leave(self, call: Call, what: str) -> None:
        """On the way to the service. Raises CancelledError if the process dies here or is dead."""
        self._check()
        self._spring(call, Side.BEFORE, what)
        await asyncio.sleep(0.001 + 0.03 * self._rng.random())
        self._check()

    async def arrive(self, call: Call, what: str) -> None:
        """On the way back. Raises as `leave`."""
        self._check()
        self._spring(call, Side.AFTER, what)
        await asyncio.sleep(0.001 + 0.03 * self._rng.random())
        self._check()

    def trouble(self, call: Call) -> KubeFault | None:
        """What happens to this call to the API server."""
        if self.calm:
            return None
        for trouble in self.troubles:
            if trouble.times > 0 and trouble.call in {None, call}:
                trouble.times -= 1
                self._count[trouble.fault.value] += 1
                self._trace(f"fault {trouble.fault} on {call}")
                return trouble.fault
        return None

    def _check(self) -> None:
        if self.cut:
            raise asyncio.CancelledError

    def _spring(self, call: Call, side: Side, what: str) -> None:
        for snare in self.snares:
            if snare.springs(call, side) and not self.calm:
                self.snares.remove(snare)
                if snare.act is not None:
                    snare.act()
                    return
                if snare.seconds:
                    self._freeze(snare.seconds)
                    return
                self._kill(f"{side} {call} {what}")
                raise asyncio.CancelledError
