"""What a poll costs: `python -m benchmarks.polling --jobs 1000`.

The real poller and client against the simulator in a process of its own, with as many live jobs as asked for. Each line
is one way to poll: calls, seconds of wall time, seconds of CPU of the poller's process, and the ratio of that CPU to
the first line's, which reads every page of both lists one after the other and parses every row. The last lines
compute, from the calls counted here, what an account of this size costs in an hour at the default interval while
nothing is awaited.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import math
import pstats
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from dispersed_operator.model.account import AccountPolling
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.clock import ServerClock
from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.remote.live import live_jobs, live_runs
from dispersed_operator.remote.poller import (
    CALLS_PER_SECOND,
    CALM_CALLS_PER_SECOND,
    HURRIED_SHARE,
    LONGEST_CALM,
    RUNS_POLLS,
    RUNS_SECONDS,
    AccountPoller,
)
from dispersed_operator.remote.signing import Credentials
from dispersed_operator.remote.transport import build_http_client
from dispersed_operator.remote.view import RemoteView
from tests.support.simulator import PUBLIC_KEY, SECRET_KEY, SimulatorProcess

HOUR = 3600.0
QUIET, WITH_RUNS, GLANCE = "poll, nothing changed", "poll with all runs, nothing changed", "glance"


@dataclass(frozen=True)
class Cost:
    """One poll, or the mean of several."""

    name: str
    calls: float
    wall_seconds: float
    cpu_seconds: float


class World:
    """A simulator with live jobs, and a poller that believes that all of them are tracked and that time flies."""

    def __init__(self, simulator: SimulatorProcess, jobs: int) -> None:
        self.simulator = simulator
        with ThreadPoolExecutor(4) as pool:
            self.uuids = list(pool.map(self._insert, range(jobs)))
        simulator.control.advance(300)
        self.calls = 0
        self.later = 0.0

    def _insert(self, number: int) -> str:
        container = {
            "image": "registry.example.com/studio/workbench:2026.11",
            "env": {f"SETTING_{item}": f"a-value-of-some-length-{number}-{item}" for item in range(12)},
        }
        row = self.simulator.control.insert_job(
            f"kd1-abcdef-{number:08d}-01abcdefgh{number:05d}-aaaaaaaaaaaaaa Workbench",
            description=f"dispersed.dev job {number} digest {number:064x}",
            task="PERSISTENT",
            fate={"run_seconds": 1_000_000},
            parameters=container,
        )
        return str(row["uuid"])

    def count(self, _method: str, _route: str, _status: int, _seconds: float) -> None:
        self.calls += 1

    def monotonic(self) -> float:
        return time.monotonic() + self.later

    async def cost(self, name: str, work: Callable[[], Awaitable[object]], times: int) -> Cost:
        """The mean of some runs."""
        self.calls = 0
        wall, cpu = time.monotonic(), time.process_time()
        for _ in range(times):
            await work()
        spent = time.process_time() - cpu
        return Cost(name, self.calls / times, (time.monotonic() - wall) / times, spent / times)


async def measure(world: World, times: int, profile: Path | None) -> list[Cost]:
    """Every way to poll, in one run."""
    changed: list[int] = []
    async with build_http_client() as http:
        client = DispersedClient(
            http, base_url=world.simulator.base_url, credentials=Credentials(PUBLIC_KEY, SECRET_KEY),
            clock=ServerClock(), limiter=Limiter(), on_response=world.count,
        )  # fmt: skip
        tracked, plain_view = frozenset(world.uuids), RemoteView()
        poller = AccountPoller(
            client, RemoteView(), interval=lambda: 15.0, tracked=lambda: tracked,
            on_change=lambda uuids: changed.append(len(uuids)), on_error=lambda _: None, on_success=lambda _: None,
            monotonic=world.monotonic,
        )  # fmt: skip

        async def plain() -> None:
            jobs, runs = await live_jobs(client), await live_runs(client)
            plain_view.update_jobs(jobs.rows, runs.rows, tracked=tracked, seen=time.monotonic())

        async def with_runs() -> None:
            world.later += RUNS_SECONDS + 1
            await poller.poll()

        await plain()
        costs = [await world.cost("page by page, every row parsed", plain, times)]
        costs.append(await world.cost("first poll", poller.poll, 1))
        costs.append(await world.cost(QUIET, poller.poll, times))
        costs.append(await world.cost(WITH_RUNS, with_runs, times))
        costs.append(await world.cost(GLANCE, poller.glance, times))
        for uuid in world.uuids[:: max(1, len(world.uuids) // 100)]:
            world.simulator.control.force_status(uuid, "CANCELLING")
        changed.clear()
        costs.append(await world.cost("poll, a hundred jobs changed", poller.poll, 1))
        assert changed == [len(world.uuids[:: max(1, len(world.uuids) // 100)])], "the poll saw what changed"
        if profile is not None:
            with cProfile.Profile() as profiler:
                await poller.poll()
            pstats.Stats(profiler).dump_stats(profile)
    return costs


def hourly(costs: list[Cost], jobs: int) -> dict[str, float]:
    """What an hour costs while all jobs run on, at the default interval and without jitter; see docs/polling.md. Of a
    list of more pages than two."""
    named = {cost.name: cost for cost in costs}
    quiet, full, glance = (named[name] for name in (QUIET, WITH_RUNS, GLANCE))
    interval = float(AccountPolling().interval_seconds)
    apart = [
        max(interval, cost.calls / CALLS_PER_SECOND, min(cost.calls / CALM_CALLS_PER_SECOND, LONGEST_CALM),
            2 * cost.wall_seconds)
        for cost in (quiet, full)
    ]  # fmt: skip
    runs_apart = max(RUNS_SECONDS, RUNS_POLLS * quiet.calls / CALM_CALLS_PER_SECOND)
    quiet_ones = math.ceil(max(0.0, runs_apart - apart[1]) / apart[0])
    round_seconds = apart[1] + quiet_ones * apart[0]
    rounds, polls = HOUR / round_seconds, 1 + quiet_ones
    glances = round_seconds / (interval / HURRIED_SHARE) - polls
    return {
        "seconds between whole polls": round_seconds / polls,
        "calls per live job and hour": rounds * (full.calls + quiet_ones * quiet.calls + glances * glance.calls) / jobs,
        "percent of a core": rounds
        * (full.cpu_seconds + quiet_ones * quiet.cpu_seconds + glances * glance.cpu_seconds)
        / HOUR
        * 100,
    }


def say(line: object) -> None:
    """A line of the result."""
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000, help="live jobs (default: %(default)s)")
    parser.add_argument("--times", type=int, default=3, help="polls of each kind (default: %(default)s)")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="of the simulator (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="write a profile of one poll here (cProfile)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-endpoints", "--latency-ms", str(chosen.latency_ms)]
        with SimulatorProcess(Path(folder), options=options) as simulator:
            costs = asyncio.run(measure(World(simulator, chosen.jobs), chosen.times, chosen.profile))
    yardstick = costs[0].cpu_seconds
    say(f"{'':38}{'calls':>8}{'wall s':>9}{'CPU s':>9}{'ratio':>8}")
    for cost in costs:
        figures = f"{cost.calls:8.1f}{cost.wall_seconds:9.3f}{cost.cpu_seconds:9.3f}{cost.cpu_seconds / yardstick:8.2f}"
        say(f"{cost.name:38}{figures}")
    found = hourly(costs, chosen.jobs)
    for name, value in found.items():
        say(f"{name:38}{value:8.2f}")
    if chosen.json is not None:
        document = {"jobs": chosen.jobs, "costs": [asdict(cost) for cost in costs], "hourly": found}
        chosen.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
