"""The operator is killed in the middle of a create and started again: one job, and never a second request for it."""

from __future__ import annotations

import pytest

from tests.support.proofs import look, prove_absence
from tests.support.world import World, wait_for


def _kill_with_the_post_in_flight(world: World, fault: str) -> None:
    """Create `job`; end the operator by SIGKILL while the service holds its answer to the POST."""
    world.control.add_fault(fault, method="POST")
    stall = world.control.add_fault("stall", method="POST")
    world.add_persistent("job")
    wait_for(lambda: bool(world.posts()), what="the request arrived")
    world.operators[0].kill()
    world.control.release(stall)


@pytest.mark.failure_mode(2)
def test_killed_before_the_request_was_carried_out_the_job_is_created_once_after_the_proof(calm_world: World) -> None:
    world = calm_world
    _kill_with_the_post_in_flight(world, "drop_before_commit")
    assert world.jobs() == []
    world.operators[0].start()
    world.wait_condition("job", "RemoteCreated", "Unknown")
    assert len(world.signatures()) == 1
    prove_absence(world, "job")
    world.wait_condition("job", "Ready")
    assert world.status("job")["create"]["attempt"] == 2
    assert (len(world.signatures()), len(world.jobs())) == (2, 1)
    world.check_truth()


@pytest.mark.failure_mode(3)
def test_killed_after_the_commit_the_job_is_adopted_and_nothing_is_posted_again(calm_world: World) -> None:
    world = calm_world
    _kill_with_the_post_in_flight(world, "drop_after_commit")
    assert len(world.jobs()) == 1
    assert "jobUUID" not in world.status("job")
    world.operators[0].start()
    world.wait_condition("job", "Ready")
    assert world.status("job")["jobUUID"] == world.jobs()[0]["uuid"]
    assert "Adopted" in world.events("job")
    assert (len(world.posts()), len(world.jobs())) == (1, 1)
    world.check_truth()


@pytest.mark.failure_mode(3)
def test_killed_after_the_status_write_a_new_process_neither_posts_nor_patches(calm_world: World) -> None:
    world = calm_world
    world.add_persistent("job")
    world.wait_condition("job", "Ready")
    world.operators[0].kill()
    before = world.get("job")
    assert before is not None
    reads = len(world.control.requests(method="GET", path="/v1/job-runs"))
    world.operators[0].start()
    wait_for(
        lambda: len(world.control.requests(method="GET", path="/v1/job-runs")) > reads,
        what="the new process has polled the job",
    )
    world.add_batch("after")
    world.wait_condition("after", "RemoteCreated")
    after = world.get("job")
    assert after is not None
    assert after == before, "a start alone changes nothing"
    assert (len(world.posts()), len(world.jobs())) == (2, 2)
    world.check_truth()


@pytest.mark.failure_mode(22)
def test_killed_before_the_request_was_carried_out_a_deletion_waits_for_the_proof_of_absence(calm_world: World) -> None:
    world = calm_world
    _kill_with_the_post_in_flight(world, "drop_before_commit")
    world.delete("job")
    world.operators[0].start()
    world.wait_phase("job", "Stopping")
    world.control.advance(430)
    look(world, "job")
    assert world.get("job") is not None
    world.control.advance(31)
    look(world, "job")
    world.wait_gone("job")
    assert (len(world.posts()), world.jobs(), world.cancels()) == (1, [], [])
    world.check_truth()
