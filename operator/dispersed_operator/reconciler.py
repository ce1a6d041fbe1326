"""Carrying a plan out: one DispersedJob, one step at a time, until there is nothing more to do now.

Flow: newest body from the store → facts → next action → effect → facts again … → `Rest`, which writes the status if it
says something new. A conflict means that somebody wrote meanwhile: the object is read afresh and the story starts over.
A failed call is told on the resource and tried again with back-off; nothing is ever given up.

Which account a job means can change before its first intent. A job that is another shard's now is left alone; what
this process knows of a create of it stays (ADR 0011).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from dispersed_operator.abandoned import AbandonedJobs
from dispersed_operator.accounts import AccountBook
from dispersed_operator.effects import Effects
from dispersed_operator.errors import (
    CredentialsRefused,
    KubernetesConflict,
    KubernetesInvalid,
    KubernetesNotFound,
    RemoteError,
)
from dispersed_operator.intents import SlotsTaken, Stopping
from dispersed_operator.model.account_names import read_spelling
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.observed import JobResource, PendingCreate, parse_job
from dispersed_operator.passes import Pass, facts_of, is_forced, remembered
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.trouble import problem_of, situation_in_trouble
from dispersed_operator.planning.vocabulary import Facts, Memory, OwnAttempt, Rest, SendState
from dispersed_operator.remote.view import Snapshot
from dispersed_operator.statuses import StatusWriter
from dispersed_operator.store import ResourceStore

MAX_STEPS = 40
ELSEWHERE_SECONDS = 60.0
SLOT_AGAIN_SECONDS = 1.0
NEVER = float("-inf")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a pass ended. `after`: look again then (None: when told). `failed`: with back-off instead."""

    after: float | None = None
    failed: bool = False
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class _Remembered:
    """Memory belongs to one object, not to its name: one created anew starts clean."""

    uid: str
    account: ResourceKey
    memory: Memory


class JobReconciler:
    """Reconciles DispersedJobs, one key at a time; `reconcile` is never called twice at once for one key."""

    def __init__(
        self,
        *,
        cluster_id: str,
        store: ResourceStore,
        book: AccountBook,
        effects: Effects,
        abandoned: AbandonedJobs,
        statuses: StatusWriter,
        leading_since: Callable[[], float],
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._cluster_id = cluster_id
        self._store = store
        self._book = book
        self._effects = effects
        self._abandoned = abandoned
        self._statuses = statuses
        self._leading_since = leading_since
        self._monotonic = monotonic
        self._wall = wall
        self._memories: dict[ResourceKey, _Remembered] = {}
        self._swept: dict[ResourceKey, tuple[str, PendingCreate]] = {}

    def look_for(self, key: ResourceKey, uid: str, create: PendingCreate) -> None:
        """The sweep saw a live job of this create of the resource with this uid: its next pass looks it up."""
        self._swept[key] = (uid, create)

    def remembers(self, key: ResourceKey, uid: str) -> bool:
        """Whether this process knows of a create of the resource, or of one that it lost to another process."""
        before = self._memories.get(key)
        return before is not None and before.uid == uid and (before.memory.traced or before.memory.last_post > NEVER)

    async def reconcile(self, key: ResourceKey) -> Outcome:
        """One pass. Raises KubernetesError if the API server cannot be reached; RemoteErrors are told on the
        resource.
        """
        body = self._store.get(key)
        resource = parse_job(body) if body is not None else None
        self._bury(key, resource)
        if resource is None:
            self._swept.pop(key, None)
            return Outcome()
        work = self._begin(resource)
        try:
            return await self._run(work)
        except (KubernetesConflict, KubernetesInvalid):
            await self._effects.refresh(key)
            raise
        except KubernetesNotFound:
            await self._effects.refresh(key)
            return Outcome(failed=True)
        finally:
            if self._store.holds(key) or _knows_a_job(work.memory):
                self._memories[key] = _Remembered(work.resource.uid, work.account, work.memory)
            else:
                self._memories.pop(key, None)
                self._effects.forget(key)

    def _bury(self, key: ResourceKey, resource: JobResource | None) -> None:
        """Forget a resource that is gone or was created anew; a job that was just accepted for it must not be lost."""
        before = self._memories.get(key)
        if before is None or (resource is not None and resource.uid == before.uid):
            return
        del self._memories[key]
        self._effects.forget(key)
        own = before.memory.own
        if own is None or own.state not in {SendState.ACCEPTED, SendState.UNKNOWN}:
            return
        if own.uuid is None:
            _log.error("%s vanished while its create was unknown; a job with token %s may live", key, _token(own))
            return
        accepted_by = own.intent.account if own.intent is not None else None
        signed_for = read_spelling(own.account_name, key.namespace) or before.account
        self._abandoned.take(key, account=signed_for, resource_uid=before.uid, uuid=own.uuid, accepted_by=accepted_by)

    def _begin(self, resource: JobResource) -> Pass:
        before = self._memories.get(resource.key)
        memory = before.memory if before is not None else Memory()
        uid, create = self._swept.pop(resource.key, (None, None))
        return Pass(
            resource=resource,
            memory=replace(memory, swept=create) if uid == resource.uid else memory,
            session=self._book.session_of(resource),
            forced=is_forced(resource),
        )

    async def _run(self, work: Pass) -> Outcome:
        for _ in range(MAX_STEPS):
            if self._book.session_of(work.resource) is not work.session:
                return Outcome(after=0.0, urgent=True)  # what was read came from another key: start over
            facts = self._facts(work)
            if not self._is_ours(work):
                return Outcome(after=ELSEWHERE_SECONDS)  # accounts come and go, and each shard sees it at its own time
            action = plan_job(work.resource, facts)
            if isinstance(action, Rest):
                return await self._rest(work, action)
            _log.debug("next step: %s", type(action).__name__)
            try:
                await self._effects.carry_out(work, action)
            except RemoteError as error:
                return await self._trouble(work, error)
            except Stopping:
                return Outcome(failed=True)
            except SlotsTaken:
                return Outcome(after=SLOT_AGAIN_SECONDS, urgent=True)
        _log.error("no end after %d steps; the resource is tried again later", MAX_STEPS)
        return Outcome(failed=True)

    def _is_ours(self, work: Pass) -> bool:
        """Whether this shard works for the job. A uuid that only this process knows is written down in any case."""
        own = work.memory.own
        return self._book.owns_job(work.resource.accounts) or (own is not None and own.state is SendState.ACCEPTED)

    def _facts(self, work: Pass) -> Facts:
        resource = work.resource
        account = self._book.facts_for(resource)
        work.memory = remembered(work.memory, resource, account.server_time, self._cluster_id)
        return facts_of(
            work,
            account=account,
            cluster_id=self._cluster_id,
            now=self._monotonic(),
            wall=self._wall(),
            leading_since=self._leading_since(),
            snapshot=self._snapshot(work),
            live_jobs=self._book.live_jobs,
        )

    def _snapshot(self, work: Pass) -> Snapshot | None:
        """The poller's newest view of the recorded job, unless it vanished from the live listing: then it must be
        read.
        """
        uuid = work.resource.job_uuid
        if uuid is None or work.session is None:
            return None
        view = work.session.view
        return None if uuid in view.vanished([uuid]) else view.get(uuid)

    async def _rest(self, work: Pass, rest: Rest) -> Outcome:
        resource = work.resource
        if rest.situation is not None:
            work.resource = await self._statuses.write(
                resource, rest.situation, self._server_time(work), live_jobs=self._book.live_jobs
            )
            if _is_changed_by_others(resource, work.resource):
                return Outcome(after=0.0, urgent=True)
        unresolved = resource.pending_create() is not None
        return Outcome(after=rest.after, urgent=resource.deleting or unresolved or resource.job_uuid is None)

    async def _trouble(self, work: Pass, error: RemoteError) -> Outcome:
        problem = problem_of(error)
        _log.warning("the remote API failed: %s", error)
        if isinstance(error, CredentialsRefused) and work.session is not None:
            work.session.stop(problem)
        situation = situation_in_trouble(work.resource, problem)
        work.resource = await self._statuses.write(work.resource, situation, self._server_time(work))
        work.memory = replace(work.memory, next_lookup=float("-inf"))
        return Outcome(failed=True, urgent=True)

    def _server_time(self, work: Pass) -> float | None:
        return work.session.client.clock.now() if work.session is not None else None


def _is_changed_by_others(before: JobResource, answer: JobResource) -> bool:
    """Whether the answer to our own write shows what this pass did not know. After etcd went back, versions are given
    out again, so a write by compare-and-swap can meet another object than the one it was planned for; and as the answer
    is in the store, the watch has nothing to tell any more."""
    return (before.uid, before.deleting_since, before.generation, before.finalizers, before.annotations) != (
        answer.uid, answer.deleting_since, answer.generation, answer.finalizers, answer.annotations,
    )  # fmt: skip


def _knows_a_job(memory: Memory) -> bool:
    """Whether the journal holds a request whose job may live."""
    return memory.own is not None and memory.own.state in {SendState.ACCEPTED, SendState.UNKNOWN}


def _token(own: OwnAttempt) -> str:
    return own.intent.token if own.intent is not None else "unknown"
