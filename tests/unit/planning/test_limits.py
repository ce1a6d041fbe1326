"""What a job costs and how old it is, and which limit that exceeds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dispersed_operator.model.job import Limits
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.limits import (
    Spending,
    breach,
    exhausted,
    expiry_text,
    seconds_to_breach,
    spending_of,
    spent_before,
)
from tests.support.builders import BATCH, NOW, PERSISTENT, SIGNED, a_job, a_row, a_run, moment

HOUR = 3600


def limits(**fields: Any) -> Limits:
    return Limits.from_api(fields)


def spending(cost: str = "0", rate: str = "0", age: float | None = 0.0, expires_in: float | None = None) -> Spending:
    return Spending(Decimal(cost), Decimal(rate), age, expires_in)


@pytest.mark.parametrize(
    ("given", "now", "reason", "because"),
    [
        (limits(), spending("9999", "99", 1e9), None, "no limit is no limit"),
        (limits(maxHourlyRateUSD="1.5"), spending(rate="1.5"), None, "the highest price is allowed"),
        (limits(maxHourlyRateUSD="1.5"), spending(rate="1.5001"), Reason.RATE_LIMIT_EXCEEDED, "above it is not"),
        (limits(maxCostUSD="2"), spending("1.9999"), None, "below"),
        (limits(maxCostUSD="2"), spending("2"), Reason.COST_LIMIT_EXCEEDED, "what may be spent is spent"),
        (limits(maxLifetimeSeconds=60), spending(age=59.9), None, "below"),
        (limits(maxLifetimeSeconds=60), spending(age=60), Reason.LIFETIME_EXCEEDED, "the time is over"),
        (limits(maxLifetimeSeconds=60), spending(age=None), None, "without the server's time nothing is known"),
        (limits(), spending(expires_in=0.0), Reason.LIFETIME_EXCEEDED, "the title says when it is over"),
        (limits(), spending(expires_in=1.0), None, "not yet"),
    ],
)
def test_which_limit_is_exceeded(given: Limits, now: Spending, reason: Reason | None, because: str) -> None:
    found = breach(given, now)
    assert (found.reason if found else None) is reason, because


@pytest.mark.parametrize(
    ("given", "now", "seconds"),
    [
        (limits(), spending("1", "1"), None),
        (limits(maxCostUSD="2"), spending("1", "0.5"), 2 * HOUR),
        (limits(maxCostUSD="2"), spending("1", "0"), None),
        (limits(maxLifetimeSeconds=100), spending(age=40), 60),
        (limits(maxLifetimeSeconds=100), spending(age=140), 0),
        (limits(maxCostUSD="2", maxLifetimeSeconds=100), spending("1", "3600", age=40), 1),
        (limits(), spending(expires_in=7.0), 7),
    ],
)
def test_when_a_limit_will_be_reached(given: Limits, now: Spending, seconds: float | None) -> None:
    assert seconds_to_breach(given, now) == seconds


def test_only_live_runs_have_a_price_and_all_runs_have_a_cost() -> None:
    first = a_run(uuid="one", status="FAILED", started_at=moment(NOW - HOUR), ended_at=moment(NOW))
    second = a_run(uuid="two", started_at=moment(NOW), hourly_rate_usd=Decimal(2))
    found = spending_of(a_job().created().resource, a_row(), (second, first), NOW + HOUR)
    assert (found.cost, found.rate) == (Decimal("2.35"), Decimal(2))
    assert found.age_seconds == NOW + HOUR - SIGNED


def test_what_earlier_attempts_cost_counts() -> None:
    resource = a_job().created().record(attempt=2, priorCostUSD="1.2500", settledAttempts=1).resource
    assert spending_of(resource, a_row(), (), NOW).cost == Decimal("1.25")
    assert spent_before(resource) == Decimal("1.25")
    over = a_job().created().record(ended=True, ending="Suspended").status(costUSD="3.5000").resource
    assert spent_before(over) == Decimal("3.5")
    assert spent_before(a_job().resource) == 0


@pytest.mark.parametrize("text", ["lots", "-1", "NaN", "Infinity", [], {}])
def test_a_cost_that_somebody_made_up_is_no_cost(text: object) -> None:
    assert spent_before(a_job().created().record(priorCostUSD=text).resource) == 0


def test_money_that_is_spent_forbids_a_further_attempt() -> None:
    resource = a_job().spec({**BATCH, "limits": {"maxCostUSD": "1"}}).record(uuid=None, priorCostUSD="1.0001").resource
    found = exhausted(resource)
    assert found is not None
    assert "1.0001" in found.message
    assert exhausted(a_job().record(uuid=None, priorCostUSD="1.0001").resource) is None


def test_the_expiry_in_the_title_of_a_persistent_job_holds_though_the_spec_was_edited() -> None:
    server = a_job().spec(PERSISTENT).created().resource
    assert spending_of(server, a_row(), (), NOW).expires_in == SIGNED + 4800 - NOW
    batch = a_job().created().resource
    assert spending_of(batch, a_row(), (), NOW).expires_in is None, "the deadlines of the service end a Batch job"
    cut = a_row(title="kd1-cut")
    assert spending_of(server, cut, (), NOW).expires_in is None
    recorded = a_job().spec(PERSISTENT).created().record(expiresAt="2026-11-18T07:00:00Z").resource
    assert spending_of(recorded, cut, (), NOW).expires_in is not None


def test_a_job_without_an_expiry_says_so() -> None:
    assert expiry_text(0) == "never"
    assert expiry_text(SIGNED) == "2026-11-18T11:06:50Z"
