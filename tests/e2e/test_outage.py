"""The service is away for a while: nothing is created meanwhile, nothing is lost, nobody restarts anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.world import World

LONG = 600.0


@pytest.mark.reason("APIUnavailable")
def test_a_job_applied_while_the_service_is_down_is_created_once_when_it_comes_up(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    world.add_account()
    world.simulator.stop()
    world.start_operator()
    world.add_batch()
    world.wait_blocked("batch", "APIUnavailable", names="check the network and the baseURL")
    account = world.wait_condition("default", "Ready", "False", reason="APIUnavailable", kind="dispersedaccount")
    assert "docs/reasons/APIUnavailable.md" in account["message"]
    world.simulator.start()
    world.nudge_account()
    world.wait_condition("batch", "Complete")
    assert world.condition("batch", "AccountReady")["status"] == "True"
    assert len(world.posts()) == 1
    world.check_truth()


@pytest.mark.reason("APIUnavailable")
def test_an_outage_leaves_the_status_of_a_running_job_as_it_was_and_only_the_account_is_not_ready(world: World) -> None:
    world.control.add_fate("batch", run_seconds=LONG)
    world.add_batch()
    world.wait_phase("batch", "Running")
    before = world.status("batch")
    world.simulator.stop()
    world.nudge("batch")
    world.wait_condition("batch", "AccountReady", "False", reason="APIUnavailable")
    during = world.status("batch")
    kept = ("phase", "jobUUID", "create", "currentRun", "runs", "startTime", "active")
    assert {name: during[name] for name in kept} == {name: before[name] for name in kept}
    assert world.condition("batch", "Ready")["reason"] == "Running"
    world.simulator.start()
    world.wait_condition("batch", "AccountReady")
    after = world.status("batch")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    world.delete("batch")
    world.wait_gone("batch")
    assert world.posts() == [], "the simulator came up without its log of requests: no create since"
    assert [job["status"] for job in world.jobs()] == ["CANCELLED"]
    world.check_truth()
