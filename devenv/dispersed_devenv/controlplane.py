"""A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager, and kubectl.

There is no kubelet and no scheduler: Deployments are stored but not run. Invariants: the API server is stopped
before etcd (without etcd it would hold its port for a long time), and its port, certificate and tokens stay the
same over every restart in the same folder, so that clients only see an outage.
"""

import http.client
import os
import ssl
import subprocess
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import psutil

from dispersed_devenv import arguments, identity, kubeconfig, processes
from dispersed_devenv.binaries import Binaries, find_or_build
from dispersed_devenv.files import write_private
from dispersed_devenv.ports import LOOPBACK
from dispersed_devenv.processes import Command, Process

ETCD = "etcd"
APISERVER = "kube-apiserver"
CONTROLLERS = "kube-controller-manager"
STOP_ORDER = (CONTROLLERS, APISERVER, ETCD)
_START_SECONDS = 90.0
_HTTP_SECONDS = 5.0


class KubectlError(Exception):
    """kubectl ended with an error; its own words are the text."""

    def __init__(self, arguments: tuple[str, ...], status: int, stderr: str) -> None:
        self.status = status
        self.stderr = stderr
        super().__init__(f"kubectl {' '.join(arguments)}: status {status}: {stderr.strip()}")


class AlreadyRunningError(Exception):
    """Processes of this folder's control plane are running; two of them would destroy each other's data."""


class NotStartedError(Exception):
    """The control plane of this folder has never been started, or is not owned by this object."""


class ControlPlane:
    """The control plane whose data, logs and credentials live in `folder`.

    `binaries` are found or built at the start if they are not given. With `dies_with_parent` (Linux) the processes
    end when this process does, for whatever reason; without it they live until `stop`, also of another object with
    the same folder. `audit_log` records every request to `audit_log_file`, one JSON object a line; `audit_bodies`
    with what was sent, Secrets included.
    """

    def __init__(
        self,
        folder: Path,
        *,
        binaries: Binaries | None = None,
        dies_with_parent: bool = True,
        audit_log: bool = False,
        audit_bodies: bool = False,
    ) -> None:
        self._layout = arguments.Layout(folder.resolve())
        self._binaries = binaries
        self._dies_with_parent = dies_with_parent
        self._audit_log = audit_log or audit_bodies
        self._audit_level = "Request" if audit_bodies else "Metadata"
        self._children: dict[str, Process] = {}

    @property
    def folder(self) -> Path:
        return self._layout.folder

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig (group system:masters)."""
        return self._layout.kubeconfig

    @property
    def ca_file(self) -> Path:
        """PEM file by which clients verify the API server."""
        return self._layout.ca_file

    @property
    def audit_log_file(self) -> Path:
        return self._layout.audit_log

    @property
    def admin_token(self) -> str:
        return self._identity().admin_token

    @property
    def base_url(self) -> str:
        return f"https://{LOOPBACK}:{self._identity().apiserver_port}"

    @property
    def binaries(self) -> Binaries:
        """The programs; found or built when first asked for. Raises `NoControlPlaneError`."""
        if self._binaries is None:
            self._binaries = find_or_build()
        return self._binaries

    def log_file(self, name: str) -> Path:
        """The log of one of `STOP_ORDER`."""
        return self._layout.log(name)

    def pids(self) -> dict[str, int]:
        """Running processes by name, whoever started them."""
        found = {name: processes.recorded_process(self._layout.pid_file(name)) for name in STOP_ORDER}
        return {name: process.pid for name, process in found.items() if process is not None}

    def resident_bytes(self) -> dict[str, int]:
        """Resident memory of each running process."""
        return {name: psutil.Process(pid).memory_info().rss for name, pid in self.pids().items()}

    def start(
        self, *, apply_before_controllers: Iterable[Path] = (), start_controller_manager: bool = True
    ) -> "ControlPlane":
        """Start everything and wait until it serves. Data of an earlier run in the same folder is kept.

        `apply_before_controllers` are manifests (files, folders, kustomizations) that exist, and CRDs that are
        established, before the controller manager starts: only then does garbage collection know their kinds at
        once, and not after its next look at the API, up to 30 s later.

        Raises `AlreadyRunningError`, `NoControlPlaneError`, `ProcessError` (nothing is left running), `KubectlError`.
        """
        running = self.pids()
        if running:
            raise AlreadyRunningError(f"{', '.join(running)} of {self.folder} already running")
        _ = self.binaries
        self._prepare()
        try:
            self._start_etcd()
            self.start_apiserver()
            self.apply(*apply_before_controllers)
            if start_controller_manager:
                self.start_controller_manager()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all processes of this folder, the API server before etcd. Harmless when nothing runs. Data stays."""
        for name in STOP_ORDER:
            child = self._children.pop(name, None)
            if child is not None:
                child.stop()
            else:
                processes.stop_recorded(self._layout.pid_file(name))

    def kill_apiserver(self) -> None:
        """SIGKILL to the API server: clients see broken connections, then refused ones."""
        self._owned(APISERVER).kill()
        del self._children[APISERVER]

    def start_apiserver(self) -> None:
        """Start the API server (again) on its port and wait until it is ready to serve."""
        options = arguments.apiserver_arguments(self._layout, self._identity(), audit_log=self._audit_log)
        server = self._launch(APISERVER, self.binaries.kube_apiserver, options)
        server.wait_until(self._serves, what="ready", seconds=_START_SECONDS)

    def restart_apiserver(self) -> None:
        """Stop the API server in an orderly way and start it again."""
        self._owned(APISERVER).stop()
        del self._children[APISERVER]
        self.start_apiserver()

    def start_controller_manager(self) -> None:
        """Start garbage collection, namespace deletion and the service-account controllers."""
        options = arguments.controller_manager_arguments(self._layout, self._identity())
        manager = self._launch(CONTROLLERS, self.binaries.kube_controller_manager, options)
        manager.wait_until(self._controllers_work, what="at work", seconds=_START_SECONDS)

    def apply(self, *paths: Path) -> None:
        """kubectl apply, server-side, and wait until every CRD is established. Raises `KubectlError`."""
        for path in paths:
            flag = "-k" if (path / "kustomization.yaml").is_file() else "-f"
            self.kubectl("apply", "--server-side", "--force-conflicts", flag, str(path))
        if paths and self.kubectl("get", "crd", "-o", "name"):
            self.kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")

    def kubectl(self, *arguments: str, input: str | None = None, kubeconfig: Path | None = None) -> str:  # noqa: A002
        """Run kubectl as the administrator, or as the user of another kubeconfig; its standard output.

        `input` is its standard input (use with `-f -`). Raises `KubectlError` with its standard error.
        """
        answer = subprocess.run(
            [str(self.binaries.kubectl), *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            check=False,
            env=self.kubectl_environment(kubeconfig),
        )
        if answer.returncode != 0:
            raise KubectlError(arguments, answer.returncode, answer.stderr)
        return answer.stdout

    def kubectl_environment(self, kubeconfig: Path | None = None) -> dict[str, str]:
        """An environment in which a kubectl talks to this control plane, the user's own preferences set aside."""
        return {
            **os.environ,
            "KUBECONFIG": str(kubeconfig or self.kubeconfig),
            "KUBECACHEDIR": str(self.folder / "kubectl-cache"),
            "KUBERC": "off",
        }

    def write_kubeconfig(self, path: Path, *, token: str | None = None, namespace: str = "default") -> Path:
        """Write a kubeconfig for a bearer token (default: the administrator's) and give its path back."""
        return kubeconfig.write_kubeconfig(
            path, server=self.base_url, ca_file=self.ca_file, token=token or self.admin_token, namespace=namespace
        )

    def service_account_token(self, namespace: str, name: str, duration: timedelta = timedelta(hours=1)) -> str:
        """A bound token of an existing service account (TokenRequest). The API server refuses less than 10 minutes."""
        seconds = int(duration.total_seconds())
        return self.kubectl("create", "token", name, f"--namespace={namespace}", f"--duration={seconds}s").strip()

    def _prepare(self) -> None:
        for folder in (self.folder, self._layout.etcd_data, self._layout.pki):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = identity.obtain_identity(self._layout.identity)
        if not self._layout.service_account_key.exists():
            write_private(self._layout.service_account_key, identity.new_service_account_key())
        write_private(self._layout.tokens, f'{known.admin_token},admin,admin,"system:masters"\n')
        self._layout.audit_policy.write_text(arguments.AUDIT_POLICY.format(level=self._audit_level))
        self.write_kubeconfig(self.kubeconfig)

    def _start_etcd(self) -> None:
        known = self._identity()
        etcd = self._launch(ETCD, self.binaries.etcd, arguments.etcd_arguments(self._layout, known))

        def healthy() -> bool:
            return _get(http.client.HTTPConnection(LOOPBACK, known.etcd_client_port, timeout=_HTTP_SECONDS), "/health")

        etcd.wait_until(healthy, what="healthy", seconds=_START_SECONDS)

    def _serves(self) -> bool:
        """Ready, and its own start work is done as far as a client can notice: `default` exists."""
        return all(self._answers(path) for path in ("/readyz", "/api/v1/namespaces/default"))

    def _answers(self, path: str) -> bool:
        trust = _trust(self.ca_file)
        if trust is None:
            return False
        port = self._identity().apiserver_port
        connection = http.client.HTTPSConnection(LOOPBACK, port, timeout=_HTTP_SECONDS, context=trust)
        return _get(connection, path, {"Authorization": f"Bearer {self.admin_token}"})

    def _controllers_work(self) -> bool:
        """Healthy, and one of them has shown it: it makes a service account in every namespace."""
        trust = _trust(self._layout.pki / "kube-controller-manager.crt")
        if trust is None:
            return False
        port = self._identity().controllers_port
        manager = http.client.HTTPSConnection(LOOPBACK, port, timeout=_HTTP_SECONDS, context=trust)
        return _get(manager, "/healthz") and self._answers("/api/v1/namespaces/default/serviceaccounts/default")

    def _launch(self, name: str, program: Path, options: list[str]) -> Process:
        command = Command(
            name=name,
            argv=[str(program), *options],
            log=self._layout.log(name),
            pid_file=self._layout.pid_file(name),
            cwd=self.folder,
            dies_with_parent=self._dies_with_parent,
        )
        self._children[name] = processes.start(command)
        return self._children[name]

    def _owned(self, name: str) -> Process:
        child = self._children.get(name)
        if child is None:
            raise NotStartedError(f"{name} of {self.folder} was not started by this object")
        return child

    def _identity(self) -> identity.Identity:
        known = identity.load_identity(self._layout.identity)
        if known is None:
            raise NotStartedError(f"no control plane has been started in {self.folder}")
        return known


def _trust(certificate: Path) -> ssl.SSLContext | None:
    """Trust in a certificate that a server writes when it starts; None while it is not there or not complete."""
    if not certificate.is_file():
        return None
    try:
        return ssl.create_default_context(cafile=str(certificate))
    except ssl.SSLError:
        return None


def _get(connection: http.client.HTTPConnection, path: str, headers: dict[str, str] | None = None) -> bool:
    """Whether a GET is answered with 200. A server that is not there yet, or not yet whole, says no."""
    try:
        connection.request("GET", path, headers=headers or {})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
