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
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


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
