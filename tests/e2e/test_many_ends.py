"""Many jobs end at once: what became of them is read page by page, and each resource tells it."""

from __future__ import annotations

from dispersed_operator.remote.poller import MANY_ENDED
from tests.support.world import World

NAMES = tuple(f"server-{number}" for number in range(MANY_ENDED))


def test_jobs_that_ended_while_nobody_looked_cost_one_read_each_and_a_page(calm_world: World) -> None:
    world = calm_world
    for name in NAMES:
        world.add_persistent(name)
    for name in NAMES:
        world.wait_condition(name, "Ready")
    uuids = [str(world.status(name)["jobUUID"]) for name in NAMES]
    world.operators[0].kill()
    for uuid in uuids:
        world.control.force_status(uuid, "COMPLETED")
    world.control.clear_requests()
    world.operators[0].start()
    for name in NAMES:
        world.wait_phase(name, "Succeeded")
        assert world.status(name)["currentRun"]["status"] == "COMPLETED", name
    asked = [row["path"] for row in world.control.requests(method="GET")]
    assert not [path for path in asked if path.removeprefix("/v1/jobs/") in uuids]
    assert world.posts() == []
    world.check_truth()
