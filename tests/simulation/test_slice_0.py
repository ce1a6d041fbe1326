"""A part of the chaos for every test run: seeds 1 to 500."""

from __future__ import annotations

import pytest

from tests.simulation.slices import EPISODES, assert_no_violation


@pytest.mark.parametrize("first", range(1, 501, EPISODES))
def test_no_episode_ends_with_a_double_a_leak_or_a_stuck_resource(first: int) -> None:
    assert_no_violation(first)
