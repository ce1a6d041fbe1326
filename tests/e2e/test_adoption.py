"""spec.adopt: a remote job that exists is taken over, only with permission, only if it is nobody's, and never made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dispersed_operator.model.naming import create_token
from tests.support.proofs import look
from tests.support.sweeps import (
    SWEEPING,
    cancelled_uuids,
    decide,
    identity_of,
    make_orphan,
    metric,
    remove_orphans,
    see_twice,
    status_of,
    wait_orphan,
)
from tests.support.world import World, wait_for


@pytest.fixture
def sweeping(make_world: Callable[..., World]) -> Iterator[World]:
    """A world whose operators sweep every second, without orphans of an earlier test."""
    world = make_world(operator_flags=SWEEPING)
    remove_orphans(world)
    world.add_account()
    yield world
    remove_orphans(world)


def adopt(world: World, name: str, uuid: str, **spec: Any) -> None:
    """A DispersedJob that adopts a job."""
    fields = {"task": "Persistent", "adopt": {"jobUUID": uuid}} | spec
    body = {"apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedJob", "metadata": {"name": name}}
    world.apply(body | {"spec": fields})


def by_hand(world: World) -> str:
    """A job that a person made in the console; its uuid."""
    return str(world.control.insert_job("made in the console", task="PERSISTENT", status="RUNNING")["uuid"])


def change(world: World, name: str, *options: str, **fields: Any) -> None:
    """A merge patch of a DispersedJob."""
    world.kubectl("patch", "dispersedjob", name, "--type=merge", *options, "-p", json.dumps(fields))


@pytest.mark.failure_mode(12)
@pytest.mark.failure_mode(60)
def test_an_orphan_that_is_answered_adopt_is_taken_over_and_cancelled_with_its_new_resource(sweeping: World) -> None:
    world = sweeping
    world.start_operator()
    uuid = make_orphan(world)
    reporting = world.start_operator("reporting")
    see_twice(world)
    wait_orphan(world, uuid)
    decide(world, uuid, "Adopt")
    reporting.stop()
    world.start_operator("cancelling", flags=("--orphan-policy", "cancel"))
    see_twice(world)
    assert metric(world, "dispersed_operator_sweep_jobs", standing="orphan") == 1
    assert (status_of(world, uuid), world.cancels()) == ("RUNNING", [])
    assert wait_orphan(world, uuid)["status"]["phase"] == "Open"

    world.add_account(allowAdoption=True)
    adopt(world, "adopted", uuid)
    world.wait_condition("adopted", "Ready")
    closed = wait_orphan(world, uuid, lambda body: body["status"]["phase"] == "Closed")
    assert closed["spec"]["decision"] == "Adopt"
    status = world.status("adopted")
    assert (status["jobUUID"], status["create"]["state"], status["create"]["locked"]) == (uuid, "Accepted", True)
    assert float(status["costUSD"]) > 0
    assert "Adopted" in world.events("adopted")
    assert (len(world.posts()), len(world.jobs())) == (1, 1), "the job was created once, by the resource that vanished"
    world.check_truth()
    world.remove_jobs("adopted")
    assert (status_of(world, uuid), set(cancelled_uuids(world))) == ("CANCELLED", {uuid})


@pytest.mark.reason("AdoptionNotAllowed")
@pytest.mark.reason("NotResumable")
def test_it_waits_for_permission_and_once_suspended_it_is_over(world: World) -> None:
    uuid = by_hand(world)
    adopt(world, "adopted", uuid)
    world.wait_blocked("adopted", "AdoptionNotAllowed", names="spec.allowAdoption of the DispersedAccount default")
    assert world.condition("adopted", "Stalled")["status"] == "True"
    refused = world.get("adopted") or {}
    assert "finalizers" not in refused["metadata"]
    assert not {"jobUUID", "create", "runs"} & refused["status"].keys()
    assert world.control.requests(method="GET", path=f"/v1/jobs/{uuid}") == [], "it was not even read"
    world.add_account(allowAdoption=True)
    world.wait_condition("adopted", "Ready")
    assert world.status("adopted")["create"]["expiresAt"] == "never"
    change(world, "adopted", spec={"suspend": True})
    world.wait_condition("adopted", "Suspended")
    assert status_of(world, uuid) == "CANCELLED"
    change(world, "adopted", spec={"suspend": False})
    status = world.wait_phase("adopted", "Stopped")
    assert world.condition("adopted", "Failed")["reason"] == "NotResumable"
    assert status["jobUUID"] == uuid
    world.remove_jobs("adopted")
    assert (world.posts(), len(world.jobs())) == ([], 1)


@pytest.mark.failure_mode(16)
def test_of_two_that_adopt_one_job_the_oldest_has_it_whichever_operator_looks(world: World) -> None:
    world.start_operator("second")
    uuid = by_hand(world)
    for name in ("one", "two"):
        adopt(world, name, uuid)
    bodies = {name: world.get(name) or {} for name in ("one", "two")}
    first, second = sorted(
        bodies, key=lambda name: (bodies[name]["metadata"]["creationTimestamp"], bodies[name]["metadata"]["uid"])
    )
    world.add_account(allowAdoption=True)
    world.wait_condition(first, "Ready")
    condition = world.wait_blocked(second, "OwnershipAmbiguous", names="owned by another DispersedJob")
    assert first not in condition["message"]
    world.remove_jobs(second)
    assert (status_of(world, uuid), world.cancels()) == ("RUNNING", [])
    world.remove_jobs(first)
    assert (status_of(world, uuid), world.posts()) == ("CANCELLED", [])


@pytest.mark.failure_mode(52)
@pytest.mark.reason("OwnershipAmbiguous")
def test_the_job_of_a_neighbour_is_refused_and_never_reached_also_with_a_forged_status(world: World) -> None:
    world.add_account(allowAdoption=True)
    world.add_persistent()
    world.wait_condition("server", "Ready")
    uuid = str(world.status("server")["jobUUID"])
    adopt(world, "thief", uuid)
    condition = world.wait_blocked("thief", "OwnershipAmbiguous", names=f"Remote job {uuid} is owned by another")
    assert "server" not in condition["message"]
    assert "finalizers" not in (world.get("thief") or {})["metadata"]
    world.remove_jobs("thief")
    assert (status_of(world, uuid), world.cancels()) == ("RUNNING", [])

    adopt(world, "forger", uuid)
    token = create_token(identity_of(world, "forger"), 1)
    record = {"token": token, "attempt": 1, "uuid": uuid, "state": "Accepted"}
    change(world, "forger", metadata={"finalizers": ["dispersed.dev/remote-job"]})
    change(world, "forger", "--subresource=status", status={"jobUUID": uuid, "create": record})
    world.delete("forger")
    world.wait_phase("forger", "Stopping")
    world.wait_condition("forger", "Ready", "False", reason="OwnershipAmbiguous")
    look(world, "forger")
    assert (status_of(world, uuid), world.cancels()) == ("RUNNING", [])
    mark = str((world.get("forger") or {})["metadata"]["uid"])[:8]
    world.annotate("forger", force_finalize=f"{mark}:it is not its job")
    world.wait_gone("forger")
    assert world.get(uuid, "dispersedorphan") is None
    world.wait_condition("server", "Ready")
    world.remove_jobs("server")
    assert set(cancelled_uuids(world)) == {uuid}


@pytest.mark.failure_mode(11)
@pytest.mark.failure_mode(13)
def test_an_adopted_job_is_ended_with_its_resource_though_the_status_was_lost(world: World) -> None:
    uuid = by_hand(world)
    world.add_account(allowAdoption=True)
    adopt(world, "adopted", uuid)
    world.wait_condition("adopted", "Ready")
    operator = world.operators[0]
    operator.kill()
    world.kubectl(
        "patch", "dispersedjob", "adopted", "--subresource=status", "--type=json",
        "-p", '[{"op":"remove","path":"/status"}]',
    )  # fmt: skip
    world.delete("adopted")
    operator.start()
    world.wait_gone("adopted")
    assert (status_of(world, uuid), set(cancelled_uuids(world)), world.posts()) == ("CANCELLED", {uuid}, [])


@pytest.mark.reason("AdoptionNotAllowed")
def test_a_permission_that_is_taken_back_holds_the_resource_until_it_is_given_again(world: World) -> None:
    uuid = by_hand(world)
    world.add_account(allowAdoption=True)
    adopt(world, "adopted", uuid)
    world.wait_condition("adopted", "Ready")
    world.add_account(allowAdoption=False)
    world.nudge("adopted")
    world.wait_blocked("adopted", "AdoptionNotAllowed")
    world.delete("adopted")
    world.wait_phase("adopted", "Stopping")
    look(world, "adopted")
    assert (status_of(world, uuid), world.cancels()) == ("RUNNING", [])
    assert world.condition("adopted", "Ready")["reason"] == "AdoptionNotAllowed"
    world.add_account(allowAdoption=True)
    world.nudge_until_gone("adopted")
    assert (status_of(world, uuid), set(cancelled_uuids(world))) == ("CANCELLED", {uuid})


def test_a_job_that_the_account_does_not_know_is_told_and_one_that_ended_is_recorded_as_such(world: World) -> None:
    world.add_account(allowAdoption=True)
    adopt(world, "missing", "0b5f2c1e-7d1c-4a53-9a39-0f3b1d0c8a11")
    world.wait_blocked("missing", "RemoteVanished", names="does not know remote job 0b5f2c1e")
    assert "finalizers" not in (world.get("missing") or {})["metadata"]
    done = str(world.control.insert_job("done", task="BATCH", status="COMPLETED")["uuid"])
    adopt(world, "done", done, task="Batch")
    world.wait_condition("done", "Complete")
    assert world.wait_phase("done", "Succeeded")["jobUUID"] == done
    world.remove_jobs("missing", "done")
    wait_for(lambda: world.cancels() == [] and world.posts() == [], what="nothing was written")
