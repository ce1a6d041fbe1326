"""How a job ended is said in a reason from the closed list, and nothing that ended is run again."""

from __future__ import annotations

import pytest

from tests.support.simulator import SignedCaller
from tests.support.world import Body, World, wait_for

LONG = 100_000.0


@pytest.mark.reason("RunDeadlineExceeded")
@pytest.mark.reason("StartDeadlineExceeded")
@pytest.mark.reason("AssignDeadlineExceeded")
@pytest.mark.reason("WaitingForNode")
@pytest.mark.reason("PullingImage")
def test_each_deadline_of_the_service_ends_in_a_reason_of_its_own(world: World) -> None:
    control = world.control
    control.add_fate("long", run_seconds=LONG)
    control.add_fate("pull", pull_seconds=LONG)
    control.add_fate("nowhere", never_assigned=True)
    world.add_batch("long")
    world.add_batch("pull", deadlines={"runSeconds": 900, "startSeconds": 120})
    world.add_batch("nowhere", deadlines={"runSeconds": 900, "assignSeconds": 300})
    world.wait_phase("long", "Running")
    world.wait_condition("pull", "Ready", "False", reason="PullingImage")
    world.wait_condition("nowhere", "Ready", "False", reason="WaitingForNode")
    control.advance(1000)
    for name in ("long", "pull", "nowhere"):
        world.nudge(name)
    expect(world, "long", "RunDeadlineExceeded", "deadlines.runSeconds")
    expect(world, "pull", "StartDeadlineExceeded", "deadlines.startSeconds")
    expect(world, "nowhere", "AssignDeadlineExceeded", "deadlines.assignSeconds")
    assert world.status("nowhere").get("runs") is None

    control.switch(run_timeout_result="COMPLETED")
    control.add_fate("other", run_seconds=LONG)
    world.add_batch("other")
    world.wait_phase("other", "Running")
    control.advance(1000)
    expect(world, "other", "RunDeadlineExceeded", "deadlines.runSeconds")
    assert world.remote("other")["status"] == "COMPLETED"
    assert len(world.posts()) == 4
    world.check_truth()


@pytest.mark.failure_mode(43)
@pytest.mark.reason("NodeLost")
@pytest.mark.reason("CancelledExternally")
@pytest.mark.reason("RemoteFailed")
@pytest.mark.reason("Stopping")
def test_a_lost_node_a_cancel_by_somebody_else_and_an_unexplained_failure_are_told_apart(world: World) -> None:
    control = world.control
    control.add_fate("lost", node_lost_after_seconds=0.5, run_seconds=LONG)
    control.add_fate("taken", run_seconds=LONG, cancel_seconds=4)
    control.add_fate("strange", run_seconds=LONG)
    for name in ("lost", "taken", "strange"):
        world.add_batch(name)
    for name in ("taken", "strange"):
        world.wait_phase(name, "Running")
    answer = SignedCaller(world.simulator.base_url).cancel(world.status("taken")["jobUUID"])
    assert answer.is_success
    control.force_status(world.status("strange")["jobUUID"], "FAILED")
    world.wait_condition("taken", "Ready", "False", reason="Stopping")
    expect(world, "lost", "NodeLost", "retry.remoteRetries")
    expect(world, "strange", "RemoteFailed", "")
    taken = world.wait_condition("taken", "Ready", "False", reason="CancelledExternally")
    assert "docs/reasons/CancelledExternally.md" in taken["message"]
    assert world.status("taken")["phase"] == "Stopped"
    world.nudge("taken")
    wait_for(lambda: world.status("taken").get("lastHandledReconcileAt"), what="the request for a look is answered")
    for name in ("lost", "taken", "strange"):
        world.delete(name)
        world.wait_gone(name)
    assert [row["path"] for row in world.cancels()] == [f"/v1/jobs/{job_titled(world, 'taken')['uuid']}/cancel"]
    assert len(world.posts()) == 3
    assert world.live_jobs() == []
    world.check_truth()


@pytest.mark.failure_mode(43)
@pytest.mark.parametrize("between", ["PENDING", "RUNNING"])
def test_a_retry_by_the_service_is_a_second_run_of_the_same_job_and_no_failure_in_between(
    world: World, between: str
) -> None:
    world.control.switch(retry_job_status=between)
    world.control.add_fate("batch", exit_code=5, bad_runs=1, assign_seconds=1.5)
    world.add_batch(retry={"remoteRetries": 1})
    world.wait_condition("batch", "Complete")
    status = world.status("batch")
    assert status["runCount"] == 2
    assert [run["status"] for run in status["runs"]] == ["COMPLETED", "FAILED"]
    assert status["currentRun"]["uuid"] == status["runs"][0]["uuid"]
    assert (status["succeeded"], status["failed"]) == (1, 0)
    assert world.condition("batch", "Failed") == {}
    assert "ExitNonZero" not in world.events("batch")
    assert len(world.posts()) == 1
    assert world.cancels() == []
    world.check_truth()


def expect(world: World, name: str, reason: str, remedy: str) -> None:
    """The job failed for this reason, says so in condition, phase and Event, and names the remedy."""
    failed = world.wait_condition(name, "Failed", reason=reason)
    assert remedy in failed["message"]
    assert f"docs/reasons/{reason}.md" in failed["message"]
    status: Body = world.status(name)
    assert (status["phase"], status["failed"], status["active"]) == ("Failed", 1, 0)
    assert world.condition(name, "Stalled")["status"] == "True"
    wait_for(lambda: reason in world.events(name), what=f"{name} has an Event {reason}", seconds=10)


def job_titled(world: World, title: str) -> Body:
    return next(job for job in world.jobs() if job["title"].endswith(f" {title}"))
