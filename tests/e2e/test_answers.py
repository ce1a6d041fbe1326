"""A person's word: force-finalize and resolve-create, each acted on only for the very object and token it names."""

from __future__ import annotations

import json

import pytest

from tests.support.proofs import look
from tests.support.world import Body, World, wait_for


def metric(world: World, sample: str) -> float:
    """The value of one sample of the operator's exposition."""
    lines = world.operators[0].metrics().splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{sample} "))


def resolved(world: World, answer: str) -> float:
    return metric(world, f'dispersed_operator_create_resolved_total{{answer="{answer}"}}')


def lose_the_post(world: World, name: str = "job") -> str:
    """A job whose create is unknown because its POST was dropped; the token to answer."""
    world.control.add_fault("drop_before_commit", method="POST")
    world.add_persistent(name)
    world.wait_condition(name, "RemoteCreated", "Unknown")
    intent = world.intent(name)
    assert intent is not None
    return str(intent["token"])


def refusals(world: World, name: str) -> int:
    """How often an answer to this resource was refused; Events of one reason are counted in a series."""
    text = world.kubectl("get", "events.events.k8s.io", "-o", "json")
    items = (item for item in json.loads(text)["items"] if item["regarding"]["name"] == name)
    return sum((item.get("series") or {}).get("count", 1) for item in items if item["reason"] == "AnswerRefused")


def past_the_signature(world: World, name: str = "job") -> None:
    world.control.advance(430)
    look(world, name)


@pytest.mark.reason("CredentialsRejected")
@pytest.mark.failure_mode(27)
def test_force_finalize_needs_the_uid_of_this_very_object_and_leaves_a_trace(calm_world: World) -> None:
    world = calm_world
    world.add_persistent("job")
    world.wait_condition("job", "Ready")
    world.control.revoke_key("pk_sim_demo")
    world.delete("job")
    world.wait_condition("job", "Ready", "False", reason="CredentialsRejected")
    body = world.get("job")
    assert body is not None
    uid = body["metadata"]["uid"][:8]
    for wrong in ("00000000:because", uid, f"{uid}:", f"{uid}: "):
        world.annotate("job", force_finalize=wrong)
        look(world, "job")
        assert world.get("job") is not None, wrong
    assert "AnswerRefused" in world.events("job")
    assert "ForceFinalized" not in world.events("job")
    world.annotate("job", force_finalize=f"{uid}:the key is lost for good")
    world.wait_gone("job")
    assert "ForceFinalized" in world.events("job")
    assert metric(world, "dispersed_operator_force_finalized_total") == 1
    assert (len(world.posts()), len(world.live_jobs())) == (1, 1), "by force: the remote job was left alone"
    world.control.force_status(world.live_jobs()[0]["uuid"], "CANCELLED")
    world.check_truth()


@pytest.mark.failure_mode(62)
def test_retry_answers_only_its_own_token_and_only_after_the_signature_has_expired(calm_world: World) -> None:
    world = calm_world
    token = lose_the_post(world)
    world.annotate("job", resolve_create="aaaaaaaaaaaa:retry")
    past_the_signature(world)
    assert len(world.signatures()) == 1, "another token's answer"
    world.annotate("job", resolve_create=f"{token}:retry")
    world.wait_condition("job", "Ready")
    assert resolved(world, "retry") == 1
    assert "CreateResolved" in world.events("job")
    assert (len(world.signatures()), len(world.jobs())) == (2, 1)
    look(world, "job")
    assert len(world.signatures()) == 2, "the answer that is left on the object answers nothing else"
    world.check_truth()


@pytest.mark.failure_mode(51)
def test_an_answer_that_comes_too_early_is_ignored_until_its_time(calm_world: World) -> None:
    world = calm_world
    token = lose_the_post(world)
    world.annotate("job", resolve_create=f"{token}:abandon")
    for seconds in (0, 300, 100):
        world.control.advance(seconds)
        look(world, "job")
        assert world.condition("job", "RemoteCreated")["status"] == "Unknown"
    world.control.advance(30)
    look(world, "job")
    assert world.wait_condition("job", "Stalled")["reason"] == "CreateOutcomeUnknown"
    assert "CreateResolved" in world.events("job")
    assert resolved(world, "abandon") == 1
    world.control.advance(600)
    look(world, "job")
    assert (len(world.signatures()), world.jobs()) == (1, [])
    world.remove_jobs("job")
    assert world.jobs() == []
    world.check_truth()


@pytest.mark.failure_mode(5)
@pytest.mark.failure_mode(62)
def test_a_retry_reads_a_listing_of_its_own_and_finds_the_job_that_committed_late(world: World) -> None:
    world.add_batch("older")
    world.wait_condition("older", "Complete")
    world.control.add_fault("delayed_commit", seconds=280)
    world.add_persistent("job")
    world.wait_condition("job", "RemoteCreated", "Unknown")
    intent = world.intent("job")
    assert intent is not None
    world.operators[0].kill()
    world.operators[0].start()
    world.add_batch("newer")
    world.wait_condition("newer", "RemoteCreated")
    world.annotate("job", resolve_create=f"{intent['token']}:retry")
    past_the_signature(world)
    world.wait_condition("job", "Ready")
    assert world.status("job")["create"]["attempt"] == 1
    assert len(world.jobs()) == 3
    assert len(world.signatures()) == 3
    world.check_truth()


@pytest.mark.failure_mode(52)
def test_adopt_takes_this_resources_job_and_refuses_every_other(calm_world: World) -> None:
    world = calm_world
    world.control.switch(replay_refused=False)
    world.add_account("loose", with_secret=False)
    world.wait_condition("loose", "Ready", kind="dispersedaccount")
    world.add_persistent("neighbour")
    world.wait_condition("neighbour", "Ready")
    lag = world.control.add_fault("listing_lag", times=None, seconds=100_000)
    world.control.add_fault("drop_after_commit", method="POST")
    world.add_persistent("job", accountRef={"name": "loose"})
    world.wait_condition("job", "RemoteCreated", "Unknown")
    intent = world.intent("job")
    assert intent is not None
    own = next(job for job in world.jobs() if job["title"].endswith(" job"))
    stranger = world.control.insert_job("a job of the console", task="PERSISTENT")
    past_the_signature(world)
    for foreign in (world.status("neighbour")["jobUUID"], stranger["uuid"]):
        before = refusals(world, "job")
        world.annotate("job", resolve_create=f"{intent['token']}:adopt={foreign}")
        look(world, "job")
        assert refusals(world, "job") == before + 1, "the answer is refused with an Event"
        assert "jobUUID" not in world.status("job")
        world.wait_condition("job", "Stalled", reason="ExpiryNotEnforced")
    world.annotate("job", resolve_create=f"{intent['token']}:adopt={own['uuid']}")
    world.wait_condition("job", "Ready")
    world.control.remove_fault(lag)
    assert world.status("job")["jobUUID"] == own["uuid"]
    assert resolved(world, "adopt") == 1
    assert "CreateResolved" in world.events("job")
    world.control.force_status(stranger["uuid"], "CANCELLED")
    assert (len(world.posts()), len(world.jobs()), world.cancels()) == (2, 3, [])
    world.check_truth()
    world.remove_jobs("job", "neighbour")
    wait_for(lambda: world.live_jobs() == [], what="both jobs are cancelled")


@pytest.mark.failure_mode(27)
@pytest.mark.failure_mode(51)
def test_what_a_person_gives_up_is_left_behind_as_an_orphan_to_be_reported(world: World) -> None:
    world.wait_condition("default", "Ready", kind="dispersedaccount")
    token = lose_the_post(world, "abandoned")
    world.annotate("abandoned", resolve_create=f"{token}:abandon")
    past_the_signature(world, "abandoned")
    world.wait_condition("abandoned", "Stalled", reason="CreateOutcomeUnknown")
    left = orphan(world, f"token-{token}")
    assert (left["spec"]["decision"], left["status"]["cause"]) == ("Report", "Abandoned")

    world.add_persistent("forced")
    world.wait_condition("forced", "Ready")
    body = world.get("forced")
    assert body is not None
    world.control.revoke_key("pk_sim_demo")
    world.delete("forced")
    world.wait_condition("forced", "Ready", "False", reason="CredentialsRejected")
    world.annotate("forced", force_finalize=f"{body['metadata']['uid'][:8]}:the key is lost for good")
    world.wait_gone("forced")
    left = orphan(world, body["status"]["jobUUID"])
    assert (left["spec"]["decision"], left["status"]["cause"]) == ("Report", "ForceFinalized")
    assert left["status"]["owner"] == f"{world.namespace}/forced"
    assert world.cancels() == []
    world.control.force_status(body["status"]["jobUUID"], "CANCELLED")
    world.kubectl("delete", "dispersedorphan", left["metadata"]["name"], f"token-{token}", namespaced=False)
    world.check_truth()


def orphan(world: World, name: str) -> Body:
    """A DispersedOrphan; raises KubectlError if there is none of that name."""
    body: Body = json.loads(world.kubectl("get", "dispersedorphan", name, "-o", "json", namespaced=False))
    return body
