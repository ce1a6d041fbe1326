"""All jobs of an account vanish at once: the account is questioned, the jobs are not (failure mode 28)."""

from __future__ import annotations

import re

import pytest

from tests.support.proofs import look
from tests.support.world import Body, World, wait_for

NAMES = ("one", "two", "three", "four", "five")
STRANGER = "00000000-0000-4000-8000-00000000000f"


def start_jobs(world: World) -> None:
    for name in NAMES:
        world.add_persistent(name)
    for name in NAMES:
        world.wait_condition(name, "Ready")


def rotate(world: World, public: str, secret: str) -> None:
    """Put another key into the Secret, and wait until it is in use."""
    before = world.status("default", "dispersedaccount")["keyFingerprint"]
    world.add_secret(public=public, secret=secret)
    world.nudge_account()
    wait_for(lambda: world.status("default", "dispersedaccount")["keyFingerprint"] != before, what="the key is in use")


def wait_accused(world: World) -> Body:
    """Wait until the account says that its jobs vanished together."""
    return world.wait_condition("default", "Ready", "False", reason="AccountMismatch", kind="dispersedaccount")


def move_key(world: World, account: str | None) -> None:
    """Give the very same key to another account at the service, or back to its own (None)."""
    world.control.add_key("pk_sim_demo", "sk_sim_demo", account_uuid=account)


def nothing_happens_while_in_doubt(world: World) -> None:
    """No job is given up, ended or created, whatever is asked for and however long it lasts."""
    for name in NAMES:
        assert world.condition(name, "Ready")["status"] == "True", name
    world.add_persistent("new")
    world.wait_condition("new", "AccountReady", "False", reason="AccountMismatch")
    world.delete("five")
    world.wait_condition("five", "Ready", "False", reason="AccountMismatch")
    for seconds in (40, 430, 40):
        world.control.advance(seconds)
        for name in (*NAMES, "new"):
            look(world, name)
    for name in NAMES[:4]:
        assert world.condition(name, "Ready")["status"] == "True", name
    assert world.get("five") is not None
    assert (len(world.posts()), len(world.live_jobs()), world.cancels()) == (5, 5, [])


def all_is_well_again(world: World) -> None:
    world.nudge_account()
    world.wait_condition("default", "Ready", kind="dispersedaccount")
    world.wait_condition("new", "Ready")
    world.wait_gone("five")
    for name in NAMES[:4]:
        world.wait_condition(name, "AccountReady")
        assert world.condition(name, "Ready")["status"] == "True", name
    assert (len(world.posts()), len(world.live_jobs())) == (6, 5)
    world.check_truth()


@pytest.mark.failure_mode(28)
@pytest.mark.failure_mode(55)
@pytest.mark.reason("AccountMismatch")
def test_a_key_of_another_account_stops_the_account_and_disturbs_no_job(calm_world: World) -> None:
    world = calm_world
    start_jobs(world)
    world.control.add_key("pk_stranger", "sk_of_stranger", account_uuid=STRANGER)
    rotate(world, "pk_stranger", "sk_of_stranger")
    assert "5 jobs" in wait_accused(world)["message"]
    nothing_happens_while_in_doubt(world)
    rotate(world, "pk_sim_demo", "sk_sim_demo")
    all_is_well_again(world)


@pytest.mark.failure_mode(28)
@pytest.mark.reason("AccountMismatch")
def test_the_same_key_that_sees_another_account_is_not_believed_either(calm_world: World) -> None:
    """Each job alone would find its own account asked, and two reads and a listing that agree."""
    world = calm_world
    start_jobs(world)
    move_key(world, STRANGER)
    wait_accused(world)
    nothing_happens_while_in_doubt(world)
    move_key(world, None)
    all_is_well_again(world)


@pytest.mark.failure_mode(28)
def test_a_restart_in_the_middle_of_it_creates_nothing(calm_world: World) -> None:
    world = calm_world
    start_jobs(world)
    world.operators[0].kill()
    move_key(world, STRANGER)
    world.add_persistent("new")
    world.operators[0].start()
    wait_accused(world)
    nothing_happens_while_in_doubt(world)
    move_key(world, None)
    all_is_well_again(world)


@pytest.mark.failure_mode(28)
@pytest.mark.reason("RemoteVanished")
def test_a_person_who_names_exactly_these_jobs_lets_them_go(calm_world: World) -> None:
    world = calm_world
    start_jobs(world)
    move_key(world, STRANGER)
    message = wait_accused(world)["message"]
    code = re.search(r"confirm-vanished=([0-9a-f]{8})", message)
    assert code is not None
    confirm = ("annotate", "--overwrite", "dispersedaccount", "default")
    world.kubectl(*confirm, "dispersed.dev/confirm-vanished=00000000")
    look(world, "one")
    assert world.condition("one", "Ready")["status"] == "True"
    world.kubectl(*confirm, f"dispersed.dev/confirm-vanished={code[1]}")
    world.wait_condition("default", "Ready", kind="dispersedaccount")
    look(world, "one")
    world.control.advance(31)
    look(world, "one")
    world.wait_condition("one", "Stalled", reason="RemoteVanished")
    assert (len(world.posts()), len(world.live_jobs()), world.cancels()) == (5, 5, [])
    move_key(world, None)
    look(world, "one")
    world.wait_condition("one", "Ready")
    world.check_truth()


def test_jobs_that_all_end_at_once_accuse_nobody(calm_world: World) -> None:
    world = calm_world
    for name in NAMES:
        world.control.add_fate(f" {name}", run_seconds=100_000)
        world.add_batch(name)
    for name in NAMES:
        world.wait_phase(name, "Running")
    for job in world.live_jobs():
        world.control.force_status(job["uuid"], "COMPLETED")
    for name in NAMES:
        world.wait_condition(name, "Complete")
    world.wait_condition("default", "Ready", kind="dispersedaccount")
    assert "AccountMismatch" not in world.events("default")
    world.add_batch("next")
    world.wait_condition("next", "RemoteCreated")
    world.check_truth()
