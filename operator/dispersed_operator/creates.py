"""C3 to C5: sending a request once, and writing down what came of it. Intents are won and marked in `intents.py`.

Flow
    `send` re-checks the holds and POSTs what was signed for the intent that this process won. `record` writes the uuid
    onto the object that still carries our intent.
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
from dataclasses import replace
from typing import Any

from dispersed_operator.accounts import AccountSession
from dispersed_operator.errors import KubernetesNotFound, OperatorError
from dispersed_operator.intents import Intents, Unsent
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.observed import JobResource, parse_job
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.passes import Pass
from dispersed_operator.planning.records import accepted_record, before_attempt
from dispersed_operator.planning.status import project
from dispersed_operator.planning.tracking import first_situation
from dispersed_operator.planning.vocabulary import Memory, Problem, RecordCreate, SendState
from dispersed_operator.remote.outcomes import Accepted, CreateOutcome, RefusalKind, Refused
from dispersed_operator.statuses import StatusWriter
from dispersed_operator.store import ResourceStore
from dispersed_operator.telemetry.metrics import Metrics
from dispersed_operator.telemetry.vocabulary import CreateOutcome as CountedOutcome
from dispersed_operator.telemetry.vocabulary import LookupResult

_log = logging.getLogger(__name__)

_REFUSALS = {
    RefusalKind.VALIDATION: Refusal.VALIDATION,
    RefusalKind.PERMISSION: Refusal.PERMISSION,
    RefusalKind.NOT_FOUND: Refusal.NOT_FOUND,
    RefusalKind.FUNDS: Refusal.FUNDS,
    RefusalKind.NOT_SENT: Refusal.NOT_SENT,
}


HoldCheck = Callable[[AccountSession], Awaitable[Problem | None]]


class Creates:
    """The create half of the protocol. `check_holds` reads account and Secret afresh (C3)."""

    def __init__(
        self,
        *,
        intents: Intents,
        store: ResourceStore,
        statuses: StatusWriter,
        metrics: Metrics,
        check_holds: HoldCheck,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._intents = intents
        self._store = store
        self._statuses = statuses
        self._metrics = metrics
        self._check_holds = check_holds
        self._monotonic = monotonic
        self._wall = wall
        self._in_flight: set[asyncio.Task[CreateOutcome]] = set()

    async def drain(self, seconds: float) -> bool:
        """Take no new intents, and let the requests in flight finish; False if some did not within `seconds`."""
        self._intents.close()
        if not self._in_flight:
            return True
        _, pending = await asyncio.wait(self._in_flight, timeout=seconds)
        return not pending

    # --- C3, C4 ---

    async def send(self, work: Pass) -> None:
        """Re-check the holds, then POST once. The outcome goes into the journal on the desk; nothing is raised for
        it.
        """
        session, own = work.require_session(), work.memory.own
        unsent = self._intents.take(work.resource.key, own.nonce) if own is not None else None
        if own is None or unsent is None or not _signs_for_intent(session, work.resource):
            if unsent is not None:
                unsent.reservation.release()
            work.memory = _refused(work, Refusal.NOT_SENT, "not sent: the request was lost, or the key has changed")
            return
        with unsent.reservation:
            problem = await self._check_holds(session)
            late = self._monotonic() - own.won_at > session.effective_windows().send_deadline
            if problem is not None or late or self._intents.closed:
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

    async def _post(self, session: AccountSession, unsent: Unsent, *, signed_at: int) -> CreateOutcome:
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
                _log.info("the create request was refused (%s)", outcome.kind.value)
            case _:
                self._metrics.created(CountedOutcome.UNKNOWN)
                own = replace(own, state=SendState.UNKNOWN, message=outcome.message)
                text = f"the create request was not answered properly ({outcome.message}); looking for the job"
                _log.info("the create request was not answered properly")
                await self._statuses.tell(work.resource, EventReason.CREATE_UNKNOWN, text, warning=True)
        work.memory = replace(work.memory, own=own)
        work.forget_reads()

    # --- C5 ---

    async def record(self, work: Pass, action: RecordCreate) -> None:
        """C5 and adoption: one fenced status patch. The intent stays."""
        resource, job = work.resource, action.job
        action = replace(action, account_name=action.account_name or work.account_name)
        if job is not None and job.account_uuid is not None and action.account.identity is None:
            action = replace(action, account=replace(action.account, identity=job.account_uuid))
        fields = accepted_record(resource, action)
        status_before = before_attempt(resource, action.attempt)
        recorded = parse_job(_with_status(resource, {**status_before, **fields}, self._store))
        status: dict[str, Any] = dict(recorded.status)
        if job is not None and _is_telling(job):
            server_time = work.session.client.clock.now() if work.session is not None else None
            situation = first_situation(job, is_new=not action.adopted)
            status = project(recorded, situation, wall=self._wall(), server_time=server_time, cost_due=True)
        # Before the write: if its answer is lost, the duplicates are still known.
        work.memory = replace(work.memory, extras=tuple(dict.fromkeys((*work.memory.extras, *action.extras))))
        work.resource = await self._statuses.replace(resource, status, silently=_is_plain(action))
        work.forget_reads()
        if not action.adopted and job is not None and _is_telling(job):
            work.job, work.runs = job, ()
        work.memory = replace(work.memory, own=None, cancels=0, reads=0, log_reads=0, first_missing=None)
        if action.adopted:
            self._metrics.adopted()
        if action.adopted and resource.adopts is None:
            self._metrics.looked_up(LookupResult.SEVERAL if action.extras else LookupResult.FOUND)
            for _ in action.extras:
                self._metrics.duplicate_found()
        if work.session is not None:
            if job is not None and _is_telling(job) and resource.adopts is None:  # that one was just read, runs and all
                work.session.view.record(job, (), seen=self._monotonic())
            work.session.poller.wake()
        words = "created"
        if action.adopted:
            words = "adopted after a lost answer" if resource.adopts is None else "adopted, as spec.adopt asks"
        reason = EventReason.ADOPTED if action.adopted else EventReason.CREATED
        await self._statuses.tell(work.resource, reason, f"remote job {action.uuid} {words}")


def _is_telling(job: RemoteJob) -> bool:
    """Whether an answer says enough of a live job to be shown; a bare uuid does not."""
    return bool(job.title) and not job.terminal


def _is_plain(action: RecordCreate) -> bool:
    """Whether the job was created and waits, as new ones do: then the Event of its creation says all."""
    return not action.adopted and (action.job is None or action.job.status == "PENDING")


def _refused(work: Pass, refusal: Refusal, message: str) -> Memory:
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
        raise KubernetesNotFound("the resource vanished before its create was recorded")  # its journal ends the job
    return {**body, "status": status}
