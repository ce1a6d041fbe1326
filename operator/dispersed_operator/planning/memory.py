"""What the reconciler remembers of one resource between passes, in memory only.

Invariant: losing it costs time, never safety. Whatever must survive the process stands on the object.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dispersed_operator.model.intent import AccountMark, Intent, Refusal
from dispersed_operator.model.observed import PendingCreate
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob


class SendState(StrEnum):
    """What this process did with the intent that it won: nothing yet, or the POST was answered one way or another."""

    WON = "won"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class OwnAttempt:
    """The in-memory journal of an intent that this very process won (protocol C3 to C6).

    `won_at` is monotonic. `intent` is what was won: it may be stripped from the object meanwhile. `account_name` is the
    account that it was signed for, as a status spells it: the spec may name another one meanwhile. `uuid` is set once
    accepted; `refusal` and `message` once refused; `message` once unknown.
    """

    nonce: str
    won_at: float
    state: SendState = SendState.WON
    intent: Intent | None = None
    account_name: str = ""
    uuid: str | None = None
    job: RemoteJob | None = None
    refusal: Refusal | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One complete listing that showed no job of the pending create: when (server time), with which page size, and of
    which account."""

    server_date: int
    page_size: int
    account: AccountMark | None = None


@dataclass(frozen=True, slots=True)
class Inspected:
    """Whether the object that an inherited intent or record was made for lives, as read afresh at `at` (monotonic).
    `subject` names it: its uid, or the token that it derives."""

    subject: str
    alive: bool
    at: float


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why the references of the spec of this `generation` could not be resolved, `failures` times in a row; they are
    read again when `due` (monotonic)."""

    reason: Reason
    message: str
    generation: int
    failures: int
    due: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What the reconciler remembers of one resource between passes. Losing it costs time, never safety.

    Create: `own` is the journal of an intent that this process won; `last_post` when its POST ended, or a claim of ours
    failed: another process may have sent one (monotonic).
    Lookup, of the pending create named by `lookup_for`: `lookups` done, `next_lookup` (monotonic), `sightings`, and
    `first_seen`, the server time of the first sight of a create whose time is lost. Cancel: `cancels` sent, the
    `last_cancel` (monotonic), `cancelled_by_us`. `first_missing`: server date of the first 404 of the recorded job.
    Duplicates: `extras` to cancel, the `last_extra` turn, since when one answers 404 (`extra_missing`; monotonic).
    `reads` and `log_reads`: single reads of the run for endpoints and for logs. `orphan_left`: the DispersedOrphan for
    what outlives this resource is made. `released`: our finalizer is off, nothing is left to do.
    `inspected`: whether the object lives that an inherited intent was made for. `refused_answers`: texts of a person
    that were answered with an Event.
    `swept`: a create of which the sweep saw a live job that the resource does not record. `traced`: the resource had an
    intent, a record or our finalizer at some time; without them now, it is not new. `unresolved`: the references that
    stop the next create.
    """

    own: OwnAttempt | None = None
    last_post: float = float("-inf")
    lookup_for: str = ""
    lookups: int = 0
    next_lookup: float = float("-inf")
    sightings: tuple[Sighting, ...] = ()
    first_seen: int | None = None
    cancels: int = 0
    last_cancel: float = float("-inf")
    cancelled_by_us: bool = False
    first_missing: int | None = None
    extras: tuple[str, ...] = ()
    extra_missing: tuple[tuple[str, float], ...] = ()
    last_extra: float = float("-inf")
    reads: int = 0
    log_reads: int = 0
    orphan_left: bool = False
    swept: PendingCreate | None = None
    traced: bool = False
    inspected: Inspected | None = None
    refused_answers: tuple[str, ...] = ()
    unresolved: Unresolved | None = None
    released: bool = False
