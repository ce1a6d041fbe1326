"""C2 to C6: winning an intent, sending the request once, and writing down what came of it.

Flow
    `claim` wins finalizer and intent by one compare-and-swap. `send` re-checks the holds and POSTs. `record` and
    `refuse` write the outcome onto the object that still carries our intent.
Guarantees
    One signature per intent, one request per signature. A request is not started later than the send deadline after the
    intent was won. An outcome that cannot be written stays in memory and is written later; it never causes another
    request.
Assumptions
    One pass per resource at a time in this process. Other processes are fenced off by the compare-and-swap, not by us.
Caveats
    The signed body lives in memory only. If it is lost before it was sent, the intent is marked refused; if it may have
    been sent, only a lookup can tell.
Errors
    KubernetesConflict when somebody wrote meanwhile: nothing was sent. RemoteError only from reads, never from the
    POST.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dispersed_operator.accounts import AccountSession
from dispersed_operator.errors import KubernetesServerError, KubernetesUnreachable, OperatorError, RateLimited
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model import naming
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.intent import AccountMark, Intent, IntentState, Origin, Refusal, parse_intent
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.observed import JobResource, parse_job
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.passes import Pass
from dispersed_operator.planning.body import build_body
from dispersed_operator.planning.identity import identity_of
from dispersed_operator.planning.records import accepted_record
from dispersed_operator.planning.status import project
from dispersed_operator.planning.tracking import first_situation
from dispersed_operator.planning.vocabulary import OwnAttempt, Problem, RecordCreate, RefuseIntent, SendState
from dispersed_operator.remote.limiter import Reservation
from dispersed_operator.remote.outcomes import Accepted, CreateOutcome, RefusalKind, Refused
from dispersed_operator.statuses import StatusWriter
from dispersed_operator.store import ResourceStore
from dispersed_operator.telemetry.metrics import Metrics
from dispersed_operator.telemetry.vocabulary import CreateOutcome as CountedOutcome
from dispersed_operator.telemetry.vocabulary import LookupResult

_log = logging.getLogger(__name__)

RESERVE_SECONDS = 5.0
_REFUSALS = {
    RefusalKind.VALIDATION: Refusal.VALIDATION,
    RefusalKind.PERMISSION: Refusal.PERMISSION,
    RefusalKind.NOT_FOUND: Refusal.NOT_FOUND,
    RefusalKind.FUNDS: Refusal.FUNDS,
    RefusalKind.NOT_SENT: Refusal.NOT_SENT,
}


class Stopping(OperatorError):
    """The process stops and takes no new intents; the next one does."""


HoldCheck = Callable[[ResourceKey], Awaitable[Problem | None]]


@dataclass(slots=True)
class _Unsent:
    """A signed body that waits to be sent, with the slot that was reserved for it before signing."""

    nonce: str
    content: bytes = field(repr=False)
    reservation: Reservation


class Creates:
    """The create half of the protocol. `check_holds` reads account and Secret afresh (C3)."""

    def __init__(
        self,
        *,
        cluster_id: str,
        holder: str,
        store: ResourceStore,
        kube: KubeClient,
        statuses: StatusWriter,
        metrics: Metrics,
        check_holds: HoldCheck,
        nonces: Callable[[], str],
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._cluster_id = cluster_id
        self._holder = holder
        self._store = store
        self._kube = kube
        self._statuses = statuses
        self._metrics = metrics
        self._check_holds = check_holds
        self._nonces = nonces
        self._monotonic = monotonic
        self._wall = wall
        self._unsent: dict[ResourceKey, _Unsent] = {}
        self._in_flight: set[asyncio.Task[CreateOutcome]] = set()
        self._stopping = False

    async def drain(self, seconds: float) -> bool:
        """Take no new intents, and let the requests in flight finish; False if some did not within `seconds`."""
        self._stopping = True
        if not self._in_flight:
            return True
        _, pending = await asyncio.wait(self._in_flight, timeout=seconds)
        return not pending

    # --- C2 ---

    async def claim(self, work: Pass, attempt: int) -> None:
        """C1 and C2. On return the desk holds the object with our intent; KubernetesConflict if somebody wrote
        first.
        """
        session, resource = _session(work), work.resource
        work.forced = False
        if self._stopping:
            raise Stopping("no new intents while the process stops")
        if resource.pending_create() is not None:
            await self._tell_proof(resource, attempt)
        reservation = await _reserve(session)
        try:
            intent, content, won_at = self._sign(session, resource, attempt)
            answer = await self._swap(resource, intent)
        except BaseException:
            reservation.release()
            raise
        self._keep(resource.key, _Unsent(intent.nonce, content, reservation))
        self._metrics.intent_won()
        work.resource = parse_job(answer)
        work.memory = replace(work.memory, own=OwnAttempt(intent.nonce, won_at, intent=intent))

    async def _tell_proof(self, resource: JobResource, attempt: int) -> None:
        """Said before the intent is signed: between signature and request there is no time for an Event."""
        self._metrics.absence_proven()
        self._metrics.looked_up(LookupResult.ABSENT)
        text = f"attempt {attempt - 1} is proven to have created nothing; attempt {attempt} is made"
        await self._statuses.tell(resource, EventReason.ABSENCE_PROVEN, text)

    def _sign(self, session: AccountSession, resource: JobResource, attempt: int) -> tuple[Intent, bytes, float]:
        """The intent and the body, timed by the server's clock (failure mode 66)."""
        won_at, server_time = self._monotonic(), session.client.clock.now()
        if server_time is None or resource.spec is None:
            raise OperatorError("planning claimed an intent without a server time or a readable spec")
        identity = identity_of(resource, self._cluster_id)
        body = build_body(resource.spec, identity=identity, attempt=attempt, signed_at=int(server_time))
        intent = Intent(
            token=naming.create_token(identity, attempt),
            attempt=attempt,
            signed_at=int(server_time),
            nonce=self._nonces(),
            body_sha256=body.digest,
            holder=self._holder,
            account=session.mark,
            origin=Origin(resource.uid, identity.namespaced_name, self._cluster_id),
        )
        return intent, body.content, won_at

    async def _swap(self, resource: JobResource, intent: Intent) -> Mapping[str, Any]:
        """The compare-and-swap. If its answer is lost, a read tells: an intent with our nonce is ours, any other is
        not."""
        finalizers = list(resource.finalizers)
        if naming.JOB_FINALIZER not in finalizers:
            finalizers.append(naming.JOB_FINALIZER)
        patch = {
            "metadata": {
                "resourceVersion": resource.resource_version,
                "finalizers": finalizers,
                "annotations": {naming.INTENT_ANNOTATION: intent.to_annotation()},
            }
        }
        try:
            answer = await self._patch(resource.key, patch)
        except (KubernetesUnreachable, KubernetesServerError):
            answer = await self._kube.get(DISPERSED_JOBS, namespace=resource.key.namespace, name=resource.key.name)
            self._store.put(resource.key, answer)
            found = parse_intent((answer["metadata"].get("annotations") or {}).get(naming.INTENT_ANNOTATION, ""))
            if found is None or found.nonce != intent.nonce or found.holder != self._holder:
                raise
        return answer

    # --- C3, C4 ---

    async def send(self, work: Pass) -> None:
        """Re-check the holds, then POST once. The outcome goes into the journal on the desk; nothing is raised for
        it.
        """
        session, own = _session(work), work.memory.own
        unsent = self._unsent.pop(work.resource.key, None)
        if own is None or unsent is None or unsent.nonce != own.nonce or not _signs_for_intent(session, work.resource):
            if unsent is not None:
                unsent.reservation.release()
            work.memory = _refused(work, Refusal.NOT_SENT, "not sent: the request was lost, or the key has changed")
            return
        with unsent.reservation:
            problem = await self._check_holds(session.key)
            late = self._monotonic() - own.won_at > session.effective_windows().send_deadline
            if problem is not None or late or self._stopping:
                text = problem.message if problem is not None else "too much time passed, or the process stops"
                self._metrics.create_not_sent()
                work.memory = _refused(work, Refusal.NOT_SENT, f"not sent: {text}")
                return
            work.memory = replace(work.memory, own=replace(own, state=SendState.UNKNOWN, message="no answer yet"))
            try:
                outcome = await self._post(session, unsent, signed_at=_signed_at(work.resource))
            finally:
                work.memory = replace(work.memory, last_post=self._monotonic())
        await self._classify(work, outcome)

    async def _post(self, session: AccountSession, unsent: _Unsent, *, signed_at: int) -> CreateOutcome:
        """The request runs in a task of its own: a stop waits for it (`drain`) instead of cutting it off in mid-air."""
        task = asyncio.create_task(
            session.client.create_job(
                unsent.content, signed_at=signed_at, nonce=unsent.nonce, reservation=unsent.reservation
            )
        )
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)
        return await asyncio.shield(task)

    async def _classify(self, work: Pass, outcome: CreateOutcome) -> None:
        own = work.memory.own
        assert own is not None
        match outcome:
            case Accepted():
                self._metrics.created(CountedOutcome.ACCEPTED)
                job = outcome.job
                own = replace(own, state=SendState.ACCEPTED, uuid=outcome.uuid, job=job)
                if work.session is not None and job.account_uuid is not None:
                    work.session.identity = job.account_uuid
                _log.info("remote job %s was accepted", outcome.uuid)
            case Refused():
                self._metrics.created(CountedOutcome.REFUSED)
                own = replace(own, state=SendState.REFUSED, refusal=_REFUSALS[outcome.kind], message=outcome.message)
            case _:
                self._metrics.created(CountedOutcome.UNKNOWN)
                own = replace(own, state=SendState.UNKNOWN, message=outcome.message)
                text = f"the create request was not answered properly ({outcome.message}); looking for the job"
                await self._statuses.tell(work.resource, EventReason.CREATE_UNKNOWN, text, warning=True)
        _log.info("create answered: %s", own.state.value)
        work.memory = replace(work.memory, own=own)
        work.forget_reads()

    # --- C5, C6 ---

    async def record(self, work: Pass, action: RecordCreate) -> None:
        """C5 and adoption: one fenced status patch. The intent stays."""
        resource, job = work.resource, action.job
        if job is not None and job.account_uuid is not None and action.account.identity is None:
            action = replace(action, account=replace(action.account, identity=job.account_uuid))
        fields = accepted_record(resource, action)
        recorded = parse_job(_with_status(resource, {**resource.status, **fields}, self._store))
        status: dict[str, Any] = dict(recorded.status)
        if job is not None and _is_telling(job):
            server_time = work.session.client.clock.now() if work.session is not None else None
            status = project(recorded, first_situation(job), wall=self._wall(), server_time=server_time, cost_due=True)
        work.resource = await self._statuses.replace(resource, status)
        work.forget_reads()
        if not action.adopted and job is not None and _is_telling(job):
            work.job, work.runs = job, ()
        work.memory = replace(work.memory, own=None, extras=action.extras)
        if action.adopted:
            self._metrics.adopted()
            self._metrics.looked_up(LookupResult.SEVERAL if action.extras else LookupResult.FOUND)
            for _ in action.extras:
                self._metrics.duplicate_found()
        if work.session is not None:
            if job is not None and _is_telling(job):
                work.session.view.record(job, (), seen=self._monotonic())
            work.session.poller.wake()
        words = "adopted after a lost answer" if action.adopted else "created"
        reason = EventReason.ADOPTED if action.adopted else EventReason.CREATED
        await self._statuses.tell(work.resource, reason, f"remote job {action.uuid} {words}")

    async def refuse(self, work: Pass, action: RefuseIntent) -> None:
        """C6: mark the intent refused by compare-and-swap; it stays, so that a deletion sees there is nothing to
        prove.
        """
        resource = work.resource
        own = work.memory.own
        unsent = self._unsent.pop(resource.key, None)
        if unsent is not None:
            unsent.reservation.release()
        intent = replace(
            self._intent_to_refuse(resource, own),
            state=IntentState.REFUSED,
            refusal=action.refusal,
            message=action.message[:300],
        )
        annotations = {naming.INTENT_ANNOTATION: intent.to_annotation()}
        patch = {"metadata": {"resourceVersion": resource.resource_version, "annotations": annotations}}
        answer = await self._patch(resource.key, patch)
        work.resource = parse_job(answer)
        work.memory = replace(work.memory, own=None)
        if own is not None and action.refusal is not Refusal.NOT_SENT:
            text = f"the service refused the job: {action.message}"
            await self._statuses.tell(work.resource, EventReason.CREATE_REFUSED, text, warning=True)

    def _intent_to_refuse(self, resource: JobResource, own: OwnAttempt | None) -> Intent:
        """The newest intent: on the object, in the journal if it was stripped, or made anew from the record."""
        intent, record = resource.intent, resource.record
        if intent is not None and (record is None or intent.attempt >= record.attempt):
            return intent
        if own is not None and own.intent is not None:
            return own.intent
        return self._intent_from_record(resource)

    def _intent_from_record(self, resource: JobResource) -> Intent:
        """An intent for a create of which only `status.create` is left, so that its end can be marked."""
        record = resource.record
        if record is None:
            raise OperatorError("planning refused a create that nothing records")
        identity = identity_of(resource, self._cluster_id)
        return Intent(
            token=record.token or naming.create_token(identity, record.attempt),
            attempt=record.attempt,
            signed_at=record.signed_at,
            nonce=self._nonces(),
            body_sha256=record.body_sha256 or "unknown",
            holder=self._holder,
            account=record.account or AccountMark("unknown", "unknown"),
            origin=Origin(resource.uid, identity.namespaced_name, self._cluster_id),
        )

    async def _patch(self, key: ResourceKey, patch: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = await self._kube.patch(DISPERSED_JOBS, namespace=key.namespace, name=key.name, body=patch)
        self._store.put(key, answer)
        return answer

    def forget(self, key: ResourceKey) -> None:
        """The resource is gone: a request that was not sent never will be."""
        unsent = self._unsent.pop(key, None)
        if unsent is not None:
            unsent.reservation.release()

    def _keep(self, key: ResourceKey, unsent: _Unsent) -> None:
        earlier = self._unsent.pop(key, None)
        if earlier is not None:
            earlier.reservation.release()
        self._unsent[key] = unsent


async def _reserve(session: AccountSession) -> Reservation:
    """A rate-limit token (C0), or RateLimited soon: a throttled account must not hold a worker."""
    try:
        async with asyncio.timeout(RESERVE_SECONDS):
            return await session.client.limiter.reserve()
    except TimeoutError:
        raise RateLimited(status=429, detail="no request of this account may start now") from None


def _is_telling(job: RemoteJob) -> bool:
    """Whether an answer says enough of a live job to be shown; a bare uuid does not."""
    return bool(job.title) and not job.terminal


def _refused(work: Pass, refusal: Refusal, message: str) -> Any:
    own = work.memory.own
    if own is None:
        return work.memory
    return replace(work.memory, own=replace(own, state=SendState.REFUSED, refusal=refusal, message=message))


def _signs_for_intent(session: AccountSession, resource: JobResource) -> bool:
    """Whether the session's key is the one that the intent names: a lookup asks the account that the intent names."""
    marked = resource.intent.account if resource.intent is not None else None
    return marked is not None and (marked.host, marked.public_key) == (session.mark.host, session.mark.public_key)


def _signed_at(resource: JobResource) -> int:
    if resource.intent is None:
        raise OperatorError("a create is sent only with its intent on the object")
    return resource.intent.signed_at


def _with_status(resource: JobResource, status: Mapping[str, Any], store: ResourceStore) -> Mapping[str, Any]:
    body = store.get(resource.key)
    if body is None:
        raise OperatorError("the resource left the store while its create was recorded")
    return {**body, "status": status}


def _session(work: Pass) -> AccountSession:
    if work.session is None:
        raise OperatorError("planning asked for a create without an open account")
    return work.session
