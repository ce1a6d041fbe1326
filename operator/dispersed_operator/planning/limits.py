"""spec.limits: what a job may cost, and how long it may live.

The service knows no such limits, so the operator watches them and cancels (failure mode 48: a small request that lands
on a large, dear node). Guarantees: a price is judged the first time that a run shows one; money that earlier attempts
cost counts; the time is the server's, counted from the signature of the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from dispersed_operator.model import naming
from dispersed_operator.model.job import Limits, Task
from dispersed_operator.model.observed import JobResource, money, rfc3339
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.planning.cost import HOUR_SECONDS, cost_text, rate_text, read_rate, total_cost
from dispersed_operator.planning.vocabulary import Problem


@dataclass(frozen=True, slots=True)
class Spending:
    """What a job costs and how old it is. `cost`: US dollars, earlier attempts included. `rate`: dollars an hour of its
    live runs. `age_seconds` since the signature and `expires_in` seconds by its title; None if not known or none."""

    cost: Decimal
    rate: Decimal
    age_seconds: float | None
    expires_in: float | None


def spent_before(resource: JobResource) -> Decimal:
    """US dollars that attempts before the one that is recorded, or is to come, have cost."""
    record = resource.record
    if record is None:
        return Decimal(0)
    return money(resource.status.get("costUSD")) if record.ended else record.prior_cost


def spending_of(
    resource: JobResource, job: RemoteJob, runs: Sequence[RemoteRun], server_time: float | None
) -> Spending:
    """The spending of the recorded job; `server_time` in epoch seconds, None if it is not known."""
    record, parsed = resource.record, naming.parse_title(job.title)
    signed_at = (parsed.signed_at if parsed is not None else 0) or (record.signed_at if record is not None else 0)
    ours = total_cost(runs, server_time) if server_time is not None else None
    persistent = resource.spec is not None and resource.spec.task is Task.PERSISTENT
    told = parsed.expiry if parsed is not None else (record.expires_at if record is not None else None)
    expiry = (told or 0) if persistent else 0
    return Spending(
        cost=(record.prior_cost if record is not None else Decimal(0)) + (ours or Decimal(0)),
        rate=sum((run.hourly_rate_usd or Decimal(0) for run in runs if not run.terminal), Decimal(0)),
        age_seconds=server_time - signed_at if server_time is not None and signed_at else None,
        expires_in=expiry - server_time if server_time is not None and expiry else None,
    )


def breach(limits: Limits, spending: Spending) -> Problem | None:
    """The limit that the job exceeds, with the amount; None if it keeps within all of them."""
    dearest, most = read_rate(limits.max_hourly_rate_usd), read_rate(limits.max_cost_usd)
    if dearest is not None and spending.rate > dearest:
        text = f"the node costs {rate_text(spending.rate)} USD an hour; limits.maxHourlyRateUSD is {rate_text(dearest)}"
        return Problem(Reason.RATE_LIMIT_EXCEEDED, text)
    if most is not None and spending.cost >= most:
        text = f"the job has cost {cost_text(spending.cost)} USD; limits.maxCostUSD is {rate_text(most)}"
        return Problem(Reason.COST_LIMIT_EXCEEDED, text)
    longest, age = limits.max_lifetime_seconds, spending.age_seconds
    if longest is not None and age is not None and age >= longest:
        text = f"the job has existed for {int(age)} s; limits.maxLifetimeSeconds is {longest}"
        return Problem(Reason.LIFETIME_EXCEEDED, text)
    if spending.expires_in is not None and spending.expires_in <= 0:
        text = f"the expiry in the job's title has passed {int(-spending.expires_in)} s ago"
        return Problem(Reason.LIFETIME_EXCEEDED, text)
    return None


def seconds_to_breach(limits: Limits, spending: Spending) -> float | None:
    """When a limit will be reached if nothing changes, in seconds from now; None if none will."""
    moments = [] if spending.expires_in is None else [spending.expires_in]
    most = read_rate(limits.max_cost_usd)
    if most is not None and spending.rate > 0:
        moments.append(float((most - spending.cost) * HOUR_SECONDS / spending.rate))
    if limits.max_lifetime_seconds is not None and spending.age_seconds is not None:
        moments.append(limits.max_lifetime_seconds - spending.age_seconds)
    return max(0.0, min(moments)) if moments else None


def exhausted(resource: JobResource) -> Problem | None:
    """Why no further attempt may be made: the ones before have used up the money (C0)."""
    most = read_rate(resource.spec.limits.max_cost_usd) if resource.spec is not None else None
    spent = spent_before(resource)
    if most is None or spent < most:
        return None
    text = f"earlier attempts cost {cost_text(spent)} USD; raise limits.maxCostUSD ({rate_text(most)}) to go on"
    return Problem(Reason.COST_LIMIT_EXCEEDED, text)


def expiry_text(expiry: int) -> str:
    """The value of `status.create.expiresAt`: a job without an expiry says aloud that nobody reaps it."""
    return rfc3339(expiry) if expiry else "never"
