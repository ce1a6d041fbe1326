"""Second jobs of a resource: duplicates end, copies of a person do not, unknown attempts are looked up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.sweeps import (
    SWEEPING,
    cancelled_uuids,
    events_of,
    identity_of,
    insert,
    instant,
    metric,
    now,
    orphan,
    see_twice,
    status_of,
    sweep_again,
)
from tests.support.world import World, wait_for


@pytest.fixture
def served(make_world: Callable[..., World]) -> World:
    """A world whose operator sweeps every second, with a running job `server`."""
    world = make_world(operator_flags=(*SWEEPING, "--orphan-policy", "cancel"))
    world.add_account()
    world.start_operator()
    world.add_persistent("server")
    world.wait_condition("server", "Ready")
    return world


def twin(world: World, *, created_at: int, **values: Any) -> str:
    """A second job with title, description and container of the first, as a repeated request or a person makes it."""
    first = world.remote("server")
    fields = {
        "description": first["description"],
        "parameters": first["parameters"]["parameters"],
        "task": "PERSISTENT",
    }
    body = fields | {"task": "PERSISTENT", "status": "RUNNING", "created_at": instant(created_at)} | values
    return str(world.control.insert_job(first["title"], **body)["uuid"])


@pytest.mark.failure_mode(8)
@pytest.mark.failure_mode(9)
def test_a_duplicate_that_was_committed_late_is_found_and_ended(served: World) -> None:
    world = served
    first = world.status("server")["jobUUID"]
    second = twin(world, created_at=now(world))
    see_twice(world)
    wait_for(lambda: status_of(world, second) == "CANCELLED", what="the duplicate ended")
    assert set(cancelled_uuids(world)) == {second}
    assert first in events_of(world, "server")["DuplicateCancelled"]
    assert metric(world, "dispersed_operator_sweep_cancels_total", standing="duplicate") == 1
    assert world.status("server")["jobUUID"] == first
    assert orphan(world, second) is None
    world.check_truth()


@pytest.mark.failure_mode(23)
def test_a_duplicate_whose_cancel_is_lost_is_cancelled_again(served: World) -> None:
    world = served
    lost = world.control.add_fault("cancel_lost", times=1)
    second = twin(world, created_at=now(world))
    see_twice(world)
    wait_for(lambda: status_of(world, second) == "CANCELLED", what="the duplicate ended")
    assert world.control.fault_hits(lost) == 1
    assert cancelled_uuids(world)[:2] == [second, second]
    world.check_truth()


@pytest.mark.failure_mode(42)
@pytest.mark.failure_mode(59)
def test_a_re_run_by_a_person_is_counted_and_never_touched(served: World) -> None:
    world = served
    world.control.advance(1000)
    copy = twin(world, created_at=now(world))
    see_twice(world)
    assert metric(world, "dispersed_operator_sweep_jobs", standing="copy") == 1
    world.control.advance(2000)
    see_twice(world)
    assert metric(world, "dispersed_operator_sweep_jobs", standing="copy") == 1
    assert world.cancels() == []
    assert status_of(world, copy) == "RUNNING"
    assert orphan(world, copy) is None


@pytest.mark.failure_mode(57)
def test_a_live_job_of_a_later_attempt_is_looked_up_and_taken_over(served: World) -> None:
    world = served
    first = world.status("server")["jobUUID"]
    later = insert(world, identity_of(world, "server"), attempt=2)
    wait_for(lambda: world.status("server").get("jobUUID") == later, what="the later attempt is recorded")
    assert world.status("server")["create"]["attempt"] == 2
    wait_for(lambda: status_of(world, first) == "CANCELLED", what="the earlier attempt's job ended")
    assert len(world.posts()) == 1
    world.check_truth()


def test_a_failed_listing_leads_to_no_verdict_and_to_another_try(served: World) -> None:
    world = served
    second = twin(world, created_at=now(world))
    sweep_again(world)
    fault = world.control.add_fault("server_error", method="GET", path="^/v1/jobs$", times=None)
    world.control.advance(31)
    wait_for(
        lambda: (metric(world, "dispersed_operator_sweeps_total", result="failed") or 0) >= 1,
        what="a sweep failed",
        seconds=120,
    )
    assert cancelled_uuids(world) == []
    world.control.remove_fault(fault)
    wait_for(lambda: status_of(world, second) == "CANCELLED", what="the duplicate ended", seconds=120)
    world.check_truth()
