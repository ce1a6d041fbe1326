"""A deletion ends the remote job from every phase, and only then lets the resource go."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.world import TERMINAL, World

LONG = 600.0


def test_a_deletion_from_every_phase_leaves_no_live_job(world: World) -> None:
    control = world.control
    control.add_fate("queued", never_assigned=True)
    control.add_fate("pulling", pull_seconds=LONG)
    control.add_fate("running", run_seconds=LONG)
    control.add_fate("stopping", run_seconds=LONG, cancel_seconds=3)
    control.add_fate("failed", exit_code=1)
    phases = {
        "queued": "Queued", "pulling": "Starting", "running": "Running", "stopping": "Running", "failed": "Failed",
        "succeeded": "Succeeded",
    }  # fmt: skip
    for name in phases:
        world.add_batch(name)
    for name, phase in phases.items():
        world.wait_phase(name, phase)
    uuids = {name: world.status(name)["jobUUID"] for name in phases}
    control.force_status(uuids["stopping"], "CANCELLING", hold=False)
    world.wait_phase("stopping", "Stopping")
    for name in phases:
        world.delete(name)
    for name in phases:
        world.wait_gone(name)
    ends = {name: control.job(uuid)["status"] for name, uuid in uuids.items()}
    assert set(ends.values()) <= TERMINAL
    assert (ends["succeeded"], ends["failed"]) == ("COMPLETED", "FAILED")
    assert {ends[name] for name in ("queued", "pulling", "running", "stopping")} == {"CANCELLED"}
    cancelled = {row["job_uuid"] for row in world.cancels()}
    assert not cancelled & {uuids["succeeded"], uuids["failed"]}
    assert len(world.posts()) == len(phases)
    world.check_truth()


@pytest.mark.failure_mode(23)
@pytest.mark.failure_mode(24)
@pytest.mark.failure_mode(43)
def test_the_answer_of_a_cancel_is_not_believed_the_job_is_read_until_it_and_its_runs_are_over(world: World) -> None:
    control = world.control
    faults: dict[str, tuple[str, dict[str, Any]]] = {
        "lost": ("cancel_lost", {}),
        "not-found": ("not_found_burst", {}),
        "conflict": ("duplicate_delivery", {}),
        "gateway": ("server_error", {"status": 502, "commit": True}),
    }
    control.switch(nonce_replay_status=409)
    for name in faults:
        control.add_fate(name, run_seconds=LONG)
        world.add_batch(name)
    world.add_batch("ended", template={"title": "succeeds"})
    rules: dict[str, str] = {}
    uuids: dict[str, str] = {}
    for name, (kind, params) in faults.items():
        world.wait_phase(name, "Running")
        uuids[name] = world.status(name)["jobUUID"]
        path = f"^/v1/jobs/{uuids[name]}/cancel$"
        rules[name] = control.add_fault(kind, method="PUT", path=path, times=1, **params)
    world.wait_phase("ended", "Succeeded")
    late_run = control.add_fault("unknown_status", path=r"^/v1/job-runs", status="RUNNING", times=None)
    world.delete("ended")
    world.wait_phase("ended", "Stopping")
    said = world.wait_condition("ended", "Ready", "False", reason="Stopping")
    assert "run" in said["message"]
    control.remove_fault(late_run)
    for name in faults:
        world.delete(name)
    for name in (*faults, "ended"):
        world.wait_gone(name)
    assert {control.fault_hits(rule) for rule in rules.values()} == {1}
    assert {control.job(uuid)["status"] for uuid in uuids.values()} == {"CANCELLED"}
    attempts = [row["job_uuid"] or row["path"].split("/")[3] for row in world.cancels()]
    assert attempts.count(uuids["lost"]) == 2
    assert attempts.count(uuids["not-found"]) == 2
    assert len(world.posts()) == 5
    world.check_truth()


@pytest.mark.failure_mode(22)
def test_a_deletion_before_or_during_an_unknown_create_waits_for_the_proof_and_for_nothing_else(world: World) -> None:
    control = world.control
    world.add_batch("early", accountRef={"name": "nobody"})
    world.wait_condition("early", "Ready", "False", reason="InvalidReference")
    assert "finalizers" not in (world.get("early") or {})["metadata"]
    world.kubectl("delete", "dispersedjob", "early", "--timeout=30s")

    control.switch(list_delay_seconds=100)
    control.add_fate("committed", run_seconds=LONG)
    control.add_fault("drop_after_commit", method="POST", times=1)
    world.add_batch("committed")
    world.wait_condition("committed", "RemoteCreated", "Unknown")
    control.add_fault("drop_before_commit", method="POST", times=1)
    world.add_batch("lost")
    world.wait_condition("lost", "RemoteCreated", "Unknown")
    for name in ("committed", "lost"):
        world.delete(name)
        world.wait_phase(name, "Stopping")
        assert world.condition(name, "RemoteCreated")["status"] == "Unknown"
        assert world.condition(name, "Ready")["message"]

    control.advance(101)
    world.nudge_until_gone("committed")
    assert [job["status"] for job in world.jobs()] == ["CANCELLED"]
    assert (world.get("lost") or {})["metadata"]["finalizers"] == ["dispersed.dev/remote-job"]

    control.advance(430)
    world.look_again("lost")
    assert world.get("lost") is not None
    control.advance(31)
    world.nudge_until_gone("lost")
    assert len(world.posts()) == 2
    assert len(world.jobs()) == 1
    world.check_truth()


@pytest.mark.failure_mode(26)
@pytest.mark.reason("APIUnavailable")
def test_a_deletion_while_the_api_is_down_says_so_and_ends_when_it_is_back(world: World) -> None:
    world.control.add_fate("batch", run_seconds=LONG)
    world.add_batch()
    world.wait_phase("batch", "Running")
    uuid = world.status("batch")["jobUUID"]
    world.simulator.stop()
    world.delete("batch")
    world.wait_condition("batch", "Ready", "False", reason="APIUnavailable")
    stuck = world.get("batch")
    assert stuck is not None
    assert stuck["metadata"]["deletionTimestamp"]
    assert stuck["metadata"]["finalizers"] == ["dispersed.dev/remote-job"]
    assert "docs/reasons/APIUnavailable.md" in json.dumps(stuck["status"])
    world.simulator.start()
    world.kubectl("wait", "dispersedjob/batch", "--for=delete", "--timeout=60s")
    assert world.control.job(uuid)["status"] == "CANCELLED"
    assert world.posts() == [], "the simulator came up without its log of requests: no create since"
    world.check_truth()
