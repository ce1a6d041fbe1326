"""The operator stops in order: what is under way is finished and written down, and nothing is cancelled."""

from __future__ import annotations

import signal

import pytest

from tests.support.proofs import prove_absence
from tests.support.world import World, wait_for

STOP_SECONDS = 60.0


def stop_with_the_post_in_flight(world: World) -> None:
    """SIGTERM while the service holds its answer to the only POST; then the answer, and the end of the process."""
    stall = world.control.add_fault("stall", method="POST")
    world.add_persistent("job")
    wait_for(lambda: bool(world.posts()), what="the request arrived")
    operator = world.operators[0]
    operator.process.send_signal(signal.SIGTERM)
    wait_for(lambda: '"stopping"' in operator.process.output(), what="the operator stops")
    assert operator.running, "a request in flight is not cut off"
    world.control.release(stall)
    assert operator.process.wait(STOP_SECONDS) == 0


@pytest.mark.failure_mode(3)
def test_a_stop_waits_for_the_answer_to_a_create_and_records_it(calm_world: World) -> None:
    world = calm_world
    stop_with_the_post_in_flight(world)
    assert world.status("job")["jobUUID"] == world.jobs()[0]["uuid"]
    world.operators[0].start()
    world.wait_condition("job", "Ready")
    assert "Adopted" not in world.events("job")
    assert (len(world.posts()), len(world.jobs())) == (1, 1)
    world.check_truth()


@pytest.mark.failure_mode(2)
@pytest.mark.parametrize("fault", ["drop_after_commit", "drop_before_commit"])
def test_a_create_that_is_lost_during_a_stop_is_settled_by_the_next_start(calm_world: World, fault: str) -> None:
    world = calm_world
    world.control.add_fault(fault, method="POST")
    stop_with_the_post_in_flight(world)
    assert len(world.signatures()) == 1
    world.operators[0].start()
    if fault == "drop_before_commit":
        world.wait_condition("job", "RemoteCreated", "Unknown")
        prove_absence(world, "job")
    world.wait_condition("job", "Ready")
    assert len(world.signatures()) == (2 if fault == "drop_before_commit" else 1)
    assert len(world.jobs()) == 1
    world.check_truth()


def test_a_stop_cancels_nothing_and_the_next_start_goes_on(calm_world: World) -> None:
    world = calm_world
    world.add_persistent("job")
    world.wait_condition("job", "Ready")
    assert world.operators[0].stop() == 0
    assert (len(world.live_jobs()), world.cancels()) == (1, [])
    world.operators[0].start()
    world.remove_jobs("job")
    assert (len(world.posts()), len(world.jobs()), world.live_jobs()) == (1, 1, [])
    world.check_truth()
