"""A part of the chaos with shards: processes share two accounts, without any Lease, and their number changes."""

from __future__ import annotations

import pytest

from tests.simulation.episode import play
from tests.simulation.mutants import FOUND_WITHIN, SHARD_FIRST_SEEDS, SHARD_MUTANTS
from tests.simulation.plan import Plan, User, Verb
from tests.simulation.shards import SECOND_ACCOUNT, Layout, SlotParts
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


def test_a_process_that_is_told_to_end_while_it_starts_comes_back_as_the_shard_that_it_is_now() -> None:
    """Else nobody would work for the account `third`, whose shard of three is 1/3."""
    slots = (SlotParts("0/2", "0/3", 2.0), SlotParts("1/2", "1/3", 0.51), SlotParts(None, "2/3", 1.0))
    items = (User(12.0, Verb.CREATE, 0),)
    layout = Layout(slots, (SECOND_ACCOUNT,))
    plan = Plan(1, 3, persistent=(False,), run_seconds=60.0, items=items, kept=(0,), layout=layout)
    result = play(plan)
    assert any(line.endswith("op-1-1  SIGTERM") for line in result.trace)
    assert not any(line.endswith("op-1-1  ready") for line in result.trace)
    assert (result.violations, result.posts) == ((), 1)
