"""A part of the chaos for every test run: seeds 1001 to 1500."""

from __future__ import annotations

import pytest

from tests.simulation.slices import EPISODES, assert_no_violation


@pytest.mark.parametrize("first", range(1001, 1501, EPISODES))
def test_no_episode_ends_with_a_double_a_leak_or_a_stuck_resource(first: int) -> None:
    assert_no_violation(first)
