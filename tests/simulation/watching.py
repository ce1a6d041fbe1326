"""The watches of the simulated processes: late, lossy, reordered, and broken off.

kopf keeps the order of one object's events and promises nothing else, so each event travels for a time of its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dispersed_operator.kube.resources import DISPERSED_ACCOUNTS, DISPERSED_JOBS
from tests.simulation.cluster.watches import Subscription
from tests.simulation.process import SimulatedProcess

if TYPE_CHECKING:
    from tests.simulation.world import World

WATCHED = (DISPERSED_ACCOUNTS, DISPERSED_JOBS)


@dataclass(slots=True)
class _Stream:
    """One process's watch of one kind. `under_way` counts the events that have a moment to arrive at."""

    process: SimulatedProcess
    subscription: Subscription
    rng: random.Random
    under_way: int = 0


@dataclass(slots=True)
class Weather:
    """How watches fare in one slot now."""

    lag: float = 0.0
    lossy: bool = False
    streams: list[_Stream] = field(default_factory=list)


class Watches:
    """All watches. `changed` is to be called after each write to the API server."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._weather: dict[int, Weather] = {}

    def weather(self, slot: int) -> Weather:
        return self._weather.setdefault(slot, Weather())

    def attach(self, process: SimulatedProcess) -> None:
        """A process begins to watch: it gets everything that exists."""
        weather = self.weather(_slot_of(process))
        rng = self._world.stream(f"watch/{process.given.holder}")
        weather.streams = [_Stream(process, self._world.api.subscribe(kind), rng) for kind in WATCHED]
        for stream in weather.streams:
            self._connect(stream)

    def detach(self, process: SimulatedProcess) -> None:
        """A process is dead."""
        self.weather(_slot_of(process)).streams = []

    def relist(self, slot: int) -> None:
        """The stream broke for so long that kopf lists anew: deletions that were on their way are missed."""
        for stream in self.weather(slot).streams:
            self._connect(stream)

    def calm(self) -> None:
        """No more lag and loss; what was lost stays lost."""
        for weather in self._weather.values():
            weather.lag, weather.lossy = 0.0, False

    def changed(self) -> None:
        """Something was written: give each new event a moment to arrive at."""
        self._world.history.observe()
        for weather in self._weather.values():
            for stream in weather.streams:
                for _ in range(len(stream.subscription.pending()) - stream.under_way):
                    stream.under_way += 1
                    delay = 0.02 + 1.5 * stream.rng.random() + weather.lag * stream.rng.random()
                    self._world.loop.call_at(
                        self._world.loop.time() + delay, self._arrive, stream, context=stream.process.context()
                    )

    def _connect(self, stream: _Stream) -> None:
        loop = self._world.loop
        for event in stream.subscription.relist():
            delay = 0.05 + 0.5 * stream.rng.random()
            loop.call_at(loop.time() + delay, stream.process.deliver, event.type, event.body,
                         context=stream.process.context())  # fmt: skip

    def _arrive(self, stream: _Stream) -> None:
        stream.under_way -= 1
        heads = stream.subscription.heads()
        if not heads:
            return
        event = stream.subscription.take(stream.rng.choice(heads))
        if self.weather(_slot_of(stream.process)).lossy and stream.rng.random() < 0.5:
            self._world.count["watch-lost"] += 1
            return
        stream.process.deliver(event.type, event.body)


def _slot_of(process: SimulatedProcess) -> int:
    return int(process.given.holder.split("-")[1])
