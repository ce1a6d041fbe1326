"""The connection Secret is never somebody else's, and it follows spec.connection.secretName."""

from __future__ import annotations

import json

import pytest

from tests.support.world import World, wait_for


@pytest.mark.reason("ConnectionSecretConflict")
def test_a_foreign_secret_is_left_alone_and_our_own_follows_its_name_while_the_job_runs_and_goes_with_it(
    world: World,
) -> None:
    foreign = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine"}, "stringData": {"a": "b"}}
    world.apply(foreign)
    before = world.get("mine", "secret")
    world.add_persistent(connection={"secretName": "mine"})
    world.wait_blocked("server", "ConnectionSecretConflict", names="Secret mine")
    assert world.condition("server", "Stalled")["status"] == "True"
    assert world.status("server")["phase"] == "Running"

    rename(world, "first")
    world.wait_condition("server", "Ready")
    first = world.secret_data("first")
    assert first is not None
    assert first["web-url"].startswith("http://127.0.0.1:")
    assert world.condition("server", "Stalled")["status"] == "False"

    rename(world, "second")
    wait_for(lambda: world.secret_data("second") == first, what="the Secret moved to its new name")
    wait_for(lambda: world.get("first", "secret") is None, what="the Secret of the old name is gone")
    wait_for(
        lambda: world.status("server").get("connectionSecretRef") == {"name": "second"}, what="the status names it"
    )
    assert world.condition("server", "Ready")["status"] == "True"

    world.kubectl("delete", "secret", "second")
    world.nudge("server")
    wait_for(lambda: world.secret_data("second") == first, what="a Secret deleted by hand comes back when asked for")

    uuid = world.status("server")["jobUUID"]
    world.delete("server")
    world.wait_gone("server")
    assert world.control.job(uuid)["status"] == "CANCELLED"
    assert {"Cancelling", "Cancelled"} <= set(world.events("server"))
    assert world.get("second", "secret") is None
    assert world.get("mine", "secret") == before
    assert len(world.posts()) == 1
    world.check_truth()


def rename(world: World, name: str) -> None:
    patch = json.dumps({"spec": {"connection": {"secretName": name}}})
    world.kubectl("patch", "dispersedjob", "server", "--type=merge", "-p", patch)
