"""Keeping one account true: its key, its holds, its session, its status.

The Secret of a DispersedAccount is in its namespace, that of a ClusterDispersedAccount in the operator's own. Jobs of
any namespace may need the latter, so its holds go by a LIST of all of them.

Invariants: account and Secret carry our hold before anything is created with them; a hold is released only when account
or Secret is being deleted and a LIST begun after that was seen shows no job of the account with our finalizer, computed
each time (protocol, Holds).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dispersed_operator.accounts import AWAITS_POLL, AccountBook, AccountSession, total_rate
from dispersed_operator.errors import KubernetesNotFound, RemoteError, SettingsError
from dispersed_operator.examinations import Examinations
from dispersed_operator.holds import Holds
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.merge import merge_patch
from dispersed_operator.kube.resources import RESOURCES, SECRETS, Resource
from dispersed_operator.model import naming
from dispersed_operator.model.account_names import described, full_name
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.planning.account import (
    AccountView,
    ProbeResult,
    is_held,
    project_account,
    read_credentials,
)
from dispersed_operator.planning.breaker import after_answer
from dispersed_operator.planning.cluster import cluster_problem
from dispersed_operator.planning.cost import rate_text, read_rate
from dispersed_operator.planning.trouble import problem_of
from dispersed_operator.planning.vocabulary import Problem
from dispersed_operator.remote.signing import Credentials
from dispersed_operator.shared_reads import SharedReads
from dispersed_operator.store import ResourceStore
from dispersed_operator.telemetry.metrics import Metrics

Body = Mapping[str, Any]
SessionFactory = Callable[[ResourceKey, Body, Credentials], AccountSession]

CHECK_SECONDS = 60.0
PROBLEM_SECONDS = 10.0
DELETION_SECONDS = 5.0

_log = logging.getLogger(__name__)


class AccountReconciler:
    """Reconciles accounts of both kinds, one key at a time. `operator_namespace` has the Secrets of cluster-wide ones.
    `on_change`: what an account means for its jobs is new. `on_listable`: they wait for its first poll only."""

    def __init__(
        self,
        *,
        store: ResourceStore,
        kube: KubeClient,
        book: AccountBook,
        open_session: SessionFactory,
        redactor: Redactor,
        metrics: Metrics,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        on_change: Callable[[ResourceKey], None],
        on_listable: Callable[[ResourceKey], None],
        operator_namespace: str,
        api_server_cas: Sequence[str] = (),
    ) -> None:
        self._store = store
        self._kube = kube
        self._book = book
        self._open_session = open_session
        self._redactor = redactor
        self._metrics = metrics
        self._wall = wall
        self._monotonic = monotonic
        self._on_change = on_change
        self._on_listable = on_listable
        self._opened: dict[ResourceKey, str] = {}  # digest of what a session was opened with
        self._fresh_reads = SharedReads(self._what_changed)
        self._api_server_cas = tuple(api_server_cas)
        self._holds = Holds(store, kube, operator_namespace=operator_namespace)
        self._frozen: dict[ResourceKey, Problem | None] = {}
        self._examinations = Examinations(store=store, monotonic=monotonic)

    async def reconcile(self, key: ResourceKey) -> float | None:
        """One pass; seconds until the next, None if the account is gone."""
        body = self._store.get(key)
        if body is None:
            await self._close(key)
            self._on_change(key)
            return None
        if not self._book.shard.owns(key):
            self._on_change(key)  # it may be what a job of ours meant, or means now
            return None
        self._guard(key, body)
        if body["metadata"].get("deletionTimestamp"):
            return await self._let_go(key, body)
        before, session = self._blocked(key), self._book.get(key)
        problem = await self._check(key, body)
        self._book.set_problem(key, problem)
        after = self._blocked(key)
        if (before and before.reason) != (after and after.reason):
            self._on_change(key)  # before the write: a conflict there must not lose it
        elif after == AWAITS_POLL and (before != after or session is not self._book.get(key)):
            self._on_listable(key)
        await self._write_status(key, problem)
        return CHECK_SECONDS if problem is None else PROBLEM_SECONDS

    async def fresh_holds(self, session: AccountSession) -> Problem | None:
        """C3: account and Secret read now, after the intent was won; one read serves all creates that wait for it. The
        problem if one of them is going or the key is another one by now, or if account or cluster came into question
        meanwhile; else None."""
        problem = await self._fresh_reads.get(session.key)
        if self._book.get(session.key) is not session:
            return Problem(Reason.ACCOUNT_PROBING, "the account was opened anew meanwhile")
        if problem is None:
            return session.hands_off
        session.stop(problem)
        return problem

    async def _what_changed(self, key: ResourceKey) -> Problem | None:
        session = self._book.get(key)
        if session is None:
            return Problem(Reason.INVALID_REFERENCE, "the account was closed")
        secret_name = session.secret_name
        try:
            account = await self._kube.get(RESOURCES[key.kind], namespace=key.scope, name=key.name)
            secret = await self._kube.get(SECRETS, namespace=self._holds.home(key), name=secret_name)
        except KubernetesNotFound:
            return Problem(Reason.INVALID_REFERENCE, "the account or its Secret is gone")
        if not (is_held(account["metadata"]) and is_held(secret["metadata"])):
            return Problem(Reason.INVALID_REFERENCE, "the account or its Secret is being deleted")
        credentials = read_credentials(secret, secret_name)
        if isinstance(credentials, Problem):
            return credentials
        if self._opened.get(key) != _digest(account, credentials):
            return Problem(Reason.ACCOUNT_PROBING, "the account or its key has changed, and is being checked")
        return None

    def _blocked(self, key: ResourceKey) -> Problem | None:
        return self._book.facts(key).blocker

    # --- readiness ---

    def _guard(self, key: ResourceKey, body: Body) -> None:
        """Before a session can be used: is this the cluster, and what does a person say of jobs that vanished?"""
        bodies = (self._store.get(other) for other in self._store.accounts() if other != key)
        others = [other for other in bodies if other is not None]
        self._frozen[key] = cluster_problem(key, body, self._api_server_cas, others)
        session = self._book.get(key)
        if session is not None:
            self._arm(session, body)
            answer = (body["metadata"].get("annotations") or {}).get(naming.CONFIRM_VANISHED_ANNOTATION)
            session.judge(after_answer(session.breaker, answer))

    async def _check(self, key: ResourceKey, body: Body) -> Problem | None:
        """Secret, holds, session, key: the first problem, or None."""
        secret_name = body["spec"]["credentialsSecretRef"]["name"]
        try:
            secret = await self._kube.get(SECRETS, namespace=self._holds.home(key), name=secret_name)
        except KubernetesNotFound:
            return Problem(Reason.INVALID_REFERENCE, f"the Secret {self._holds.home(key)}/{secret_name} does not exist")
        if secret["metadata"].get("deletionTimestamp"):
            await self._release_secret_of_living_account(key, body, secret)
            text = f"the Secret {self._holds.home(key)}/{secret_name} is being deleted"
            return Problem(Reason.INVALID_REFERENCE, text)
        credentials = read_credentials(secret, secret_name)
        if isinstance(credentials, Problem):
            return credentials
        self._hide(credentials)
        await self._hold(RESOURCES[key.kind], body, key)
        await self._hold(SECRETS, secret, None)
        session = await self._session(key, body, credentials)
        if isinstance(session, Problem):
            return session
        return await self._ask(session)

    def _hide(self, credentials: Credentials) -> None:
        """For good: a key that was rotated away may still be quoted."""
        for half in (credentials.secret_key, credentials.public_key):
            self._redactor.register(half)

    def _arm(self, session: AccountSession, body: Body) -> None:
        """What the session must know before anything is done with it."""
        session.frozen = self._frozen.get(session.key)
        live = any(job.active for job in self._store.outlines_of_account(session.key))
        session.expected_identity = (body.get("status") or {}).get("accountUUID") if live else None
        session.forget_jobs_if_idle()

    async def _session(self, key: ResourceKey, body: Body, credentials: Credentials) -> AccountSession | Problem:
        digest, session = _digest(body, credentials), self._book.get(key)
        if session is not None and self._opened.get(key) == digest:
            return session
        before = self._book.take(key)
        if before is not None:
            await before.close()
        try:
            session = self._open_session(key, body, credentials)
        except SettingsError as error:
            return Problem(Reason.INVALID_REFERENCE, str(error))
        session.problem = Problem(Reason.ACCOUNT_PROBING, "the account is being checked")
        self._arm(session, body)
        self._book.open(session)
        self._opened[key] = digest
        return session

    async def _ask(self, session: AccountSession) -> Problem | None:
        """Whether the service accepts the key; the clock is read on the way."""
        doubted = session.problem not in {None, AWAITS_POLL}
        try:
            if session.probes is None or not session.probes.expiry_enforced:  # a bad verdict stops much: ask again
                session.probes = await session.client.probe()
                session.last_answer = self._monotonic()
            elif self._monotonic() - session.last_answer > CHECK_SECONDS / 2 or doubted:
                await session.client.page_jobs(page=1, limit=1)
                session.last_answer = self._monotonic()
            unfit = await self._examinations.examine(session)
        except RemoteError as error:
            _log.warning("account %s: %s", full_name(session.key), error)
            session.silent = True
            return problem_of(error)
        if session.silent:
            session.silent = False
            session.poller.resume()  # it may have minutes of its back-off before it, and its jobs wait for it
        session.problem = None
        blocker = session.blocker()
        return unfit or blocker if blocker == AWAITS_POLL else blocker or unfit

    # --- holds ---

    async def _hold(self, resource: Resource, body: Body, key: ResourceKey | None) -> None:
        """Put our hold on an object by compare-and-swap."""
        metadata = body["metadata"]
        finalizers = list(metadata.get("finalizers") or ())
        if naming.HOLD_FINALIZER in finalizers:
            return
        await self._write_finalizers(resource, metadata, [*finalizers, naming.HOLD_FINALIZER], key)

    async def _release(self, resource: Resource, body: Body, key: ResourceKey | None) -> None:
        metadata = body["metadata"]
        finalizers = list(metadata.get("finalizers") or ())
        if naming.HOLD_FINALIZER in finalizers:
            left = [name for name in finalizers if name != naming.HOLD_FINALIZER]
            await self._write_finalizers(resource, metadata, left, key)

    async def _write_finalizers(
        self, resource: Resource, metadata: Body, finalizers: list[str], key: ResourceKey | None
    ) -> None:
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": finalizers}}
        home, name = metadata.get("namespace"), metadata["name"]
        answer = await self._kube.patch(resource, namespace=home, name=name, body=patch)
        if key is not None:
            self._store.put(key, answer)

    async def _release_secret_of_living_account(self, key: ResourceKey, body: Body, secret: Body) -> None:
        """A Secret that is being deleted goes once no job needs its key; the account then waits for a new one."""
        if naming.HOLD_FINALIZER not in (secret["metadata"].get("finalizers") or ()):
            return
        if await self._holds.jobs_need(self._holds.users_of(self._holds.home(key), secret["metadata"]["name"])):
            await self._keep_serving(key, body, secret)
        else:
            await self._release(SECRETS, secret, None)

    async def _keep_serving(self, key: ResourceKey, body: Body, secret: Body) -> None:
        """The jobs that are left are still watched and cancelled, also by a process that began after the deletion."""
        credentials = read_credentials(secret, secret["metadata"]["name"])
        if isinstance(credentials, Problem):
            return
        self._hide(credentials)
        before = self._book.get(key)
        session = await self._session(key, body, credentials)
        if isinstance(session, Problem):
            return
        await self._ask(session)
        if session is not before:
            self._on_change(key)

    async def _let_go(self, key: ResourceKey, body: Body) -> float | None:
        """The account is being deleted: creates stop at once, and it goes when no job needs it any more."""
        if naming.HOLD_FINALIZER not in (body["metadata"].get("finalizers") or ()):
            return None
        going = Problem(Reason.INVALID_REFERENCE, f"the {described(key)} is being deleted")
        self._book.set_problem(key, going)
        secret_name = body["spec"]["credentialsSecretRef"]["name"]
        if await self._holds.jobs_need({key}):
            try:
                secret = await self._kube.get(SECRETS, namespace=self._holds.home(key), name=secret_name)
                await self._keep_serving(key, body, secret)
            except KubernetesNotFound:
                _log.warning("account %s: its Secret is gone while jobs need it", full_name(key))
            self._book.set_problem(key, going)
            await self._write_status(key, going)
            return DELETION_SECONDS
        if await self._holds.secret_is_free(key, secret_name):
            try:
                secret = await self._kube.get(SECRETS, namespace=self._holds.home(key), name=secret_name)
                await self._release(SECRETS, secret, None)
            except KubernetesNotFound:
                _log.info("account %s: its Secret is gone already", full_name(key))
        await self._release(RESOURCES[key.kind], body, key)
        await self._close(key)
        return None

    async def _close(self, key: ResourceKey) -> None:
        session = self._book.take(key)
        self._book.set_problem(key, None)
        self._opened.pop(key, None)
        self._frozen.pop(key, None)
        self._examinations.forget(key)
        if session is not None:
            await session.close()
        self._metrics.account_gone(key.namespace, key.name)

    # --- status ---

    async def _write_status(self, key: ResourceKey, problem: Problem | None) -> None:
        body = self._store.get(key)
        if body is None:
            return
        self._metrics.account_ready(key.namespace, key.name, ready=problem is None)  # also if the write fails
        new = project_account(body, self._view(key, problem), wall=self._wall())
        difference = merge_patch(body.get("status") or {}, new)
        if not difference:
            return
        patch = {"metadata": {"resourceVersion": body["metadata"]["resourceVersion"]}, "status": difference}
        answer = await self._kube.patch(
            RESOURCES[key.kind], namespace=key.scope, name=key.name, body=patch, subresource="status"
        )
        self._store.put(key, answer)
        self._metrics.status_written(key.kind)

    def _view(self, key: ResourceKey, problem: Problem | None) -> AccountView:
        session = self._book.get(key)
        active = [job for job in self._store.outlines_of_account(key) if job.active]
        probes = session.probes if session is not None else None
        offset = session.client.clock.offset() if session is not None else None
        if offset is not None:
            self._metrics.account_clock_offset(key.namespace, key.name, offset)
        return AccountView(
            problem=problem,
            public_key=session.client.public_key if session is not None else None,
            identity=session.identity if session is not None and _trusts(session) else None,
            clock_offset=offset,
            live_jobs=len(active),
            hourly_rate_usd=rate_text(total_rate(read_rate(job.hourly_rate) for job in active)),
            findings=self._examinations.findings(session),
            api_server_cas=() if self._frozen.get(key) is not None else self._api_server_cas,
            probes=None
            if probes is None
            else ProbeResult(
                probes.replay_refused,
                probes.stale_refused,
                probes.window_seconds,
                probes.refusal_statuses,
                probes.server_time,
            ),
        )


def _trusts(session: AccountSession) -> bool:
    """Whether the known jobs were found with this key, as far as there are any: what it reads is of their account."""
    return session.doubt is None and not session.awaits_poll


def _digest(account: Body, credentials: Credentials) -> str:
    """Changes when a session would have to be opened anew."""
    settings = (account["spec"].get("requestsPerMinute"), account["spec"].get("polling"))
    text = f"{credentials.public_key}|{credentials.secret_key}|{settings}"
    return hashlib.sha256(text.encode()).hexdigest()
