"""One test's world: a namespace, a simulator and operator processes on the shared control plane.

Everything is real: kubectl applies, the operator is a process with the service account of `manifests/base`, the
simulator is a process that checks signatures. A test ends by comparing the simulator's truth with the resources
(`check_truth`).
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import yaml

from dispersed_devenv.controlplane import ControlPlane, KubectlError
from dispersed_devenv.services import PUBLIC_KEY, SECRET_KEY, OperatorService, SimulatorService
from dispersed_simulator.control_client import ControlClient
from tests.support.stripping import OPERATOR_NAMESPACE, strip_namespace, strip_shared

T = TypeVar("T")
Body = dict[str, Any]
TERMINAL = {"COMPLETED", "FAILED", "CANCELLED"}
FAST = ("--assign-seconds", "0.3", "--accept-seconds", "0.1", "--prepare-seconds", "0.3", "--endpoints-seconds", "0.3",
        "--cancel-seconds", "0.3", "--run-seconds", "1")  # fmt: skip
PATIENT_CLOCK = ("--max-clock-offset-seconds", "1000000")
SECRET = "dispersed-api-key"


def wait_for(check: Callable[[], T | None], *, what: str, seconds: float = 60.0) -> T:
    """Ask until the answer is neither None nor False; raises AssertionError with `what` when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < deadline, f"in {seconds:.0f} s it did not come true that {what}"
        time.sleep(0.1)


class World:
    """Use as a context manager. `operator_flags` and `simulator_options` are further command-line arguments."""

    def __init__(
        self,
        plane: ControlPlane,
        folder: Path,
        namespace: str,
        *,
        operator_flags: Sequence[str] = PATIENT_CLOCK,
        simulator_options: Sequence[str] = FAST,
    ) -> None:
        self.plane = plane
        self.folder = folder
        self.namespace = namespace
        self.operator_flags = tuple(operator_flags)
        self.simulator = SimulatorService(folder / "simulator", options=simulator_options)
        self.operators: list[OperatorService] = []
        self.neighbours: list[World] = []
        self._control: ControlClient | None = None

    # --- processes
    # -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> World:
        self.simulator.start()
        self.kubectl("create", "namespace", self.namespace, namespaced=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as last:
            last.callback(self.simulator.stop)
            if self._control is not None:
                last.callback(self._control.close)
            for operator in self.operators:
                if operator.running:
                    operator.stop()
            for place in (self, *self.neighbours):
                strip_namespace(self.plane, place.namespace)
                strip_shared(self.plane, place.shared_secret)

    def start_operator(
        self, name: str = "operator", *, wait: bool = True, flags: Sequence[str] = ()
    ) -> OperatorService:
        """One more operator process with the world's flags and these."""
        operator = OperatorService(self.plane, self.folder / name, name=name, flags=[*self.operator_flags, *flags])
        self.operators.append(operator)
        operator.start(wait=wait)
        return operator

    def neighbour(self) -> World:
        """Another namespace of the same cluster, service and operators."""
        other = copy.copy(self)
        other._control = self.control  # one for all, closed with this world
        other.namespace = f"{self.namespace}-{len(self.neighbours) + 2}"
        other.kubectl("create", "namespace", other.namespace, namespaced=False)
        self.neighbours.append(other)
        return other

    @property
    def control(self) -> ControlClient:
        """The simulator's control surface."""
        if self._control is None:
            self._control = ControlClient(self.simulator.base_url)
        return self._control

    def kubectl(self, *arguments: str, body: Body | None = None, namespaced: bool = True) -> str:
        """kubectl as the administrator; `body` is given on standard input. Raises KubectlError."""
        scope = ("-n", self.namespace) if namespaced else ()
        return self.plane.kubectl(*scope, *arguments, input=None if body is None else yaml.safe_dump(body))

    # --- resources
    # -----------------------------------------------------------------------------------------------------

    def apply(self, body: Body) -> None:
        """kubectl apply."""
        self.kubectl("apply", "-f", "-", body=body)

    def add_account(
        self, name: str = "default", *, secret: str = SECRET, with_secret: bool = True, **spec: Any
    ) -> None:
        """An account at this world's simulator, and its Secret."""
        if with_secret:
            self.add_secret(secret)
        fields = {
            "baseURL": self.simulator.base_url,
            "credentialsSecretRef": {"name": secret},
            "polling": {"intervalSeconds": 5},
        }
        self.apply(_body("DispersedAccount", name, fields | spec))

    def add_shared_account(
        self, name: str = "default", *, with_secret: bool = True, allowed: Body | None = None, **spec: Any
    ) -> None:
        """A ClusterDispersedAccount at this world's simulator, and its Secret in the operator's namespace. `allowed`
        None: it allows this namespace by name. Its key pair is that of the service unless `add_shared_secret` says
        otherwise."""
        if with_secret:
            self.add_shared_secret()
        fields = {
            "baseURL": self.simulator.base_url,
            "credentialsSecretRef": {"name": self.shared_secret},
            "polling": {"intervalSeconds": 5},
            "allowedNamespaces": {"names": [self.namespace]} if allowed is None else allowed,
        }
        self.apply(_body("ClusterDispersedAccount", name, fields | spec))

    @property
    def shared_secret(self) -> str:
        """Name of the Secret of this world's shared accounts."""
        return f"key-of-{self.namespace}"

    def add_shared_secret(self, *, public: str = PUBLIC_KEY, secret: str | None = SECRET_KEY) -> None:
        """The Secret of this world's shared accounts; `secret` None leaves that key out."""
        data = {"publicKey": public} | ({} if secret is None else {"secretKey": secret})
        metadata = {"name": self.shared_secret, "namespace": OPERATOR_NAMESPACE}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}
        self.kubectl("apply", "-f", "-", body=body, namespaced=False)

    def nudge_shared_account(self, name: str = "default") -> None:
        """Any change of an account makes the operator check it now instead of in some seconds."""
        note = f"dispersed.dev/test-note={time.monotonic_ns()}"
        self.kubectl("annotate", "--overwrite", "clusterdispersedaccount", name, note, namespaced=False)

    def add_secret(self, name: str = SECRET, *, public: str = PUBLIC_KEY, secret: str = SECRET_KEY) -> None:
        """A Secret with a key pair (applied, so that it can be changed the same way)."""
        metadata = {"name": name}
        data = {"publicKey": public, "secretKey": secret}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})

    def add_batch(self, name: str = "batch", *, template: Body | None = None, **spec: Any) -> None:
        """A small BATCH job."""
        self.apply(_batch(name, template or {}, spec))

    def add_batches(self, *names: str, **spec: Any) -> None:
        """Many small BATCH jobs at once."""
        self.apply({"apiVersion": "v1", "kind": "List", "items": [_batch(name, {}, spec) for name in names]})

    def add_persistent(self, name: str = "server", *, template: Body | None = None, **spec: Any) -> None:
        """A PERSISTENT job with one http port."""
        ports = {"ports": [{"name": "web", "containerPort": 8080}], "allowedCIDRs": ["127.0.0.1/32"]}
        fields = {"task": "Persistent"} | spec
        self.apply(_body("DispersedJob", name, fields | {"template": _template(name) | ports | (template or {})}))

    def get(self, name: str, kind: str = "dispersedjob") -> Body | None:
        """The object, or None if it is gone."""
        text = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def status(self, name: str, kind: str = "dispersedjob") -> Body:
        """The status, {} if there is none."""
        return (self.get(name, kind) or {}).get("status") or {}

    def condition(self, name: str, type_: str, kind: str = "dispersedjob") -> Body:
        """One condition, {} if there is none."""
        conditions = self.status(name, kind).get("conditions") or ()
        return next((item for item in conditions if item["type"] == type_), {})

    def events(self, name: str) -> list[str]:
        """The reasons of the Events of an object, oldest first."""
        text = self.kubectl("get", "events", "--field-selector", f"involvedObject.name={name}", "-o", "json")
        items = sorted(json.loads(text)["items"], key=lambda item: int(item["metadata"]["resourceVersion"]))
        return [item["reason"] for item in items]

    def annotate(self, *names: str, **annotations: str) -> None:
        """Set annotations of the prefix dispersed.dev; `_` in a name stands for `-`."""
        pairs = [f"dispersed.dev/{key.replace('_', '-')}={value}" for key, value in annotations.items()]
        self.kubectl("annotate", "--overwrite", "dispersedjob", *names, *pairs)

    def secret_data(self, name: str) -> dict[str, str] | None:
        """The texts of a Secret, None if it does not exist."""
        found = self.get(name, "secret")
        if found is None:
            return None
        return {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}

    def nudge_account(self, name: str = "default") -> None:
        """Any change of an account makes the operator check it now instead of in some seconds."""
        note = f"dispersed.dev/test-note={time.monotonic_ns()}"
        self.kubectl("annotate", "--overwrite", "dispersedaccount", name, note)

    def nudge(self, *names: str) -> None:
        """Ask for a reconcile now."""
        self.annotate(*names, reconcile_requested_at=str(time.monotonic_ns()))

    def nudge_until_gone(self, name: str) -> None:
        """Ask for a reconcile of an object that is being deleted, unless it is gone already; wait until it is."""
        try:
            self.nudge(name)
        except KubectlError as error:
            if "NotFound" not in error.stderr:
                raise
        self.wait_gone(name)

    def look_again(self, name: str) -> None:
        """Ask for a reconcile, and wait until a listing was read for it. Call it after a step of the clock."""
        before = len(self.listings())
        self.nudge(name)
        wait_for(lambda: len(self.listings()) > before, what="a listing was read")

    def delete(self, name: str, kind: str = "dispersedjob") -> None:
        """kubectl delete without waiting."""
        self.kubectl("delete", kind, name, "--wait=false")

    # --- waiting
    # -------------------------------------------------------------------------------------------------------

    def wait_condition(
        self, name: str, type_: str, status: str = "True", *, reason: str | None = None, kind: str = "dispersedjob",
        seconds: float = 60.0,
    ) -> Body:  # fmt: skip
        """Wait for a condition, and for a reason if one is given; the condition."""

        def holds() -> Body | None:
            found = self.condition(name, type_, kind)
            fits = found.get("status") == status and reason in (None, found.get("reason"))
            return found if fits else None

        what = f"{kind}/{name} has {type_}={status}" + (f" for {reason}" if reason else "")
        try:
            return wait_for(holds, what=what, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.get(name, kind)}; {self._logs()}") from None

    def wait_blocked(self, name: str, reason: str, *, names: str = "", seconds: float = 60.0) -> Body:
        """Wait until the resource says why it is not ready: reason, a message that names `names` and the reason's page,
        and an Event; the condition."""
        condition = self.wait_condition(name, "Ready", "False", reason=reason, seconds=seconds)
        assert names in condition["message"], condition
        assert f"docs/reasons/{reason}.md" in condition["message"], condition
        wait_for(lambda: reason in self.events(name), what=f"{name} has an Event {reason}", seconds=10)
        return condition

    def wait_phase(self, name: str, *phases: str, seconds: float = 60.0) -> Body:
        """Wait for one of these phases; the status."""

        def reached() -> Body | None:
            status = self.status(name)
            return status if status.get("phase") in phases else None

        try:
            return wait_for(reached, what=f"{name} is {' or '.join(phases)}", seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.get(name)}; {self._logs()}") from None

    def wait_gone(self, name: str, kind: str = "dispersedjob", *, seconds: float = 60.0) -> None:
        """Wait until the object does not exist any more."""
        try:
            wait_for(lambda: self.get(name, kind) is None, what=f"{kind}/{name} is gone", seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.get(name, kind)}; {self._logs()}") from None

    # --- the truth
    # -----------------------------------------------------------------------------------------------------

    def jobs(self) -> list[Body]:
        """Every job that the simulator has, whatever its state."""
        return self.control.jobs()

    def remote(self, name: str) -> Body:
        """The simulator's truth of the job that a resource records."""
        return self.control.job(self.status(name)["jobUUID"])

    def live_jobs(self) -> list[Body]:
        """The jobs that cost money now."""
        return [job for job in self.jobs() if job["status"].upper() not in TERMINAL]

    def posts(self) -> list[Body]:
        """Every create request that reached the simulator."""
        return self.control.requests(method="POST", path="/v1/jobs")

    def signatures(self) -> list[str]:
        """The nonces of all creates that reached the simulator, each once: a copy of a request is no new request."""
        return list(dict.fromkeys(str(row["nonce"]) for row in self.posts()))

    def listings(self) -> list[Body]:
        """Every first page of a complete listing (no filter, a large page) that the simulator was asked for."""
        rows = self.control.requests(method="GET", path="/v1/jobs")
        return [row for row in rows if row["path"] == "/v1/jobs" and _is_first_page(row["query"])]

    def intent(self, name: str) -> Body | None:
        """The create intent on the object, None if there is none."""
        body = self.get(name) or {"metadata": {}}
        text = (body["metadata"].get("annotations") or {}).get("dispersed.dev/create-intent")
        return None if text is None else dict(json.loads(text))

    def remove_jobs(self, *names: str) -> None:
        """Delete these jobs and wait until they are gone."""
        for name in names:
            self.delete(name)
        for name in names:
            self.wait_gone(name)

    def cancels(self) -> list[Body]:
        """Every cancel request that reached the simulator."""
        return self.control.requests(method="PUT")

    def kept(self) -> set[str]:
        """The jobs that live on without a resource because a DispersedOrphan says `Keep`."""
        items = json.loads(self.kubectl("get", "dispersedorphans", "-o", "json", namespaced=False))["items"]
        return {item["metadata"]["name"] for item in items if item["spec"].get("decision") == "Keep"}

    def check_truth(self) -> None:
        """The remote side is exactly what the resources want (protocol, How it is proven, 1 to 4).

        A resource that is suspended or has ended wants no live job. One that nobody owns may live only if a
        DispersedOrphan says `Keep`.
        """
        texts = [place.kubectl("get", "dispersedjobs", "-o", "json") for place in (self, *self.neighbours)]
        resources = [item for text in texts for item in json.loads(text)["items"]]
        recorded = {(item.get("status") or {}).get("jobUUID"): item for item in resources} | {}
        recorded.pop(None, None)
        remote = {job["uuid"]: job for job in self.jobs()}
        live = {job["uuid"] for job in self.live_jobs()}
        ownerless = live - recorded.keys() - self.kept()
        assert not ownerless, f"live jobs without a resource: {ownerless}"
        for uuid in live & recorded.keys():
            over = {
                item["type"] for item in recorded[uuid]["status"].get("conditions") or () if item["status"] == "True"
            }
            assert not over & {"Suspended", "Complete", "Failed"}, f"{uuid} lives, but its resource says {over}"
        assert recorded.keys() <= remote.keys(), f"recorded but not remote: {recorded.keys() - remote.keys()}"
        for uuid in live & recorded.keys():
            finalizers = recorded[uuid]["metadata"].get("finalizers") or ()
            assert "dispersed.dev/remote-job" in finalizers, f"{uuid} lives and its resource has no finalizer"
        marks = [job["title"].split(" ")[0].rsplit("-", 2)[0] for job in self.jobs() if job["uuid"] in live]
        assert len(marks) == len(set(marks)), f"a token has more than one live job: {marks}"

    # --- the end
    # -------------------------------------------------------------------------------------------------------

    def _logs(self) -> str:
        tails = (operator.log.read_text()[-6000:] for operator in self.operators if operator.log.exists())
        return "logs:\n" + "\n---\n".join(tails)


def _body(kind: str, name: str, spec: Body) -> Body:
    return {"apiVersion": "dispersed.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _batch(name: str, template: Body, spec: Body) -> Body:
    fields = {"task": "Batch", "deadlines": {"runSeconds": 900}} | spec
    return _body("DispersedJob", name, fields | {"template": _template(name) | template})


def _is_first_page(query: str) -> bool:
    pairs = set(query.split("&"))
    return "page=1" in pairs and bool(pairs & {"limit=50", "limit=49"}) and "filter" not in query


def _template(title: str) -> Body:
    return {"title": title, "image": "registry.example.com/team/worker"}
