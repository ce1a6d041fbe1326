"""One contender on a control plane and a service of their own, and everything that a scenario asks about them.

Each pair of contender and size has a stage of its own, so that nothing that one leaves behind burdens the next. All
moments are in seconds since the epoch; the service's clock is that of this machine.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks import audit, meters, profiles
from benchmarks.cluster import Cluster
from benchmarks.contenders import OPERATOR, ROOT, Contender, Ours, Rival
from benchmarks.figures import first_full_poll
from benchmarks.meters import Cores
from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.services import SimulatorService
from dispersed_simulator.control_client import ControlClient

Row = dict[str, Any]
ACCOUNT_SECONDS = 60.0
ENDED_PHASES = frozenset({"Succeeded", "Failed", "Stopped"})
_TIMING = ("--no-endpoints", "--assign-seconds", "5", "--accept-seconds", "0.5", "--prepare-seconds", "2",
           "--endpoints-seconds", "0.5", "--cancel-seconds", "2", "--run-seconds", "10000000")  # fmt: skip
_TAIL = 1500
_FOLLOWS_SECONDS = 5.0
"""So long after its list of jobs a contender has begun to list runs, if it does."""


class StageError(Exception):
    """The contender ended, or the stage did not come to rest; nothing more can be measured on it."""


class NeverAtRest(StageError):
    """The contender did not come to rest with so many resources, so nothing that begins at rest can be measured."""


class Stage:
    """Use as a context manager. The service waits `latency_ms` before every answer; a rest is looked at for `window`
    seconds, and longer with many resources."""

    def __init__(self, contender: str, cores: Cores, *, latency_ms: float, window: float) -> None:
        self.cores = cores
        self.window = window
        self.profile: Path | None = None
        """Where samples of what is measured go, if they are wanted."""
        self.folder = Path(tempfile.mkdtemp(prefix="dispersed-bench-"))
        self.plane = ControlPlane(self.folder / "plane", audit_log=True)
        options = ("--latency-ms", str(latency_ms), *_TIMING)
        self.simulator = SimulatorService(self.folder / "simulator", options=options)
        self._contender = contender
        self._last = 0
        self._exit = ExitStack()

    # --- life

    def __enter__(self) -> Stage:
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, self.folder)
            undo.callback(self.plane.stop)
            self.plane.start(apply_before_controllers=sorted((ROOT / "crds").glob("*.yaml")))
            self.plane.apply(ROOT / "manifests" / "base")
            self.simulator.start()
            undo.callback(self.simulator.stop)
            self.control = undo.enter_context(ControlClient(self.simulator.base_url, timeout_seconds=120.0))
            self.cluster = Cluster(self.plane)
            self.cluster.prepare(self.simulator.base_url)
            self.tail = undo.enter_context(closing(audit.AuditTail(self.plane.audit_log_file)))
            self.contender = self.make_contender()
            undo.callback(self._end)
            self.start_contender()
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.__exit__(kind, error, trace)

    def make_contender(self, name: str | None = None, flags: tuple[str, ...] = ()) -> Contender:
        """The contender; under another name and with flags, a replica of the operator."""
        cores = self.cores.contender
        if self._contender == OPERATOR:
            return Ours(self.plane, self.folder / (name or OPERATOR), cores, name=name or OPERATOR, flags=flags)
        return Rival(self.plane, self.folder, cores, name=self._contender, base_url=self.simulator.base_url)

    def start_contender(self) -> float:
        """Start it and wait until it works: the operator says so, a rival has begun to watch. The moment of the
        start."""
        self.forget()
        begun = time.time()
        self.contender.start()
        self.wait(self._works, what="it works", seconds=120)
        return begun

    def _works(self) -> bool:
        if isinstance(self.contender, Ours):
            return self.contender.service.ready() and self.cluster.account_ready()
        return any(
            request.verb == "watch" and request.kind == "dispersedjobs" and request.user == self.contender.user
            for request in self.tail.read()
        )

    def _end(self) -> None:
        if self.contender.running:
            self.contender.stop()

    # --- waiting

    def wait(self, check: Callable[[], bool], *, what: str, seconds: float, every: float = 0.2) -> None:
        """Raises StageError if it does not come true in time."""
        if not self.wait_for(check, seconds=seconds, every=every):
            raise StageError(f"in {seconds:.0f} s it did not come true that {what}")

    def wait_for(self, check: Callable[[], bool], *, seconds: float, every: float = 0.2) -> bool:
        """Whether it came true in time. Raises StageError when the contender has ended."""
        deadline = time.monotonic() + seconds
        while not check():
            self.check_running()
            if time.monotonic() > deadline:
                return False
            time.sleep(every)
        return True

    def check_running(self) -> None:
        """Raises StageError when the contender has ended."""
        if not self.contender.running:
            raise StageError(f"{self.contender.name} ended\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The end of its log."""
        logs = [self.folder / f"{self.contender.name}.log", self.folder / OPERATOR / f"{self.contender.name}.log"]
        return "".join(path.read_text()[-_TAIL:] for path in logs if path.exists())

    # --- resources

    def new_names(self, count: int) -> list[str]:
        """Names that were never used."""
        first = self._last + 1
        self._last += count
        return [f"job-{number:05}" for number in range(first, self._last + 1)]

    def live(self) -> dict[str, str]:
        """The uuid of each live job by the name of its resource; those that are being cancelled are left out."""
        rows = self.control.jobs(live=True, summary=True)
        return {name_of(row): row["uuid"] for row in rows if row["status"] != "CANCELLING"}

    def received(self) -> dict[str, float]:
        """The moment at which the service received the first create of each resource."""
        found: dict[str, float] = {}
        for row in self.control.jobs(summary=True):
            moment = row["created_at_ms"] / 1000
            found[name_of(row)] = min(moment, found.get(name_of(row), moment))
        return found

    def ensure(self, size: int) -> dict[str, str]:
        """So many resources whose jobs run, and no others; name to uuid. Raises NeverAtRest."""
        over = [name for name, status in self.cluster.jobs().items() if status.get("phase") in ENDED_PHASES]
        self.cluster.delete(over)
        missing = size - len(self.live())
        if missing > 0:
            self.cluster.create(self.new_names(missing))
        if not self.wait_for(lambda: self.at_rest(size), seconds=patience(size), every=pace(size)):
            raise NeverAtRest(f"in {patience(size):.0f} s not all of {size} jobs came to run")
        return self.live()

    def at_rest(self, at_least: int) -> bool:
        """Whether all resources say that their jobs run, and there are enough of them."""
        if self.control.health()["live_jobs"] < at_least:
            return False
        phases = [status.get("phase") for status in self.cluster.jobs().values()]
        return len(phases) >= at_least and set(phases) == {"Running"}

    def wait_polled(self, live: Collection[str], *, since: float, seconds: float) -> bool:
        """Wait until the contender has asked about all these jobs since a moment, and what that led to is done;
        whether it has in time."""

        def polled() -> bool:
            return first_full_poll(self.requests("GET"), live, start=since) is not None

        every = 1 + len(live) / 1000  # each look is one at the whole request log
        if not self.wait_for(polled, seconds=seconds, every=every):
            return False
        time.sleep(_FOLLOWS_SECONDS)
        return self.wait_for(polled, seconds=seconds, every=every)

    # --- meters

    def cpu(self) -> float:
        """CPU seconds of the contender so far."""
        self.check_running()
        return meters.cpu_seconds(self.contender.pid)

    def sampled(self) -> AbstractContextManager[None]:
        """Around what is measured, and nothing else."""
        return profiles.record(self.contender.pid, self.profile)

    def calls(self) -> int:
        """How many signed requests the service has accepted so far."""
        return int(self.control.health()["nonces"])

    def forget(self) -> None:
        """What was written and asked until now does not count."""
        self.tail.read()
        self.control.clear_requests()

    def writes(self) -> list[audit.Request]:
        """What the contender wrote to DispersedJobs since the last look."""
        return audit.writes(self.tail.read(), user=self.contender.user)

    def requests(self, method: str | None = None) -> list[Row]:
        """The request log since `forget`; it keeps the newest 50,000."""
        return self.control.requests(method=method)


def name_of(job: Row) -> str:
    """The resource of a job: the last word of its title."""
    return str(job["title"]).rsplit(" ", 1)[-1]


def names_of(jobs: Iterable[Row]) -> list[str]:
    """The resources of jobs, one for each job."""
    return [name_of(job) for job in jobs]


def patience(size: int) -> float:
    """How long a cell waits for so many resources."""
    return 120 + 0.09 * size


def pace(size: int) -> float:
    """Time between two looks, so that looking is cheap beside what is looked at."""
    return 0.2 + size / 2000
