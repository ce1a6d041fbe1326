"""One simulated operator process: the operator's real parts on the virtual loop, without kopf and without sockets.

It is put together as the composition root does it, with the line of `calls` under both APIs and the events of the
in-process API server in the watch's place. Each part is made by a method of its own, so that a mutant replaces one.

Invariant: after `kill` nothing that this process does reaches either API, and no event reaches it.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpx

from dispersed_operator.abandoned import AbandonedJobs
from dispersed_operator.account_reconciler import AccountReconciler
from dispersed_operator.accounts import AccountBook
from dispersed_operator.composition import (
    build_sweeper,
    lane_among_many,
    resource_store,
    wake_jobs,
    wake_waiting_jobs,
    work_queue,
)
from dispersed_operator.config import Settings
from dispersed_operator.connection import ConnectionSecrets
from dispersed_operator.creates import Creates
from dispersed_operator.effects import Effects
from dispersed_operator.errors import StateLost
from dispersed_operator.intents import Intents
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.events import EventRecorder
from dispersed_operator.kube.resync import Resync
from dispersed_operator.leadership import SoleLeader
from dispersed_operator.model.keys import NAMESPACED_KINDS, Kind, ResourceKey
from dispersed_operator.model.observed import PendingCreate
from dispersed_operator.model.orphan import OrphanPolicy
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.orphans import Orphans
from dispersed_operator.reconciler import JobReconciler, Outcome
from dispersed_operator.remote.poller import MANY_ENDED
from dispersed_operator.sessions import SessionFactory
from dispersed_operator.statuses import StatusWriter
from dispersed_operator.store import key_of
from dispersed_operator.sweeper import Sweeper
from dispersed_operator.telemetry.metrics import Metrics
from dispersed_operator.workers import Workers
from dispersed_operator.workqueue import Lane
from tests.simulation.calls import Line
from tests.simulation.remote_side import EPOCH, FaultyTransport, RemoteSide, ShortClient
from tests.simulation.virtual_loop import OWNER, VirtualLoop

SWEEP_SECONDS = 150.0
WORKERS = 8


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a process is given: its name, randomness, wall-clock error in seconds, the two sides, and its shard."""

    holder: str
    rng: random.Random
    wall_offset: float
    line: Line
    kube: KubeClient
    remote: RemoteSide
    cluster_id: str
    part: str
    trace: Callable[[str], None]
    on_ready: Callable[[SimulatedProcess], None]
    on_end: Callable[[SimulatedProcess], None]
    on_failure: Callable[[str], None]


class SimulatedProcess:
    """One life of one operator process. `start` it in the world; `kill`, `freeze` and `stop` end or halt it."""

    def __init__(self, loop: VirtualLoop, given: Surroundings) -> None:
        self.frozen = False
        self.backlog: list[asyncio.Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.alive = True
        self.ready = False
        self.given = given
        self.loop = loop
        self._main: asyncio.Task[None] | None = None

    # --- life ---

    def context(self) -> Context:
        """A context that belongs to this process."""
        context = Context()
        context.run(OWNER.set, self)
        return context

    def start(self) -> None:
        """Begin."""
        self._main = self.loop.create_task(self._run(), name=f"main-{self.given.holder}", context=self.context())

    def kill(self, why: str) -> None:
        """SIGKILL: cut the line, end every task."""
        if not self.alive:
            return
        self.given.trace(f"KILL {why}")
        self._die()

    def freeze(self, seconds: float) -> None:
        """SIGSTOP now, SIGCONT after `seconds`."""
        if self.alive and not self.frozen:
            self.given.trace(f"frozen for {seconds:.0f} s")
            self.frozen = True
            self.loop.in_world(seconds, self._thaw)

    async def stop(self) -> None:
        """SIGTERM: the composition root's order of stopping."""
        self.queue.close(drain=False)
        if self.ready:
            await self.creates.drain(45.0)
            await self.workers.stop(10.0)
            await self.abandoned.close()
        for session in self.book.sessions():
            await session.close()

    def terminate(self) -> None:
        """Begin an orderly stop; the process is dead when it is over. One that is not ready has nothing to put in
        order."""
        if not self.alive:
            return
        self.given.trace("SIGTERM")
        if not self.ready:
            self._die()
            return
        task = self.loop.create_task(self.stop(), context=self.context())
        task.add_done_callback(lambda _: self._die())

    def deliver(self, event_type: str | None, body: dict[str, Any]) -> None:
        """An event of the watch; to be called in this process's context."""
        if not self.alive or not self.ready:
            return
        key = key_of(body)
        try:
            changed = self.store.remove(key, body) if event_type == "DELETED" else self.store.put(key, body)
        except StateLost as error:
            self.fail(error)
            return
        if changed:
            self.queue.add(key, Lane.LIFECYCLE if event_type is not None else lane_among_many(self.store, key))
            if key.kind is Kind.ACCOUNT and event_type == "DELETED":
                wake_jobs(self.store, self.queue, key)

    def _thaw(self) -> None:
        if self.frozen and self.alive:
            self.given.trace("goes on")
        self.loop.thaw(self)

    def _die(self) -> None:
        if not self.alive:
            return
        self.alive = False
        self.given.line.cut = True
        for task in self.tasks:
            task.cancel()
        if self.frozen:
            self.loop.thaw(self)
        self.given.on_end(self)

    def fail(self, error: BaseException) -> None:
        """The process ends itself: its state must not be trusted any more."""
        self.given.trace(f"ends itself: {error}")
        self.given.on_failure(str(error))
        self._die()

    # --- composition ---

    async def _run(self) -> None:
        self.build()
        self.build_reconcilers()
        self._spawn(self.resync.run())
        await self.resync.barrier.wait()
        self.ready = True
        self.given.trace("ready")
        self.given.on_ready(self)
        self.workers.start(WORKERS)
        self._spawn(self.sweeper.run())

    def build(self) -> None:
        """Everything that does not need the cluster's identity."""
        given, now = self.given, self.loop.time
        own = {"holder": given.holder, "cluster_id": given.cluster_id, "shard": given.part}
        self.settings = _settings().model_copy(update=own)
        self.metrics = Metrics()
        self.redactor = Redactor()
        self.store = resource_store(self.settings, lambda: self.jobs)
        self.leader = SoleLeader(now)
        self.book = AccountBook(
            windows_for=self.settings.windows_for,
            exists=self.store.holds,
            shard=self.settings.part,
        )
        self.queue = work_queue(
            workers=WORKERS, store=self.store, book=self.book, monotonic=now, randoms=given.rng.random
        )
        self.sessions = self.make_sessions()
        self.recorder = EventRecorder(given.kube, instance=given.holder, clock=self.wall)
        self.statuses = StatusWriter(
            store=self.store,
            kube=given.kube,
            recorder=self.recorder,
            redactor=self.redactor,
            metrics=self.metrics,
            monotonic=now,
            wall=self.wall,
        )
        self.accounts = AccountReconciler(
            store=self.store,
            kube=given.kube,
            book=self.book,
            open_session=self.sessions.open,
            redactor=self.redactor,
            metrics=self.metrics,
            wall=self.wall,
            monotonic=now,
            on_change=functools.partial(wake_jobs, self.store, self.queue),
            on_listable=functools.partial(wake_waiting_jobs, self.store, self.queue),
            operator_namespace=self.settings.operator_namespace,
        )
        self.resync = Resync(
            given.kube,
            self.store,
            NAMESPACED_KINDS,
            interval=self.settings.resync_seconds,
            on_changes=self._add_all,
            monotonic=now,
            random=given.rng.random,
        )
        self.workers = Workers(
            queue=self.queue,
            reconcile=self._reconcile,
            metrics=self.metrics,
            deadline=self.settings.reconcile_deadline_seconds,
            monotonic=now,
            fatal=self.fail,
        )

    def build_reconcilers(self) -> None:
        """What signs and ends jobs."""
        self.orphans = Orphans(self.given.kube, cluster_wide=True, metrics=self.metrics, wall=self.wall)
        self.intents = self.make_intents()
        self.creates = self.make_creates()
        self.effects = self.make_effects()
        self.abandoned = AbandonedJobs(self.given.kube, self.book, monotonic=self.loop.time)
        self.jobs = self.make_reconciler()
        self.sweeper = self.make_sweeper()

    def make_http(self) -> httpx.AsyncClient:
        """The HTTP client over the faulty line."""
        return ShortClient(FaultyTransport(self.given.remote, self.given.line, self.given.trace))

    def make_sessions(self) -> SessionFactory:
        """Opens accounts."""
        rng = self.given.rng
        return SessionFactory(
            settings=self.settings,
            http=self.make_http(),
            book=self.book,
            store=self.store,
            queue=self.queue,
            metrics=self.metrics,
            redactor=self.redactor,
            fatal=self.fail,
            monotonic=self.loop.time,
            wall=self.wall,
            random=rng.random,
            nonces=self.nonce,
            many_ended=MANY_ENDED if self.given.remote.page_rows > 1 else 1,
        )

    def make_intents(self) -> Intents:
        """C1, C2 and C6."""
        return Intents(
            cluster_id=self.given.cluster_id,
            holder=self.given.holder,
            store=self.store,
            kube=self.given.kube,
            statuses=self.statuses,
            metrics=self.metrics,
            nonces=self.nonce,
            monotonic=self.loop.time,
        )

    def make_creates(self) -> Creates:
        """C3 to C5."""
        return Creates(
            intents=self.intents,
            store=self.store,
            statuses=self.statuses,
            metrics=self.metrics,
            check_holds=self.accounts.fresh_holds,
            monotonic=self.loop.time,
            wall=self.wall,
        )

    def make_effects(self) -> Effects:
        """What actions do."""
        return Effects(
            store=self.store,
            kube=self.given.kube,
            book=self.book,
            intents=self.intents,
            creates=self.creates,
            statuses=self.statuses,
            connections=ConnectionSecrets(self.given.kube),
            orphans=self.orphans,
            redactor=self.redactor,
            metrics=self.metrics,
            monotonic=self.loop.time,
        )

    def make_reconciler(self) -> JobReconciler:
        """Plans and carries out."""
        return JobReconciler(
            cluster_id=self.given.cluster_id,
            store=self.store,
            book=self.book,
            effects=self.effects,
            abandoned=self.abandoned,
            statuses=self.statuses,
            leading_since=self.leader.leading_since,
            monotonic=self.loop.time,
            wall=self.wall,
        )

    def make_sweeper(self) -> Sweeper:
        """Ends what nobody owns."""
        return build_sweeper(
            self.settings,
            cluster_id=self.given.cluster_id,
            book=self.book,
            kube=self.given.kube,
            store=self.store,
            orphans=self.orphans,
            recorder=self.recorder,
            statuses=self.statuses,
            metrics=self.metrics,
            leading=lambda: True,
            look_for=self._look_for,
            monotonic=self.loop.time,
            wall=self.wall,
            randoms=self.given.rng.random,
        )

    # --- what the parts call ---

    def wall(self) -> float:
        """This machine's wall clock, a little wrong."""
        return EPOCH + self.loop.time() + self.given.wall_offset

    def nonce(self) -> str:
        """32 hexadecimal characters."""
        return f"{self.given.rng.getrandbits(128):032x}"

    def _look_for(self, key: ResourceKey, uid: str, create: PendingCreate) -> None:
        self.jobs.look_for(key, uid, create)
        self.queue.add(key)

    def _add_all(self, keys: frozenset[ResourceKey]) -> None:
        for key in sorted(keys, key=lambda item: (item.kind is not Kind.ACCOUNT, item)):
            self.queue.add(key, lane_among_many(self.store, key))

    async def _reconcile(self, key: ResourceKey) -> Outcome:
        if key.kind is Kind.ACCOUNT:
            return Outcome(after=await self.accounts.reconcile(key), urgent=True)
        return await self.jobs.reconcile(key)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.create_task(work).add_done_callback(self._background_ended)

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)


@lru_cache(maxsize=1)
def _settings() -> Settings:
    """What all processes have in common: reading settings takes milliseconds."""
    return Settings(resync_seconds=300.0, sweep_seconds=SWEEP_SECONDS, orphan_policy=OrphanPolicy.CANCEL)
