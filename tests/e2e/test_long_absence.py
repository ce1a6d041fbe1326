"""No operator runs for long. Nothing is lost meanwhile, and the next one finds everything as it has become."""

from __future__ import annotations

import pytest

from tests.support.proofs import prove_absence
from tests.support.world import World, wait_for


@pytest.mark.failure_mode(33)
@pytest.mark.timeout(400)
def test_after_two_hours_without_an_operator_everything_is_true_again(calm_world: World) -> None:
    world = calm_world
    for name in ("stays", "deleted", "lost"):
        world.add_persistent(name)
        world.wait_condition(name, "Ready")
    world.add_batch("ends")
    world.wait_condition("ends", "RemoteCreated")
    before = {name: world.status(name)["jobUUID"] for name in ("stays", "deleted", "lost", "ends")}
    drop = world.control.add_fault("drop_before_commit", method="POST")
    world.add_batch("unknown")
    wait_for(lambda: world.control.fault_hits(drop) == 1, what="the request was lost")
    world.operators[0].kill()

    world.delete("deleted")
    world.control.force_status(before["lost"], "FAILED")
    world.control.advance(7200)
    wait_for(lambda: world.control.job(before["ends"])["status"] == "COMPLETED", what="the batch job has ended")
    world.add_batch("new")
    posts = len(world.posts())
    present = {job["uuid"]: job["status"] for job in world.jobs()}
    assert present[before["deleted"]] == "RUNNING", "nobody was there to cancel it, and nobody forgot it"
    assert world.get("deleted") is not None, "the finalizer holds it until its job has ended"

    world.operators[0].start()
    world.wait_gone("deleted")
    assert world.control.job(before["deleted"])["status"] == "CANCELLED"
    world.wait_condition("ends", "Complete")
    world.wait_condition("lost", "Failed")
    world.wait_condition("new", "RemoteCreated")
    world.wait_condition("stays", "Ready")
    prove_absence(world, "unknown", after=1.0)
    world.wait_condition("unknown", "RemoteCreated")
    assert {name: world.status(name)["jobUUID"] for name in ("stays", "lost", "ends")} == {
        name: before[name] for name in ("stays", "lost", "ends")
    }
    assert len(world.posts()) == posts + 2, "one for the new resource, one for the request that was lost"
    assert world.status("unknown")["create"]["attempt"] == 2
    world.check_truth()
