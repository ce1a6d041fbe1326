"""Whether the operator may go: which DispersedJobs still need one.

Why it exists: an operator that is uninstalled while a job lives leaves a bill that nobody watches (failure mode 32).
The decision needs nothing but the resources, so that whoever asks needs no key. Invariant: what is not known to be over
is not over; a resource without a remote job counts too, because the operator may create one at any moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dispersed_operator.model.job import DeletionPolicy
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import ConditionType

_TERMINAL = (ConditionType.COMPLETE, ConditionType.FAILED)


@dataclass(frozen=True, slots=True)
class Needing:
    """A DispersedJob that needs the operator. `because` completes "it …"; `deleting`: its deletion is under way.

    `outlives_deletion`: deleting the resource would not end its remote job.
    """

    key: ResourceKey
    uid: str
    phase: str
    because: str
    deleting: bool
    outlives_deletion: bool


@dataclass(frozen=True, slots=True)
class UninstallPlan:
    """`needing`: what stands against it. `held`: how many that are over carry our finalizer, which only an operator
    takes off."""

    needing: tuple[Needing, ...]
    held: int

    @property
    def to_delete(self) -> tuple[Needing, ...]:
        """What has to be deleted so that the operator may go; empty where that would end not every job."""
        if any(item.outlives_deletion for item in self.needing):
            return ()
        return tuple(item for item in self.needing if not item.deleting)


def plan_uninstall(resources: Iterable[JobResource]) -> UninstallPlan:
    """Judge every DispersedJob that the operator serves, in their order."""
    needing, held = [], 0
    for resource in resources:
        because = why_needed(resource)
        if because:
            needing.append(_needing(resource, because))
        elif resource.has_finalizer:
            held += 1
    return UninstallPlan(tuple(needing), held)


def why_needed(resource: JobResource) -> str:
    """Why the operator must not go yet, as the rest of a sentence about the resource; "" if it may."""
    if resource.deleting:
        # Without our finalizer another one keeps it, and with any trace the operator still ends its job (protocol D1).
        return "is being deleted" if resource.has_finalizer or _unsettled(resource) else ""
    if resource.pending_create() is not None:
        return "has a create whose outcome is not known"
    record = resource.record
    if record is not None and record.ended:
        resumed = record.ending is Reason.SUSPENDED and not resource.suspend_wanted
        return "was resumed, and the operator may create its next job" if resumed else ""
    if _terminal(resource):
        return ""
    uuid = resource.job_uuid or resource.status.get("jobUUID")
    if uuid:
        return f"has the remote job {uuid}"
    return "" if resource.suspend_wanted else "has no remote job yet, and the operator may create one"


def _unsettled(resource: JobResource) -> bool:
    ended = resource.record is not None and resource.record.ended
    over = ended or _terminal(resource)
    return resource.has_trace and (resource.pending_create() is not None or not over)


def _terminal(resource: JobResource) -> bool:
    conditions = resource.status.get("conditions") or ()
    return any(item.get("type") in _TERMINAL and item.get("status") == "True" for item in conditions)


def _needing(resource: JobResource, because: str) -> Needing:
    keeps = resource.spec is not None and resource.spec.deletion_policy is DeletionPolicy.ORPHAN
    return Needing(
        key=resource.key,
        uid=resource.uid,
        phase=str(resource.status.get("phase") or "Pending"),
        because=because,
        deleting=resource.deleting,
        outlives_deletion=keeps and not resource.deleting and resource.has_trace,
    )
