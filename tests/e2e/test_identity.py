"""Whose job is it? Copies and forgeries reach nobody's job but their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.proofs import look, prove_absence
from tests.support.world import World

RECORD = ("jobUUID", "create", "account")


def put_status(world: World, name: str, status: dict[str, Any]) -> None:
    world.kubectl(
        "patch", "dispersedjob", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})
    )


def copy_of(body: dict[str, Any], name: str) -> dict[str, Any]:
    """What `kubectl get -o yaml | sed | kubectl apply` makes of an object."""
    metadata = {key: body["metadata"][key] for key in ("namespace", "annotations", "finalizers")}
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "metadata": metadata | {"name": name},
        "spec": body["spec"],
    }


@pytest.mark.failure_mode(36)
@pytest.mark.failure_mode(61)
@pytest.mark.reason("OwnershipAmbiguous")
@pytest.mark.parametrize("with_status", [False, True], ids=["annotations", "status-too"])
def test_a_copy_with_our_marks_posts_nothing_and_its_deletion_leaves_the_original_alone(
    calm_world: World, with_status: bool
) -> None:
    world = calm_world
    world.add_persistent("original")
    world.wait_condition("original", "Ready")
    original = world.get("original")
    assert original is not None
    world.kubectl("create", "-f", "-", body=copy_of(original, "clone"))
    if with_status:
        put_status(world, "clone", original["status"])
    look(world, "clone")
    world.wait_condition("clone", "Stalled", reason="OwnershipAmbiguous")
    assert not world.status("clone").get("endpoints")
    assert (len(world.posts()), len(world.jobs())) == (1, 1)
    world.delete("clone")
    world.wait_phase("clone", "Stopping")
    prove_absence(world, "clone")
    world.wait_gone("clone")
    assert world.cancels() == []
    assert world.condition("original", "Ready")["status"] == "True"
    assert (len(world.posts()), len(world.live_jobs())) == (1, 1)
    world.check_truth()


@pytest.mark.failure_mode(52)
@pytest.mark.reason("OwnershipAmbiguous")
def test_a_forged_record_of_a_neighbours_job_shows_nothing_and_ends_nothing(calm_world: World) -> None:
    world = calm_world
    world.add_persistent("victim")
    world.wait_condition("victim", "Ready")
    victim = world.status("victim")
    body = world.get("victim")
    assert body is not None
    forged = copy_of(body, "forger")
    forged["metadata"] |= {"annotations": {"dispersed.dev/paused": "true"}, "finalizers": []}
    world.kubectl("create", "-f", "-", body=forged)
    put_status(world, "forger", {name: victim[name] for name in RECORD})
    world.wait_condition("forger", "Stalled", reason="OwnershipAmbiguous")
    status = world.status("forger")
    assert not status.get("endpoints")
    assert not status.get("connectionSecretRef")
    assert world.get("forger-connection", "secret") is None
    world.delete("forger")
    world.wait_gone("forger")
    assert world.cancels() == []
    assert world.condition("victim", "Ready")["status"] == "True"
    assert (len(world.posts()), len(world.live_jobs())) == (1, 1)
    world.check_truth()
