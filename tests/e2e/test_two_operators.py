"""Two operator processes at once, without any election: the compare-and-swap alone keeps every job single."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from dispersed_devenv.services import OperatorService
from tests.support.proofs import look, prove_absence
from tests.support.world import World, wait_for


def start_two(make_world: Callable[..., World]) -> tuple[World, OperatorService, OperatorService]:
    world = make_world()
    world.add_account()
    first = world.start_operator("first", wait=False, flags=("--holder", "first"))
    second = world.start_operator("second", wait=False, flags=("--holder", "second"))
    first.wait_ready()
    second.wait_ready()
    world.wait_condition("default", "Ready", kind="dispersedaccount")
    return world, first, second


@pytest.mark.failure_mode(16)
@pytest.mark.failure_mode(64)
def test_two_operators_and_ten_jobs_make_ten_requests_and_ten_jobs(make_world: Callable[..., World]) -> None:
    world, _, _ = start_two(make_world)
    names = [f"job-{number}" for number in range(10)]
    for name in names:
        world.add_persistent(name)
    for name in names:
        world.wait_condition(name, "RemoteCreated")
    assert (len(world.posts()), len(world.jobs()), len(world.live_jobs())) == (10, 10, 10)
    assert {row["status"] for row in world.posts()} == {201}
    world.check_truth()
    for name in names:
        world.delete(name)
    for name in names:
        world.wait_gone(name)
    assert (len(world.posts()), world.live_jobs()) == (10, [])
    world.check_truth()


@pytest.mark.failure_mode(17)
@pytest.mark.failure_mode(64)
@pytest.mark.parametrize("fault", ["drop_before_commit", "drop_after_commit"])
def test_a_process_paused_in_the_middle_of_a_create_makes_no_double_when_it_wakes(
    make_world: Callable[..., World], fault: str
) -> None:
    world, first, second = start_two(make_world)
    world.control.add_fault(fault, method="POST")
    stall = world.control.add_fault("stall", method="POST")
    world.add_persistent("job")
    wait_for(lambda: bool(world.posts()), what="the request arrived")
    intent = world.intent("job")
    assert intent is not None
    paused = first if intent["holder"] == "first" else second
    paused.process.send_signal(signal.SIGSTOP)
    try:
        if fault == "drop_before_commit":
            world.wait_condition("job", "RemoteCreated", "Unknown")
            prove_absence(world, "job")
        world.wait_condition("job", "Ready")
        requests = 2 if fault == "drop_before_commit" else 1
        assert (len(world.signatures()), len(world.jobs())) == (requests, 1)
    finally:
        paused.process.send_signal(signal.SIGCONT)
    world.control.release(stall)
    wait_for(paused.ready, what="the paused process works again")
    recorded = world.status("job")["jobUUID"]
    look(world, "job")
    assert world.status("job")["jobUUID"] == recorded
    assert (len(world.signatures()), len(world.jobs())) == (requests, 1)
    world.check_truth()
    world.remove_jobs("job")


@pytest.mark.failure_mode(19)
def test_a_process_paused_before_its_intent_sends_nothing_that_another_has_sent(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    world.add_account()
    flags = ("--send-deadline-seconds", "1")
    sleeper = world.start_operator("sleeper", flags=("--holder", "sleeper", *flags))
    world.wait_condition("default", "Ready", kind="dispersedaccount")
    listed = len(world.listings())
    stall = world.control.add_fault("stall", method="GET", path="^/v1/jobs$")
    world.add_persistent("job")
    wait_for(lambda: len(world.listings()) > listed, what="the listing before the create began")
    sleeper.process.send_signal(signal.SIGSTOP)
    try:
        world.control.release(stall)
        world.start_operator("waker", flags=("--holder", "waker", *flags))
        world.wait_condition("job", "Ready")
        stopped = time.monotonic()
        wait_for(lambda: time.monotonic() - stopped > 1.0, what="more than the send deadline has passed")
    finally:
        sleeper.process.send_signal(signal.SIGCONT)
    wait_for(sleeper.ready, what="the paused process works again")
    look(world, "job")
    intent = world.intent("job")
    assert intent is not None
    assert intent["holder"] == "waker"
    assert (len(world.posts()), len(world.jobs())) == (1, 1)
    world.check_truth()
    world.remove_jobs("job")
