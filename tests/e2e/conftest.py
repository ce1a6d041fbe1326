"""Worlds for end-to-end tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dispersed_devenv.controlplane import ControlPlane
from tests.support.world import World

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


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world with an account `default` and one running operator."""
    made = make_world()
    made.add_account()
    made.start_operator()
    return made
