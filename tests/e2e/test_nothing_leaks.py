"""Nothing leaks: every secret that the operator is given is marked, and looked for in everything that it writes.

The inputs, from settings, CRDs and what they name, and how each is driven:

* key pair of a DispersedAccount and of a ClusterDispersedAccount: used, rotated, quoted by the service, refused;
* `env[].value`, `env[].valueFrom.secretKeyRef`, `envFrom[].secretRef`, `ssh.publicKeySecretRef`, `imagePullSecretRef`
  (docker config), `volumes[].pullSecretRef` (Opaque): sent, refused, quoted when a create is refused and by every later
  error, and printed by a container (`env` values); a ConfigMap's value, which is no secret, is planted as well;
* access token of a run: the service's own, read from its truth;
* signatures of all requests: as the proxy saw them;
* settings: login in `remote_proxy` and in `kube_proxy` (also refused by the proxy, with its words), a value in
  a setting that does not exist, and in one that is malformed; the token of the operator's kubeconfig;
* keys given to `reap` and `conformance` by the environment, and those that `check` reads.

There is no other setting or field that takes a secret: `test_every_input_that_holds_a_secret_is_planted` says so.

Searched: the body of every write to the API server (statuses, annotations, finalizers, Events, Secrets, orphans) and
the URL of every request, from the audit log; all log lines at level debug in both formats; /healthz, /readyz, /metrics
and a path that does not exist, with their headers; output and errors of every command. The one exception: the
connection Secret holds the access token, and public keys stand in the create intent, which is no secret.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from dispersed_devenv.services import OPERATOR_NAMESPACE
from dispersed_operator.cli import build_parser
from dispersed_operator.config import Settings
from tests.e2e.conftest import BASE
from tests.e2e.test_references import REGISTRY, add_config_map, add_secret, docker_config, from_secret
from tests.support.controlplane import CRDS, temporary_control_plane
from tests.support.marks import find_leaks, mark_of
from tests.support.quoting_proxy import QuotingProxy, Rule
from tests.support.sweeps import SWEEPING, a_vanished, insert, see_twice
from tests.support.world import World, wait_for

Body = dict[str, Any]
OPERATOR = f"system:serviceaccount:{OPERATOR_NAMESPACE}:dispersed-operator"
PUBLIC_HALVES = ("public key", "public key, rotated", "public key, shared")
INPUTS = (
    *PUBLIC_HALVES, "secret key", "secret key, rotated", "secret key, shared", "literal", "env", "env from", "ssh",
    "registry user", "registry password", "volume user", "volume password", "config map", "remote proxy", "kube proxy",
)  # fmt: skip
NO_SECRETS = frozenset({"literal", "config map"})
"""Who may read the namespace may read these. They are hidden where a refused create is quoted, and no later."""
MARKS = {planted_in: mark_of(planted_in) for planted_in in INPUTS}
SSH = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{MARKS['ssh']}ssh me@{MARKS['ssh']}"


class Stage:
    """A world with its proxies, and what its commands printed."""

    def __init__(self, world: World, remote: QuotingProxy, kube: QuotingProxy) -> None:
        self.world = world
        self.remote = remote
        self.kube = kube
        self.outputs: dict[str, str] = {}
        self.answers: dict[str, str] = {}

    @property
    def flags(self) -> tuple[str, ...]:
        """The proxies, each with a login."""
        remote, kube = (f"http://user:a{MARKS[name]}@127.0.0.1" for name in ("remote proxy", "kube proxy"))
        return f"--remote-proxy={remote}:{self.remote.port}", f"--kube-proxy={kube}:{self.kube.port}"

    def commands(self, commands: Sequence[Sequence[str]], variables: Mapping[str, str]) -> set[int]:
        """Run `dispersed-operator` once for each of these, all at the same time; the exit codes that came."""

        def run(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "dispersed_operator", *arguments], check=False, capture_output=True, text=True,
                env={**os.environ, **variables}, timeout=120,
            )  # fmt: skip

        with ThreadPoolExecutor() as pool:
            results = list(pool.map(run, commands))
        for arguments, ran in zip(commands, results, strict=True):
            self.outputs[f"{arguments[0]} ({len(self.outputs)})"] = ran.stdout + ran.stderr
        return {ran.returncode for ran in results}

    def visit(self) -> None:
        """Everything that the operator serves."""
        for path in ("healthz", "readyz", "metrics", "nothing-here"):
            try:
                url = f"{self.world.operators[0].health_url}/{path}"
                with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
                    text = f"{answer.headers}{answer.read().decode()}"
            except urllib.error.HTTPError as error:
                with error:
                    text = f"{error.headers}{error.read().decode()}"
            self.answers[f"{path} ({len(self.answers)})"] = text


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A control plane of its own, which keeps what is sent to it."""

    def marked(value: str) -> bool:
        return bool(find_leaks({"": value}, MARKS))

    def secret(value: str) -> bool:
        return bool(find_leaks({"": value}, {name: mark for name, mark in MARKS.items() if name not in NO_SECRETS}))

    with (
        temporary_control_plane(*sorted(CRDS.glob("*.yaml")), audit_bodies=True) as plane,
        QuotingProxy(marked, secret) as remote,
        QuotingProxy(marked, secret) as kube,
    ):
        plane.apply(BASE)
        with World(plane, tmp_path / "world", "marked", operator_flags=SWEEPING) as world:
            yield Stage(world, remote, kube)


def pair(name: str = "") -> tuple[str, str]:
    """A marked key pair."""
    end = f", {name}" if name else ""
    return f"pk-{MARKS[f'public key{end}']}-p", f"key-{MARKS[f'secret key{end}']}-s"


def plant(world: World) -> None:
    """Accounts, jobs and everything that they name."""
    for public, secret in (pair(), pair("shared")):
        world.control.add_key(public, secret)
    public, secret = pair()
    world.add_secret(public=public, secret=secret)
    world.add_account(with_secret=False)
    public, secret = pair("shared")
    world.add_shared_secret(public=public, secret=secret)
    world.add_shared_account("shared", with_secret=False)

    add_secret(world, "env", password=f"one {MARKS['env']}\n\ttwo/2+2")
    add_secret(world, "all", ALL=f"all-{MARKS['env from']}")
    add_secret(world, "keys", {"ssh-publickey": SSH})
    user, password = f"{MARKS['registry user']}-user", f"{MARKS['registry password']}-password"
    config = docker_config(REGISTRY, user, password)
    add_secret(world, "pull", type_="kubernetes.io/dockerconfigjson", keys={".dockerconfigjson": config})
    user, password = f"{MARKS['volume user']}-user", f"{MARKS['volume password']}-password"
    add_secret(world, "data", host=REGISTRY, user=user, secret=password)
    add_config_map(world, "site", {"SITE": f"site-{MARKS['config map']}"})
    image = {"image": f"{REGISTRY}/team/worker", "imagePullSecretRef": {"name": "pull"}}
    volume = {"image": f"{REGISTRY}/team/data", "mountPath": "/data", "pullSecretRef": {"name": "data"}}
    sources = [{"secretRef": {"name": "all"}}, {"configMapRef": {"name": "site"}}]
    env = [{"name": "LITERAL", "value": f"literal-{MARKS['literal']}"}, from_secret("PASSWORD", "env", "password")]
    more = {"ssh": {"publicKeySecretRef": {"name": "keys"}}, "volumes": [volume]}
    world.add_persistent(template={"env": env, "envFrom": sources, **image, **more})


def wait_hits(rule: Rule, number: int, what: str) -> None:
    wait_for(lambda: rule.hits >= number, what=f"{what} with a quotation")


def refused_creates(stage: Stage) -> None:
    """The service refuses the create and quotes all of it."""
    for attempt in range(3):
        rule = stage.remote.answer("POST", 422)
        stage.world.nudge("server")
        wait_hits(rule, 1, f"create {attempt} was refused")
        stage.world.wait_blocked("server", "RemoteValidationFailed", names="QUOTED")
    stage.remote.forward()


def failed_reads(stage: Stage) -> None:
    """The service answers reads of both accounts with errors that quote what they were asked, and what was stored."""
    world = stage.world
    for status, shape in ((401, "json"), (500, "json"), (502, "html"), (200, "json")):
        rule = stage.remote.answer("GET", status, shape=shape)
        world.nudge_account()
        world.nudge_shared_account("shared")
        world.nudge("server")
        wait_hits(rule, 3, f"{status} was answered as {shape}")
        world.wait_condition("default", "Ready", "False", kind="dispersedaccount")
        # An account that was answered within half a minute is asked again only at its next check, after a minute.
        world.wait_condition("shared", "Ready", "False", kind="clusterdispersedaccount", seconds=120.0)
        stage.visit()
    stage.remote.forward()
    world.control.add_fault("drop_after_first_byte", method="GET", times=2)
    for shape in ("garbage", "truncated", "wrong_types"):
        world.control.add_fault("malformed", method="GET", times=1, shape=shape)
    world.nudge_account()
    world.nudge_shared_account("shared")
    world.wait_condition("default", "Ready", kind="dispersedaccount")
    world.wait_condition("shared", "Ready", kind="clusterdispersedaccount")


def commands(stage: Stage) -> None:
    """Every command of a person, in good times and in bad."""
    world, operator = stage.world, stage.world.operators[0]
    kubeconfig = f"--kubeconfig={operator.folder / f'{operator.name}.kubeconfig'}"
    remote, kube = stage.flags
    public, secret = pair("rotated")
    key = {"DISPERSED_PUBLIC_KEY": public, "DISPERSED_SECRET_KEY": secret}
    url = f"--base-url={world.simulator.base_url}"
    of_a_key = [("conformance", url, remote), ("reap", url, remote, "-o", "json")]
    check = ("check", kubeconfig, remote, kube)
    of_the_job = ("logs", f"{world.namespace}/server", kubeconfig, remote, kube)
    wrong = {"DISPERSED_OPERATOR_NO_SUCH_SETTING": MARKS["secret key"]}
    settings = [
        ("run", f"--remote-proxy=ftp://user:{MARKS['remote proxy']}@proxy"),
        ("run", f"--log-level={MARKS['env']}"),
    ]
    blocked = ("uninstall-check", kubeconfig, kube)
    assert stage.commands([*of_a_key, of_the_job, check, ("version",)], key) == {0}
    assert stage.commands([blocked], {}) == {1}, "jobs live"
    assert stage.commands(settings, {}) == stage.commands([("run",)], wrong) == {2}
    stage.remote.answer("GET", 401, stored=False)  # of the account all is open to whoever has its key
    assert stage.commands([*of_a_key, of_the_job, (*check, "-o", "json")], key) == {1}
    stage.remote.answer("GET", 500, stored=False)
    assert stage.commands([of_the_job, check], {}) == {1}
    stage.remote.forward()
    refusing = stage.kube.answer("CONNECT", 407, shape="reason")
    assert stage.commands([of_the_job, blocked, check], {}) == {1}
    assert refusing.hits
    stage.kube.forward()


def rotate(world: World) -> None:
    """A new key of the same account, while its job runs."""
    public, secret = pair("rotated")
    before = world.status("default", "dispersedaccount")["keyFingerprint"]
    rows = world.control.keys()
    account = next(row["account_uuid"] for row in rows if row["public"] == pair()[0])
    world.control.add_key(public, secret, account_uuid=account)
    world.add_secret(public=public, secret=secret)
    world.nudge_account()
    wait_for(lambda: world.status("default", "dispersedaccount")["keyFingerprint"] != before, what="the key is new")
    world.control.revoke_key(pair()[0])
    world.wait_condition("default", "Ready", kind="dispersedaccount")


def writes(world: World) -> dict[str, str]:
    """What the operator asked the API server for, by kind of object. Only a connection Secret may hold a token, only
    an intent and its record a public key."""
    found: dict[str, list[str]] = {}
    for event in map(json.loads, world.plane.audit_log_file.read_text().splitlines()):
        if event["user"]["username"] == OPERATOR and "objectRef" in event:
            asked = event["objectRef"]
            kind = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
            found.setdefault(kind, []).append(json.dumps([event["requestURI"], event.get("requestObject")]))
    return {kind: "\n".join(texts) for kind, texts in found.items()}


def secrets_without_a_mark_of_ours(stage: Stage) -> dict[str, str]:
    """What was made for us: signatures, access tokens, and the operator's own token."""
    kubeconfig = next(iter(stage.world.operators[0].folder.glob("*.kubeconfig"))).read_text()
    (bearer,) = (line.split(": ", 1)[1] for line in kubeconfig.splitlines() if line.strip().startswith("token:"))
    tokens = [run["access_token"] for job in stage.world.jobs() for run in stage.world.control.job(job["uuid"])["runs"]]
    signatures = {f"signature {number}": text for number, text in enumerate(stage.remote.signatures)}
    assert signatures
    assert tokens
    return signatures | {f"access token of {token[:4]}": token for token in tokens} | {"bearer": bearer.strip('"')}


def assert_nowhere(stage: Stage) -> None:
    """Nothing that the operator wrote holds a mark, but where the docs say so."""
    written = writes(stage.world)
    logs = {operator.name: operator.log.read_text() for operator in stage.world.operators}
    rest = stage.outputs | stage.answers | logs
    assert {"dispersedjobs", "dispersedjobs/status", "dispersedorphans", "events", "secrets"} <= written.keys()
    leaks = find_leaks(rest | written, MARKS)
    leaks = [
        leak
        for leak in leaks
        if not (leak.planted_in in PUBLIC_HALVES and leak.place in {"dispersedjobs", "dispersedjobs/status"})
    ]
    made = secrets_without_a_mark_of_ours(stage)
    leaks += [
        leak
        for leak in find_leaks(rest | written, made)
        if not (leak.planted_in.startswith("access token") and leak.place == "secrets")
    ]
    assert not leaks, "\n".join(sorted({str(leak) for leak in leaks}))
    for planted_in in PUBLIC_HALVES:
        assert_only_in_intents(stage.world, MARKS[planted_in])
    assert find_leaks({"secrets": written["secrets"]}, {k: v for k, v in made.items() if k.startswith("access token")})


def assert_only_in_intents(world: World, mark: str) -> None:
    """A public key stands in the intent, in the record of its create, and nowhere else in a job."""
    for event in map(json.loads, world.plane.audit_log_file.read_text().splitlines()):
        sent = event.get("requestObject") or {}
        if event["user"]["username"] != OPERATOR or (event.get("objectRef") or {}).get("resource") != "dispersedjobs":
            continue
        metadata = sent.get("metadata") or {}
        annotations = dict(metadata.get("annotations") or {})
        annotations.pop("dispersed.dev/create-intent", None)
        status = dict(sent.get("status") or {})
        create = dict(status.pop("create", None) or {})
        create.pop("account", None)
        assert mark not in json.dumps([metadata | {"annotations": annotations}, status, create, sent.get("spec")])


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_secret_of_any_input_shows_in_anything_that_the_operator_writes(stage: Stage, log_format: str) -> None:
    world = stage.world
    stage.remote.answer("POST", 422)
    plant(world)
    world.start_operator(log_format, flags=("--log-level=debug", f"--log-format={log_format}", *stage.flags))
    world.wait_blocked("server", "RemoteValidationFailed", names="QUOTED")
    refused_creates(stage)

    world.control.add_fault("drop_after_commit", method="POST", times=1)
    world.nudge("server")
    world.wait_condition("server", "Ready")
    lines = [f"PASSWORD=one {MARKS['env']}\n\ttwo/2+2", f"ALL=all-{MARKS['env from']}", "the end"]
    world.control.add_fate("noisy", exit_code=3, log_lines=lines)
    world.add_batch("noisy", template={"env": [from_secret("PASSWORD", "env", "password")],
                                       "envFrom": [{"secretRef": {"name": "all"}}]})  # fmt: skip
    world.add_batch("shared", accountRef={"kind": "ClusterDispersedAccount", "name": "shared"},
                    template={"env": [from_secret("PASSWORD", "env", "password")]})  # fmt: skip
    world.wait_condition("noisy", "Failed")
    assert "the end" in world.status("noisy")["logTail"]
    world.wait_condition("shared", "Complete")

    failed_reads(stage)
    rotate(world)
    if log_format == "json":  # the commands do not log
        commands(stage)
    orphan = insert(world, a_vanished(world), age=1000, account_uuid=world.remote("server")["account_uuid"])
    see_twice(world)
    wait_for(lambda: world.get(orphan, "dispersedorphan"), what="the orphan is reported")
    world.remove_jobs("server", "noisy", "shared")
    for kind, name in (("dispersedaccount", "default"), ("clusterdispersedaccount", "shared")):
        world.delete(name, kind)
        world.wait_gone(name, kind)
    stage.visit()
    world.operators[0].stop()
    assert_nowhere(stage)


def test_every_input_that_holds_a_secret_is_planted() -> None:
    secret_settings = {name for name, info in Settings.model_fields.items() if SecretStr in _parts(info.annotation)}
    assert secret_settings == {"remote_proxy", "kube_proxy"}
    commands_known = next(iter(build_parser()._subparsers._group_actions)).choices  # type: ignore[union-attr]
    known = {"run", "check", "logs", "reap", "conformance", "uninstall-check", "version"}
    assert set(commands_known or ()) == known


def _parts(annotation: object) -> tuple[object, ...]:
    return (annotation, *getattr(annotation, "__args__", ()))
