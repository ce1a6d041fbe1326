"""The composition root: builds the rooms, starts them in order, and stops them in order.

Start: logs, Kubernetes client, health, cluster identity, leadership, own LIST (the barrier), watch, workers. Nothing is
reconciled before the barrier has passed. Stop: intake, watch, requests in flight (45 s), workers, Lease, sessions. No
job is ever cancelled because the operator stops. The process ends with a failure if the watch dies, if the API server's
state went back in time, if a worker dies, or if the Lease is lost: a fresh process starts clean.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
import secrets
import signal
import time
from collections.abc import Coroutine
from typing import Any

import httpx

from dispersed_operator import __version__
from dispersed_operator.abandoned import AbandonedJobs
from dispersed_operator.account_reconciler import AccountReconciler
from dispersed_operator.accounts import AccountBook
from dispersed_operator.composition import (
    build_sweeper,
    event_recorder,
    health_server,
    identify_cluster,
    lane_among_many,
    leadership,
    listed_kinds,
    remote_http_client,
    resource_store,
    wake_jobs,
    wake_waiting_jobs,
    watched_kinds,
    work_queue,
    working_fields,
)
from dispersed_operator.config import Settings
from dispersed_operator.connection import ConnectionSecrets
from dispersed_operator.creates import Creates
from dispersed_operator.edge import Edge
from dispersed_operator.effects import Effects
from dispersed_operator.errors import OperatorError, SettingsError
from dispersed_operator.gauges import Gauges
from dispersed_operator.intents import Intents
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.credentials import Credentials, authorities, find_credentials
from dispersed_operator.kube.resync import Resync
from dispersed_operator.model.keys import ACCOUNT_KINDS, Kind, ResourceKey
from dispersed_operator.model.observed import PendingCreate
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.orphans import Orphans
from dispersed_operator.reconciler import JobReconciler, Outcome
from dispersed_operator.sessions import SessionFactory
from dispersed_operator.statuses import StatusWriter
from dispersed_operator.store import key_of
from dispersed_operator.sweeper import Sweeper
from dispersed_operator.telemetry.health import LoopLag
from dispersed_operator.telemetry.logs import configure_logs
from dispersed_operator.telemetry.metrics import Metrics
from dispersed_operator.workers import Workers
from dispersed_operator.workqueue import Lane

POST_GRACE_SECONDS = 45.0

_log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Run the operator until SIGTERM or SIGINT; the process's exit code."""
    redactor = Redactor(settings.secret_texts)
    configure_logs(level=settings.log_level, log_format=settings.log_format, redactor=redactor)
    credentials = find_credentials(
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        proxy=settings.kube_proxy.get_secret_value() if settings.kube_proxy is not None else None,
    )
    try:
        return asyncio.run(App(settings, credentials, redactor).run())
    except OperatorError as error:
        _log.error("the operator ends: %s", error)
        return 1


class App:
    """One running operator."""

    def __init__(self, settings: Settings, credentials: Credentials, redactor: Redactor) -> None:
        self._settings = settings
        self._credentials = credentials
        self._redactor = redactor
        self._namespaces = settings.namespaces or None
        self._metrics = Metrics()
        self._store = resource_store(settings, lambda: self._jobs)
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._background: list[asyncio.Task[None]] = []
        self._sweeper: Sweeper | None = None

    async def run(self) -> int:
        """Start everything, wait for the end, stop everything."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        configuration = await self._credentials.configuration()
        async with contextlib.AsyncExitStack() as stack:
            kube = await stack.enter_async_context(KubeClient(configuration, random=random.random))
            http = await stack.enter_async_context(remote_http_client(self._settings))
            self._api_server_cas = authorities(configuration)
            if not self._api_server_cas:
                _log.info("the API server has no certificate authority of its own: no guard against a cluster's copy")
            await self._serve(kube, http)
        if self._failure is not None:
            foreseen = isinstance(self._failure, OperatorError)
            words = str(self._failure) if foreseen else type(self._failure).__name__
            _log.error("the operator ends: %s", words, exc_info=None if foreseen else self._failure)
            return 1
        _log.info("stopped")
        return 0

    async def _serve(self, kube: KubeClient, http: httpx.AsyncClient) -> None:
        self._build(kube, http)
        try:
            await self._health.start()
        except OSError as error:
            where = f"{self._settings.health_host}:{self._settings.health_port}"
            raise SettingsError(f"cannot serve health on {where}: {error.strerror}; set --health-port") from None
        try:
            self._spawn(self._lag.run())
            if await self._until_stop(self._identify(kube)) or await self._until_stop(self._leader.acquire()):
                return
            self._spawn(self._leader.keep())
            self._reconcilers(kube)
            self._spawn(self._resync.run())
            if await self._until_stop(self._resync.barrier.wait()):
                return
            self._edge.start()
            self._edge.failed.add_done_callback(self._edge_ended)
            self._workers.start(self._settings.workers)
            if self._sweeper is not None:
                self._spawn(self._sweeper.run())
            _log.info("working", extra={"fields": working_fields(self._settings)})
            await self._stop.wait()
        finally:
            await self._shut_down()

    def _build(self, kube: KubeClient, http: httpx.AsyncClient) -> None:
        """Everything that does not need the cluster's identity."""
        settings = self._settings
        self._leader = leadership(settings, kube)
        self._book = AccountBook(
            windows_for=settings.windows_for,
            exists=self._store.holds,
            cluster_wide=self._namespaces is None,
            shard=settings.part,
        )
        self._queue = work_queue(workers=settings.workers, store=self._store, book=self._book, hooks=self._metrics)
        self._sessions = SessionFactory(
            settings=settings,
            http=http,
            book=self._book,
            store=self._store,
            queue=self._queue,
            metrics=self._metrics,
            redactor=self._redactor,
            fatal=self._fail,
        )
        self._recorder = event_recorder(settings, kube, self._metrics)
        self._statuses = StatusWriter(
            store=self._store,
            kube=kube,
            recorder=self._recorder,
            redactor=self._redactor,
            metrics=self._metrics,
            monotonic=time.monotonic,
            wall=time.time,
        )
        self._accounts = AccountReconciler(
            store=self._store,
            kube=kube,
            book=self._book,
            open_session=self._sessions.open,
            redactor=self._redactor,
            metrics=self._metrics,
            wall=time.time,
            monotonic=time.monotonic,
            on_change=functools.partial(wake_jobs, self._store, self._queue),
            on_listable=functools.partial(wake_waiting_jobs, self._store, self._queue),
            api_server_cas=self._api_server_cas,
            operator_namespace=settings.operator_namespace,
        )
        self._resync = Resync(
            kube,
            self._store,
            listed_kinds(settings),
            namespaces=self._namespaces,
            interval=settings.resync_seconds,
            on_changes=self._add_all,
            monotonic=time.monotonic,
            random=random.random,
        )
        self._edge = Edge(
            self._credentials,
            self._on_event,
            kinds=watched_kinds(settings),
            namespaces=self._namespaces,
            random=random.random,
        )
        self._workers = Workers(
            queue=self._queue,
            reconcile=self._reconcile,
            metrics=self._metrics,
            deadline=settings.reconcile_deadline_seconds,
            monotonic=time.monotonic,
            fatal=self._fail,
        )
        self._lag = LoopLag(time.monotonic)
        self._gauges = Gauges(
            metrics=self._metrics,
            store=self._store,
            queue=self._queue,
            book=self._book,
            resync=self._resync,
            leading=lambda: self._leader.leading,
            swept=lambda key: self._sweeper.age(key) if self._sweeper is not None else None,
        )
        self._metrics.build_info(__version__)
        self._health = health_server(
            settings,
            metrics=self._metrics,
            gauges=self._gauges,
            lag=self._lag,
            resync=self._resync,
            edge=self._edge,
            workers=self._workers,
            leader=self._leader,
            stopping=self._stop.is_set,
        )

    def _reconcilers(self, kube: KubeClient) -> None:
        """What signs jobs: only once the cluster's identity is known."""
        intents = Intents(
            cluster_id=self._cluster_id,
            holder=self._settings.holder,
            store=self._store,
            kube=kube,
            statuses=self._statuses,
            metrics=self._metrics,
            nonces=lambda: secrets.token_hex(16),
            monotonic=time.monotonic,
        )
        creates = Creates(
            intents=intents,
            store=self._store,
            statuses=self._statuses,
            metrics=self._metrics,
            check_holds=self._accounts.fresh_holds,
            monotonic=time.monotonic,
            wall=time.time,
        )
        orphans = Orphans(kube, cluster_wide=self._namespaces is None, metrics=self._metrics, wall=time.time)
        effects = Effects(
            store=self._store,
            kube=kube,
            book=self._book,
            intents=intents,
            creates=creates,
            statuses=self._statuses,
            connections=ConnectionSecrets(kube),
            orphans=orphans,
            redactor=self._redactor,
            metrics=self._metrics,
            monotonic=time.monotonic,
        )
        self._creates = creates
        self._abandoned = AbandonedJobs(kube, self._book)
        self._jobs = JobReconciler(
            cluster_id=self._cluster_id,
            store=self._store,
            book=self._book,
            effects=effects,
            abandoned=self._abandoned,
            statuses=self._statuses,
            leading_since=self._leader.leading_since,
            monotonic=time.monotonic,
            wall=time.time,
        )

        self._sweeper = build_sweeper(
            self._settings,
            cluster_id=self._cluster_id,
            book=self._book,
            kube=kube,
            store=self._store,
            orphans=orphans,
            recorder=self._recorder,
            statuses=self._statuses,
            metrics=self._metrics,
            leading=lambda: self._leader.leading,
            look_for=self._look_for,
        )

    async def _identify(self, kube: KubeClient) -> None:
        self._cluster_id = await identify_cluster(kube, self._settings.cluster_id)

    async def _until_stop(self, waiting: Coroutine[Any, Any, object]) -> bool:
        """Wait for something, or for the stop; True if the stop came first."""
        task = asyncio.ensure_future(waiting)
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if task.done():
            await task
            return self._stop.is_set()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return True

    # --- events

    def _on_event(self, event_type: str | None, body: dict[str, Any]) -> None:
        """From the watch into the store and the queue; runs in our loop. Orphans are the sweeper's alone."""
        if body["kind"] == Kind.ORPHAN:
            if event_type != "DELETED" and self._sweeper is not None:
                self._sweeper.notice(body)
            return
        key = key_of(body)
        changed = self._store.remove(key, body) if event_type == "DELETED" else self._store.put(key, body)
        if changed:
            self._queue.add(key, Lane.LIFECYCLE if event_type is not None else lane_among_many(self._store, key))
            if key.kind in ACCOUNT_KINDS and event_type == "DELETED":
                wake_jobs(self._store, self._queue, key)

    def _add_all(self, keys: frozenset[ResourceKey]) -> None:
        for key in sorted(keys, key=lambda item: item.kind not in ACCOUNT_KINDS):
            self._queue.add(key, lane_among_many(self._store, key))

    def _look_for(self, key: ResourceKey, uid: str, create: PendingCreate) -> None:
        """The sweep saw a job that its resource does not know."""
        self._jobs.look_for(key, uid, create)
        self._queue.add(key)

    async def _reconcile(self, key: ResourceKey) -> Outcome:
        if not self._leader.leading:
            return Outcome(failed=True)  # a process that was stopped wakes up here; it is about to end
        if key.kind in ACCOUNT_KINDS:
            return Outcome(after=await self._accounts.reconcile(key), urgent=True)
        outcome = await self._jobs.reconcile(key)
        if not self._store.holds(key):
            for account in self._store.leaving_accounts(key.namespace):  # it may have been the last that held one
                self._queue.add(account)
        return outcome

    # --- the end

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self._stop.set()

    def _edge_ended(self, ended: asyncio.Future[None]) -> None:
        if not ended.cancelled() and ended.exception() is not None:
            self._fail(ended.exception() or RuntimeError("the watch ended"))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._background_ended)
        self._background.append(task)

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    async def _shut_down(self) -> None:
        """The order of the architecture page: intake, watch, POSTs in flight, statuses, sessions."""
        _log.info("stopping")
        deadline = time.monotonic() + self._settings.shutdown_grace_seconds
        self._queue.close(drain=False)
        await self._edge.stop()
        creates: Creates | None = getattr(self, "_creates", None)
        if creates is not None and not await creates.drain(POST_GRACE_SECONDS):
            _log.warning("a create request was still under way; the next start looks its job up")
        await self._workers.stop(max(1.0, deadline - time.monotonic()))
        if creates is not None:
            await self._abandoned.close()
        await self._leader.release()
        for session in self._book.sessions():
            await session.close()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._health.stop()
