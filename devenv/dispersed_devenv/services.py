"""The simulator and the operator as local processes beside the control plane.

The operator runs with exactly the service account that `manifests/base` grants it, so its rights are really enforced.
"""

import os
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from dispersed_devenv import processes
from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.ports import free_port, is_free
from dispersed_devenv.processes import Command, Process

OPERATOR_NAMESPACE = "dispersed-system"
OPERATOR_ACCOUNT = "dispersed-operator"
PUBLIC_KEY = "pk_sim_demo"
SECRET_KEY = "sk_sim_demo"  # noqa: S105 - the simulator's published demo key
START_SECONDS = 60.0
STOP_SECONDS = 90.0
TOKEN_LIFETIME = timedelta(hours=1)


class SimulatorService:
    """The simulator on a port of its own; started again in the same folder it keeps port and state."""

    def __init__(self, folder: Path, *, options: Sequence[str] = (), dies_with_parent: bool = True) -> None:
        self.folder = folder
        self._options = tuple(options)
        self._dies_with_parent = dies_with_parent
        self._process: Process | None = None

    @property
    def log(self) -> Path:
        return self.folder / "simulator.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / "simulator.pid"

    @property
    def base_url(self) -> str:
        return self._url_file.read_text().strip()

    @property
    def _url_file(self) -> Path:
        return self.folder / "simulator-url"

    @property
    def pid(self) -> int | None:
        """The running process, whoever started it."""
        found = processes.recorded_process(self.pid_file)
        return None if found is None else found.pid

    def start(self) -> None:
        """Start and wait until it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        url, port = self._url_file, self._obtain_port()
        url.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "dispersed_simulator.cli", "--port", str(port), "--port-file", str(url)]
        argv += ["--state-file", str(self.folder / "simulator-state.json"), *self._options]
        command = Command(
            "simulator", argv, log=self.log, pid_file=self.pid_file, dies_with_parent=self._dies_with_parent
        )
        self._process = processes.start(command)
        self._process.wait_until(url.exists, what="listening", seconds=START_SECONDS)

    def stop(self) -> None:
        """End it, also if another process started it; its state stays."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        else:
            processes.stop_recorded(self.pid_file)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _obtain_port(self) -> int:
        """The port of the last run if it is free, so that accounts that name it stay good; else a new one."""
        if self._url_file.exists():
            kept = int(self.base_url.rsplit(":", 1)[1])
            if is_free(kept):
                return kept
        return free_port()


class OperatorService:
    """The operator as a process. `flags` are further command-line flags; `name` tells two of them apart.

    Its kubeconfig holds a bound token of its service account, which stands in `namespace`, good for `token_lifetime`
    and never renewed.
    """

    def __init__(
        self,
        plane: ControlPlane,
        folder: Path,
        *,
        name: str = "operator",
        flags: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        dies_with_parent: bool = True,
        token_lifetime: timedelta = TOKEN_LIFETIME,
        namespace: str = OPERATOR_NAMESPACE,
    ) -> None:
        self._plane = plane
        self.folder = folder
        self.name = name
        self._flags = tuple(flags)
        self._environ = dict(environ or {})
        self._dies_with_parent = dies_with_parent
        self._token_lifetime = token_lifetime
        self._namespace = namespace
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
    def pid(self) -> int | None:
        """The running process, whoever started it."""
        found = processes.recorded_process(self.pid_file)
        return None if found is None else found.pid

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
        token = self._plane.service_account_token(self._namespace, OPERATOR_ACCOUNT, self._token_lifetime)
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

    def stop_recorded(self) -> bool:
        """End it in an orderly way, whoever started it; False if it was not running."""
        self._process = None
        return processes.stop_recorded(self.pid_file, STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self._process = None
