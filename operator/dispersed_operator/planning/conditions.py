"""Conditions: how a situation reads for kubectl, kstatus, Argo CD, Flux and Helm.

`Reconciling` and `Stalled` follow kstatus: an object with neither is settled. `Complete` and `Failed` appear only once
true, as on a batch/v1 Job; so does `Suspended`, which then stays and turns False when the job is resumed.
`lastTransitionTime` moves only with the status of its condition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dispersed_operator.model import reasons
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import ConditionType
from dispersed_operator.planning.vocabulary import Created, Problem, Situation

Condition = dict[str, Any]
TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"


def job_conditions(situation: Situation) -> list[Condition]:
    """The conditions of a DispersedJob, without times."""
    settled = situation.ready or situation.stalled or situation.suspended or situation.ended is not None
    found = [
        _condition(ConditionType.READY, situation.ready, situation.reason, situation.message),
        _condition(ConditionType.RECONCILING, not settled, situation.reason, ""),
        _condition(ConditionType.STALLED, situation.stalled, situation.reason, ""),
    ]
    if situation.ended is not None:
        ended = ConditionType.COMPLETE if situation.ended else ConditionType.FAILED
        found.append(_condition(ended, True, situation.reason, situation.message))
    created_reason = Reason.ACCEPTED if situation.created is Created.YES else situation.reason
    if situation.suspended:
        found.append(_condition(ConditionType.SUSPENDED, True, situation.reason, situation.message))
    found.append(_raw(ConditionType.REMOTE_CREATED, situation.created.value, created_reason, ""))
    found.append(account_condition(situation.account_problem))
    return found


def resumed_condition(situation: Situation) -> Condition:
    """The condition Suspended of a job that was suspended once and is not now."""
    return _condition(ConditionType.SUSPENDED, False, situation.reason, "")


def account_condition(problem: Problem | None) -> Condition:
    """The condition AccountReady."""
    if problem is None:
        return _condition(ConditionType.ACCOUNT_READY, True, Reason.ACCEPTED, "")
    return _condition(ConditionType.ACCOUNT_READY, False, problem.reason, problem.message)


def ready_condition(problem: Problem | None) -> Condition:
    """Whether an account can be used."""
    if problem is None:
        return _condition(ConditionType.READY, True, Reason.ACCEPTED, "the service accepts the key")
    return _condition(ConditionType.READY, False, problem.reason, problem.message)


def conformant_condition(deviation: Reason | None, text: str) -> Condition:
    """Whether the service behaves as the operator relies on; `text` says what was found."""
    return _condition(ConditionType.CONFORMANT, deviation is None, deviation or Reason.CONFORMANT, text)


def with_times(
    new: Iterable[Condition], old: Sequence[Mapping[str, Any]], *, now: str, generation: int
) -> list[Condition]:
    """`new` with transition times: kept from `old` where the status did not change, else `now`."""
    before = {item.get("type"): item for item in old}
    dated: list[Condition] = []
    for condition in new:
        previous = before.get(condition["type"])
        same = previous is not None and previous.get("status") == condition["status"]
        kept = previous.get("lastTransitionTime") if previous is not None and same else None
        dated.append(condition | {"lastTransitionTime": kept or now, "observedGeneration": generation})
    return dated


def _condition(kind: ConditionType, holds: bool, reason: Reason, text: str) -> Condition:
    return _raw(kind, TRUE if holds else FALSE, reason, text)


def _raw(kind: ConditionType, status: str, reason: Reason, text: str) -> Condition:
    message = reasons.message(reason, text) if text else ""
    return {"type": kind.value, "status": status, "reason": reason.value, "message": message}
