"""The whole environment in one folder: control plane, simulator, operator, and a namespace that is ready for jobs.

It serves `demo` and `up`. Invariants: the parts start in the order in which they need each other and stop in the
opposite one, the operator first, so that it ends in an orderly way while both of its APIs still answer; every part is
found again by its pid file, so that another process can end what this one started; a start that fails leaves
nothing running.
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import yaml

from dispersed_devenv.binaries import Binaries
from dispersed_devenv.controlplane import STOP_ORDER, ControlPlane
from dispersed_devenv.services import PUBLIC_KEY, SECRET_KEY, TOKEN_LIFETIME, OperatorService, SimulatorService

REPOSITORY = Path(__file__).resolve().parent.parent.parent
BASE = REPOSITORY / "manifests" / "base"
NAMESPACE = "demo"
SECRET_NAME = "dispersed-api-key"  # noqa: S105 - the name of an object
SIMULATOR = "dispersed-simulator"
OPERATOR = "dispersed-operator"

Step = Callable[[str], AbstractContextManager[object]]


class PartlyRunningError(Exception):
    """Some processes of the control plane run and some do not; only a `down` makes a clean start possible."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the environment; `pid` None means that it does not run."""

    name: str
    pid: int | None
    log: Path


def _silent(text: str) -> AbstractContextManager[object]:
    del text
    return nullcontext()


class Environment:
    """Everything that a DispersedJob needs, in `folder`.

    The operator is a local process with the rights that `manifests/base` grants it. With `dies_with_parent` (Linux)
    all processes end with this one; without it they live until `stop`, also of another object with the same folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        dies_with_parent: bool = True,
        binaries: Binaries | None = None,
        simulator_options: Sequence[str] = (),
        operator_flags: Sequence[str] = (),
        token_lifetime: timedelta = TOKEN_LIFETIME,
        audit_log: bool = False,
    ) -> None:
        self.folder = folder.resolve()
        self.plane = ControlPlane(
            self.folder, binaries=binaries, dies_with_parent=dies_with_parent, audit_log=audit_log
        )
        self.simulator = SimulatorService(
            self.folder / "simulator", options=simulator_options, dies_with_parent=dies_with_parent
        )
        self.operator = OperatorService(
            self.plane,
            self.folder / "operator",
            flags=operator_flags,
            dies_with_parent=dies_with_parent,
            token_lifetime=token_lifetime,
        )

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig with the namespace `demo` as its default."""
        return self.folder / "demo.kubeconfig"

    def parts(self) -> list[Part]:
        """All processes, in the order of their start."""
        pids = self.plane.pids()
        return [
            *(Part(name, pids.get(name), self.plane.log_file(name)) for name in reversed(STOP_ORDER)),
            Part(SIMULATOR, self.simulator.pid, self.simulator.log),
            Part(OPERATOR, self.operator.pid, self.operator.log),
        ]

    def complete(self) -> bool:
        """Whether every part runs."""
        return all(part.pid is not None for part in self.parts())

    def start(self, step: Step = _silent) -> None:
        """Start what does not run yet; `step` is entered around every part of it with a text for people.

        Raises `PartlyRunningError` if half a control plane runs, and what the parts raise; then nothing that this
        call started is left running.
        """
        running = self.plane.pids()
        if running and len(running) < len(STOP_ORDER):
            missing = ", ".join(name for name in STOP_ORDER if name not in running)
            raise PartlyRunningError(f"in {self.folder} runs half a control plane: {missing} is missing; end it first")
        started: list[Callable[[], object]] = []
        try:
            if not running:
                with step("etcd, kube-apiserver, kube-controller-manager, and manifests/base applied"):
                    started.append(self.plane.stop)
                    self.plane.start(apply_before_controllers=[BASE])
            else:
                self.plane.apply(BASE)
            if self.simulator.pid is None:
                with step("the simulator of the remote service"):
                    started.append(self.simulator.stop)
                    self.simulator.start()
            if self.operator.pid is None:
                with step("the operator, with the service account of manifests/base"):
                    started.append(self._stop_operator)
                    self.operator.start()
            self._open_namespace()
        except BaseException:
            for stop in reversed(started):
                stop()
            raise

    def stop(self) -> list[str]:
        """End everything, whoever started it: operator, simulator, control plane. The names of what was running."""
        running = [part.name for part in self.parts() if part.pid is not None]
        self._stop_operator()
        self.simulator.stop()
        self.plane.stop()
        return running

    def account_manifests(self) -> str:
        """An account `default` at the simulator and the Secret with its key pair, as YAML."""
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET_NAME},
            "stringData": {"publicKey": PUBLIC_KEY, "secretKey": SECRET_KEY},
        }
        account = {
            "apiVersion": "dispersed.dev/v1alpha1",
            "kind": "DispersedAccount",
            "metadata": {"name": "default"},
            "spec": {
                "baseURL": self.simulator.base_url,
                "credentialsSecretRef": {"name": SECRET_NAME},
                "polling": {"intervalSeconds": 5},
            },
        }
        return yaml.safe_dump_all([secret, account], sort_keys=False)

    def command_environment(self) -> dict[str, str]:
        """An environment in which `kubectl` and `dispersed-operator` work on this very place."""
        paths = [str(self.plane.binaries.folder), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        return {**self.plane.kubectl_environment(self.kubeconfig), "PATH": os.pathsep.join(paths)}

    def _stop_operator(self) -> None:
        if self.operator.running:
            self.operator.stop()
        else:
            self.operator.stop_recorded()

    def _open_namespace(self) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        self.plane.kubectl("apply", "-f", "-", input=yaml.safe_dump(namespace))
        self.plane.write_kubeconfig(self.kubeconfig, namespace=NAMESPACE)
