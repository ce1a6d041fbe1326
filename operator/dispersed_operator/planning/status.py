"""The projection: from a situation and the present status to the status that should stand there.

Invariants: the same situation always gives the same document, so a patch is sent only for a semantic difference;
`jobUUID`, `account` and `create` are never touched here (they are written only by the create protocol); a cost alone is
not worth a write unless it is due; nothing secret passes (endpoints carry no token).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from dispersed_operator.model import naming
from dispersed_operator.model.observed import JobResource, rfc3339
from dispersed_operator.model.remote import RemoteRun
from dispersed_operator.model.status import KEPT_RUNS, ConditionType, Phase, parse_timestamp, runtime_text, timestamp
from dispersed_operator.planning import conditions
from dispersed_operator.planning.cost import cost_text, rate_text, total_cost
from dispersed_operator.planning.tracking import current_run
from dispersed_operator.planning.vocabulary import Kept, Situation

Document = dict[str, Any]
LOG_TAIL_LINES = 50
LOG_TAIL_BYTES = 8192


def project(
    resource: JobResource, situation: Situation | Kept, *, wall: float, server_time: float | None, cost_due: bool
) -> Document:
    """The whole status that should stand on the resource. `wall` and `server_time` are epoch seconds."""
    old: Document = dict(resource.status)
    new = (
        _kept(resource, old, situation, wall) if isinstance(situation, Kept) else _moved(resource, old, situation, wall)
    )
    if new.get("conditions"):  # kstatus takes a generation that was observed, with no condition beside it, for settled
        new["observedGeneration"] = resource.generation
    handled = resource.annotations.get(naming.RECONCILE_ANNOTATION)
    if handled:
        new["lastHandledReconcileAt"] = handled
    if isinstance(situation, Situation) and situation.runs is not None:
        _add_money(new, situation.runs, server_time if server_time is not None else wall, _prior_cost(resource))
    new = {name: value for name, value in new.items() if value is not None}
    if not cost_due and new | {"costUSD": None} == old | {"costUSD": None} and "costUSD" in old:
        return old
    return new


def _kept(resource: JobResource, old: Document, kept: Kept, wall: float) -> Document:
    """Everything stays as it is said; only the account's condition may move, and what generation is answered."""
    before: Sequence[Mapping[str, Any]] = old.get("conditions") or ()
    said = [
        {name: value for name, value in item.items() if name not in {"lastTransitionTime", "observedGeneration"}}
        for item in before
        if item.get("type") != ConditionType.ACCOUNT_READY
    ]
    if not said:
        return dict(old)
    said.append(conditions.account_condition(kept.account_problem))
    dated = conditions.with_times(said, before, now=rfc3339(wall), generation=resource.generation)
    return old | {"conditions": dated}


def _moved(resource: JobResource, old: Document, situation: Situation, wall: float) -> Document:
    now = rfc3339(wall)
    new = old | {
        "phase": situation.phase.value,
        "endpoints": [endpoint.as_status() for endpoint in situation.endpoints] or None,
        "connectionSecretRef": {"name": situation.secret_name} if situation.secret_name else None,
        "conditions": _conditions(old.get("conditions") or (), situation, now, resource.generation),
    }
    if situation.log_tail:
        new["logTail"] = tail(situation.log_tail)
    if situation.runs is not None:
        _add_runs(new, situation, now)
    if situation.ended is not None:
        new |= {"succeeded": int(situation.ended), "failed": int(not situation.ended), "active": 0}
    elif situation.job is not None:
        over = situation.phase in {Phase.STOPPED, Phase.SUSPENDED}
        new |= {"succeeded": 0, "failed": 0, "active": 0 if over else 1}
    return new


def _conditions(
    before: Sequence[Mapping[str, Any]], situation: Situation, now: str, generation: int
) -> list[conditions.Condition]:
    found = conditions.job_conditions(situation)
    if not situation.suspended and any(item.get("type") == ConditionType.SUSPENDED for item in before):
        found.append(conditions.resumed_condition(situation))
    return conditions.with_times(found, before, now=now, generation=generation)


def _add_runs(new: Document, situation: Situation, now: str) -> None:
    runs = situation.runs or ()
    run = current_run(runs)
    new["runs"] = [_run(item) for item in runs[:KEPT_RUNS]] or None
    new["runCount"] = len(runs)
    new["currentRun"] = _run(run) if run is not None else None
    started = min((item.started_at for item in runs if item.started_at is not None), default=None)
    if started is not None:
        new["startTime"] = timestamp(started)
    if situation.ended is not None and not new.get("completionTime"):
        new["completionTime"] = _completion(situation) or now
    new["runtime"] = runtime_text(parse_timestamp(new.get("startTime")), parse_timestamp(new.get("completionTime")))


def _completion(situation: Situation) -> str | None:
    ends = [run.ended_at for run in situation.runs or () if run.ended_at is not None]
    job_end = situation.job.completed_at if situation.job is not None else None
    moment: datetime | None = job_end or max(ends, default=None)
    return timestamp(moment) if moment is not None else None


def _run(run: RemoteRun) -> Document:
    document: Document = {"uuid": run.uuid, "status": run.status}
    if run.started_at is not None:
        document["startedAt"] = timestamp(run.started_at)
    if run.ended_at is not None:
        document["endedAt"] = timestamp(run.ended_at)
    if run.status_reason:
        document["reason"] = run.status_reason[:256]
    return document


def _prior_cost(resource: JobResource) -> Decimal:
    return resource.record.prior_cost if resource.record is not None else Decimal(0)


def _add_money(new: Document, runs: Sequence[RemoteRun], now: float, prior: Decimal) -> None:
    run = current_run(runs)
    if run is None:
        return
    rate: Decimal | None = run.hourly_rate_usd
    if rate is not None:
        new["hourlyRateUSD"] = rate_text(rate)
    cost = total_cost(runs, now)
    if cost is not None:
        new["costUSD"] = cost_text(prior + cost)


def tail(logs: str) -> str:
    """The last lines of an output, capped; it was redacted before it came here."""
    lines = logs.rstrip("\n").split("\n")[-LOG_TAIL_LINES:]
    return "\n".join(lines)[-LOG_TAIL_BYTES:]
