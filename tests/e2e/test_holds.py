"""Account and Secret stay as long as a remote job may need them, and go when the last one is gone."""

from __future__ import annotations

import pytest

from tests.support.world import SECRET, World, wait_for

HOLD = "dispersed.dev/account-hold"


def is_held(world: World, name: str, kind: str) -> bool:
    body = world.get(name, kind)
    return body is not None and HOLD in (body["metadata"].get("finalizers") or ())


@pytest.mark.failure_mode(67)
@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_a_deleted_account_and_its_secret_stay_until_the_last_job_is_gone(world: World, restart: bool) -> None:
    world.add_persistent("job")
    world.wait_condition("job", "Ready")
    world.delete("default", "dispersedaccount")
    world.delete(SECRET, "secret")
    world.wait_condition("default", "Ready", "False", reason="InvalidReference", kind="dispersedaccount")
    if restart:
        world.operators[0].kill()
        world.operators[0].start()
    world.add_batch("too-late")
    world.wait_condition("too-late", "Ready", "False", reason="InvalidReference")
    assert is_held(world, "default", "dispersedaccount")
    assert is_held(world, SECRET, "secret")
    assert world.condition("job", "Ready")["status"] == "True"
    world.remove_jobs("job")
    assert [job["status"] for job in world.jobs()] == ["CANCELLED"]
    world.wait_gone("default", "dispersedaccount")
    world.wait_gone(SECRET, "secret")
    assert len(world.posts()) == 1
    world.remove_jobs("too-late")
    world.check_truth()


@pytest.mark.failure_mode(29)
@pytest.mark.reason("InvalidReference")
@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_a_deleted_secret_stays_until_the_job_is_cancelled_with_it_and_a_new_one_is_taken(
    world: World, restart: bool
) -> None:
    world.add_persistent("job")
    world.wait_condition("job", "Ready")
    world.delete(SECRET, "secret")
    world.nudge_account()
    world.wait_condition("default", "Ready", "False", reason="InvalidReference", kind="dispersedaccount")
    if restart:
        world.operators[0].kill()
        world.operators[0].start()
    world.add_batch("waiting")
    world.wait_condition("waiting", "Ready", "False", reason="InvalidReference")
    assert is_held(world, SECRET, "secret")
    world.remove_jobs("job")
    assert [job["status"] for job in world.jobs()] == ["CANCELLED"]
    world.nudge_account()
    world.wait_gone(SECRET, "secret")
    world.add_secret()
    world.nudge_account()
    world.wait_condition("waiting", "RemoteCreated")
    assert (len(world.posts()), len(world.jobs())) == (2, 2)
    world.check_truth()
    world.remove_jobs("waiting")


@pytest.mark.failure_mode(29)
@pytest.mark.failure_mode(30)
def test_a_deleted_namespace_goes_once_its_job_is_cancelled(world: World) -> None:
    world.add_persistent("job")
    world.wait_condition("job", "Ready")
    world.kubectl("delete", "namespace", world.namespace, "--wait=false", namespaced=False)
    wait_for(lambda: world.live_jobs() == [], what="the job is cancelled")
    wait_for(
        lambda: not world.kubectl("get", "namespace", world.namespace, "--ignore-not-found", namespaced=False),
        what="the namespace is gone",
    )
    assert [job["status"] for job in world.jobs()] == ["CANCELLED"]
    assert len(world.posts()) == 1
    world.check_truth()


@pytest.mark.failure_mode(29)
def test_a_deleted_namespace_goes_though_accounts_of_it_share_a_secret(world: World) -> None:
    for name in ("second", "third", "fourth"):
        world.add_account(name, with_secret=False)
        world.wait_condition(name, "Ready", kind="dispersedaccount")
    world.kubectl("delete", "namespace", world.namespace, "--wait=false", namespaced=False)
    wait_for(
        lambda: not world.kubectl("get", "namespace", world.namespace, "--ignore-not-found", namespaced=False),
        what="the namespace is gone",
    )
