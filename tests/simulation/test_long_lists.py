"""A part of the chaos where the service gives one row a page, so that a few jobs are a long list: the poller glances at
it between whole looks, and a complete listing has many pages that rows slip across."""

from __future__ import annotations

from tests.simulation.slices import assert_no_violation


def test_no_episode_with_long_lists_ends_with_a_double_a_leak_or_a_stuck_resource() -> None:
    assert_no_violation(1, "--page-rows", "1")
