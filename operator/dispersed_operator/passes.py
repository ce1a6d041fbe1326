"""One pass over one resource: what was read, what is remembered, and the facts made of both.

A `Pass` is the reconciler's desk: the resource as newest known, what was read in this pass, and the memory that
outlives it. It turns into the frozen `Facts` that planning sees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dispersed_operator.accounts import AccountSession
from dispersed_operator.errors import OperatorError
from dispersed_operator.model import naming
from dispersed_operator.model.account_names import spelled
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.observed import JobResource, PendingCreate
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.planning.attempt import newest_pending, swept_create
from dispersed_operator.planning.body import BodyProblem, body_digest
from dispersed_operator.planning.deletion import create_to_settle
from dispersed_operator.planning.inheritance import perceive
from dispersed_operator.planning.matching import ListingIndex
from dispersed_operator.planning.resolved import Resolved
from dispersed_operator.planning.vocabulary import (
    AccountFacts,
    Admission,
    Contest,
    Facts,
    Memory,
    Missing,
    Problem,
    SecretState,
    SendState,
)
from dispersed_operator.remote.view import Snapshot


@dataclass(slots=True)
class Pass:
    """The desk. `session` is the account's, None if it is not open. `references` lie here until they are signed for
    one attempt, and never longer than the pass."""

    resource: JobResource
    memory: Memory
    session: AccountSession | None
    forced: bool
    listing: ListingIndex | None = None
    job: RemoteJob | Missing | None = None
    runs: tuple[RemoteRun, ...] | None = None
    run: RemoteRun | None = None
    secret: SecretState = SecretState.UNCHECKED
    contest: Contest | None = None
    references: Resolved | Problem | None = None
    admission: Admission | None = None

    @property
    def account(self) -> ResourceKey:
        """The account that this pass speaks to, or without a session would have."""
        return self.session.key if self.session is not None else self.resource.accounts[0]

    @property
    def account_name(self) -> str:
        """`account` as a status spells it."""
        return spelled(self.account)

    def require_session(self) -> AccountSession:
        """The account's session, without which planning asks for no remote call."""
        if self.session is None:
            raise OperatorError("planning asked for a remote call without an open account")
        return self.session

    def forget_reads(self) -> None:
        """After a write that changes the remote side, nothing read before it counts."""
        self.listing = None
        self.job = None
        self.runs = None
        self.run = None
        self.contest = None


def is_forced(resource: JobResource) -> bool:
    """Whether a person asks for a reconcile now (annotation `reconcile-requested-at`) and was not answered yet."""
    asked = resource.annotations.get(naming.RECONCILE_ANNOTATION)
    return bool(asked) and asked != resource.status.get("lastHandledReconcileAt")


def remembered(memory: Memory, resource: JobResource, server_time: float | None, cluster_id: str) -> Memory:
    """Memory brought up to date with the resource: sightings belong to one pending create, and its loss has a first
    sight. The pending create is the one that planning asks about, or a proof could never be completed."""
    resource = perceive(resource, cluster_id, memory.inspected)
    held = resource.has_finalizer and not resource.inherited
    if held or resource.intent is not None or resource.record is not None:
        memory = replace(memory, traced=True)
    memory = _without_stale_sight(_settled(memory, resource), resource)
    doomed = resource.deleting
    pending = create_to_settle(resource, memory, cluster_id) if doomed else newest_pending(resource, memory)
    if pending is None:
        return replace(memory, lookup_for="", lookups=0, sightings=(), next_lookup=float("-inf"), first_seen=None)
    subject = _subject(pending)
    if subject != memory.lookup_for:
        memory = replace(
            memory, lookup_for=subject, lookups=0, sightings=(), next_lookup=float("-inf"), first_seen=None
        )
    if memory.first_seen is None and server_time is not None:
        memory = replace(memory, first_seen=int(server_time) + 1)
    return memory


def _without_stale_sight(memory: Memory, resource: JobResource) -> Memory:
    """What the sweep saw counts until it is recorded, or until one complete listing did not show it: a job that is
    still there is seen again by the next sweep."""
    swept = memory.swept
    if swept is None:
        return memory
    unseen = bool(memory.sightings) and memory.lookup_for == _subject(swept)
    if unseen or swept_create(resource, memory) is None:
        return replace(memory, swept=None)
    return memory


def _subject(pending: PendingCreate) -> str:
    """Names what a lookup looks for. A create of which the time is lost is another one than before the loss."""
    return f"{pending.attempt}:{pending.token}:{pending.nonce}{':undated' if pending.signed_at is None else ''}"


def _settled(memory: Memory, resource: JobResource) -> Memory:
    """The journal is closed once the record carries a uuid for its token. Another uuid than ours means that another
    process adopted another job of the same token: ours is then a duplicate."""
    own, record = memory.own, resource.record
    if resource.job_uuid in memory.extras:
        memory = replace(memory, extras=tuple(uuid for uuid in memory.extras if uuid != resource.job_uuid))
    if own is None or own.intent is None or record is None or not record.uuid:
        return memory
    if own.state not in {SendState.ACCEPTED, SendState.UNKNOWN} or record.attempt < own.intent.attempt:
        return memory
    if own.state is SendState.UNKNOWN and record.token != own.intent.token:
        return memory
    lost = (own.uuid,) if own.uuid and own.uuid != record.uuid and own.uuid not in memory.extras else ()
    return replace(memory, own=None, extras=(*memory.extras, *lost))


def facts_of(
    work: Pass,
    *,
    account: AccountFacts,
    cluster_id: str,
    now: float,
    wall: float,
    leading_since: float,
    snapshot: Snapshot | None,
    live_jobs: int = 0,
) -> Facts:
    """The facts for the next decision."""
    digest, problem = _digest(work.resource)
    uuid, view = work.resource.job_uuid, work.session.view if work.session is not None else None
    return Facts(
        cluster_id=cluster_id,
        now=now,
        wall=wall,
        leading_since=leading_since,
        account=account,
        memory=work.memory,
        digest=digest,
        body_problem=problem,
        listing=work.listing,
        job=work.job,
        runs=work.runs,
        run=work.run,
        snapshot_job=snapshot.job if snapshot is not None else None,
        snapshot_runs=snapshot.runs if snapshot is not None else None,
        secret=work.secret,
        forced=work.forced,
        listed=view is None or uuid is None or view.lists(uuid),
        contest=work.contest,
        references=work.references,
        admission=work.admission,
        live_jobs=live_jobs,
        polled=work.session is None or work.session.poll_failed or work.session.view.polled is not None,
    )


def _digest(resource: JobResource) -> tuple[str | None, Problem | None]:
    if resource.spec is None:
        text = f"the spec does not fit this version's schema ({resource.spec_error})"
        return None, Problem(Reason.REMOTE_VALIDATION_FAILED, text)
    if resource.adopts is not None:
        return None, None
    try:
        return body_digest(resource.spec), None
    except BodyProblem as error:
        return None, Problem(Reason.REMOTE_VALIDATION_FAILED, str(error))
