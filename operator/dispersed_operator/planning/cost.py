"""What a job has cost so far: rate times duration, over all its runs (API reference §9).

The service attaches the price to the run; for a run that is not over the duration is counted up to the server's present
time. It is an estimate and never replaces the bill.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from dispersed_operator.model.observed import MOST_MONEY
from dispersed_operator.model.remote import RemoteRun

HOUR_SECONDS = Decimal(3600)
COST_SECONDS = 900.0
SECONDS_PER_JOB = 2.0
"""With more live jobs than 450 a cost alone is written less often, so that all of them together make about one write in
two seconds: ten thousand every quarter of an hour would be eleven a second, a tenth of a core and of etcd's work."""


def total_cost(runs: Sequence[RemoteRun], now: float) -> Decimal | None:
    """US dollars over all runs; None while no run has a rate. `now` is the server's time in epoch seconds."""
    costs = [run.hourly_rate_usd * _seconds(run, now) / HOUR_SECONDS for run in runs if run.hourly_rate_usd is not None]
    return sum(costs, Decimal(0)) if costs else None


def refresh_seconds(live: int, uid: str) -> float:
    """Seconds between two writes of a cost alone, with so many live jobs in this process. Of many jobs, those that were
    last written together part again: the time varies with the uid by a quarter to either side."""
    spread = zlib.crc32(uid.encode()) / 2**32
    return max(COST_SECONDS, live * SECONDS_PER_JOB * (0.75 + 0.5 * spread))


def rate_text(rate: Decimal) -> str:
    """A rate as plain decimal text, without an exponent and without trailing zeros."""
    text = format(rate, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def read_rate(text: object) -> Decimal | None:
    """The rate that a status shows, None if it shows none with which anybody could reckon."""
    try:
        rate = Decimal(str(text)) if text is not None else None
    except InvalidOperation:
        return None
    return rate if rate is not None and rate.is_finite() and -MOST_MONEY < rate < MOST_MONEY else None


def cost_text(cost: Decimal) -> str:
    """A cost as decimal text with four places."""
    return format(cost.quantize(Decimal("0.0001"), ROUND_HALF_UP), "f")


def _seconds(run: RemoteRun, now: float) -> Decimal:
    if run.duration_ms and (run.terminal or run.started_at is None):
        return Decimal(run.duration_ms) / 1000
    if run.started_at is None:
        return Decimal(0)
    end = run.ended_at.timestamp() if run.ended_at is not None else now
    return Decimal(str(max(0.0, end - run.started_at.timestamp())))
