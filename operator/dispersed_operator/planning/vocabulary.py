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
from dispersed_operator.model.intent import AccountMark, Refusal
from dispersed_operator.model.orphan import OrphanCause, OrphanDecision
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.account_facts import AccountFacts as AccountFacts  # noqa: PLC0414 - one of the words
from dispersed_operator.planning.account_facts import Admission as Admission  # noqa: PLC0414 - one of the words
from dispersed_operator.planning.account_facts import Problem as Problem  # noqa: PLC0414 - one of the words
from dispersed_operator.planning.endpoints import Endpoint
from dispersed_operator.planning.matching import ListingIndex
from dispersed_operator.planning.memory import Inspected as Inspected  # noqa: PLC0414 - one of the words
from dispersed_operator.planning.memory import Memory as Memory  # noqa: PLC0414 - one of the words
from dispersed_operator.planning.memory import OwnAttempt as OwnAttempt  # noqa: PLC0414 - one of the words
from dispersed_operator.planning.memory import SendState as SendState  # noqa: PLC0414 - one of the words
from dispersed_operator.planning.memory import Sighting as Sighting  # noqa: PLC0414 - one of the words
from dispersed_operator.planning.resolved import Resolved


@dataclass(frozen=True, slots=True)
class Missing:
    """A read of the remote job answered 404, at `server_date` (epoch seconds). Not believed at once (protocol D3)."""

    server_date: int


@dataclass(frozen=True, slots=True)
class Contest:
    """Whether a resource may have the remote job that it adopts, as the store showed it in this pass.

    `allowed`: its account permits adoption. `owned`: the job is another resource's, or an older one adopts it.
    `titled`: the job itself was looked at, so its title was asked whose it is.
    """

    allowed: bool
    owned: bool
    titled: bool


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
    `listing`, `job`, `runs`, `run`, `references` (what those of the template came to), `contest` (for an object that
    adopts) and `admission` (for a shared account) were read in this pass if present; `snapshot_*` come from the poller,
    which has `polled` at least once. `forced`: a person asks for a look now. `listed`: the newest poll showed the
    recorded job as alive. `live_jobs`: how many this process watches in all.
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
    live_jobs: int = 0
    contest: Contest | None = None
    references: Resolved | Problem | None = None
    admission: Admission | None = None


class Created(StrEnum):
    """The condition RemoteCreated."""

    YES = "True"
    NO = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a resource stands, in the words of its status. planning/status.py turns it into conditions.

    `ready`: what the task promises holds. `stalled`: a person must act, or the job ended badly. `suspended`: as asked,
    no job lives. `ended`: `True` succeeded, `False` failed, None not ended. `job` and `runs` are what is to be shown;
    None keeps what the status says. `endpoints` and `secret_name` are all that is published now.
    """

    phase: Phase
    reason: Reason
    message: str
    created: Created
    ready: bool = False
    stalled: bool = False
    suspended: bool = False
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
    """Nothing more to do now. Write `situation` if it says something new (None: there is nothing to say).

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
    """GET the job and its runs; without `runs` those of a job that is over only."""

    uuid: str
    runs: bool = True


@dataclass(frozen=True, slots=True)
class ReadRun:
    """GET one run: connection data and logs come only from there."""

    uuid: str


@dataclass(frozen=True, slots=True)
class ResolveReferences:
    """C1: read each Secret and ConfigMap that the template names, once, and take the values out of them."""


@dataclass(frozen=True, slots=True)
class InspectAdmission:
    """Ask the API server whether the job's namespace may create with the shared account (C0)."""


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
    after. `account_name` is the account that accepted the job, as a status spells it; empty for the one that the spec
    names."""

    uuid: str
    attempt: int
    token: str
    signed_at: int
    body_sha256: str
    account: AccountMark
    job: RemoteJob | None
    adopted: bool
    extras: tuple[str, ...] = ()
    account_name: str = ""


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
class RecordEnding:
    """Write down why the recorded job is to end, before its cancel is sent: a crash must not make it look cancelled by
    a stranger. `ending` is one of `observed.ENDINGS`; `message` says what happened, with the amount."""

    ending: Reason
    message: str


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
class LeaveOrphan:
    """Make the DispersedOrphan for a job that is to outlive its resource, before the finalizer goes.

    `uuid` and `token`: what is known of the job; `decision`: what sweeper and reaper are to do with it.
    """

    uuid: str | None
    token: str | None
    decision: OrphanDecision
    cause: OrphanCause


@dataclass(frozen=True, slots=True)
class DropFinalizer:
    """D6: write `situation` (the final cost), then remove our finalizer by compare-and-swap; an Event says what was
    verified."""

    reason: EventReason
    message: str
    situation: Situation | None
    forced: bool = False


@dataclass(frozen=True, slots=True)
class InspectOrigin:
    """Does the object live that an inherited intent (`uid`), or record (token `subject`, `attempt`), is made for?"""

    subject: str
    cluster_id: str
    uid: str | None
    namespaced_name: str | None
    attempt: int


@dataclass(frozen=True, slots=True)
class ForgetInheritance:
    """Clear, by compare-and-swap, a status that speaks of another object's job."""


@dataclass(frozen=True, slots=True)
class InspectContest:
    """Ask the store whether this resource may have the job that it adopts; `job` as read, None before that."""

    cluster_id: str
    job: RemoteJob | None


@dataclass(frozen=True, slots=True)
class HoldAdopted:
    """Before an adopted job is recorded: our finalizer, and the annotation that says so, by compare-and-swap."""

    mark: str


@dataclass(frozen=True, slots=True)
class RefuseAnswer:
    """A person's annotation, `text`, is not acted on: an Event says why, once."""

    text: str
    message: str


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
    | ResolveReferences
    | InspectAdmission
    | ClaimIntent
    | RestoreFinalizer
    | SendCreate
    | RefuseIntent
    | RecordCreate
    | RememberSighting
    | RememberMissing
    | RecordEnding
    | CancelJob
    | ApplySecret
    | DeleteSecret
    | LeaveOrphan
    | DropFinalizer
    | ApplyAnswer
    | InspectOrigin
    | ForgetInheritance
    | InspectContest
    | HoldAdopted
    | RefuseAnswer
)
