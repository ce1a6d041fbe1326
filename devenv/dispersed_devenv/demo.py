"""The story of the operator, told on a real Kubernetes API: `python -m dispersed_devenv demo`.

Every step checks itself against the API server and against the simulator's truth, so the exit status says whether
the promises hold on this machine: a job is created once, also when the operator is killed at the worst moment, and a
resource goes only after its remote job has ended. Invariant: nothing is left behind, neither a process nor a file,
whether the story ends well, badly or by a signal.
"""

import base64
import json
import re
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import httpx

from dispersed_devenv.binaries import find_or_build
from dispersed_devenv.controlplane import KubectlError
from dispersed_devenv.demo_narration import Narrator, StepFailedError, wait_for
from dispersed_devenv.environment import NAMESPACE, REPOSITORY, Environment, PartlyRunningError
from dispersed_devenv.processes import ProcessError
from dispersed_simulator.control_client import ControlClient

BATCH_SAMPLE = REPOSITORY / "manifests" / "samples" / "batch.yaml"
BATCH = "render-frames"
SERVER = "notebook"
TRIAL = "train"
SERVER_YAML = """\
apiVersion: dispersed.dev/v1alpha1
kind: DispersedJob
metadata: {name: notebook}
spec:
  task: Persistent
  template:
    title: Notebook
    image: registry.example.com/team/notebook
    ports: [{name: web, containerPort: 8888}]
    allowedCIDRs: [127.0.0.1/32]
"""
TRIAL_YAML = """\
apiVersion: dispersed.dev/v1alpha1
kind: DispersedJob
metadata: {name: train}
spec:
  task: Batch
  template:
    title: Train
    image: registry.example.com/team/train
  deadlines: {runSeconds: 3600}
"""
# A node is found and an image pulled within a second here; the real service takes minutes.
TIMES = {"assign": 0.5, "accept": 0.1, "prepare": 0.5, "run": 2, "endpoints": 0.5, "cancel": 1}
TAIL_LINES = 30
TERMINATED = 143
FAILURES = (StepFailedError, PartlyRunningError, ProcessError, KubectlError, httpx.HTTPError, OSError)


def run_demo() -> int:
    """Tell the story. 0 if every step held, 1 with the reason on standard error if not, 130 or 143 after a signal."""
    started = time.monotonic()
    binaries = find_or_build()
    options = [word for name, seconds in TIMES.items() for word in (f"--{name}-seconds", str(seconds))]
    with tempfile.TemporaryDirectory(prefix="dispersed-demo-") as name, _termination_as_exit():
        folder = Path(name)
        environment = Environment(folder / "environment", binaries=binaries, simulator_options=options)
        narrator = Narrator(chapters=len(Story.CHAPTERS), folder=folder)
        try:
            Story(environment, narrator, folder).tell()
        except FAILURES as failure:
            _explain(failure, environment)
            return 1
        finally:
            with _undisturbed():
                environment.stop()
    narrator.say(f"\nEvery step held. {time.monotonic() - started:.0f} s in all; no process is left.")
    return 0


class Story:
    """The chapters, in order. Each leaves the world as the next one expects it."""

    CHAPTERS = ("begin", "open_account", "run_batch", "run_server", "kill_operator", "delete_jobs", "compare")

    def __init__(self, environment: Environment, narrator: Narrator, folder: Path) -> None:
        self._environment = environment
        self._tell = narrator
        self._folder = folder

    def tell(self) -> None:
        """All of it. Raises `StepFailedError`, or what the environment raises."""
        for name in self.CHAPTERS:
            chapter: Callable[[], None] = getattr(self, name)
            chapter()

    def begin(self) -> None:
        """Start everything."""
        self._tell.chapter("A Kubernetes API server, a stand-in for the remote service, the operator")
        self._environment.start(self._tell.step)
        self._tell.use(self._environment.command_environment())
        self._tell.run("kubectl api-resources --api-group=dispersed.dev")
        self._tell.check(self._environment.complete(), "all five processes run")

    def open_account(self) -> None:
        """Account and Secret."""
        self._tell.chapter("An account, and the Secret with its API key")
        (self._folder / "account.yaml").write_text(self._environment.account_manifests())
        self._tell.run("kubectl apply -f account.yaml")
        self._tell.run("kubectl wait --for=condition=Ready dispersedaccount/default --timeout=30s")
        self._tell.run("kubectl get dispersedaccount")
        probes = self._get("dispersedaccount/default")["status"]["probes"]
        refused = probes["replayRefused"] is True and probes["staleRefused"] is True
        self._tell.check(refused, "the service accepts the key, and refuses repeated and old signatures")

    def run_batch(self) -> None:
        """A BATCH job to Complete."""
        self._tell.chapter("A BATCH job runs to its end")
        (self._folder / "batch.yaml").write_text(BATCH_SAMPLE.read_text())
        self._tell.show_file("batch.yaml")
        self._tell.run("kubectl apply -f batch.yaml")
        self._tell.run(f"kubectl wait --for=condition=Complete djob/{BATCH} --timeout=60s")
        self._tell.run(f"kubectl get djob {BATCH}")
        logs = self._tell.run(f"dispersed-operator logs {NAMESPACE}/{BATCH}")
        self._tell.check(bool(logs.strip()), "its output can be read after its end")
        self._check_created_once(BATCH)

    def run_server(self) -> None:
        """A PERSISTENT job to Ready, its endpoint fetched."""
        self._tell.chapter("A PERSISTENT job publishes a port")
        with self._control() as control:
            control.add_fate("Notebook", token_required=True)
        (self._folder / "notebook.yaml").write_text(SERVER_YAML)
        self._tell.show_file("notebook.yaml")
        self._tell.run("kubectl apply -f notebook.yaml")
        self._tell.run(f"kubectl wait --for=condition=Ready djob/{SERVER} --timeout=60s")
        self._tell.run(f"kubectl get djob {SERVER} -o wide")
        secret = self._get(f"djob/{SERVER}")["status"]["connectionSecretRef"]["name"]
        data = {key: base64.b64decode(text).decode() for key, text in self._get(f"secret/{secret}")["data"].items()}
        self._tell.say(f"  the connection Secret {secret}:")
        for key, text in sorted(data.items()):
            self._tell.show(f"{key}: {'(hidden)' if 'token' in key else text}")
        url, uuid = data["web-url"], self._get(f"djob/{SERVER}")["status"]["jobUUID"]
        self._tell.check(_fetch(url)[0] == 401, f"GET {url} without the token is refused with 401")
        status, page = _fetch(url, token=data["access-token"])
        self._tell.check(status == 200, f"GET {url} with the token from the Secret is answered with 200")
        self._tell.show(page)
        self._tell.check(f"uuid: {uuid}" in page.splitlines(), "it is this very job that answers")

    def kill_operator(self) -> None:
        """SIGKILL between the POST and the status write."""
        self._tell.chapter("The operator is killed after its POST and before it has written the outcome down")
        (self._folder / "train.yaml").write_text(TRIAL_YAML)
        with self._control() as control:
            control.add_fate("Train", run_seconds=3600)
            fault = control.add_fault("stall", method="POST", path=r"^/v1/jobs$")
            self._tell.say("  the service will carry out the next POST and hold back its answer")
            self._tell.run("kubectl apply -f train.yaml")
            uuid = wait_for(lambda: self._committed(control, fault), what="the service has the job")
            told = (self._get(f"djob/{TRIAL}").get("status") or {}).get("jobUUID")
            self._tell.check(told is None, f"the service has made job {uuid}, and nobody was told")
            pid = self._environment.operator.pid
            self._environment.operator.kill()
            self._tell.say(f"  SIGKILL to the operator, process {pid}")
            body = self._get(f"djob/{TRIAL}")
            intent = json.loads(body["metadata"]["annotations"]["dispersed.dev/create-intent"])
            self._tell.check("jobUUID" not in (body.get("status") or {}), "the resource still does not know the job")
            self._tell.check(intent["state"] == "open", f"it holds the create intent with token {intent['token']}")
            control.remove_fault(fault)
        with self._tell.step("the operator again"):
            self._environment.operator.start()
        self._tell.run(f"kubectl wait --for=condition=RemoteCreated djob/{TRIAL} --timeout=60s")
        self._tell.run(f"kubectl get events --field-selector involvedObject.name={TRIAL},reason=Adopted")
        self._tell.check(self._get(f"djob/{TRIAL}")["status"]["jobUUID"] == uuid, f"it adopted {uuid}")
        self._check_created_once(TRIAL)

    def delete_jobs(self) -> None:
        """Deletion waits for the verified cancel."""
        self._tell.chapter("Deleting the resources cancels the remote jobs")
        self._tell.run("kubectl get djob")
        uuids = {name: self._get(f"djob/{name}")["status"]["jobUUID"] for name in (SERVER, TRIAL)}
        self._tell.run("kubectl delete djob --all --timeout=60s")
        with self._control() as control:
            for name, uuid in uuids.items():
                job = control.job(uuid)
                verified = job["status"] == "CANCELLED" and job["cancel_requests"] >= 1
                self._tell.check(verified, f"{name} is gone, and the service has cancelled {uuid}")
        self._tell.run("kubectl get djob")
        self._tell.run("kubectl delete dispersedaccount/default secret/dispersed-api-key --timeout=60s")
        left = self._tell.ask("kubectl get dispersedaccount/default secret/dispersed-api-key --ignore-not-found")
        self._tell.check(not left.strip(), "no job needs the account and its Secret any more, so they could go too")

    def compare(self) -> None:
        """The truth of the other side."""
        self._tell.chapter("What the service has to say about it")
        with self._control() as control:
            jobs, posts = control.jobs(), self._posts(control)
        self._tell.show(f"{'STATUS':<10} {'POSTS':<6} {'CANCELS':<8} {'COST USD':<9} TITLE")
        for job in jobs:
            received = sum(1 for post in posts if post["job_uuid"] == job["uuid"])
            row = (
                f"{job['status']:<10} {received:<6} {job['cancel_requests']:<8} {job['cost_usd']:<9.6f} {job['title']}"
            )
            self._tell.show(row)
        counts = f"{len(posts)} POSTs and {len(jobs)} jobs for 3 resources: none was created twice"
        self._tell.check(len(posts) == len(jobs) == 3, counts)
        self._tell.check(not any(job["live"] for job in jobs), "no job is alive: none was leaked")

    # --- what it looks at ---

    def _control(self) -> ControlClient:
        return ControlClient(self._environment.simulator.base_url)

    def _get(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._tell.ask(f"kubectl get {name} -o json"))
        return found

    def _posts(self, control: ControlClient) -> list[dict[str, Any]]:
        return control.requests(method="POST", path="/v1/jobs")

    def _check_created_once(self, name: str) -> None:
        body = self._get(f"djob/{name}")
        mark = re.sub("[^0-9a-z]", "", body["metadata"]["uid"])[:8]
        with self._control() as control:
            jobs = [job["uuid"] for job in control.jobs() if f"-{mark}-" in job["title"]]
            posts = [post for post in self._posts(control) if post["job_uuid"] in jobs]
        once = jobs == [body["status"]["jobUUID"]] and len(posts) == 1
        self._tell.check(once, "the service received 1 POST for this resource and has 1 job of it")

    def _committed(self, control: ControlClient, fault: str) -> str | None:
        """The uuid of the job whose POST was carried out and whose answer is held back."""
        if control.fault_hits(fault) != 1:
            return None
        held = {post["job_uuid"] for post in self._posts(control) if post["fault"] == "stall"}
        found = [str(job["uuid"]) for job in control.jobs(title_contains="Train") if job["uuid"] in held]
        return found[0] if found else None


def _fetch(url: str, *, token: str | None = None) -> tuple[int, str]:
    """Status and body of a GET to a loopback address."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - an http address on loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _explain(failure: Exception, environment: Environment) -> None:
    """Why it failed, and the ends of the logs that may say more."""
    kind = "" if isinstance(failure, StepFailedError) else f"{type(failure).__name__}: "
    print(f"\nThe demo failed: {kind}{failure}", file=sys.stderr)
    for part in environment.parts():
        if part.name.startswith("dispersed-") and part.log.exists():
            print(f"\nThe end of the log of {part.name}:", file=sys.stderr)
            for line in part.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]:
                print(f"  | {line}", file=sys.stderr)


@contextmanager
def _termination_as_exit() -> Iterator[None]:
    """SIGTERM unwinds the stack as Ctrl-C does, so that everything is put away."""

    def leave(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Putting things away is not interrupted by an impatient second signal."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
