"""Another key comes into the Secret: of the same account, nothing changes; of another, nothing it says is believed."""

from __future__ import annotations

import pytest

from tests.support.proofs import look
from tests.support.world import World, wait_for

OTHER_ACCOUNT = "00000000-0000-4000-8000-00000000000f"


def use_key(world: World, public: str, *, account: str | None = None) -> None:
    """Put a key into the Secret, known to the service as one of `account` (None: the account of the jobs)."""
    if public != "pk_sim_demo":
        world.control.add_key(public, f"sk_of_{public}", account_uuid=account)
    before = world.status("default", "dispersedaccount")["keyFingerprint"]
    secret = "sk_sim_demo" if public == "pk_sim_demo" else f"sk_of_{public}"
    world.add_secret(public=public, secret=secret)
    world.nudge_account()
    wait_for(lambda: world.status("default", "dispersedaccount")["keyFingerprint"] != before, what="the key is in use")
    world.wait_condition("default", "Ready", kind="dispersedaccount")


@pytest.mark.failure_mode(55)
def test_another_key_of_the_same_account_goes_on_with_the_running_job(calm_world: World) -> None:
    world = calm_world
    world.add_persistent("job")
    world.wait_condition("job", "Ready")
    use_key(world, "pk_second")
    look(world, "job")
    assert world.condition("job", "Ready")["status"] == "True"
    assert world.get("job-connection", "secret") is not None
    world.remove_jobs("job")
    assert {row["api_key"] for row in world.cancels()} == {"pk_second"}
    assert (len(world.posts()), len(world.jobs()), world.live_jobs()) == (1, 1, [])
    world.check_truth()


@pytest.mark.failure_mode(28)
@pytest.mark.failure_mode(55)
@pytest.mark.reason("AccountMismatch")
def test_a_key_of_another_account_makes_no_job_look_gone(calm_world: World) -> None:
    world = calm_world
    for name in ("job", "leaving"):
        world.add_persistent(name)
    for name in ("job", "leaving"):
        world.wait_condition(name, "Ready")
    use_key(world, "pk_stranger", account=OTHER_ACCOUNT)
    look(world, "job")
    world.wait_condition("job", "Stalled", reason="AccountMismatch")
    world.delete("leaving")
    world.wait_condition("leaving", "Ready", "False", reason="AccountMismatch")
    for seconds in (40, 430, 40):
        world.control.advance(seconds)
        look(world, "job")
        look(world, "leaving")
    assert world.get("leaving") is not None
    assert (len(world.posts()), len(world.live_jobs()), world.cancels()) == (2, 2, [])
    use_key(world, "pk_sim_demo")
    world.wait_condition("job", "Ready")
    look(world, "leaving")
    world.wait_gone("leaving")
    assert (len(world.posts()), len(world.jobs()), len(world.live_jobs())) == (2, 2, 1)
    world.check_truth()


@pytest.mark.failure_mode(5)
@pytest.mark.failure_mode(55)
def test_a_listing_of_another_account_is_no_sighting_towards_a_proof(calm_world: World) -> None:
    world = calm_world
    world.control.add_fault("drop_before_commit", method="POST")
    world.add_persistent("job")
    world.wait_condition("job", "RemoteCreated", "Unknown")
    use_key(world, "pk_stranger", account=OTHER_ACCOUNT)
    for seconds in (430, 31, 31):
        world.control.advance(seconds)
        look(world, "job")
    world.wait_condition("job", "Stalled", reason="AccountMismatch")
    use_key(world, "pk_sim_demo")
    world.control.advance(31)
    look(world, "job")
    assert (len(world.signatures()), world.jobs()) == (1, []), "the first listing of the right account proves nothing"
    world.control.advance(31)
    look(world, "job")
    world.wait_condition("job", "Ready")
    assert (len(world.signatures()), len(world.jobs())) == (2, 1)
    world.check_truth()


@pytest.mark.failure_mode(55)
def test_a_key_that_changes_during_the_listing_before_a_create_costs_a_new_look_only(world: World) -> None:
    world.wait_condition("default", "Ready", kind="dispersedaccount")
    listed = len(world.listings())
    stall = world.control.add_fault("stall", method="GET", path="^/v1/jobs$")
    world.add_persistent("job")
    wait_for(lambda: len(world.listings()) > listed, what="the listing before the create began")
    use_key(world, "pk_second")
    world.control.release(stall)
    world.wait_condition("job", "Ready")
    assert world.operators[0].ready(), "all workers live"
    intent = world.intent("job")
    assert intent is not None
    assert intent["account"]["publicKey"] == "pk_second"
    assert [row["api_key"] for row in world.posts()] == ["pk_second"]
    assert len(world.jobs()) == 1
    world.check_truth()


@pytest.mark.failure_mode(55)
@pytest.mark.parametrize("account", [None, OTHER_ACCOUNT], ids=["same-account", "other-account"])
def test_a_create_is_signed_with_the_key_that_is_in_the_secret_at_that_moment(
    calm_world: World, account: str | None
) -> None:
    world = calm_world
    world.control.add_key("pk_second", "sk_second", account_uuid=account)
    world.add_secret(public="pk_second", secret="sk_second")  # nobody tells the operator, and the old key still works
    world.add_persistent("job")
    world.wait_condition("job", "Ready")
    assert [row["api_key"] for row in world.posts()] == ["pk_second"]
    world.wait_condition("default", "Ready", kind="dispersedaccount")
    world.remove_jobs("job")
    assert {row["api_key"] for row in world.cancels()} == {"pk_second"}
    assert len(world.jobs()) == 1
    world.check_truth()


@pytest.mark.failure_mode(55)
def test_a_key_that_changes_while_the_request_is_under_way_adopts_nothing_twice(calm_world: World) -> None:
    world = calm_world
    world.control.add_fault("drop_after_commit", method="POST")
    stall = world.control.add_fault("stall", method="POST")
    world.add_persistent("job")
    wait_for(lambda: bool(world.posts()), what="the request arrived")
    use_key(world, "pk_second")
    world.control.release(stall)
    world.wait_condition("job", "Ready")
    assert (len(world.posts()), len(world.jobs())) == (1, 1)
    world.check_truth()
