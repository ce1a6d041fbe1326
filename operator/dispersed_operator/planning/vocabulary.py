"""The words in which a decision is spoken: facts in, one next action out.

A plan is one step. The reconciler gathers facts, asks for the next action, carries it out, and asks again with what it
learnt, until the action is `Rest`. So every decision is a pure function of what is on the table, and a test can put
exactly that on the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.intent import AccountMark, Intent, Refusal
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.model.status import Phase
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.planning.endpoints import Endpoint
from dispersed_operator.planning.matching import ListingIndex


@dataclass(frozen=True, slots=True)
class Problem:
    """Something stands in the way: a reason from the closed list and a sentence that says who must do what."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """An account as a job sees it.

    `blocker`: why nothing may be created now, None if creating is allowed. `reachable`: a client with a key exists, so
    reading and cancelling can be tried. `expiry_enforced`: the service refuses replays and stale signatures, so absence
    can be proven; None while the probes have not told. `server_time`: seconds since the epoch by the newest `Date` plus
    monotonic time, None if never heard. `continuous_keys`: public keys whose recorded jobs are readable with the
    present key.
    """

    name: str
    mark: AccountMark | None
    blocker: Problem | None
    reachable: bool
    expiry_enforced: bool | None
    windows: ProofWindows
    server_time: float | None
    server_date_age: float | None
    continuous_keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Missing:
    """A read of the remote job answered 404, at `server_date` (epoch seconds). Not believed at once (protocol D3)."""

    server_date: int


class SendState(StrEnum):
    """What this process did with the intent that it won: nothing yet, or the POST was answered one way or another."""

    WON = "won"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class OwnAttempt:
    """The in-memory journal of an intent that this very process won (protocol C3 to C6).

    `won_at` is monotonic. `intent` is what was won: it may be stripped from the object meanwhile. `uuid` is set once
    accepted; `refusal` and `message` once refused; `message` once unknown.
    """

    nonce: str
    won_at: float
    state: SendState = SendState.WON
    intent: Intent | None = None
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
class Memory:
    """What the reconciler remembers of one resource between passes. Losing it costs time, never safety.

    Create: `own` is the journal of an intent that this process won; `last_post` when its POST ended (monotonic).
    Lookup, of the pending create named by `lookup_for`: `lookups` done, `next_lookup` (monotonic), `sightings`, and
    `first_seen`, the server time of the first sight of a create whose time is lost. Cancel: `cancels` sent, the
    `last_cancel` (monotonic), `cancelled_by_us`. `first_missing`: server date of the first 404 of the recorded job.
    Duplicates: `extras` to cancel, the `last_extra` turn, since when one answers 404 (`extra_missing`; monotonic).
    `reads` and `log_reads`: single reads of the run for endpoints and for logs. `released`: our finalizer is off,
    nothing is left to do.
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
    released: bool = False


class SecretState(StrEnum):
    """The connection Secret as last looked at in this pass."""

    UNCHECKED = "unchecked"
    WRITTEN = "written"
    CONFLICT = "conflict"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a decision may rest on.

    `now` is this process's monotonic time, `wall` seconds since the epoch on its wall clock (for ages shown to people
    only). `digest` is the body digest of the present spec, None while it cannot be built (`body_problem` says why).
    `listing`, `job`, `runs`, `run` were read in this pass if present; `snapshot_*` come from the poller, which has
    `polled` at least once. `forced`: a person asks for a look now. `listed`: the newest poll
    showed the recorded job as alive, so the next poll tells what becomes of it.
    """

    cluster_id: str
    now: float
    wall: float
    leading_since: float
    account: AccountFacts
    memory: Memory
    digest: str | None
    body_problem: Problem | None = None
    listing: ListingIndex | None = None
    job: RemoteJob | Missing | None = None
    runs: tuple[RemoteRun, ...] | None = None
    run: RemoteRun | None = None
    snapshot_job: RemoteJob | None = None
    snapshot_runs: tuple[RemoteRun, ...] | None = None
    secret: SecretState = SecretState.UNCHECKED
    forced: bool = False
    polled: bool = True
    listed: bool = True


class Created(StrEnum):
    """The condition RemoteCreated."""

    YES = "True"
    NO = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a resource stands, in the words of its status. planning/status.py turns it into conditions.

    `ready`: what the task promises holds. `stalled`: a person must act, or the job ended badly. `ended`: `True`
    succeeded, `False` failed, None not ended. `job` and `runs` are what is to be shown; None keeps what the status
    says. `endpoints` and `secret_name` are all that is published now.
    """

    phase: Phase
    reason: Reason
    message: str
    created: Created
    ready: bool = False
    stalled: bool = False
    ended: bool | None = None
    account_problem: Problem | None = None
    job: RemoteJob | None = None
    runs: tuple[RemoteRun, ...] | None = None
    log_tail: str | None = None
    endpoints: tuple[Endpoint, ...] = ()
    secret_name: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What the status says stays true. `account_problem`: the account cannot be asked at the moment, and why."""

    account_problem: Problem | None = None


# --- actions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing more to do now. Write `situation` if it says something new (None: this resource is none of our business).

    Look again in `after` seconds, or only when told (None).
    """

    situation: Situation | Kept | None
    after: float | None = None


@dataclass(frozen=True, slots=True)
class ReadServerTime:
    """One cheap GET, so that the server's clock is known (C0)."""


@dataclass(frozen=True, slots=True)
class ReadListing:
    """A complete listing back to `since` (epoch seconds), begun after `begun_after` (monotonic)."""

    since: int
    begun_after: float
    page_size: int = 50


@dataclass(frozen=True, slots=True)
class ReadJob:
    """GET the job, and its runs."""

    uuid: str


@dataclass(frozen=True, slots=True)
class ReadRun:
    """GET one run: connection data and logs come only from there."""

    uuid: str


@dataclass(frozen=True, slots=True)
class ClaimIntent:
    """C1 and C2: build the body, and win finalizer and intent for this attempt in one compare-and-swap."""

    attempt: int


@dataclass(frozen=True, slots=True)
class RestoreFinalizer:
    """Put our finalizer back by compare-and-swap: a remote job may live, and somebody took it off (failure mode 12)."""


@dataclass(frozen=True, slots=True)
class SendCreate:
    """C3 and C4: re-check the holds, then POST once."""


@dataclass(frozen=True, slots=True)
class RefuseIntent:
    """C6: mark the intent refused by compare-and-swap; never delete it."""

    refusal: Refusal
    message: str


@dataclass(frozen=True, slots=True)
class RecordCreate:
    """C5 and adoption: write uuid, account and record in one fenced status patch. `extras` are duplicates to cancel
    after."""

    uuid: str
    attempt: int
    token: str
    signed_at: int
    body_sha256: str
    account: AccountMark
    job: RemoteJob | None
    adopted: bool
    extras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RememberSighting:
    """A complete listing showed no such job: remember it towards the proof of absence (C7)."""

    sighting: Sighting
    next_lookup: float


@dataclass(frozen=True, slots=True)
class RememberMissing:
    """The first 404 of a job that should exist (D3); a second one, later, and a listing must agree before it counts."""

    server_date: int


@dataclass(frozen=True, slots=True)
class CancelJob:
    """D4: PUT cancel with a reason. The answer is not believed; the job is read again."""

    uuid: str
    reason: str
    extra: bool = False


@dataclass(frozen=True, slots=True)
class ApplySecret:
    """Write the connection Secret, unless somebody else owns one of that name."""

    name: str
    data: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeleteSecret:
    """Remove the connection Secret if it is ours."""

    name: str


@dataclass(frozen=True, slots=True)
class DropFinalizer:
    """D6: write `situation` (the final cost), then remove our finalizer by compare-and-swap; an Event says what was
    verified."""

    reason: EventReason
    message: str
    situation: Situation | None
    forced: bool = False


@dataclass(frozen=True, slots=True)
class ApplyAnswer:
    """A person's resolve-create was acted on: Event and metric, then go on with `then`."""

    answer: str
    then: RefuseIntent | RecordCreate


Action = (
    Rest
    | ReadServerTime
    | ReadListing
    | ReadJob
    | ReadRun
    | ClaimIntent
    | RestoreFinalizer
    | SendCreate
    | RefuseIntent
    | RecordCreate
    | RememberSighting
    | RememberMissing
    | CancelJob
    | ApplySecret
    | DeleteSecret
    | DropFinalizer
    | ApplyAnswer
)
