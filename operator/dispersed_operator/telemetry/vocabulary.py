"""The closed vocabularies of metric labels: whoever counts something picks a member, never a text of its own.

They keep the number of series bounded and secrets out of label values. A value that is not a member becomes ``other``.
"""

from __future__ import annotations

from enum import StrEnum

from dispersed_operator.model.status import Phase

OTHER = "other"


class ReconcileResult(StrEnum):
    """How one reconcile ended."""

    DONE = "done"
    REQUEUED = "requeued"
    CONFLICT = "conflict"
    ERROR = "error"
    TIMEOUT = "timeout"


class CreateOutcome(StrEnum):
    """Classification of a POST (protocol C4)."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class LookupResult(StrEnum):
    """What a lookup by token found (protocol C7)."""

    FOUND = "found"
    SEVERAL = "several"
    NOT_YET_CONCLUSIVE = "not_yet_conclusive"
    ABSENT = "absent"


class CancelResult(StrEnum):
    """What a cancel request was answered (protocol D4); only the next read says whether the job ended."""

    SENT = "sent"
    FAILED = "failed"


class EventResult(StrEnum):
    """What became of a Kubernetes Event."""

    RECORDED = "recorded"
    DROPPED = "dropped"


class ResolveAnswer(StrEnum):
    """A person's answer in the annotation `resolve-create`."""

    ADOPT = "adopt"
    RETRY = "retry"
    ABANDON = "abandon"


class SweepResult(StrEnum):
    """How a sweep of an account ended; `withheld`: cluster or account may be another one, so nothing was judged."""

    DONE = "done"
    FAILED = "failed"
    WITHHELD = "withheld"


PHASES = frozenset(phase.value for phase in Phase)
ROUTES = frozenset(
    {
        "/v1/jobs",
        "/v1/jobs/{uuid}",
        "/v1/jobs/{uuid}/cancel",
        "/v1/job-runs",
        "/v1/job-runs/{uuid}",
    }
)
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


def member(value: str, vocabulary: frozenset[str]) -> str:
    """The value itself if the vocabulary holds it, else ``other``."""
    return value if value in vocabulary else OTHER
