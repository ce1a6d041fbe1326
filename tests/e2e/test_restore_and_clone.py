"""Objects that come back, are copied, or are made up: each has its own job, and nobody reaches another's."""

from __future__ import annotations

import json

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.naming import Identity
from tests.support.copies import RECORD, clear_status, copy_of, lose, put_status, restore
from tests.support.proofs import look, prove_absence
from tests.support.world import Body, World


def running(world: World, name: str) -> Body:
    """A job that runs; its resource."""
    world.add_persistent(name)
    world.wait_condition(name, "Ready")
    body = world.get(name)
    assert body is not None
    return body


def cluster_id(world: World) -> str:
    text = world.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}", namespaced=False)
    return text.strip()


# --- restore ---


@pytest.mark.failure_mode(13)
@pytest.mark.parametrize("with_status", [False, True], ids=["without-status", "with-status"])
def test_a_restored_object_takes_up_the_job_of_its_earlier_self_and_ends_it_when_it_goes(
    calm_world: World, with_status: bool
) -> None:
    world = calm_world
    old = running(world, "job")["metadata"]["uid"]
    world.operators[0].stop()
    backup = lose(world, "job")
    restore(world, backup, with_status=with_status)
    world.operators[0].start()
    world.wait_condition("job", "Ready")
    look(world, "job")
    body = world.get("job")
    assert body is not None
    assert body["metadata"]["uid"] != old
    assert body["status"]["jobUUID"] == backup["status"]["jobUUID"]
    intent = world.intent("job")
    assert intent is not None
    assert intent["origin"]["uid"] == old, "the origin stays: the title names it"
    assert (len(world.posts()), len(world.live_jobs())) == (1, 1)
    world.check_truth()
    world.remove_jobs("job")
    assert (len(world.posts()), world.live_jobs()) == (1, [])
    world.check_truth()


@pytest.mark.failure_mode(13)
@pytest.mark.reason("OwnershipAmbiguous")
def test_a_restore_without_the_annotation_waits_until_a_person_puts_it_back(calm_world: World) -> None:
    world = calm_world
    running(world, "job")
    world.operators[0].stop()
    backup = lose(world, "job")
    intent = backup["metadata"]["annotations"]["dispersed.dev/create-intent"]
    restore(world, backup, with_status=True, **{"create-intent": None})
    world.operators[0].start()
    world.wait_blocked("job", "OwnershipAmbiguous", names="create-intent")
    look(world, "job")
    assert (len(world.posts()), len(world.live_jobs()), world.cancels()) == (1, 1, [])
    world.annotate("job", create_intent=intent)
    world.wait_condition("job", "Ready")
    assert (len(world.posts()), len(world.live_jobs()), world.cancels()) == (1, 1, [])
    world.check_truth()


@pytest.mark.failure_mode(36)
@pytest.mark.reason("OwnershipAmbiguous")
def test_an_object_that_moved_to_another_name_waits_for_a_person_and_is_then_new(calm_world: World) -> None:
    world = calm_world
    running(world, "before")
    world.operators[0].stop()
    backup = lose(world, "before")
    backup["metadata"]["name"] = "after"
    restore(world, backup, with_status=True)
    world.operators[0].start()
    world.wait_blocked("after", "OwnershipAmbiguous")
    look(world, "after")
    assert (len(world.posts()), len(world.live_jobs()), world.cancels()) == (1, 1, [])
    world.control.force_status(backup["status"]["jobUUID"], "CANCELLED")
    world.kubectl("annotate", "dispersedjob", "after", "dispersed.dev/create-intent-")
    clear_status(world, "after")
    prove_absence(world, "after")  # our finalizer without a record may mean that one was taken away in mid-request
    world.wait_condition("after", "Ready")
    assert world.status("after")["jobUUID"] != backup["status"]["jobUUID"]
    assert len(world.posts()) == 2
    world.check_truth()


# --- clone ---


@pytest.mark.failure_mode(36)
@pytest.mark.failure_mode(61)
@pytest.mark.parametrize("kept", [("create-intent",), ("create-intent", "status"), ("status",)], ids="+".join)
def test_a_clone_has_a_job_of_its_own_and_takes_only_that_along_when_it_goes(
    calm_world: World, kept: tuple[str, ...]
) -> None:
    world = calm_world
    original = running(world, "original")
    changes: dict[str, str | None] = {"paused": "true"} | ({} if "create-intent" in kept else {"create-intent": None})
    world.kubectl("create", "-f", "-", body=copy_of(original, "clone", **changes))
    if "status" in kept:
        put_status(world, "clone", original["status"])
    look(world, "clone")
    world.wait_condition("clone", "Ready", "False", reason="Paused")
    shown = world.status("clone")
    assert not {"jobUUID", "create", "endpoints", "connectionSecretRef", "currentRun"} & shown.keys()
    assert len(world.posts()) == 1
    world.annotate("clone", paused="false")
    world.wait_condition("clone", "Ready")
    assert world.status("clone")["jobUUID"] != original["status"]["jobUUID"]
    assert (len(world.posts()), len(world.live_jobs()), world.cancels()) == (2, 2, [])
    world.check_truth()
    world.remove_jobs("clone")
    assert world.condition("original", "Ready")["status"] == "True"
    assert [job["uuid"] for job in world.live_jobs()] == [original["status"]["jobUUID"]]
    world.check_truth()


@pytest.mark.failure_mode(61)
@pytest.mark.parametrize("with_intent", [True, False], ids=["with-intent", "status-only"])
def test_a_clone_that_is_deleted_before_it_made_a_job_leaves_the_original_alone(
    calm_world: World, with_intent: bool
) -> None:
    world = calm_world
    original = running(world, "original")
    world.operators[0].stop()
    changes: dict[str, str | None] = {} if with_intent else {"create-intent": None}
    world.kubectl("create", "-f", "-", body=copy_of(original, "clone", **changes))
    put_status(world, "clone", original["status"])
    world.delete("clone")
    world.operators[0].start()
    world.wait_phase("clone", "Stopping")
    look(world, "clone")
    assert world.get("clone") is not None, "that it made no job of its own must be proven"
    prove_absence(world, "clone")
    world.wait_gone("clone")
    assert world.condition("original", "Ready")["status"] == "True"
    assert (len(world.posts()), len(world.live_jobs()), world.cancels()) == (1, 1, [])
    world.check_truth()


# --- forgery ---


@pytest.mark.failure_mode(52)
def test_an_intent_and_a_status_that_name_a_neighbours_job_reach_nothing_of_it(calm_world: World) -> None:
    """The forger names the victim's uid under a name of its own, as if it were the victim's restored self."""
    world = calm_world
    victim = running(world, "victim")
    stolen = victim["metadata"]["annotations"]["dispersed.dev/create-intent"]
    intent = json.loads(stolen)
    intent["origin"]["name"] = f"{world.namespace}/forger"
    forged = copy_of(victim, "forger", **{"create-intent": json.dumps(intent), "paused": "true"})
    world.kubectl("create", "-f", "-", body=forged)
    put_status(world, "forger", {name: victim["status"][name] for name in RECORD})
    look(world, "forger")
    assert "jobUUID" not in world.status("forger")
    world.annotate("forger", paused="false")
    world.wait_condition("forger", "Ready")
    assert world.status("forger")["jobUUID"] != victim["status"]["jobUUID"]
    world.remove_jobs("forger")
    assert world.condition("victim", "Ready")["status"] == "True"
    assert [job["uuid"] for job in world.live_jobs()] == [victim["status"]["jobUUID"]]
    world.check_truth()


@pytest.mark.failure_mode(52)
@pytest.mark.reason("OwnershipAmbiguous")
def test_a_record_with_ones_own_token_and_a_neighbours_uuid_shows_and_ends_nothing(calm_world: World) -> None:
    """The token can be computed by everybody who knows the rules; the title of the job cannot be changed."""
    world = calm_world
    victim = running(world, "victim")
    world.kubectl("create", "-f", "-", body=copy_of(victim, "forger", **{"create-intent": None, "paused": "true"}))
    body = world.get("forger")
    assert body is not None
    own = Identity(cluster_id(world), world.namespace, "forger", body["metadata"]["uid"])
    record = victim["status"]["create"] | {"token": naming.create_token(own, 1)}
    put_status(world, "forger", {"jobUUID": record["uuid"], "create": record, "account": "default"})
    world.wait_blocked("forger", "OwnershipAmbiguous", names=record["uuid"])
    status = world.status("forger")
    assert not status.get("endpoints")
    assert world.get("forger-connection", "secret") is None
    world.delete("forger")
    look(world, "forger")
    world.wait_condition("forger", "Stalled", reason="OwnershipAmbiguous")
    assert world.get("forger") is not None
    world.annotate("forger", force_finalize=f"{body['metadata']['uid'][:8]}:it was made up")
    world.wait_gone("forger")
    assert world.condition("victim", "Ready")["status"] == "True"
    assert (len(world.posts()), len(world.live_jobs()), world.cancels()) == (1, 1, [])
    world.check_truth()


@pytest.mark.failure_mode(11)
@pytest.mark.failure_mode(36)
@pytest.mark.parametrize("restart", [False, True], ids=["same-process", "new-process"])
def test_a_neighbours_intent_over_an_unknown_create_hides_neither_it_nor_its_end(
    calm_world: World, restart: bool
) -> None:
    world = calm_world
    neighbour = running(world, "neighbour")
    world.control.add_fault("drop_before_commit", method="POST")
    world.add_persistent("job")
    world.wait_condition("job", "RemoteCreated", "Unknown")
    if restart:
        world.operators[0].kill()
    world.annotate("job", create_intent=neighbour["metadata"]["annotations"]["dispersed.dev/create-intent"])
    world.delete("job")
    if restart:
        world.operators[0].start()
    world.wait_phase("job", "Stopping")
    look(world, "job")
    assert world.get("job") is not None, "that the lost request made nothing is not proven"
    prove_absence(world, "job")
    world.wait_gone("job")
    assert (len(world.signatures()), len(world.live_jobs()), world.cancels()) == (2, 1, [])
    world.check_truth()
