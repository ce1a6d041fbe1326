"""The processes: control plane, simulator, and two operators, each of which may be killed at any moment.

Everything is real and on loopback. The arena keeps what a killed simulator would forget: the rows of its request log
are collected before they can be lost, under the ids that the simulator gave them.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.services import OperatorService, SimulatorService
from dispersed_simulator.control_client import ControlClient
from tests.chaos_real.cluster import Cluster
from tests.chaos_real.evidence import Evidence, job_of, post_of, resource_of
from tests.chaos_real.witness import Witness

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent.parent
QUICK_WORLD = ("--assign-seconds", "0.3", "--accept-seconds", "0.1", "--prepare-seconds", "0.3", "--endpoints-seconds",
               "0.3", "--cancel-seconds", "0.3", "--run-seconds", "2", "--no-endpoints")  # fmt: skip
# The clock of the simulator is stepped by hours in a run; how far it is from ours is not what is tested here.
OPERATOR_FLAGS = ("--max-clock-offset-seconds", "10000000", "--sweep-seconds", "3", "--orphan-policy", "cancel")
POLL_SECONDS = 0.02
MOST_ENDS = 8


class SteadyPlane(ControlPlane):
    """A control plane that gives one token for the whole run, so that an operator can start while there is no API
    server to ask for one."""

    _token: str | None = None

    def service_account_token(self, namespace: str, name: str, duration: timedelta = timedelta(hours=12)) -> str:
        if self._token is None:
            self._token = super().service_account_token(namespace, name, max(duration, timedelta(hours=12)))
        return self._token


class StuckError(Exception):
    """Something did not come true in its time; `what` says what."""


class Arena:
    """Use as a context manager."""

    def __init__(self, *, operators: int = 2) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="dispersed-chaos-"))
        self.plane = SteadyPlane(self._folder / "plane")
        self.simulator = SimulatorService(self._folder / "simulator", options=QUICK_WORLD)
        names = [f"operator-{number}" for number in range(1, operators + 1)]
        self.operators = {
            name: OperatorService(
                self.plane, self._folder / name, name=name, flags=("--holder", name, *OPERATOR_FLAGS)
            )
            for name in names
        }  # fmt: skip
        self.paused: set[str] = set()
        self.ended_by_themselves: Counter[str] = Counter()
        self.rows: dict[str, dict[str, Any]] = {}
        self.lost_log: set[str] = set()
        self._expected: set[str] = set()
        self._boots = 0

    # --- life
    # ---------------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Arena:
        try:
            self.plane.start(apply_before_controllers=sorted((ROOT / "crds").glob("*.yaml")))
            self.plane.apply(ROOT / "manifests" / "base")
            self.start_simulator()
            self.cluster = Cluster(self.plane, "chaos")
            self.cluster.prepare(self.simulator.base_url)
            self.cluster_id = self.cluster.cluster_id()
            self.witness = Witness(self.plane, self.cluster.jobs_path, self.simulator.base_url).__enter__()
        except BaseException:
            self.plane.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resume_all()
        for name in self.operators:
            self.kill_operator(name)
        self.witness.__exit__(kind, error, trace)
        self.cluster.close()
        self.control.close()
        self.simulator.stop()
        self.plane.stop()
        shutil.rmtree(self._folder)

    # --- operators
    # ----------------------------------------------------------------------------------------------------------

    def alive(self) -> list[str]:
        """The operators that run; one that ended by itself is counted and is not among them."""
        for name in sorted(self._expected):
            if not self.operators[name].running:
                status = self.operators[name].process.returncode
                self.ended_by_themselves[f"status {status}"] += 1
                self._expected.discard(name)
                self.paused.discard(name)
        return sorted(self._expected)

    def start_operators(self, *, wait: bool = False) -> None:
        """Start those that do not run."""
        running = self.alive()
        for name, service in self.operators.items():
            if name not in running:
                service.start(wait=False)
                self._expected.add(name)
        if wait:
            for name in self.operators:
                self.wait_for(lambda name=name: self._ready(name), what=f"{name} is ready", seconds=90)  # type: ignore[misc]

    def _ready(self, name: str) -> bool:
        """Whether it is ready; one that ended by itself is started again, as a kubelet would."""
        if name not in self.alive():
            if self.ended_by_themselves.total() >= MOST_ENDS:
                tail = self.operators[name].log.read_text()[-2000:]
                raise StuckError(f"operators ended by themselves {MOST_ENDS} times, the last with {tail}")
            self.start_operators()
        return self.operators[name].ready()

    def kill_operator(self, name: str) -> int:
        """SIGKILL; 1, or 0 if it did not run."""
        if name not in self.alive():
            return 0
        self.operators[name].kill()
        self._expected.discard(name)
        self.paused.discard(name)
        return 1

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        self.operators[name].process.send_signal(signal.SIGSTOP)
        self.paused.add(name)

    def resume_all(self) -> None:
        """SIGCONT to all that are paused."""
        for name in sorted(self.paused):
            self.operators[name].process.send_signal(signal.SIGCONT)
        self.paused.clear()

    # --- simulator
    # ----------------------------------------------------------------------------------------------------------

    def start_simulator(self) -> None:
        """Start it (again) on its port, with its state."""
        self.simulator.start()
        self._boots += 1
        self.control = ControlClient(self.simulator.base_url)

    def kill_simulator(self) -> None:
        """SIGKILL. What it logged since the last look is lost, which `lost_log` remembers."""
        self.collect()
        self.simulator.kill()
        self.control.close()
        self.lost_log.add(str(self._boots))

    def collect(self) -> None:
        """Keep the request log as it is now."""
        for row in self.control.requests():
            self.rows[row["id"]] = row

    def posts(self) -> int:
        """How many creates have reached the running simulator."""
        return len(self.control.requests(method="POST", path="/v1/jobs"))

    def now_ms(self) -> int:
        """The simulated time."""
        return int(self.control.clock()["now_ms"])

    def forget_everything(self) -> None:
        """A service without any past. Only while no operator runs, and no resource is left."""
        self.control.reset()
        self.control.set_clock(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        self.rows.clear()
        self.lost_log.clear()
        for service in self.operators.values():
            service.log.unlink(missing_ok=True)

    # --- looks
    # --------------------------------------------------------------------------------------------------------------

    def evidence(self, *, strangers: frozenset[str], asked_again: Mapping[str, int] | None = None) -> Evidence:
        """Everything as it is now."""
        resources = tuple(resource_of(body) for body in self.cluster.jobs())
        jobs = tuple(job_of(row) for row in self.control.jobs(summary=True))
        self.collect()
        creates = (row for row in self.rows.values() if row["method"] == "POST" and row["path"] == "/v1/jobs")
        return Evidence(
            self.cluster_id, resources, jobs, tuple(post_of(row) for row in creates), strangers,
            asked_again or {},
            frozenset(self.lost_log),
        )  # fmt: skip

    def wait_for(self, check: Callable[[], T | None], *, what: str, seconds: float) -> T:
        """Ask until the answer is neither None nor False. Raises `StuckError`."""
        found = self.watch_for(check, seconds=seconds)
        if found is None:
            raise StuckError(f"in {seconds:.0f} s it did not come true that {what}")
        return found

    def watch_for(self, check: Callable[[], T | None], *, seconds: float) -> T | None:
        """The same, None when the time is up."""
        deadline = time.monotonic() + seconds
        while True:
            found = check()
            if found is not None and found is not False:
                return found
            if time.monotonic() > deadline:
                return None
            time.sleep(POLL_SECONDS)
