"""The rights of the service account against what the operator asks for, by the API server's own audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dispersed_devenv.controlplane import ControlPlane
from tests.e2e.conftest import BASE
from tests.support.controlplane import CRDS, temporary_control_plane
from tests.support.copies import lose, restore
from tests.support.installation import namespaced_overlay, start_installed_operator
from tests.support.rendering import NAMESPACE
from tests.support.sweeps import SWEEPING, a_vanished, decide, insert, see_twice, wait_orphan
from tests.support.world import World, wait_for

ROLES = {
    BASE / "rbac.yaml": "ClusterRole",
    BASE.parent / "components" / "high-availability" / "role.yaml": "Role",
}
"""What is granted to an operator that elects, by file."""
ACCOUNT = "system:serviceaccount:dispersed-system:dispersed-operator"
Right = tuple[str, str, str]
"""API group, resource (with its subresource), verb."""
LATER = {("", "events", "patch")}
"""The count of an Event that repeats is written a minute later at the earliest (tests/integration/kube)."""


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[World]:
    """A world on a control plane of its own that writes an audit log."""
    with temporary_control_plane(*sorted(CRDS.glob("*.yaml")), audit_log=True) as plane:
        plane.apply(BASE)
        plane.apply(*(file for file, kind in ROLES.items() if kind == "Role"))
        flags = (*SWEEPING, "--leader-elect", "true")
        with World(plane, tmp_path / "world", "rights", operator_flags=flags) as world:
            world.add_account()
            yield world


def granted() -> set[Right]:
    roles = [
        item for file, kind in ROLES.items() for item in yaml.safe_load_all(file.read_text()) if item["kind"] == kind
    ]
    assert len(roles) == len(ROLES)
    return {right for role in roles for right in rights_in(role)}


def rights_in(role: dict[str, Any]) -> set[Right]:
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def granted_by_namespace(plane: ControlPlane) -> set[tuple[str, Right]]:
    """What Roles give the operator, with the namespace of each; no ClusterRole gives it anything."""
    bindings = json.loads(plane.kubectl("get", "rolebindings,clusterrolebindings", "-A", "-o", "json"))["items"]
    ours = [item for item in bindings if any(is_operator(subject) for subject in item.get("subjects") or ())]
    assert {item["kind"] for item in ours} == {"RoleBinding"}
    found = set()
    for item in ours:
        namespace = item["metadata"]["namespace"]
        role = json.loads(plane.kubectl("get", "role", item["roleRef"]["name"], "-n", namespace, "-o", "json"))
        found |= {(namespace, right) for right in rights_in(role)}
    return found


def is_operator(subject: dict[str, str]) -> bool:
    return (subject["kind"], subject["name"], subject.get("namespace")) == (
        "ServiceAccount", "dispersed-operator", NAMESPACE,
    )  # fmt: skip


def requests(plane: ControlPlane) -> list[dict[str, Any]]:
    """What the operator asked the API server for; reading who it is and what there is needs no right of its own."""
    events = map(json.loads, plane.audit_log_file.read_text().splitlines())
    return [event for event in events if event["user"]["username"] == ACCOUNT and "objectRef" in event]


def right_of(event: dict[str, Any]) -> Right:
    asked = event["objectRef"]
    resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
    return asked.get("apiGroup", ""), resource, event["verb"]


def test_the_operator_asks_for_nothing_that_it_may_not_and_every_right_is_used(audited: World) -> None:
    """A life with everything in it: jobs that end, are suspended, restored and deleted, an orphan, a shared account."""
    world = audited
    world.start_operator()
    world.control.add_fate("server", run_seconds=100_000)
    orphan = insert(world, a_vanished(world), age=1000)
    world.kubectl("create", "configmap", "words", "--from-literal=GREETING=hello")
    world.control.add_key("pk_shared", "sk_shared")  # of its own: accounts with one key are swept once
    world.add_shared_secret(public="pk_shared", secret="sk_shared")
    world.add_shared_account("shared", with_secret=False, allowed={"selector": {}})
    world.add_batch("batch", template={"envFrom": [{"configMapRef": {"name": "words"}}]})
    world.add_batch("shared", accountRef={"kind": "ClusterDispersedAccount", "name": "shared"})
    world.add_persistent("server")
    world.wait_condition("batch", "Complete")
    world.wait_condition("shared", "Complete")
    world.wait_condition("server", "Ready")
    world.kubectl("patch", "djob", "server", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    world.wait_condition("server", "Suspended")
    world.kubectl("patch", "djob", "server", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    world.wait_condition("server", "Ready")
    see_twice(world)
    wait_orphan(world, orphan)

    world.operators[0].stop()
    uuid = world.status("server")["jobUUID"]
    backup = lose(world, "server")
    world.control.advance(1000)
    world.operators[0].start()
    see_twice(world)
    wait_orphan(world, uuid)
    decide(world, orphan, "Cancel")
    wait_orphan(world, orphan, lambda body: body["status"]["phase"] == "Closed")
    restore(world, backup, with_status=True)
    world.wait_condition("server", "Ready")
    world.kubectl("patch", "djob", "server", "--type=merge", "-p", '{"spec":{"deletionPolicy":"Orphan"}}')
    world.remove_jobs("server", "batch", "shared")
    wait_orphan(world, uuid, lambda body: body["spec"]["decision"] == "Keep")
    used = wait_for(lambda: {right_of(event) for event in requests(world.plane)} or None, what="the log is written")

    refused = {right_of(event) for event in requests(world.plane) if event["responseStatus"]["code"] == 403}
    assert refused == set()
    assert used - granted() == set(), "asked for and allowed by something else than the operator's role"
    assert granted() - used == LATER, "granted and never used"


def test_a_namespaced_operator_asks_for_nothing_outside_its_namespaces_and_every_right_is_used(tmp_path: Path) -> None:
    """The overlay with two replicas: a Role in the namespace that is served, and one for the Lease beside the
    operator."""
    overlay = namespaced_overlay(tmp_path, components=["high-availability"])
    with temporary_control_plane(audit_log=True) as plane, World(plane, tmp_path / "world", "team-a") as world:
        plane.apply(overlay)
        start_installed_operator(world)
        world.kubectl("create", "configmap", "words", "--from-literal=GREETING=hello")
        world.add_account()
        world.wait_condition("default", "Ready", kind="dispersedaccount")
        listed = len(world.listings())
        stall = world.control.add_fault("stall", method="GET", path="^/v1/jobs$")
        world.add_persistent("server")
        wait_for(lambda: len(world.listings()) > listed, what="the listing before the create began")
        world.kubectl("patch", "djob", "server", "--type=merge", "-p", '{"spec":{"template":{"tag":"v2"}}}')
        world.control.release(stall)  # the intent meets the edit: the object is read again
        world.add_batch("batch", template={"envFrom": [{"configMapRef": {"name": "words"}}]})
        world.wait_condition("batch", "Complete")
        world.wait_condition("server", "Ready")
        world.remove_jobs("server", "batch")
        world.delete("default", "dispersedaccount")
        world.wait_gone("default", "dispersedaccount")
        world.operators[0].stop()

        asked = requests(plane)
        refused = {right_of(event) for event in asked if event["responseStatus"]["code"] == 403}
        assert refused == set()
        used = {(event["objectRef"].get("namespace", ""), right_of(event)) for event in asked}
        grants = granted_by_namespace(plane)
        assert {namespace for namespace, _ in grants} == {"team-a", NAMESPACE}
        assert used - grants == set(), "asked for and allowed by something else than the operator's Roles"
        assert grants - used == {("team-a", right) for right in LATER}, "granted and never used"
        assert (len(world.posts()), world.live_jobs()) == (2, [])
