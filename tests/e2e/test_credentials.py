"""Keys that the service does not accept, rights that a key lacks, clocks that disagree: said, waited for, recovered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from dispersed_devenv.services import PUBLIC_KEY, SECRET_KEY
from tests.support.world import World

READ_ONLY = ["jobs.read.own", "job_runs.read.own"]


@pytest.mark.failure_mode(27)
@pytest.mark.reason("CredentialsRejected")
def test_a_revoked_key_stops_creates_and_no_running_job_and_a_new_key_in_the_secret_mends_it(world: World) -> None:
    world.add_persistent("running")
    world.wait_condition("running", "Ready")
    world.control.revoke_key(PUBLIC_KEY)
    world.wait_condition("default", "Ready", "False", reason="CredentialsRejected", kind="dispersedaccount")
    refused = world.wait_condition("running", "AccountReady", "False", reason="CredentialsRejected")
    assert SECRET_KEY not in refused["message"]
    assert world.condition("running", "Ready")["status"] == "True"
    assert world.status("running")["phase"] == "Running"
    world.add_batch("waiting")
    world.wait_blocked(
        "waiting", "CredentialsRejected", names="Put a valid key pair of the same account into the Secret"
    )
    assert len(world.posts()) == 1

    world.control.add_key("pk_new", "sk_new")
    world.add_secret(public="pk_new", secret="sk_new")
    world.wait_condition("waiting", "Complete")
    world.wait_condition("running", "AccountReady")
    assert world.condition("running", "Ready")["status"] == "True"
    world.delete("running")
    world.wait_gone("running")
    assert len(world.posts()) == 2
    assert [job["status"] for job in world.jobs()] == ["CANCELLED", "COMPLETED"]
    world.check_truth()


@pytest.mark.reason("PermissionRefused")
def test_a_key_that_may_not_create_is_named_and_the_job_is_created_once_it_may(world: World) -> None:
    world.control.add_key(PUBLIC_KEY, SECRET_KEY, permissions=READ_ONLY)
    world.add_batch()
    world.wait_blocked("batch", "PermissionRefused", names="jobs.create.own")
    assert world.status("batch")["create"]["state"] == "Refused"
    assert world.jobs() == []
    refusals = len(world.posts())
    assert refusals == 1
    world.control.add_key(PUBLIC_KEY, SECRET_KEY)
    world.nudge("batch")
    world.wait_condition("batch", "Complete")
    assert len(world.posts()) == 2
    assert len(world.jobs()) == 1
    world.check_truth()


@pytest.mark.failure_mode(37)
@pytest.mark.reason("ClockSkew")
def test_clocks_that_are_far_apart_stop_creates_until_they_agree_again(make_world: Callable[..., World]) -> None:
    world = make_world(operator_flags=())
    world.control.advance(1000)
    world.add_account()
    world.start_operator()
    world.add_batch()
    world.wait_blocked("batch", "ClockSkew", names="Synchronise the clock")
    account = world.wait_condition("default", "Ready", "False", reason="ClockSkew", kind="dispersedaccount")
    assert "docs/reasons/ClockSkew.md" in account["message"]
    assert world.status("default", "dispersedaccount")["clockOffsetSeconds"] in range(990, 1011)
    assert world.posts() == []
    world.control.set_clock(datetime.now(UTC).isoformat().replace("+00:00", "Z"))
    world.nudge_account()
    world.wait_condition("batch", "Complete")
    assert len(world.posts()) == 1
    world.check_truth()
