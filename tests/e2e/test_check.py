"""`dispersed-operator check` as an installer runs it: under the service account of the overlays, on a real cluster.

One control plane serves all tests of the file; whoever takes something away from it puts it back.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dispersed_devenv.binaries import find_or_build
from dispersed_devenv.controlplane import ControlPlane, KubectlError
from dispersed_devenv.ports import free_port
from dispersed_devenv.services import PUBLIC_KEY
from tests.support.controlplane import CRDS, temporary_control_plane
from tests.support.installation import read, variables
from tests.support.rendering import NAMESPACE, RELEASE, ROOT
from tests.support.world import SECRET, World, wait_for

ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
OVERLAYS = ROOT / "manifests" / "overlays"
QUESTIONS = {"selfsubjectaccessreviews", "selfsubjectreviews"}
OURS = "/openapi/v3/apis/dispersed.dev/v1alpha1"


@dataclass(frozen=True)
class Answer:
    """What one run said."""

    status: int
    output: str
    errors: str

    @property
    def lines(self) -> dict[str, list[str]]:
        """The lines by their first word."""
        found: dict[str, list[str]] = {"ok": [], "warn": [], "FAIL": []}
        for line in self.output.splitlines()[:-1]:
            grade, _, rest = line.partition(" ")
            found[grade].append(rest.strip())
        return found

    def the_failure(self, *words: str) -> str:
        """The only line that fails, which holds these words and a remedy."""
        assert self.status == 1, self
        (line,) = self.lines["FAIL"]
        for word in (*words, "Remedy: "):
            assert word in line, self
        return line


@pytest.fixture(scope="module")
def installed() -> Iterator[ControlPlane]:
    """A control plane with nothing but what `kubectl apply -k` of the overlay brought."""
    find_or_build()
    with temporary_control_plane(audit_log=True) as plane:
        plane.apply(OVERLAYS / "cluster-wide")
        wait_for(lambda: len(served(plane)) == 4, what="all kinds are published")
        yield plane


@pytest.fixture
def world(installed: ControlPlane, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """A namespace with an account, and the service."""
    number = request.session.items.index(request.node)
    with World(installed, tmp_path / "world", f"check-{number}") as made:
        made.add_account()
        yield made


def served(plane: ControlPlane) -> set[str]:
    """The kinds of ours in the API server's OpenAPI document."""
    try:
        schemas = json.loads(plane.kubectl("get", "--raw", OURS))["components"]["schemas"]
    except KubectlError:
        return set()
    return {name.rpartition(".")[2] for name in schemas if name.startswith("dev.dispersed") and "List" not in name}


def check(plane: ControlPlane, folder: Path, *flags: str, admin: bool = False) -> Answer:
    """One run with the variables of the installed Deployment and the token of its service account, or as the
    administrator."""
    (container,) = read(plane, "deployment", RELEASE)["spec"]["template"]["spec"]["containers"]
    kubeconfig = plane.kubeconfig
    if not admin:
        token = plane.service_account_token(NAMESPACE, RELEASE)
        kubeconfig = plane.write_kubeconfig(folder / "check.kubeconfig", token=token)
    ran = subprocess.run(
        [sys.executable, "-m", "dispersed_operator", "check", f"--kubeconfig={kubeconfig}", *flags],
        capture_output=True, text=True, check=False, env={**os.environ, **variables(container)}, timeout=120,
    )  # fmt: skip
    return Answer(ran.returncode, ran.stdout, ran.stderr)


def test_after_an_installation_with_an_account_everything_is_well_and_nothing_was_written(
    installed: ControlPlane, world: World, tmp_path: Path
) -> None:
    world.add_shared_account("shared")
    try:
        answer = check(installed, tmp_path)
        assert (answer.status, answer.errors) == (0, ""), answer
        assert (answer.lines["warn"], answer.lines["FAIL"]) == ([], []), answer
        told = "\n".join(answer.lines["ok"])
        uid = installed.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
        for words in (
            "API server: it answers as v1.",
            f"cluster id: {uid}",
            "kind ClusterDispersedAccount: served",
            "kind DispersedOrphan: served",
            f"rights: {ACCOUNT} has all",
            f"DispersedAccount {world.namespace}/default: key: accepted",
            f"DispersedAccount {world.namespace}/default: clock",
            "ClusterDispersedAccount shared: key: accepted",
        ):
            assert words in told
        assert {request["method"] for request in world.control.requests()} == {"GET"}

        asked = wait_for(lambda: requests(installed) or None, what="the audit log is written")
        assert {event["verb"] for event in asked} <= {"get", "list", "create"}
        assert {event["objectRef"]["resource"] for event in asked if event["verb"] == "create"} == QUESTIONS
        assert {event["responseStatus"]["code"] for event in asked} <= {200, 201}

        as_json = check(installed, tmp_path, "-o", "json")
        body = json.loads(as_json.output)
        assert (as_json.status, body["failed"]) == (0, False)
        assert len(body["checks"]) == len(answer.lines["ok"])
    finally:
        world.kubectl("delete", "clusterdispersedaccount", "shared", namespaced=False)


def requests(plane: ControlPlane) -> list[dict[str, Any]]:
    """What was asked of objects under the service account."""
    events = map(json.loads, plane.audit_log_file.read_text().splitlines())
    return [event for event in events if event["user"]["username"] == ACCOUNT and "objectRef" in event]


def test_without_an_account_the_installation_is_fit_and_says_what_comes_next(
    installed: ControlPlane, tmp_path: Path
) -> None:
    answer = check(installed, tmp_path)
    assert answer.status == 0
    assert [line.partition(":")[0] for line in answer.lines["warn"]] == ["accounts"]


def test_a_kind_whose_definition_is_missing_fails(installed: ControlPlane, world: World, tmp_path: Path) -> None:
    with without_orphans(installed):
        check(installed, tmp_path).the_failure("kind DispersedOrphan", "not served", "-k crds")


@contextmanager
def without_orphans(plane: ControlPlane) -> Iterator[None]:
    plane.kubectl("delete", "crd", "dispersedorphans.dispersed.dev")
    wait_for(lambda: len(served(plane)) == 3, what="the kind is gone")
    try:
        yield
    finally:
        plane.apply(CRDS / "dispersed.dev_dispersedorphans.yaml")
        wait_for(lambda: len(served(plane)) == 4, what="the kind is published again")


def test_a_cluster_without_any_of_our_kinds_is_told_so(tmp_path: Path) -> None:
    find_or_build()
    with temporary_control_plane() as bare:
        for name in ("namespace.yaml", "serviceaccount.yaml", "rbac.yaml", "deployment.yaml"):
            bare.apply(ROOT / "manifests" / "base" / name)
        answer = check(bare, tmp_path)
    assert answer.status == 1
    failed = [line.partition(":")[0] for line in answer.lines["FAIL"]]
    assert [name for name in failed if name.startswith("kind ")] == [
        "kind DispersedAccount",
        "kind ClusterDispersedAccount",
        "kind DispersedJob",
        "kind DispersedOrphan",
    ]
    assert [name for name in failed if not name.startswith("kind ")] == ["accounts", "accounts"]


def test_a_right_that_is_missing_is_named_as_kubectl_asks_for_it(
    installed: ControlPlane, world: World, tmp_path: Path
) -> None:
    words = ("patch", "dispersedjobs.dispersed.dev", "--subresource=status", "--all-namespaces")
    role = read(installed, "clusterrole", RELEASE)
    number, rule = next(
        (number, rule) for number, rule in enumerate(role["rules"]) if "dispersedjobs/status" in rule["resources"]
    )
    assert may(installed, *words)
    left = [name for name in rule["resources"] if name != "dispersedjobs/status"]
    patch = [{"op": "replace", "path": f"/rules/{number}/resources", "value": left}]
    installed.kubectl("patch", "clusterrole", RELEASE, "--type=json", "-p", json.dumps(patch))
    try:
        wait_for(lambda: not may(installed, *words), what="the right is gone")
        check(installed, tmp_path).the_failure(f"{ACCOUNT} may not: kubectl auth can-i {' '.join(words)}. Remedy")
    finally:
        installed.apply(OVERLAYS / "cluster-wide")
        wait_for(lambda: may(installed, *words), what="the right is back")


def may(plane: ControlPlane, *words: str) -> bool:
    """What kubectl says to these words."""
    try:
        return plane.kubectl("auth", "can-i", *words, f"--as={ACCOUNT}").strip() == "yes"
    except KubectlError:
        return False


def test_a_secret_without_a_key_fails(installed: ControlPlane, world: World, tmp_path: Path) -> None:
    world.kubectl("patch", "secret", SECRET, "--type=json", "-p", '[{"op":"remove","path":"/data/secretKey"}]')
    check(installed, tmp_path).the_failure(f"{world.namespace}/{SECRET} has no key secretKey")
    world.delete(SECRET, "secret")
    check(installed, tmp_path).the_failure(f"{world.namespace}/{SECRET} does not exist")


def test_a_key_that_the_service_refuses_fails(installed: ControlPlane, world: World, tmp_path: Path) -> None:
    world.control.revoke_key(PUBLIC_KEY)
    answer = check(installed, tmp_path)
    answer.the_failure(f"DispersedAccount {world.namespace}/default: key: the service refuses it")
    assert PUBLIC_KEY not in answer.output


def test_a_clock_that_is_hours_away_fails(installed: ControlPlane, world: World, tmp_path: Path) -> None:
    world.control.advance(7200)
    check(installed, tmp_path).the_failure(f"DispersedAccount {world.namespace}/default: clock", "more than 300 s")


def test_a_service_that_cannot_be_reached_fails(installed: ControlPlane, world: World, tmp_path: Path) -> None:
    world.add_account("nowhere", with_secret=False, baseURL=f"http://127.0.0.1:{free_port()}")
    answer = check(installed, tmp_path)
    answer.the_failure(f"DispersedAccount {world.namespace}/nowhere: service", "cannot be reached")
    assert any(f"{world.namespace}/default: key: accepted" in line for line in answer.lines["ok"])


def test_a_namespace_that_does_not_exist_fails(installed: ControlPlane, world: World, tmp_path: Path) -> None:
    flags = ("--namespaces", f"{world.namespace},nowhere", "--cluster-id", "mine")
    answer = check(installed, tmp_path, *flags, admin=True)
    answer.the_failure("namespace nowhere", "it does not exist")


def test_an_api_server_that_is_not_there_is_one_failure_and_nothing_is_called_well(
    installed: ControlPlane, tmp_path: Path
) -> None:
    config = json.loads(installed.kubectl("config", "view", "--raw", "-o", "json"))
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    (tmp_path / "config").write_text(json.dumps(config))
    answer = check(installed, tmp_path, "--kubeconfig", str(tmp_path / "config"))
    answer.the_failure("API server", "no connection")
    assert answer.lines["ok"] == []


def test_an_installation_for_some_namespaces_is_well_without_a_right_over_the_cluster(tmp_path: Path) -> None:
    find_or_build()
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    shutil.copytree(CRDS, tmp_path / "crds")
    settings = tmp_path / "manifests" / "overlays" / "namespaced" / "settings.yaml"
    settings.write_text(settings.read_text().replace('"NOT SET: see overlays/namespaced/settings.yaml"', "mine"))
    with temporary_control_plane() as plane, World(plane, tmp_path / "world", "team-a") as world:
        plane.apply(settings.parent)
        wait_for(lambda: len(served(plane)) == 2, what="both kinds are published")
        world.add_account()
        answer = check(plane, tmp_path)
        assert (answer.status, answer.lines["warn"], answer.lines["FAIL"]) == (0, [], []), answer
        assert "namespace team-a: served; it may not be read, but rights are granted in it" in answer.lines["ok"]

        no_more = check(plane, tmp_path, "--namespaces", "team-a,team-b", "--orphan-policy", "cancel")
        assert no_more.status == 1
        assert any("none of the" in line and "team-b" in line for line in no_more.lines["FAIL"])
        assert {line.partition(":")[0] for line in no_more.lines["warn"]} == {"namespace team-b", "orphan policy"}
