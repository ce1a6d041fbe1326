"""Joins the service to the process: the ticker that plays what is due, and the moments at which state reaches the disk.

Invariant: whatever a request changed is on disk before its answer leaves; what time alone changed follows within a
fraction of a second.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from dispersed_simulator.auth import SignedRequest
from dispersed_simulator.clock import SteppableClock
from dispersed_simulator.endpoints import LoopbackEndpoints
from dispersed_simulator.engine import Engine
from dispersed_simulator.lifecycle import InventedEndpoints
from dispersed_simulator.records import Timing
from dispersed_simulator.service import Reply, Service
from dispersed_simulator.settings import Settings
from dispersed_simulator.state_file import StateFile
from dispersed_simulator.transport import Holds

TICK_SECONDS = 0.05
SAVE_SECONDS = 0.25


@dataclass(slots=True)
class Runtime:
    """Everything that one simulator process holds."""

    settings: Settings
    service: Service
    clock: SteppableClock
    state_file: StateFile | None
    endpoints: LoopbackEndpoints | None
    holds: Holds = field(default_factory=Holds)
    failed: bool = False

    @property
    def timing(self) -> Timing:
        """The default timing of the simulated world."""
        return self.service.engine.timing

    def receive(self, request: SignedRequest) -> Reply:
        """Handle one request of the API; what it changed is on disk when this returns."""
        reply = self.service.handle(request)
        if request.method != "GET":
            self.save()
        return reply

    def save(self) -> None:
        """Write what changed."""
        if self.state_file is not None:
            self.state_file.write_changes(self.service)

    async def tick_forever(self) -> None:
        """Play what is due and write it down, until cancelled."""
        loop = asyncio.get_running_loop()
        saved_at = loop.time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            due_ms = self.service.next_due_ms()
            if due_ms is not None and due_ms <= self.clock.now_ms():
                self.service.advance()
            if loop.time() - saved_at >= SAVE_SECONDS:
                self.save()
                saved_at = loop.time()

    def close(self) -> None:
        """Write everything down, unless that is what failed, and close the endpoints."""
        if self.state_file is not None and not self.failed:
            self.state_file.write_snapshot(self.service)
        if self.endpoints is not None:
            self.endpoints.close_all()


def open_runtime(settings: Settings) -> Runtime:
    """Build the service from settings and saved state. Must run inside the event loop. Raises StateFileError."""
    state_file = StateFile(settings.state_file) if settings.state_file else None
    saved = state_file.load() if state_file else None
    boots = (saved["meta"]["boots"] if saved else 0) + 1
    offset_ms = saved["meta"]["clock"]["offset_ms"] if saved else 0
    rate = saved["meta"]["clock"]["rate"] if saved and settings.clock_rate is None else settings.clock_rate
    clock = SteppableClock(rate=1.0 if rate is None else rate, offset_ms=offset_ms)
    rng = random.Random() if settings.seed is None else random.Random(f"{settings.seed}/{boots}")
    endpoints = LoopbackEndpoints() if settings.real_endpoints else None
    engine = Engine(
        timing=settings.timing, rng=rng, endpoints=endpoints if endpoints is not None else InventedEndpoints(rng)
    )
    service = Service(clock=clock, engine=engine, rng=rng, request_prefix=f"req-{boots}")
    if saved is not None and state_file is not None:
        state_file.restore(saved, service)
    for key in settings.keys:
        service.keys.setdefault(key.public, key)
    engine.switches.update(settings.switches)
    if state_file is not None:
        state_file.boots = boots
        state_file.write_snapshot(service)
    return Runtime(settings=settings, service=service, clock=clock, state_file=state_file, endpoints=endpoints)
