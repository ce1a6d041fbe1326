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
    DUPLICATE_CANCELLED = "DuplicateCancelled"
    RELEASED = "Released"
    FORCE_FINALIZED = "ForceFinalized"
