"""Worlds for end-to-end tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dispersed_devenv.controlplane import ControlPlane
from tests.support.world import World, wait_for

BASE = Path(__file__).resolve().parent.parent.parent / "manifests" / "base"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def installed_plane(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with the service account and the rights of `manifests/base`."""
    control_plane.apply(BASE)
    return control_plane


@pytest.fixture
def make_world(installed_plane: ControlPlane, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Make a world with options of your own; it ends with the test."""
    made: list[World] = []

    def make(**options: object) -> World:
        number = next(_numbers)
        world = World(installed_plane, tmp_path / f"world-{number}", f"e2e-{number}", **options)  # type: ignore[arg-type]
        made.append(world)
        return world.__enter__()

    yield make
    for world in made:
        world.__exit__(None, None, None)


@pytest.fixture(scope="module")
def module_world(installed_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with an account `default` and one running operator for a whole file.

    The operator serves this namespace only, so that it keeps out of the worlds of their own that a file may have too.
    """
    number = next(_numbers)
    with World(installed_plane, tmp_path_factory.mktemp("worlds") / f"world-{number}", f"e2e-{number}") as made:
        made.add_account()
        made.start_operator(flags=("--namespaces", made.namespace))
        yield made


@pytest.fixture
def calm_world(module_world: World) -> Iterator[World]:
    """The file's world as if it were new: an operator that runs, a key that works, and a service without any past."""
    operator = module_world.operators[0]
    if not operator.running:
        operator.start()
    module_world.control.reset()
    # A new session asks the service for its time at once: the last test may have stepped the clock behind the old one's
    # back, and a request signed with the time before the step is refused.
    module_world.delete("default", "dispersedaccount")
    module_world.wait_gone("default", "dispersedaccount")
    module_world.add_account()
    module_world.wait_condition("default", "Ready", kind="dispersedaccount")
    yield module_world
    _tidy(module_world)


def _tidy(world: World) -> None:
    """End every job at the service, so that the resources go at once; what is stuck goes by force."""
    world.control.clear_faults()
    for job in world.live_jobs():
        world.control.force_status(job["uuid"], "CANCELLED")
    world.kubectl("delete", "dispersedjobs", "--all", "--wait=false")
    if world.operators[0].running and not _settled(world):
        for name in world.kubectl("get", "dispersedjobs", "-o", "name").split():
            world.kubectl("patch", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


def _settled(world: World) -> bool:
    """Whether the last resource goes by itself within a moment."""
    try:
        wait_for(lambda: not world.kubectl("get", "dispersedjobs", "-o", "name"), what="all jobs are gone", seconds=5)
    except AssertionError:
        return False
    return True


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world with an account `default` and one running operator."""
    made = make_world()
    made.add_account()
    made.start_operator()
    return made
