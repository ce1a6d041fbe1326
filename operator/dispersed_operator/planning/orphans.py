"""What the status of a DispersedOrphan says, as pure functions of what it said before and what was seen.

Invariant: what is known is never lost. A field that this sight does not tell keeps its value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dispersed_operator.model import naming
from dispersed_operator.model.observed import epoch, rfc3339
from dispersed_operator.model.orphan import OrphanCause, OrphanPhase
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.model.status import ConditionType
from dispersed_operator.planning.cost import cost_text, rate_text, total_cost

REFRESH_SECONDS = 240

Status = dict[str, Any]


def seen_status(
    before: Mapping[str, Any],
    job: RemoteJob,
    runs: Sequence[RemoteRun],
    *,
    account: str,
    key_fingerprint: str,
    now: float,
) -> Status:
    """The job lives without an owner, seen at `now` (service's time, epoch seconds), with these runs."""
    title = naming.parse_title(job.title)
    told = {
        "uuid": job.uuid,
        "token": title.token if title is not None else None,
        "account": account,
        "keyFingerprint": key_fingerprint,
        "title": job.title,
        "cause": before.get("cause") or OrphanCause.NO_OWNER.value,
        "firstSeen": before.get("firstSeen") or rfc3339(now),
        "lastSeen": rfc3339(now),
    }
    return _merged(_settled(before), told | _sight(job, runs, now), OrphanPhase.OPEN)


def closed_status(
    before: Mapping[str, Any], job: RemoteJob | None = None, runs: Sequence[RemoteRun] = (), *, now: float
) -> Status:
    """Nothing is left to decide: the job has ended (`job` as last read), is gone (None), or is owned again."""
    sight = _sight(job, runs, now) if job is not None else {}
    return _merged(_settled(before), sight, OrphanPhase.CLOSED)


def refused_status(before: Mapping[str, Any], message: str, *, now: float, generation: int) -> Status:
    """A person's decision changes nothing, and why."""
    old: Mapping[str, Any] = next(
        (item for item in before.get("conditions") or () if item.get("type") == ConditionType.STALLED), {}
    )
    condition = {
        "type": ConditionType.STALLED.value,
        "status": "True",
        "reason": Reason.OWNERSHIP_AMBIGUOUS.value,
        "message": message,
        "lastTransitionTime": old.get("lastTransitionTime") or rfc3339(now),
        "observedGeneration": generation,
    }
    return {**before, "conditions": [condition]}


def is_worth_writing(before: Mapping[str, Any], job: RemoteJob, now: float) -> bool:
    """Whether a sight of a living orphan says something new, or the last one written is some minutes old."""
    if before.get("phase") != OrphanPhase.OPEN or before.get("remoteStatus") != job.status or before.get("conditions"):
        return True
    last = epoch(before.get("lastSeen"))
    return last is None or now - last >= REFRESH_SECONDS


def _sight(job: RemoteJob, runs: Sequence[RemoteRun], now: float) -> Status:
    rate = next((run.hourly_rate_usd for run in runs if run.hourly_rate_usd is not None), None)
    cost = total_cost(runs, now)
    return {
        "remoteStatus": job.status,
        "hourlyRateUSD": rate_text(rate) if rate is not None else None,
        "costUSD": cost_text(cost) if cost is not None else None,
    }


def _settled(before: Mapping[str, Any]) -> Status:
    return {name: value for name, value in before.items() if name != "conditions"}


def _merged(before: Status, told: Status, phase: OrphanPhase) -> Status:
    return before | {name: value for name, value in told.items() if value is not None} | {"phase": phase.value}
