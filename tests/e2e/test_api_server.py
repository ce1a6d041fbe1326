"""Outages: the API server is killed, the service is down for a while; nothing is lost and nothing made twice."""

from __future__ import annotations

import pytest

from tests.support.proofs import look
from tests.support.world import World, wait_for


@pytest.mark.failure_mode(10)
def test_a_killed_api_server_delays_the_record_of_a_create_and_disturbs_nothing_else(calm_world: World) -> None:
    world = calm_world
    world.add_persistent("running")
    world.wait_condition("running", "Ready")
    stall = world.control.add_fault("stall", method="POST")
    world.add_persistent("creating")
    wait_for(lambda: len(world.posts()) == 2, what="the request arrived")
    world.plane.kill_apiserver()
    world.control.release(stall)
    wait_for(lambda: len(world.live_jobs()) == 2, what="the service has the job")
    world.plane.start_apiserver()
    world.wait_condition("creating", "Ready")
    assert world.condition("running", "Ready")["status"] == "True"
    assert world.operators[0].running
    assert "Adopted" not in world.events("creating")
    assert (len(world.posts()), len(world.jobs())) == (2, 2)
    world.add_batch("after")
    world.wait_condition("after", "RemoteCreated")
    world.check_truth()
    world.remove_jobs("running", "creating", "after")
    assert len(world.posts()) == 3


@pytest.mark.failure_mode(26)
@pytest.mark.reason("APIUnavailable")
def test_while_the_service_is_down_running_jobs_stay_deletions_wait_and_nothing_is_created(calm_world: World) -> None:
    world = calm_world
    for name in ("running", "leaving"):
        world.add_persistent(name)
    for name in ("running", "leaving"):
        world.wait_condition(name, "Ready")
    world.simulator.kill()
    world.add_persistent("waiting")
    world.delete("leaving")
    world.wait_condition("waiting", "Ready", "False", reason="APIUnavailable")
    world.wait_condition("leaving", "Ready", "False", reason="APIUnavailable")
    assert world.condition("running", "Ready")["status"] == "True"
    assert world.condition("waiting", "RemoteCreated")["status"] == "False"
    world.simulator.start()
    look(world, "waiting")
    look(world, "leaving")
    world.wait_condition("waiting", "Ready")
    world.wait_gone("leaving")
    assert world.condition("running", "Ready")["status"] == "True"
    assert len(world.jobs()) == 3
    assert {job["status"] for job in world.jobs()} == {"RUNNING", "CANCELLED"}
    assert len(world.posts()) <= 3
    world.check_truth()
