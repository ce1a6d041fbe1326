"""Somebody else writes to the object at the worst moment: an edit, a conflict, a stripped or wiped record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.proofs import look, prove_absence
from tests.support.world import World, wait_for

INTENT = "dispersed.dev/create-intent"
FINALIZER = "dispersed.dev/remote-job"
LISTING = "^/v1/jobs$"


def edit_image(world: World, name: str, image: str) -> None:
    world.kubectl(
        "patch", "dispersedjob", name, "--type=merge", "-p", json.dumps({"spec": {"template": {"image": image}}})
    )


def image_of(world: World, number: int = 0) -> str:
    return str(world.jobs()[number]["parameters"]["parameters"]["image"])


def conflicts(world: World) -> float:
    """Refused writes to DispersedJobs, by the operator's own count."""
    prefix = 'dispersed_operator_conflicts_total{kind="DispersedJob"}'
    lines = world.operators[0].metrics().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(prefix))


def replace_without_our_marks(world: World, name: str) -> None:
    """kubectl replace with a manifest that lacks intent and finalizer, as a tool does that owns the whole object."""

    def replaced() -> bool:
        body = world.get(name)
        assert body is not None
        metadata: dict[str, Any] = body["metadata"]
        metadata["annotations"] = {key: text for key, text in metadata["annotations"].items() if key != INTENT}
        metadata["finalizers"] = []
        metadata.pop("resourceVersion")
        world.kubectl("replace", "-f", "-", body=body)
        return True

    wait_for(replaced, what="the object is replaced")


def wipe_status(world: World, name: str) -> None:
    """Empty the status through its subresource."""
    body = world.get(name)
    assert body is not None
    body["metadata"].pop("resourceVersion")
    body["status"] = {}
    world.kubectl("replace", "--subresource=status", "-f", "-", body=body)


@pytest.mark.failure_mode(19)
@pytest.mark.failure_mode(20)
def test_a_spec_edited_between_build_and_send_is_the_one_that_is_sent(world: World) -> None:
    world.wait_condition("default", "Ready", kind="dispersedaccount")
    listed = len(world.listings())
    stall = world.control.add_fault("stall", method="GET", path=LISTING)
    world.add_persistent("job")
    wait_for(lambda: len(world.listings()) > listed, what="the listing before the create began")
    edit_image(world, "job", "registry.example.com/team/edited")
    world.control.release(stall)
    world.wait_condition("job", "Ready")
    assert image_of(world) == "registry.example.com/team/edited"
    assert conflicts(world) >= 1
    assert world.status("job")["create"]["locked"] is True
    assert (len(world.posts()), len(world.jobs())) == (1, 1)
    world.check_truth()


@pytest.mark.failure_mode(72)
@pytest.mark.reason("ImmutableFieldChanged")
def test_a_spec_edited_while_the_request_is_under_way_is_told_and_can_be_taken_back(calm_world: World) -> None:
    world = calm_world
    stall = world.control.add_fault("stall", method="POST")
    world.add_persistent("job")
    wait_for(lambda: bool(world.posts()), what="the request arrived")
    edit_image(world, "job", "registry.example.com/team/edited")
    world.control.release(stall)
    world.wait_condition("job", "Stalled", reason="ImmutableFieldChanged")
    assert world.status("job")["create"]["locked"] is False
    assert image_of(world) == "registry.example.com/team/worker"
    edit_image(world, "job", "registry.example.com/team/worker")
    world.wait_condition("job", "Ready")
    assert world.status("job")["create"]["locked"] is True
    assert world.condition("job", "Stalled")["status"] == "False"
    assert (len(world.posts()), len(world.jobs())) == (1, 1)
    world.check_truth()


@pytest.mark.failure_mode(10)
@pytest.mark.failure_mode(18)
def test_conflicts_while_jobs_are_recorded_repeat_the_write_and_never_the_request(calm_world: World) -> None:
    world = calm_world
    names = [f"job-{number}" for number in range(5)]
    before = conflicts(world)
    stall = world.control.add_fault("stall", method="POST", times=None)
    for name in names:
        world.add_persistent(name)
    wait_for(lambda: len(world.posts()) == len(names), what="all requests arrived")
    for name in names:
        world.annotate(name, test_note="written meanwhile")
    world.control.remove_fault(stall)
    for round_ in range(3):
        for name in names:
            world.annotate(name, test_note=str(round_))
    for name in names:
        world.wait_condition(name, "RemoteCreated")
        assert "Adopted" not in world.events(name)
    assert conflicts(world) - before >= 1
    assert (len(world.posts()), len(world.jobs())) == (5, 5)
    world.check_truth()


@pytest.mark.failure_mode(11)
@pytest.mark.failure_mode(12)
def test_intent_and_finalizer_stripped_while_running_cost_neither_the_job_nor_its_hold(calm_world: World) -> None:
    world = calm_world
    world.add_persistent("job")
    world.wait_condition("job", "Ready")
    replace_without_our_marks(world, "job")
    wait_for(
        lambda: FINALIZER in (world.get("job") or {})["metadata"].get("finalizers", ()), what="the finalizer is back"
    )
    assert world.condition("job", "Ready")["status"] == "True"
    assert (len(world.posts()), len(world.jobs())) == (1, 1)
    world.check_truth()
    world.remove_jobs("job")
    assert world.live_jobs() == []
    assert len(world.cancels()) >= 1


@pytest.mark.failure_mode(11)
@pytest.mark.failure_mode(12)
def test_intent_and_finalizer_stripped_while_unknown_still_need_the_proof(calm_world: World) -> None:
    world = calm_world
    world.control.add_fault("drop_before_commit", method="POST")
    world.add_persistent("job")
    world.wait_condition("job", "RemoteCreated", "Unknown")
    world.operators[0].kill()
    replace_without_our_marks(world, "job")
    world.operators[0].start()
    wait_for(
        lambda: FINALIZER in (world.get("job") or {})["metadata"].get("finalizers", ()), what="the finalizer is back"
    )
    look(world, "job")
    assert (len(world.signatures()), len(world.jobs())) == (1, 0)
    prove_absence(world, "job")
    world.wait_condition("job", "Ready")
    assert (len(world.signatures()), len(world.jobs())) == (2, 1)
    world.check_truth()


@pytest.mark.failure_mode(13)
def test_a_wiped_status_is_filled_again_by_adoption(calm_world: World) -> None:
    world = calm_world
    world.add_persistent("job")
    world.wait_condition("job", "Ready")
    wipe_status(world, "job")
    world.wait_condition("job", "Ready")
    assert world.status("job")["jobUUID"] == world.jobs()[0]["uuid"]
    assert (len(world.posts()), len(world.jobs())) == (1, 1)
    world.check_truth()


@pytest.mark.failure_mode(14)
@pytest.mark.failure_mode(56)
@pytest.mark.parametrize("restart", [True, False], ids=["restarted", "running"])
def test_with_intent_and_status_both_lost_the_listing_before_a_create_adopts_the_job(
    calm_world: World, restart: bool
) -> None:
    world = calm_world
    world.add_persistent("job")
    world.wait_condition("job", "Ready")
    operator = world.operators[0]
    operator.kill()
    replace_without_our_marks(world, "job")
    wipe_status(world, "job")
    operator.start()
    if not restart:  # once more, under the eyes of a process that knows its own listing from before
        world.wait_condition("job", "Ready")
        stall = world.control.add_fault("stall", method="GET", times=None)
        replace_without_our_marks(world, "job")
        wipe_status(world, "job")
        world.control.remove_fault(stall)
    world.wait_condition("job", "Ready")
    assert world.status("job")["jobUUID"] == world.jobs()[0]["uuid"]
    assert (len(world.posts()), len(world.jobs())) == (1, 1)
    world.check_truth()
