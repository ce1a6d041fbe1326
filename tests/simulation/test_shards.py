"""A part of the chaos with shards: processes share two accounts, without any Lease, and their number changes."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import FOUND_WITHIN, SHARD_FIRST_SEEDS, SHARD_MUTANTS
from tests.simulation.slices import EPISODES, assert_no_violation, chaos


@pytest.mark.parametrize("first", range(1, 501, EPISODES))
def test_no_episode_with_shards_ends_with_a_double_a_leak_or_a_stuck_resource(first: int) -> None:
    figures = assert_no_violation(first, "--shards", "2")
    assert "user-move-to-the-other-account" in figures, "jobs go from one shard to the other"
    assert " roll " in figures, "the number of shards changes"


@pytest.mark.parametrize("mutant", SHARD_MUTANTS)
def test_a_shard_that_trusts_in_being_one_is_found(mutant: str) -> None:
    first = str(SHARD_FIRST_SEEDS.get(mutant, 1))
    done = chaos(
        "--shards", "2", "--mutant", mutant, "--seed", first, "--episodes", str(FOUND_WITHIN),
        "--stop-after", "1", "--no-shrink",
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "violations      1" in done.stdout
    assert "Traceback" not in done.stderr
