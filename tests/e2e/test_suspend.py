"""A suspended resource has no live job: none is made, a live one is ended first, and a resume is a new attempt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dispersed_devenv.controlplane import KubectlError
from dispersed_operator.model.naming import parse_title
from tests.support.proofs import look
from tests.support.world import World, wait_for

LONG = 600.0
EDIT = {"template": {"tag": "v2"}}


def change(world: World, name: str, **spec: Any) -> None:
    """Edit the spec of a resource."""
    world.kubectl("patch", "dispersedjob", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def attempts(world: World) -> dict[int, str]:
    """The attempt in the title of each remote job, and the job's state."""
    parsed = [(parse_title(job["title"]), job["status"]) for job in world.jobs()]
    return {title.attempt: status for title, status in parsed if title is not None}


@pytest.mark.reason("Suspended")
def test_a_job_that_is_created_suspended_posts_nothing_until_it_is_resumed(world: World) -> None:
    world.add_batch(suspend=True)
    world.kubectl("wait", "dispersedjob/batch", "--for=condition=Suspended", "--timeout=60s")
    look(world, "batch")
    status = world.status("batch")
    assert (status["phase"], world.condition("batch", "Reconciling")["status"]) == ("Suspended", "False")
    assert "docs/reasons/Suspended.md" in world.condition("batch", "Suspended")["message"]
    assert "finalizers" not in (world.get("batch") or {})["metadata"]
    assert world.posts() == []
    change(world, "batch", suspend=False)
    world.wait_phase("batch", "Succeeded")
    world.kubectl("wait", "dispersedjob/batch", "--for=condition=Suspended=false", "--timeout=60s")
    change(world, "batch", suspend=True)
    look(world, "batch")
    change(world, "batch", suspend=False)
    look(world, "batch")
    assert world.status("batch")["phase"] == "Succeeded", "a job that has ended is neither suspended nor run again"
    assert len(world.posts()) == 1
    world.check_truth()


@pytest.mark.failure_mode(45)
@pytest.mark.failure_mode(53)
def test_a_live_job_is_suspended_when_its_end_is_confirmed_and_resumed_with_the_spec_as_it_is_then(
    world: World,
) -> None:
    world.control.add_fate("server", cancel_seconds=LONG)
    world.add_persistent()
    world.wait_condition("server", "Ready")
    first = world.status("server")["jobUUID"]
    with pytest.raises(KubectlError, match="suspend the job first"):
        change(world, "server", **EDIT)
    change(world, "server", suspend=True)
    wait_for(lambda: world.control.job(first)["status"] == "CANCELLING", what="the cancel reached the service")
    world.wait_phase("server", "Stopping")
    look(world, "server")
    assert world.condition("server", "Suspended") == {}, "the job still lives"
    with pytest.raises(KubectlError, match="suspend the job first"):
        change(world, "server", **EDIT)
    world.control.advance(LONG + 1)
    world.wait_condition("server", "Suspended")
    assert world.control.job(first)["status"] == "CANCELLED"
    assert world.get("server-connection", "secret") is None
    assert world.status("server")["active"] == 0
    world.check_truth()

    change(world, "server", **EDIT)
    with pytest.raises(KubectlError, match="accountRef can not be changed"):
        change(world, "server", accountRef={"name": "other"})
    change(world, "server", suspend=False)
    world.wait_condition("server", "Ready")
    status = world.status("server")
    assert status["jobUUID"] != first
    assert (status["create"]["attempt"], status["create"]["settledAttempts"]) == (2, 1)
    assert status["create"]["locked"] is True
    assert world.condition("server", "Suspended")["status"] == "False"
    assert attempts(world) == {1: "CANCELLED", 2: "RUNNING"}
    assert world.remote("server")["parameters"]["parameters"]["tag"] == "v2"
    assert len(world.signatures()) == 2
    world.check_truth()


@pytest.mark.failure_mode(45)
def test_a_suspension_while_the_create_is_unknown_settles_it_first(world: World) -> None:
    control = world.control
    control.switch(list_delay_seconds=100)
    control.add_fate("found", run_seconds=LONG)
    control.add_fault("drop_after_commit", method="POST", times=1)
    world.add_batch("found")
    world.wait_condition("found", "RemoteCreated", "Unknown")
    change(world, "found", suspend=True)
    look(world, "found")
    assert world.condition("found", "Suspended") == {}
    assert world.condition("found", "RemoteCreated")["status"] == "Unknown"
    control.advance(101)
    world.nudge("found")
    world.wait_condition("found", "Suspended")
    assert attempts(world) == {1: "CANCELLED"}
    assert len(world.posts()) == 1
    world.check_truth()


@pytest.mark.failure_mode(45)
def test_an_operator_that_dies_while_it_suspends_leaves_a_suspended_job_and_not_one_that_others_cancelled(
    world: World,
) -> None:
    world.control.add_fate("server", cancel_seconds=LONG)
    world.add_persistent()
    world.wait_condition("server", "Ready")
    change(world, "server", suspend=True)
    uuid = world.status("server")["jobUUID"]
    wait_for(lambda: world.control.job(uuid)["status"] == "CANCELLING", what="the cancel took effect")
    world.operators[0].kill()
    world.control.advance(LONG + 1)
    wait_for(lambda: not world.live_jobs(), what="the job has ended")
    change(world, "server", suspend=False)
    world.start_operator("second")
    world.wait_condition("server", "Ready")
    assert world.condition("server", "Failed") == {}
    assert attempts(world) == {1: "CANCELLED", 2: "RUNNING"}
    assert len(world.signatures()) == 2
    world.check_truth()
