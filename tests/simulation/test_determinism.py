"""One seed gives one run: without that no failure could be replayed or shrunk."""

from __future__ import annotations

import pytest

from tests.simulation.plan import make_plan, parse_address
from tests.simulation.shrink import shrink
from tests.simulation.slices import chaos


@pytest.mark.parametrize("seed", ["7", "1000"])
def test_the_same_seed_gives_the_same_trace_in_another_process(seed: str) -> None:
    first, second = chaos("--replay", seed), chaos("--replay", seed)
    assert first.stdout == second.stdout
    assert first.stdout.count("\n") > 20
    assert first.stderr == ""


def test_different_seeds_give_different_plans() -> None:
    assert len({make_plan(seed).items for seed in range(50)}) == 50


def test_an_address_names_the_plan_that_is_left() -> None:
    plan = make_plan(17).only([0, 2])
    assert plan.address == "17:0,2"
    assert parse_address("17:0,2") == plan


def test_an_item_that_the_seed_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="seed 17 has items"):
        parse_address("17:999")


def test_shrinking_leaves_only_the_items_that_the_failure_needs() -> None:
    plan = make_plan(1000)
    assert shrink(plan, lambda less: {1, 5} <= set(less.kept)).kept == (1, 5)
