"""The condition Conformant of an account: what the operator relies on is checked before it costs money."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dispersed_devenv.services import PUBLIC_KEY, SECRET_KEY
from tests.support.world import Body, World, wait_for

KIND = "dispersedaccount"


def conformant(world: World, status: str, reason: str, *, says: str = "") -> Body:
    """Wait for the condition of the account with these words in its message."""

    def holds() -> Body | None:
        found = world.condition("default", "Conformant", KIND)
        fits = (found.get("status"), found.get("reason")) == (status, reason) and says in found.get("message", "")
        return found if fits else None

    try:
        return wait_for(holds, what=f"the account is Conformant={status} for {reason} and says {says!r}")
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {world.get('default', KIND)}") from None


@pytest.mark.reason("Conformant")
def test_an_account_is_examined_on_its_first_use_by_reading_only(world: World) -> None:
    world.wait_condition("default", "Ready", kind=KIND)
    conformant(world, "True", "Conformant", says="behaves as the operator relies on")
    assert {request["method"] for request in world.control.requests()} == {"GET"}
    assert world.jobs() == []


@pytest.mark.reason("Conformant")
def test_what_merely_differs_is_told_and_jobs_are_created(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.control.switch(list_shape="array", sort_honoured=False, default_sort="created_at", time_window_seconds=600)
    world.add_account()
    world.start_operator()
    conformant(world, "True", "Conformant", says="TotalCount")
    assert "SignatureExpiry: signatures live for 600 s" in world.condition("default", "Conformant", KIND)["message"]
    world.add_batch()
    world.wait_phase("batch", "Succeeded")
    world.check_truth()


@pytest.mark.reason("ExpiryNotEnforced")
def test_a_service_that_accepts_replays_is_a_condition_and_not_a_surprise(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.control.switch(replay_refused=False)
    world.add_account()
    world.start_operator()
    conformant(world, "False", "ExpiryNotEnforced", says="ReplayRefused")
    world.wait_condition("default", "Ready", kind=KIND)
    world.add_batch()
    world.wait_phase("batch", "Succeeded")


@pytest.mark.reason("PermissionRefused")
def test_a_key_that_may_not_read_runs_creates_nothing_until_it_may(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.control.add_key(PUBLIC_KEY, SECRET_KEY, permissions=["jobs.read.own", "jobs.create.own", "jobs.update.own"])
    world.add_account()
    world.start_operator()
    conformant(world, "False", "PermissionRefused", says="RunsReadable")
    world.wait_condition("default", "Ready", "False", reason="PermissionRefused", kind=KIND)
    world.add_batch()
    world.wait_blocked("batch", "PermissionRefused", names="job_runs.read.own")
    assert world.posts() == []
    world.control.add_key(PUBLIC_KEY, SECRET_KEY)
    world.wait_phase("batch", "Succeeded", seconds=90)
    conformant(world, "True", "Conformant")
    assert len(world.signatures()) == 1


@pytest.mark.failure_mode(41)
@pytest.mark.reason("TitleNotEchoed")
def test_a_title_that_does_not_come_back_is_noticed_on_the_first_create(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.control.switch(title_max_length=45)
    world.add_account()
    world.start_operator()
    conformant(world, "True", "Conformant")
    world.add_persistent()
    world.wait_phase("server", "Running")
    world.nudge_account()
    conformant(world, "False", "TitleNotEchoed", says="sweeper and reaper do not see them")
    world.remove_jobs("server")
    world.nudge_account()
    conformant(world, "False", "TitleNotEchoed")
    world.check_truth()


@pytest.mark.failure_mode(41)
@pytest.mark.reason("TitleNotEchoed")
def test_an_account_where_nothing_comes_back_gets_no_second_job(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.control.switch(title_max_length=10, description_echo="dropped", env_echo="dropped")
    world.add_account()
    world.start_operator()
    world.add_persistent("first")
    world.wait_blocked("first", "OwnershipAmbiguous")
    world.nudge_account()
    conformant(world, "False", "TitleNotEchoed", says="nothing more is created")
    world.add_batch("second")
    world.wait_blocked("second", "TitleNotEchoed")
    assert len(world.signatures()) == 1
