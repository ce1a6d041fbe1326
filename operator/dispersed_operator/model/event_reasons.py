"""The reasons of Kubernetes Events: what was done. Conditions say what is; Events say what
happened.
"""

from __future__ import annotations

from enum import StrEnum


class EventReason(StrEnum):
    """The closed list of Event reasons. Progress Events carry the condition's reason instead."""

    CREATED = "Created"
    ADOPTED = "Adopted"
    CREATE_UNKNOWN = "CreateOutcomeUnknown"
    CREATE_REFUSED = "CreateRefused"
    ABSENCE_PROVEN = "AbsenceProven"
    CREATE_RESOLVED = "CreateResolved"
    CANCELLING = "Cancelling"
    CANCELLED = "Cancelled"
    JOB_KEPT = "JobKept"
    DUPLICATE_CANCELLED = "DuplicateCancelled"
    RELEASED = "Released"
    FORCE_FINALIZED = "ForceFinalized"
    ORPHAN_FOUND = "OrphanFound"
    ORPHAN_CANCELLED = "OrphanCancelled"
    ORPHAN_CLOSED = "OrphanClosed"
    DECISION_REFUSED = "DecisionRefused"
    SWEEP_CAP_REACHED = "SweepCapReached"
    ANSWER_REFUSED = "AnswerRefused"
    KEYS_SKIPPED = "InvalidEnvironmentVariableNames"
