"""The three that are compared, as processes on a core of their own."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from benchmarks import meters
from benchmarks.cluster import NAMESPACE, RIVAL
from dispersed_devenv import processes
from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.processes import Command, Process
from dispersed_devenv.services import OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, PUBLIC_KEY, SECRET_KEY, OperatorService

ROOT = Path(__file__).resolve().parent.parent
OPERATOR, TEXTBOOK, LOOP = "operator", "textbook", "loop"
CONTENDERS = (OPERATOR, TEXTBOOK, LOOP)
_TOKEN = timedelta(hours=24)
_STOP_SECONDS = 30.0
_PROGRAMS = {
    TEXTBOOK: ("-m", "kopf", "run", "--standalone", "--namespace", NAMESPACE, "-m", "benchmarks.rivals.textbook"),
    LOOP: ("-m", "benchmarks.rivals.loop"),
}


class Contender(Protocol):
    """One of the three."""

    name: str
    user: str
    """As the API server's audit log calls it."""

    @property
    def pid(self) -> int:
        """Of the running process."""

    @property
    def running(self) -> bool:
        """Whether it has not ended."""

    def start(self) -> None:
        """Start without waiting for more than the process."""

    def stop(self) -> None:
        """The orderly end."""


class Ours:
    """The operator with the rights of `manifests/base` and its default settings."""

    def __init__(
        self,
        plane: ControlPlane,
        folder: Path,
        cores: frozenset[int],
        *,
        name: str = OPERATOR,
        flags: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.user = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_ACCOUNT}"
        self.service = OperatorService(
            plane, folder, name=name, flags=("--holder", name, *flags), token_lifetime=_TOKEN
        )
        self._cores = cores

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self.service.process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.service.running

    @property
    def leads(self) -> bool:
        """Whether it holds the Lease."""
        return self.service.ready() and "dispersed_operator_leading 1.0" in self.service.metrics()

    def start(self) -> None:
        """Start without waiting for more than the process."""
        self.service.start(wait=False)
        meters.pin(self.pid, self._cores)

    def stop(self) -> None:
        """The orderly end."""
        self.service.stop()


class Rival:
    """A program of `rivals/` with the rights of a cluster administrator."""

    def __init__(self, plane: ControlPlane, folder: Path, cores: frozenset[int], *, name: str, base_url: str) -> None:
        self.name = name
        self.user = f"system:serviceaccount:{NAMESPACE}:{RIVAL}"
        token = plane.service_account_token(NAMESPACE, RIVAL, _TOKEN)
        kubeconfig = plane.write_kubeconfig(folder / f"{name}.kubeconfig", token=token)
        self._command = Command(
            name,
            [sys.executable, *_PROGRAMS[name]],
            log=folder / f"{name}.log",
            env={
                **os.environ, "KUBECONFIG": str(kubeconfig), "NAMESPACE": NAMESPACE, "REMOTE_URL": base_url,
                "REMOTE_PUBLIC_KEY": PUBLIC_KEY, "REMOTE_SECRET_KEY": SECRET_KEY, "PYTHONPATH": str(ROOT),
            },
        )  # fmt: skip
        self._cores = cores
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start without waiting for more than the process."""
        self._process = processes.start(self._command)
        meters.pin(self.pid, self._cores)

    def stop(self) -> None:
        """The orderly end."""
        if self._process is not None:
            self._process.stop(_STOP_SECONDS)
            self._process = None
