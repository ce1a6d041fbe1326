"""deletionPolicy: a job is cancelled with its resource, or outlives it and is remembered."""

from __future__ import annotations

import pytest

from tests.support.world import World, wait_for

LONG = 600.0


@pytest.mark.failure_mode(60)
def test_a_job_outlives_its_resource_if_so_asked_and_a_dispersedorphan_keeps_it(world: World) -> None:
    world.control.add_fate("done", run_seconds=1)
    world.control.add_fate("plain", run_seconds=LONG)
    world.add_persistent(deletionPolicy="Orphan")
    world.add_batch("done", deletionPolicy="Orphan")
    world.add_batch("plain")
    world.wait_condition("server", "Ready")
    world.wait_phase("done", "Succeeded")
    world.wait_phase("plain", "Running")
    uuids = {name: world.status(name)["jobUUID"] for name in ("server", "done", "plain")}
    world.remove_jobs("server", "done", "plain")
    assert {name: world.control.job(uuid)["status"] for name, uuid in uuids.items()} == {
        "server": "RUNNING",
        "done": "COMPLETED",
        "plain": "CANCELLED",
    }
    assert {row["job_uuid"] for row in world.cancels()} == {uuids["plain"]}
    orphan = world.get(uuids["server"], "dispersedorphan")
    assert orphan is not None
    assert (orphan["spec"]["decision"], orphan["status"]["cause"]) == ("Keep", "DeletionPolicy")
    assert orphan["status"]["owner"] == f"{world.namespace}/server"
    assert world.get(uuids["done"], "dispersedorphan") is None, "a job that is over leaves nothing behind"
    assert "JobKept" in world.events("server")
    wait_for(lambda: world.get("server-connection", "secret") is None, what="the connection Secret is gone")
    assert world.kept() >= {uuids["server"]}
    world.check_truth()
    world.kubectl("delete", "dispersedorphan", uuids["server"], namespaced=False)


def test_a_create_that_is_unknown_is_settled_before_its_job_is_kept(world: World) -> None:
    control = world.control
    control.switch(list_delay_seconds=100)
    control.add_fate("batch", run_seconds=LONG)
    control.add_fault("drop_after_commit", method="POST", times=1)
    world.add_batch(deletionPolicy="Orphan")
    world.wait_condition("batch", "RemoteCreated", "Unknown")
    world.delete("batch")
    world.wait_phase("batch", "Stopping")
    assert (world.get("batch") or {})["metadata"]["finalizers"] == ["dispersed.dev/remote-job"]
    control.advance(101)
    world.nudge_until_gone("batch")
    (job,) = world.live_jobs()
    assert job["uuid"] in world.kept()
    assert world.cancels() == []
    world.check_truth()
    world.kubectl("delete", "dispersedorphan", job["uuid"], namespaced=False)
