"""What a job has cost: rate times duration over all runs."""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispersed_operator.planning.cost import COST_SECONDS, cost_text, rate_text, read_rate, refresh_seconds, total_cost
from tests.support.builders import NOW, a_run, moment


@pytest.mark.parametrize(
    ("changes", "cost", "because"),
    [
        ({}, "0.36", "a live run counts up to the server's present time"),
        ({"started_at": moment(NOW + 5)}, "0", "a run that starts in the future costs nothing yet"),
        ({"started_at": None}, "0", "a run that has not started costs nothing"),
        ({"started_at": None, "duration_ms": 36_000}, "0.36", "a duration counts where no start is known"),
        ({"status": "FAILED", "duration_ms": 18_000}, "0.18", "the service's duration counts for a run that is over"),
        ({"status": "FAILED", "ended_at": moment(NOW - 18)}, "0.18", "else its two times do"),
        ({"duration_ms": 1}, "0.36", "the duration of a live run is of a moment ago"),
    ],
)
def test_the_cost_of_one_run(changes: dict[str, Any], cost: str, because: str) -> None:
    run = a_run(**{"started_at": moment(NOW - 36), "hourly_rate_usd": Decimal(36), **changes})
    assert total_cost([run], NOW) == Decimal(cost), because


def test_all_runs_are_paid_for() -> None:
    run = a_run(started_at=moment(NOW - 36), hourly_rate_usd=Decimal(36))
    assert total_cost([run, run], NOW) == Decimal("0.72")


def test_without_any_rate_the_cost_is_not_known_rather_than_nothing() -> None:
    assert total_cost([], NOW) is None
    assert total_cost([a_run(hourly_rate_usd=None)], NOW) is None


@pytest.mark.parametrize(
    ("rate", "text"), [("0.350", "0.35"), ("4", "4"), ("1E+1", "10"), ("0", "0"), ("100", "100"), ("0.0001", "0.0001")]
)
def test_a_rate_is_plain_decimal_text(rate: str, text: str) -> None:
    assert rate_text(Decimal(rate)) == text


@pytest.mark.parametrize(("cost", "text"), [("0", "0.0000"), ("1.00005", "1.0001"), ("12.3", "12.3000")])
def test_a_cost_has_four_places(cost: str, text: str) -> None:
    assert cost_text(Decimal(cost)) == text


@given(st.decimals("0", "10000", places=6))
def test_texts_never_carry_an_exponent_and_mean_what_they_say(amount: Decimal) -> None:
    assert "E" not in rate_text(amount) + cost_text(amount)
    assert Decimal(rate_text(amount)) == amount


@pytest.mark.parametrize(("text", "rate"), [("0.35", Decimal("0.35")), (None, None), ("", None), ("much", None)])
def test_a_rate_in_a_status_is_read_tolerantly(text: object, rate: Decimal | None) -> None:
    assert read_rate(text) == rate


@pytest.mark.parametrize("live", [0, 1, 360])
def test_few_costs_are_written_every_quarter_of_an_hour(live: int) -> None:
    assert {refresh_seconds(live, str(number)) for number in range(200)} == {COST_SECONDS}


def test_many_costs_are_written_at_a_pace_that_does_not_grow_with_them_and_not_all_at_once() -> None:
    due = sorted(refresh_seconds(10_000, f"uid-{number}") for number in range(10_000))
    assert due[0] >= 15_000
    assert due[-1] <= 25_000
    busiest = max(bisect_right(due, at + 100) - number for number, at in enumerate(due))
    assert busiest <= 150, "about one a second at most, though all were seen for the first time at once"
