"""The answer to a create is lost or makes no sense: the job is found, or proven absent; never is a second one made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.proofs import look, prove_absence
from tests.support.world import World, wait_for

LONG = {"run_seconds": 600.0}
Fault = tuple[str, dict[str, Any]]

DROPPED: list[Fault] = [
    ("drop_after_commit", {}),
    ("drop_after_first_byte", {}),
    ("drop_after_first_byte", {"bytes": 60}),
]
STATUSES: list[Fault] = [
    ("server_error", {"status": 500, "commit": True}),
    ("server_error", {"status": 502, "commit": True}),
    ("unauthorized", {"commit": True}),
    ("rate_limit", {"commit": True}),
]
SHAPES: list[Fault] = [
    ("malformed", {"shape": shape})
    for shape in ("garbage", "empty", "truncated", "text", "list", "null", "wrong_types")
]


@dataclass
class Story:
    """A world whose jobs run for long, and how many creates and jobs there were in it."""

    world: World

    def counts(self) -> tuple[int, int]:
        """(signed creates that reached the service, jobs that were ever created)."""
        return len(self.world.signatures()), len(self.world.jobs())


@pytest.fixture
def story(calm_world: World) -> Story:
    calm_world.control.add_fate("", **LONG)
    return Story(calm_world)


@pytest.mark.failure_mode(3)
@pytest.mark.failure_mode(4)
@pytest.mark.failure_mode(6)
@pytest.mark.failure_mode(7)
@pytest.mark.parametrize("faults", [DROPPED, STATUSES, SHAPES], ids=["dropped", "statuses", "shapes"])
def test_an_answer_that_says_nothing_about_a_committed_create_leads_to_adoption(
    story: Story, faults: list[Fault]
) -> None:
    world = story.world
    for kind, params in faults:
        world.control.add_fault(kind, method="POST", **params)
    names = [f"job-{number}" for number in range(len(faults))]
    for name in names:
        world.add_batch(name)
    for name in names:
        world.wait_condition(name, "RemoteCreated")
        assert world.status(name)["create"]["attempt"] == 1
    assert "Adopted" in world.events(names[0])
    assert all(row["fault"] for row in world.posts()[-len(faults) :])
    assert story.counts() == (len(faults), len(faults))
    world.check_truth()


@pytest.mark.failure_mode(6)
@pytest.mark.parametrize("uuid", ["missing", "null"])
def test_a_created_answer_without_a_uuid_leads_to_adoption(story: Story, uuid: str) -> None:
    story.world.control.switch(uuid_on_create=uuid)
    story.world.add_batch("nameless")
    story.world.wait_condition("nameless", "RemoteCreated")
    assert "Adopted" in story.world.events("nameless")
    assert story.counts() == (1, 1)
    story.world.check_truth()


def test_a_created_answer_inside_data_with_status_200_is_understood(story: Story) -> None:
    story.world.control.switch(create_wrapped=True, create_status=200)
    story.world.add_batch("wrapped")
    story.world.wait_condition("wrapped", "RemoteCreated")
    assert "Adopted" not in story.world.events("wrapped")
    assert story.counts() == (1, 1)
    story.world.check_truth()


@pytest.mark.failure_mode(5)
def test_a_create_dropped_before_the_commit_is_repeated_once_its_absence_is_proven(story: Story) -> None:
    world = story.world
    world.control.add_fault("drop_before_commit", method="POST")
    world.add_batch("dropped")
    world.wait_condition("dropped", "RemoteCreated", "Unknown")
    assert story.counts() == (1, 0)
    prove_absence(world, "dropped")
    world.wait_condition("dropped", "RemoteCreated")
    assert world.status("dropped")["create"]["attempt"] == 2
    assert "AbsenceProven" in world.events("dropped")
    assert story.counts() == (2, 1)
    world.check_truth()


@pytest.mark.failure_mode(8)
@pytest.mark.failure_mode(38)
@pytest.mark.failure_mode(54)
@pytest.mark.parametrize("status", [401, 409, 400])
def test_the_refusal_of_a_replayed_copy_says_nothing_about_the_first_copy(story: Story, status: int) -> None:
    world = story.world
    story.world.control.switch(nonce_replay_status=status)
    account = f"replay-{status}"
    world.add_account(account, with_secret=False)
    world.wait_condition(account, "Ready", kind="dispersedaccount")
    world.control.add_fault("duplicate_delivery", method="POST")
    world.add_batch("twice", accountRef={"name": account})
    world.wait_condition("twice", "RemoteCreated")
    assert [row["status"] for row in world.posts()[-2:]] == [201, status]
    assert "Adopted" in world.events("twice")
    assert story.counts() == (1, 1)
    world.check_truth()


@pytest.mark.failure_mode(8)
@pytest.mark.failure_mode(68)
def test_of_two_jobs_from_one_request_one_survives_and_the_other_is_cancelled(story: Story) -> None:
    world = story.world
    story.world.control.switch(nonce_store_atomic=False, nonce_store_delay_ms=500)
    world.control.add_fault("duplicate_delivery", method="POST")
    stall = world.control.add_fault("stall", method="POST")
    world.add_batch("double")
    wait_for(lambda: story.counts() == (1, 2), what="both copies were carried out")
    operator = world.operators[0]
    operator.kill()
    world.control.release(stall)
    operator.start()
    world.wait_condition("double", "RemoteCreated")
    wait_for(lambda: len(world.live_jobs()) == 1, what="the duplicate is cancelled")
    wait_for(lambda: "DuplicateCancelled" in world.events("double"), what="the end of the duplicate is told")
    assert world.live_jobs()[0]["uuid"] == world.status("double")["jobUUID"]
    assert story.counts() == (1, 2)
    world.check_truth()


@pytest.mark.failure_mode(4)
@pytest.mark.failure_mode(40)
def test_a_commit_that_comes_late_but_within_the_window_is_adopted_and_never_repeated(story: Story) -> None:
    world = story.world
    world.control.add_fault("delayed_commit", seconds=280, answer=504)
    world.add_batch("late")
    world.wait_condition("late", "RemoteCreated", "Unknown")
    for _ in range(2):
        world.control.advance(120)
        look(world, "late")
        assert story.counts() == (1, 0)
    world.control.advance(60)
    wait_for(lambda: len(world.jobs()) == 1, what="the late commit happened")
    look(world, "late")
    world.wait_condition("late", "RemoteCreated")
    assert story.world.status("late")["create"]["attempt"] == 1
    assert len(world.signatures()) == 1
    world.check_truth()


@pytest.mark.failure_mode(40)
def test_a_listing_that_lags_behind_the_create_delays_the_adoption_only(story: Story) -> None:
    world = story.world
    world.control.add_fault("drop_after_commit", method="POST")
    world.control.add_fault("listing_lag", times=3, seconds=3600)
    world.add_batch("lagging")
    world.wait_condition("lagging", "RemoteCreated", "Unknown")
    look(world, "lagging")
    world.wait_condition("lagging", "RemoteCreated")
    assert story.counts() == (1, 1)
    world.check_truth()
