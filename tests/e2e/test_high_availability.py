"""Two replicas: one works, the other stands by without a watch and takes over; whoever lost the Lease does no harm."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.services import OPERATOR_NAMESPACE, OperatorService
from tests.support.world import PATIENT_CLOCK, World, wait_for

COMPONENT = Path(__file__).resolve().parents[2] / "manifests" / "components" / "high-availability"


def lease(world: World) -> dict[str, Any]:
    text = world.plane.kubectl(
        "-n", OPERATOR_NAMESPACE, "get", "lease", world.namespace, "-o", "json", "--ignore-not-found"
    )
    spec: dict[str, Any] = json.loads(text)["spec"] if text.strip() else {}
    return spec


def holder(world: World) -> str:
    return str(lease(world).get("holderIdentity") or "")


def leads(operator: OperatorService) -> bool:
    return "dispersed_operator_leading 1.0" in operator.metrics()


def start(world: World, name: str) -> OperatorService:
    flags = ("--leader-elect", "true", "--lease-name", world.namespace, "--holder", name)
    return world.start_operator(name, flags=flags)


@pytest.fixture
def replicated_plane(installed_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The rights of the component, for as long as the test runs."""
    installed_plane.apply(COMPONENT / "role.yaml")
    yield installed_plane
    installed_plane.kubectl("delete", "-f", str(COMPONENT / "role.yaml"))


@pytest.fixture
def world(replicated_plane: ControlPlane, make_world: Callable[..., World]) -> World:
    made = make_world(operator_flags=PATIENT_CLOCK)
    made.add_account()
    return made


def start_two(world: World) -> tuple[OperatorService, OperatorService]:
    first = start(world, "first")
    wait_for(lambda: holder(world) == "first", what="the first one leads")
    second = start(world, "second")
    world.wait_condition("default", "Ready", kind="dispersedaccount")
    return first, second


def test_the_standby_is_ready_and_watches_nothing(world: World) -> None:
    first, second = start_two(world)
    assert (leads(first), leads(second)) == (True, False)
    assert second.ready(), "a roll-out would wait for ever for a standby that never is"
    world.add_persistent("server")
    world.wait_condition("server", "Ready")
    assert "dispersed_operator_ready 1.0" in first.metrics()
    assert "dispersed_operator_ready 0.0" in second.metrics()
    assert 'dispersed_operator_jobs{phase="Running"} 1.0' in first.metrics()
    assert 'dispersed_operator_jobs{phase="Running"} 0.0' in second.metrics()
    assert "standing by: the Lease is held by first" in second.log.read_text()
    world.remove_jobs("server")


def test_an_orderly_end_hands_over_at_once(world: World) -> None:
    first, second = start_two(world)
    world.add_persistent("server")
    world.wait_condition("server", "Ready")
    assert first.stop() == 0
    assert lease(world)["leaseDurationSeconds"] == 1 or holder(world) == "second"
    wait_for(lambda: holder(world) == "second", what="the second one leads")
    world.add_persistent("another")
    world.wait_condition("another", "Ready")
    assert len(world.signatures()) == 2
    assert leads(second)
    world.check_truth()
    world.remove_jobs("server", "another")


@pytest.mark.failure_mode(64)
def test_a_leader_that_is_killed_in_the_middle_of_a_create_is_followed_without_a_double(world: World) -> None:
    first, second = start_two(world)
    stall = world.control.add_fault("stall", method="POST")
    world.add_persistent("server")
    wait_for(lambda: bool(world.posts()), what="the request arrived")
    first.kill()
    world.control.release(stall)
    wait_for(lambda: holder(world) == "second", what="the standby took over")
    world.wait_condition("server", "Ready")
    assert (len(world.signatures()), len(world.jobs())) == (1, 1)
    assert lease(world)["leaseTransitions"] == 1
    assert leads(second)
    world.check_truth()
    world.remove_jobs("server")


@pytest.mark.failure_mode(17)
@pytest.mark.failure_mode(64)
def test_a_leader_that_was_stopped_for_a_while_wakes_up_does_no_harm_and_ends(world: World) -> None:
    first, _ = start_two(world)
    world.add_persistent("server")
    world.wait_condition("server", "Ready")
    first.process.send_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: holder(world) == "second", what="the standby took over")
        world.add_persistent("another")
        world.wait_condition("another", "Ready")
        world.delete("server")
        world.wait_gone("server")
    finally:
        first.process.send_signal(signal.SIGCONT)
    wait_for(lambda: not first.running, what="the old leader ended")
    assert "the operator ends: the Lease" in first.log.read_text()
    assert (len(world.signatures()), len(world.live_jobs())) == (2, 1)
    assert holder(world) == "second"
    world.check_truth()
    world.remove_jobs("another")


def test_without_the_right_to_the_lease_it_stands_by_and_says_what_is_missing(make_world: Callable[..., World]) -> None:
    world = make_world()
    flags = ("--leader-elect", "true", "--lease-name", world.namespace)
    operator = world.start_operator(wait=False, flags=flags)
    words = "standing by without the right to the Lease (get, create, patch of leases)"
    wait_for(lambda: operator.log.exists() and words in operator.log.read_text(), what="it says what is missing")
    assert operator.running
