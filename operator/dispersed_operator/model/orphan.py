"""DispersedOrphan: a live remote job of this cluster that no resource owns, and what a person wants done with it.

The name of the object says which job it speaks of (`orphan_name`), so the tie between the two cannot be lost with a
status. A decision is a wish only: whether the job may be touched is decided by its title, like everywhere else.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum

from dispersed_operator.model.base import ResourceModel, optional_list
from dispersed_operator.model.status import Condition

TOKEN_PREFIX = "token-"  # noqa: S105 - no password, the beginning of a name
"""How the name of an object begins of which only the token of a create is known."""

_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,200}[a-z0-9])?")


class OrphanDecision(StrEnum):
    """What is to be done with an orphan. Without a decision of a person it is only reported."""

    REPORT = "Report"
    CANCEL = "Cancel"
    KEEP = "Keep"
    ADOPT = "Adopt"


SPARING = frozenset({OrphanDecision.KEEP, OrphanDecision.ADOPT})
"""Decisions under which neither sweeper nor reaper ever touches the job."""


class OrphanCause(StrEnum):
    """Why the job has no resource: found so by the sweeper, or left behind on purpose by a resource that went."""

    NO_OWNER = "NoOwner"
    DELETION_POLICY = "DeletionPolicy"
    FORCE_FINALIZED = "ForceFinalized"
    ABANDONED = "Abandoned"


class OrphanPhase(StrEnum):
    """`OPEN`: the job costs money, or may. `CLOSED`: it has ended, or a resource owns it again."""

    OPEN = "Open"
    CLOSED = "Closed"


class OrphanPolicy(StrEnum):
    """What the operator does with orphans that nobody has decided about (`--orphan-policy`)."""

    REPORT = "report"
    CANCEL = "cancel"


class DispersedOrphanSpec(ResourceModel):
    """What is to be done with the job. Its uuid is the name of the object."""

    decision: OrphanDecision = OrphanDecision.REPORT
    """`Report`: nothing is done, unless the operator runs with `--orphan-policy=cancel`. `Cancel`: the operator ends
    the job after its usual checks. `Keep`: the operator never touches the job, whatever its policy is. `Adopt`: like
    Keep, and the object stays Open until a resource owns the job: apply a DispersedJob with `spec.adopt.jobUUID`, which
    is the name of this object, in the namespace of an account that has the job and sets `spec.allowAdoption`."""


class DispersedOrphanStatus(ResourceModel):
    """What the operator knows about the job. Written by the operator only."""

    uuid: str | None = None
    """Uuid of the remote job; absent while only its token is known."""

    token: str | None = None
    """Token of the create that the job comes from, as in its title."""

    account: str | None = None
    """Account that pays for the job, as namespace/name."""

    key_fingerprint: str | None = None
    """Which public key showed the job (`status.keyFingerprint` of its account then); no other key is believed when it
    does not know the job."""

    title: str | None = None
    """Title of the remote job."""

    owner: str | None = None
    """The DispersedJob that the job came from, as namespace/name, if it is known."""

    cause: str | None = None
    """Why no resource owns it: NoOwner, DeletionPolicy, ForceFinalized or Abandoned."""

    remote_status: str | None = None
    """Status of the remote job as last seen."""

    first_seen: str | None = None
    """When it was first seen without an owner."""

    last_seen: str | None = None
    """When it was last seen; written at most every few minutes."""

    hourly_rate_usd: str | None = None
    """Price of the current run in US dollars an hour, a decimal number in text form."""

    cost_usd: str | None = None
    """Cost of its runs so far in US dollars, a decimal number in text form."""

    phase: str | None = None
    """Open, or Closed once the job has ended or is owned again."""

    conditions: tuple[Condition, ...] = optional_list()
    """Stalled, only while a decision is refused: its message says why."""


def orphan_name(*, uuid: str | None, token: str | None) -> str:
    """The name of the object for a job, or for a create of which only the token is known.

    A uuid that cannot be a name is replaced by its digest. Raises ValueError if there is neither uuid nor token.
    """
    if uuid:
        if _OBJECT_NAME.fullmatch(uuid):
            return uuid
        return f"job-{_digest(uuid)}"
    if token:
        return TOKEN_PREFIX + (token if _OBJECT_NAME.fullmatch(token) else _digest(token))
    raise ValueError("an orphan needs a uuid or a token")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]
