"""The simulator and the operator as local processes beside the control plane.

The operator runs with exactly the service account that `manifests/base` grants it, so its rights are really enforced.
"""

import os
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from dispersed_devenv import processes
from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.processes import Command, Process

OPERATOR_NAMESPACE = "dispersed-system"
OPERATOR_ACCOUNT = "dispersed-operator"
PUBLIC_KEY = "pk_sim_demo"
SECRET_KEY = "sk_sim_demo"  # noqa: S105 - the simulator's published demo key
START_SECONDS = 60.0
STOP_SECONDS = 90.0


class SimulatorService:
    """The simulator on a port of its own; started again in the same folder it keeps port and state."""

    def __init__(self, folder: Path, *, options: Sequence[str] = (), dies_with_parent: bool = True) -> None:
        self.folder = folder
        self._options = tuple(options)
        self._dies_with_parent = dies_with_parent
        self._port = 0
        self._process: Process | None = None

    @property
    def log(self) -> Path:
        return self.folder / "simulator.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / "simulator.pid"

    @property
    def base_url(self) -> str:
        return (self.folder / "simulator-url").read_text().strip()

    def start(self) -> None:
        """Start and wait until it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        url = self.folder / "simulator-url"
        if url.exists():
            self._port = int(url.read_text().strip().rsplit(":", 1)[1])
            url.unlink()
        argv = [sys.executable, "-m", "dispersed_simulator.cli", "--port", str(self._port), "--port-file", str(url)]
        argv += ["--state-file", str(self.folder / "simulator-state.json"), *self._options]
        command = Command(
            "simulator", argv, log=self.log, pid_file=self.pid_file, dies_with_parent=self._dies_with_parent
        )
        self._process = processes.start(command)
        self._process.wait_until(url.exists, what="listening", seconds=START_SECONDS)

    def stop(self) -> None:
        """End it; its state stays."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process = None


class OperatorService:
    """The operator as a process. `flags` are further command-line flags; `name` tells two of them apart."""

    def __init__(
        self,
        plane: ControlPlane,
        folder: Path,
        *,
        name: str = "operator",
        flags: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        dies_with_parent: bool = True,
    ) -> None:
        self._plane = plane
        self.folder = folder
        self.name = name
        self._flags = tuple(flags)
        self._environ = dict(environ or {})
        self._dies_with_parent = dies_with_parent
        self._process: Process | None = None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @property
    def health_url(self) -> str:
        return f"http://127.0.0.1:{self._port_file.read_text().strip()}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def process(self) -> Process:
        """The running process; raises RuntimeError if it was not started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process

    @property
    def _port_file(self) -> Path:
        return self.folder / f"{self.name}.port"

    def start(self, *, wait: bool = True) -> None:
        """Start, and wait until it is ready unless `wait` is false."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._port_file.unlink(missing_ok=True)
        token = self._plane.service_account_token(OPERATOR_NAMESPACE, OPERATOR_ACCOUNT)
        kubeconfig = self._plane.write_kubeconfig(self.folder / f"{self.name}.kubeconfig", token=token)
        argv = [sys.executable, "-m", "dispersed_operator", "run", "--kubeconfig", str(kubeconfig)]
        argv += ["--health-host", "127.0.0.1", "--health-port", "0", "--health-port-file", str(self._port_file)]
        command = Command(
            self.name,
            [*argv, *self._flags],
            log=self.log,
            pid_file=self.pid_file,
            env={**os.environ, **self._environ},
            dies_with_parent=self._dies_with_parent,
        )
        self._process = processes.start(command)
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until /readyz says yes."""
        self.process.wait_until(self.ready, what="ready", seconds=START_SECONDS)

    def ready(self) -> bool:
        """Whether /readyz answers 200 now."""
        try:
            with urllib.request.urlopen(f"{self.health_url}/readyz", timeout=2) as answer:  # noqa: S310 - loopback
                return bool(answer.status == 200)
        except (OSError, ValueError):
            return False

    def metrics(self) -> str:
        """The exposition of /metrics."""
        with urllib.request.urlopen(f"{self.health_url}/metrics", timeout=5) as answer:  # noqa: S310 - loopback
            text: bytes = answer.read()
        return text.decode()

    def stop(self) -> int:
        """SIGTERM and wait for the orderly end; the exit status."""
        status = self.process.stop(STOP_SECONDS)
        self._process = None
        return status

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self._process = None
