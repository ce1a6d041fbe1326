"""C1, C2 and C6: intents on the object. Won before anything is sent, marked when it is certain that nothing was made.

Invariant: an intent is only ever written by compare-and-swap, onto the version of the object on which the decision was
made. It is never deleted, so that a deletion of the resource sees that there is nothing to prove.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dispersed_operator.accounts import AccountSession
from dispersed_operator.errors import KubernetesServerError, KubernetesUnreachable, OperatorError, RateLimited
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model import naming
from dispersed_operator.model.account_names import spelled
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.intent import AccountMark, Intent, IntentState, Origin, Refusal, parse_intent
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.observed import JobResource, parse_job
from dispersed_operator.passes import Pass
from dispersed_operator.planning.body import build_body
from dispersed_operator.planning.identity import identity_of
from dispersed_operator.planning.inheritance import perceive
from dispersed_operator.planning.references import source_names
from dispersed_operator.planning.resolved import Resolved
from dispersed_operator.planning.vocabulary import OwnAttempt, Problem, RefuseIntent, SendState
from dispersed_operator.remote.limiter import Reservation
from dispersed_operator.statuses import StatusWriter
from dispersed_operator.store import ResourceStore
from dispersed_operator.telemetry.metrics import Metrics
from dispersed_operator.telemetry.vocabulary import LookupResult

RESERVE_SECONDS = 5.0


class Stopping(OperatorError):
    """The process stops and takes no new intents; the next one does."""


class SlotsTaken(OperatorError):
    """All slots of the account are in use, and none came free soon; nothing is wrong with this create."""


@dataclass(slots=True)
class Unsent:
    """A signed body that waits to be sent, with the slot that was reserved for it before signing."""

    nonce: str
    content: bytes = field(repr=False)
    reservation: Reservation


class Intents:
    """Wins and marks intents, and keeps what was signed for them until it is sent."""

    def __init__(
        self,
        *,
        cluster_id: str,
        holder: str,
        store: ResourceStore,
        kube: KubeClient,
        statuses: StatusWriter,
        metrics: Metrics,
        nonces: Callable[[], str],
        monotonic: Callable[[], float],
    ) -> None:
        self._cluster_id = cluster_id
        self._holder = holder
        self._store = store
        self._kube = kube
        self._statuses = statuses
        self._metrics = metrics
        self._nonces = nonces
        self._monotonic = monotonic
        self._unsent: dict[ResourceKey, Unsent] = {}
        self.closed = False

    def close(self) -> None:
        """Take no new intents, and let nothing that waits be sent: the process stops."""
        self.closed = True

    def take(self, key: ResourceKey, nonce: str) -> Unsent | None:
        """The signed request of this nonce, once; None if it is not there. Whoever takes it has its reservation."""
        unsent = self._unsent.pop(key, None)
        if unsent is not None and unsent.nonce != nonce:
            unsent.reservation.release()
            return None
        return unsent

    async def claim(self, work: Pass, attempt: int) -> None:
        """C1 and C2. On return the desk holds the object with our intent; KubernetesConflict if somebody wrote
        first.
        """
        session, resource = work.require_session(), work.resource
        work.forced = False
        if self.closed:
            raise Stopping("no new intents while the process stops")
        reservation = await reserve(session)
        try:
            if attempt > 1 and resource.pending_create() is not None:
                await self._tell_proof(resource, attempt)
            intent, content, won_at = self._sign(session, resource, attempt, work.references)
            work.references = None  # signed for this attempt; another one reads afresh
            answer = await self._swap(resource, intent)
        except BaseException:
            reservation.release()
            # Who wrote first may be another process, and its intent may be gone when we look: no listing from before
            # this moment can show what it sent.
            work.memory = replace(work.memory, last_post=self._monotonic())
            raise
        self._keep(resource.key, Unsent(intent.nonce, content, reservation))
        self._metrics.intent_won()
        work.resource = parse_job(answer)
        own = OwnAttempt(intent.nonce, won_at, intent=intent, account_name=work.account_name)
        work.memory = replace(work.memory, own=own, inspected=None)  # from now on nothing is inherited

    async def _tell_proof(self, resource: JobResource, attempt: int) -> None:
        """Said before the intent is signed: between signature and request there is no time for an Event."""
        self._metrics.absence_proven()
        self._metrics.looked_up(LookupResult.ABSENT)
        text = f"attempt {attempt - 1} is proven to have created nothing; attempt {attempt} is made"
        await self._statuses.tell(resource, EventReason.ABSENCE_PROVEN, text)

    def _sign(
        self, session: AccountSession, resource: JobResource, attempt: int, references: Resolved | Problem | None
    ) -> tuple[Intent, bytes, float]:
        """The intent and the body, timed by the server's clock (failure mode 66)."""
        won_at, server_time = self._monotonic(), session.client.clock.now()
        if server_time is None or resource.spec is None:
            raise OperatorError("planning claimed an intent without a server time or a readable spec")
        found = references if isinstance(references, Resolved) else None
        if found is None and source_names(resource.spec.template):
            raise OperatorError("planning claimed an intent before the references were resolved")
        identity = identity_of(resource, self._cluster_id)
        body = build_body(
            resource.spec, identity=identity, attempt=attempt, signed_at=int(server_time), references=found
        )
        intent = Intent(
            token=naming.create_token(identity, attempt),
            attempt=attempt,
            signed_at=int(server_time),
            nonce=self._nonces(),
            body_sha256=body.digest,
            holder=self._holder,
            account=session.mark,
            origin=Origin(resource.uid, identity.namespaced_name, self._cluster_id),
            payer=spelled(session.key) if session.key.kind is Kind.CLUSTER_ACCOUNT else "",
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

    async def refuse(self, work: Pass, action: RefuseIntent) -> None:
        """C6: mark the intent refused by compare-and-swap; it stays, so that a deletion sees there is nothing to
        prove.
        """
        resource = work.resource
        own = work.memory.own
        self.forget(resource.key)
        intent = replace(
            self._intent_to_refuse(perceive(resource, self._cluster_id, work.memory.inspected), own),
            state=IntentState.REFUSED,
            refusal=action.refusal,
            message=action.message[:300],
        )
        annotations = {naming.INTENT_ANNOTATION: intent.to_annotation()}
        patch = {"metadata": {"resourceVersion": resource.resource_version, "annotations": annotations}}
        answer = await self._patch(resource.key, patch)
        work.resource = parse_job(answer)
        # Duplicates belong to a choice that was recorded; without one there is nothing that they duplicate.
        extras = work.memory.extras if resource.job_uuid else ()
        work.memory = replace(work.memory, own=None, extras=extras)
        if own is not None and own.state is SendState.REFUSED and action.refusal is not Refusal.NOT_SENT:
            text = f"the service refused the job: {action.message}"
            await self._statuses.tell(work.resource, EventReason.CREATE_REFUSED, text, warning=True)

    def _intent_to_refuse(self, resource: JobResource, own: OwnAttempt | None) -> Intent:
        """The newest intent: on the object, in the journal if it was stripped, or made anew from the record."""
        intent, record, mine = resource.intent, resource.record, own.intent if own is not None else None
        put_back = intent is not None and mine is not None and intent.attempt < mine.attempt
        if intent is not None and not put_back and (record is None or intent.attempt >= record.attempt):
            return intent
        if mine is not None:
            return mine
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

    def _keep(self, key: ResourceKey, unsent: Unsent) -> None:
        self.forget(key)
        self._unsent[key] = unsent


async def reserve(session: AccountSession, *, patience: float = RESERVE_SECONDS) -> Reservation:
    """A slot and a rate-limit token (C0), waited for `patience` seconds and one token's time; not at all during a
    longer pause, for a throttled account must not hold a worker.

    Raises RateLimited, or SlotsTaken where the service only takes its time with other requests.
    """
    limiter = session.client.limiter
    patience += limiter.interval
    if limiter.paused_for <= patience:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                return await limiter.reserve()
    if limiter.held_back_for > 0:
        raise RateLimited(status=429, detail="no request of this account may start now")
    raise SlotsTaken("other requests of the account had all its slots")
