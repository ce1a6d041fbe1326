"""No proof before its time: a second request needs two late listings of an account whose signatures expire."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.support.proofs import look
from tests.support.world import World


@dataclass
class Lost:
    """A job whose only POST was lost, on one account."""

    world: World
    name: str

    def counts(self) -> tuple[int, int]:
        """(creates that reached the service, jobs ever created) in this world."""
        return len(self.world.signatures()), len(self.world.jobs())

    def step_and_look(self, seconds: float) -> None:
        """Step the service's clock and have the operator list once more."""
        listed = len(self.world.listings())
        self.world.control.advance(seconds)
        look(self.world, self.name)
        assert len(self.world.listings()) > listed, "the operator did not look"


def lose_the_post(world: World, name: str, account: str = "default") -> Lost:
    """Apply a job whose POST is dropped before the service carries it out."""
    lost = Lost(world, name)
    world.control.add_fault("drop_before_commit", method="POST")
    world.add_batch(name, accountRef={"name": account})
    world.wait_condition(name, "RemoteCreated", "Unknown")
    assert lost.counts() == (1, 0)
    return lost


def add_probed_account(world: World, name: str) -> dict[str, object]:
    """An account that is probed under the switches as they are now; what the probes found."""
    world.add_account(name, with_secret=False)
    world.wait_condition(name, "Ready", kind="dispersedaccount")
    return dict(world.status(name, "dispersedaccount")["probes"])


@pytest.mark.failure_mode(5)
@pytest.mark.reason("Creating")
def test_listings_before_the_end_of_the_signature_prove_nothing(calm_world: World) -> None:
    lost = lose_the_post(calm_world, "early")
    for seconds in (0, 300, 31, 31):
        lost.step_and_look(seconds)
        assert lost.counts() == (1, 0)
    assert calm_world.condition("early", "Ready")["reason"] == "Creating"
    lost.step_and_look(100)
    assert lost.counts() == (1, 0), "the first late listing alone proves nothing"
    lost.step_and_look(31)
    calm_world.wait_condition("early", "RemoteCreated")
    assert lost.counts() == (2, 1)
    calm_world.check_truth()


@pytest.mark.failure_mode(5)
@pytest.mark.failure_mode(40)
def test_many_late_listings_within_half_a_minute_are_one_sighting(calm_world: World) -> None:
    lost = lose_the_post(calm_world, "hasty")
    lost.step_and_look(430)
    for _ in range(4):
        lost.step_and_look(5)
        assert lost.counts() == (1, 0)
    lost.step_and_look(15)
    calm_world.wait_condition("hasty", "RemoteCreated")
    assert lost.counts() == (2, 1)
    calm_world.check_truth()


@pytest.mark.failure_mode(40)
@pytest.mark.failure_mode(65)
def test_a_listing_out_of_a_cache_or_without_a_date_is_no_sighting(calm_world: World) -> None:
    lost = lose_the_post(calm_world, "cached")
    lost.step_and_look(430)
    skew = calm_world.control.add_fault("date_skew", method="GET", path="^/v1/jobs$", times=None, age=40)
    listed = len(calm_world.listings())
    calm_world.control.advance(31)
    calm_world.nudge("cached")
    calm_world.wait_condition("cached", "Ready", "False", reason="APIUnavailable")
    assert len(calm_world.listings()) > listed
    assert lost.counts() == (1, 0)
    calm_world.control.remove_fault(skew)
    look(calm_world, "cached")
    calm_world.wait_condition("cached", "RemoteCreated")
    assert lost.counts() == (2, 1)
    calm_world.check_truth()


@pytest.mark.failure_mode(51)
@pytest.mark.reason("ExpiryNotEnforced")
@pytest.mark.parametrize("switch", ["replay_refused", "time_window_enforced"])
def test_without_enforced_expiry_an_unknown_create_waits_for_a_person(calm_world: World, switch: str) -> None:
    account = switch.replace("_", "-")
    calm_world.control.switch(**{switch: False})
    probes = add_probed_account(calm_world, account)
    assert probes["replayRefused" if switch == "replay_refused" else "staleRefused"] is False
    lost = lose_the_post(calm_world, account, account)
    for seconds in (430, 31, 1300, 31):
        lost.step_and_look(seconds)
        assert lost.counts() == (1, 0)
    assert calm_world.wait_condition(account, "Stalled")["reason"] == "ExpiryNotEnforced"
    assert calm_world.condition(account, "RemoteCreated")["status"] == "Unknown"
    intent = calm_world.intent(account)
    assert intent is not None
    calm_world.annotate(account, resolve_create=f"{intent['token']}:abandon")
    calm_world.remove_jobs(account)
    assert lost.counts() == (1, 0)
    calm_world.check_truth()


@pytest.mark.failure_mode(5)
def test_a_longer_signature_window_found_by_the_probes_moves_the_proof(calm_world: World) -> None:
    calm_world.control.switch(time_window_seconds=600)
    assert add_probed_account(calm_world, "slow")["expirySeconds"] == 600
    lost = lose_the_post(calm_world, "slow", "slow")
    for seconds in (430, 31, 200, 31):
        lost.step_and_look(seconds)
        assert lost.counts() == (1, 0)
    lost.step_and_look(35)
    lost.step_and_look(31)
    calm_world.wait_condition("slow", "RemoteCreated")
    assert lost.counts() == (2, 1)
    calm_world.check_truth()
