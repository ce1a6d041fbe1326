"""One noisy account or namespace does not hold up the others: what counts is who was served before whom."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.services import PUBLIC_KEY
from tests.support.stripping import strip_all_jobs
from tests.support.world import World, wait_for

BURST = 60
CONCURRENCY = 16
NOISY_KEY = "pk_noisy"


@pytest.fixture
def noisy_world(make_world: Callable[..., World]) -> World:
    """A namespace whose account has a key and a first job of its own, and one running operator."""
    world = make_world()
    world.control.add_key(NOISY_KEY, "sk_noisy", account_uuid="00000000-0000-4000-8000-00000000000e")
    world.add_secret(public=NOISY_KEY, secret="sk_noisy")
    world.add_account(with_secret=False)
    world.start_operator()
    world.add_batch("first")
    world.wait_phase("first", "Succeeded")
    return world


@pytest.fixture
def _no_jobs_of_other_tests(installed_plane: ControlPlane) -> None:
    """A shared account serves every namespace, so what other tests left would be its own."""
    strip_all_jobs(installed_plane)


def burst() -> list[str]:
    return [f"noisy-{number}" for number in range(BURST)]


def recorded(world: World) -> list[str]:
    """The jobs of the namespace that were created and recorded."""
    found = world.kubectl("get", "dispersedjobs", "-o", "jsonpath={.items[*].status.jobUUID}")
    return found.split()


def requeued(world: World) -> float:
    """How many passes over jobs ended because there is nothing to do until later, which is no failure."""
    found = re.search(r'reconcile_total\{kind="DispersedJob",result="requeued"\} (\S+)', world.operators[0].metrics())
    return float(found[1]) if found is not None else 0.0


def forget(world: World) -> None:
    """What was never sent carries no finalizer, and goes at once."""
    world.kubectl("delete", "dispersedjobs", "--all", "--wait=false")


def live_a_life(world: World, *names: str) -> None:
    """These jobs are created, run to their end, and are deleted; one of them in the middle of its run."""
    world.add_batches(*names)
    for name in names[1:]:
        world.wait_phase(name, "Succeeded")
    world.remove_jobs(*names)


def test_an_account_whose_service_stalls_holds_no_other_namespace_up(noisy_world: World) -> None:
    quiet = noisy_world.neighbour()
    quiet.add_account()
    quiet.wait_condition("default", "Ready", kind="dispersedaccount")
    noisy_world.control.clear_requests()
    stall = noisy_world.control.add_fault("stall", path="^/v1/jobs$", times=None, api_key=NOISY_KEY)
    noisy_world.add_batches(*burst())
    wait_for(lambda: len(noisy_world.posts()) >= CONCURRENCY, what="the stalled account has all that it may have")
    before = requeued(noisy_world)
    wait_for(lambda: requeued(noisy_world) > before, what="a create gave its worker back, for no slot came free")
    said = noisy_world.kubectl("get", "dispersedjobs", "-o", "jsonpath={.items[*].status.conditions[*].reason}")
    assert "RateLimited" not in said, "nobody was asked for fewer requests; those behind the stalled ones only wait"

    live_a_life(quiet, "one", "two", "three")

    posts = [row["api_key"] for row in noisy_world.posts()]
    assert posts.count(PUBLIC_KEY) == 3
    last = max(number for number, key in enumerate(posts) if key == PUBLIC_KEY)
    assert posts[:last].count(NOISY_KEY) < BURST, "the quiet jobs did not wait for the burst that came before them"
    assert len(recorded(noisy_world)) == 1, "of the noisy ones none was served"
    noisy_world.control.release(stall)
    noisy_world.control.remove_fault(stall)
    forget(noisy_world)
    wait_for(lambda: not noisy_world.kubectl("get", "dispersedjobs", "-o", "name"), what="all are gone", seconds=180)
    noisy_world.check_truth()


def test_an_account_that_is_always_told_to_slow_down_holds_no_other_namespace_up(noisy_world: World) -> None:
    quiet = noisy_world.neighbour()
    quiet.add_account()
    quiet.wait_condition("default", "Ready", kind="dispersedaccount")
    noisy_world.control.add_fault("rate_limit", times=None, api_key=NOISY_KEY)
    noisy_world.add_batches(*burst())
    noisy_world.wait_blocked("noisy-0", "RateLimited")

    live_a_life(quiet, "one", "two", "three")

    assert len(recorded(noisy_world)) == 1
    noisy_world.check_truth()
    forget(noisy_world)


@pytest.mark.usefixtures("_no_jobs_of_other_tests")
def test_a_burst_of_one_namespace_of_a_shared_account_lets_the_job_of_another_go_first(
    make_world: Callable[..., World],
) -> None:
    """The account may send two requests a second, so the burst takes a while; the job of the other namespace does
    not."""
    noisy = make_world()
    quiet = noisy.neighbour()
    names = {"names": [noisy.namespace, quiet.namespace]}
    noisy.add_shared_account(allowed=names, requestsPerMinute=120, polling={"intervalSeconds": 60})
    noisy.start_operator()
    noisy.wait_condition("default", "Ready", kind="clusterdispersedaccount")
    noisy.add_batches(*burst())
    wait_for(lambda: recorded(noisy), what="the burst began")
    quiet.add_batch("late")
    before = len(noisy.posts())
    wait_for(lambda: recorded(quiet), what="the other namespace's job was created")
    assert len(noisy.posts()) - before <= 2 * CONCURRENCY
    assert len(recorded(noisy)) <= BURST - CONCURRENCY, "the burst still waits"
    noisy.operators[0].stop()
    noisy.check_truth()
    forget(noisy)
