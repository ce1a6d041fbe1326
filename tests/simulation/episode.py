"""One episode: play the plan, let the world calm down, and judge."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from dispersed_simulator.wire import JsonObject
from tests.simulation.calls import KubeTrouble, Snare
from tests.simulation.plan import ApiFault, Incident, Item, Kill, Pause, Plan, RemoteFault, User, WatchFault
from tests.simulation.process import SimulatedProcess
from tests.simulation.truth import Findings, Judge
from tests.simulation.users import Users
from tests.simulation.virtual_loop import OWNER, VirtualLoop, run
from tests.simulation.world import NAMESPACE, MakeProcess, World

CALM_STEP = 60.0
CALM_LIMIT = 7200.0
CALM_ROUNDS, LONG_CALM_ROUNDS = 2, 15
"""So many looks in a row must find nothing; the longer time sees several sweeps."""
LARGEST_LAG = 25
LARGEST_DELAY = 100
JOB_PATH = r"^/v1/jobs/[^/]+$"
LARGEST_OFFSET = 280.0
"""Beyond 300 s the operator creates nothing any more, and rightly so."""


@dataclass(frozen=True, slots=True)
class Result:
    """What an episode came to. Times are virtual seconds; `digest` is that of the trace."""

    address: str
    violations: tuple[str, ...]
    count: Counter[str]
    jobs: int
    posts: int
    longest_double: float
    longest_leak: float
    excused: int
    seconds: float
    digest: str
    trace: tuple[str, ...] = field(repr=False)


def play(
    plan: Plan, *, make_process: MakeProcess = SimulatedProcess, sweeps: bool = True, logs: bool = False
) -> Result:
    """Play one episode on a loop of its own."""

    async def main() -> Result:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        world = World(plan, loop, make_process)
        with _Logs(world, verbose=logs):
            return await _Episode(world, sweeps=sweeps).play()

    return run(main)


class _Episode:
    def __init__(self, world: World, *, sweeps: bool) -> None:
        self._world = world
        self._users = Users(world, NAMESPACE)
        self._judge = Judge(world, sweeps=sweeps)

    async def play(self) -> Result:
        world = self._world
        world.prepare()
        schedule = world.plan.schedule
        for slot in world.slots:
            world.loop.in_world(0.5 * slot.number, slot.start)
        if world.plan.layout is not None:
            for slot, parts in zip(world.slots, world.plan.layout.slots, strict=True):
                world.loop.in_world(parts.rolled_at, slot.roll, parts.later)
        for number, item in schedule:
            world.loop.in_world(item.at, self._apply, number, item)
        await asyncio.sleep(max((item.at for _, item in schedule), default=0.0) + 30.0)
        if world.plan.layout is not None:
            await asyncio.sleep(max(0.0, world.plan.layout.last_roll - (world.loop.time() - 1000.0)))
        world.trace.write("world", "calm")
        world.pacify()
        self._users.unpause_all()
        found = await self._until_settled()
        world.close()
        await asyncio.sleep(1.0)
        return Result(
            address=world.plan.address,
            violations=tuple(dict.fromkeys(found.wrong + found.open)),
            count=world.count,
            jobs=len(world.remote.jobs()),
            posts=len(world.remote.posts),
            longest_double=found.longest_double,
            longest_leak=found.longest_leak,
            excused=found.excused,
            seconds=world.loop.time() - 1000.0,
            digest=world.trace.digest(),
            trace=tuple(world.trace.lines),
        )

    async def _until_settled(self) -> Findings:
        quiet, begun = 0, self._world.loop.time()
        rounds = LONG_CALM_ROUNDS if self._world.plan.seed % 8 == 0 else CALM_ROUNDS
        while True:
            found = self._judge.look()
            quiet = 0 if found.open or self._world.somebody_sleeps else quiet + 1
            over = self._world.loop.time() - begun > CALM_LIMIT
            if found.wrong or over or quiet > rounds:
                return found
            await asyncio.sleep(CALM_STEP)

    def _apply(self, number: int, item: Item) -> None:
        world = self._world
        if not isinstance(item, User):
            world.trace.write(f"#{number}", _words(item))
        match item:
            case User():
                self._user(number, item)
            case RemoteFault():
                self._remote_fault(item)
            case ApiFault():
                line = world.slots[item.slot].line
                if line is not None:
                    line.troubles.append(KubeTrouble(item.fault, item.call, item.times))
            case WatchFault():
                self._watch_fault(item)
            case Kill():
                self._kill(item)
            case Pause():
                self._pause(item)
            case Incident():
                world.incidents.happen(item.trouble)

    def _user(self, number: int, item: User) -> None:
        line = self._world.slots[item.slot].line
        when = f", {item.side} the next {item.call}" if item.call is not None else ""
        self._world.trace.write(f"#{number}", f"{item.verb} job-{item.target}{when}")
        if item.call is None:
            self._users.act(item.verb, item.target)
        elif line is not None:
            line.snares.append(Snare(item.call, item.side, act=partial(self._users.act, item.verb, item.target)))

    def _remote_fault(self, item: RemoteFault) -> None:
        world, faults = self._world, self._world.remote.service.faults
        world.count[item.kind] += 1
        if item.kind == "refused":
            world.remote.refusals += item.times
        elif item.kind == "clock_step":
            step = item.number * 2.5 if item.flag else -item.number * 0.5
            if abs(world.remote.clock.offset + step) < LARGEST_OFFSET:
                world.remote.clock.step(step)
        else:
            method, params = _rule(item)
            path = JOB_PATH if item.kind == "not_found_burst" else None
            faults.add(item.kind, method=method, path=path, times=item.times, params=params)

    def _watch_fault(self, item: WatchFault) -> None:
        world = self._world
        world.count[f"watch-{item.kind}"] += 1
        weather = world.watches.weather(item.slot)
        if item.kind == "relist":
            world.watches.relist(item.slot)
            return
        if item.kind == "lag":
            weather.lag = item.lag
        else:
            weather.lossy = True
        world.loop.in_world(item.seconds, _clear_up, weather)

    def _kill(self, item: Kill) -> None:
        slot = self._world.slots[item.slot]
        slot.down = item.down
        if item.side is None:
            slot.kill("at a moment")
        elif slot.line is not None:
            slot.line.snares.append(Snare(item.call, item.side))

    def _pause(self, item: Pause) -> None:
        process, line = self._world.slots[item.slot].process, self._world.slots[item.slot].line
        if process is None or line is None:
            return
        self._world.count["freeze" if item.seconds else "terminate"] += 1
        if item.seconds and item.call is not None:
            line.snares.append(Snare(item.call, item.side, item.seconds))
        elif item.seconds:
            process.freeze(item.seconds)
        else:
            process.terminate()


def _clear_up(weather: object) -> None:
    weather.lag, weather.lossy = 0.0, False  # type: ignore[attr-defined]


def _rule(item: RemoteFault) -> tuple[str | None, JsonObject]:
    """Method and parameters of a rule: within the lags and delays that the protocol's margin covers."""
    delay = min(item.number, LARGEST_DELAY)
    match item.kind:
        case "delayed_commit":
            return "POST", {"seconds": delay, "verify_at": "receipt" if item.flag else "delivery"}
        case "listing_lag":
            return "POST" if item.flag else None, {"seconds": item.number % LARGEST_LAG}
        case "duplicate_delivery":
            return item.method, {"answer": "first"} if item.flag else {}
        case "rate_limit":
            return item.method, {"commit": item.flag, "retry_after": item.number % 20}
        case "server_error":
            return item.method, {"status": (500, 502, 503)[item.number % 3], "commit": item.flag}
        case "malformed":
            shapes = ("garbage", "empty", "truncated", "text", "list", "null", "wrong_types")
            return item.method, {"shape": shapes[item.number % 7], "commit": item.flag}
        case "cancel_slow":
            return None, {"seconds": item.number * 2}
        case "stall":
            return item.method, {"seconds": item.number}
        case "cancel_lost" | "not_found_burst":
            return None, {}
        case _:
            return item.method, {}


def _words(item: Item) -> str:
    return str(item)


class _Logs(logging.Handler):
    """The operator's log during an episode: defects are findings; with `verbose` every line goes into the trace."""

    def __init__(self, world: World, *, verbose: bool) -> None:
        super().__init__(logging.DEBUG if verbose else logging.ERROR)
        self._world = world
        self._logger = logging.getLogger("dispersed_operator")
        self._before = (self._logger.level, self._logger.propagate)

    def __enter__(self) -> _Logs:
        self._logger.addHandler(self)
        self._logger.setLevel(self.level)
        self._logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._before[0])
        self._logger.propagate = self._before[1]

    def emit(self, record: logging.LogRecord) -> None:
        owner = OWNER.get()
        who = owner.given.holder if isinstance(owner, SimulatedProcess) else "world"
        self._world.trace.write(who, f"{record.levelname.lower()}: {record.getMessage()}")
        if record.exc_info is not None:
            text = logging.Formatter().formatException(record.exc_info)
            self._world.defects.append(f"a defect in {who}: {text.splitlines()[-1]}")
            self._world.trace.lines.extend(text.splitlines())
