"""Building what has many parts: the larger rooms that `app.py` starts and stops, each made here in one piece."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Hashable, Sequence

import httpx

from dispersed_operator import __version__
from dispersed_operator.accounts import AccountBook
from dispersed_operator.config import Settings
from dispersed_operator.edge import Edge
from dispersed_operator.errors import KubernetesError, KubernetesForbidden
from dispersed_operator.fair_line import Flow
from dispersed_operator.gauges import Gauges
from dispersed_operator.intents import RESERVE_SECONDS
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.events import EventRecorder
from dispersed_operator.kube.resources import NAMESPACES
from dispersed_operator.kube.resync import Resync
from dispersed_operator.leadership import Election, Leadership, SoleLeader
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.orphan_keeper import OrphanKeeper
from dispersed_operator.orphans import Orphans
from dispersed_operator.reconciler import JobReconciler
from dispersed_operator.remote.transport import build_http_client
from dispersed_operator.statuses import StatusWriter
from dispersed_operator.store import ResourceStore
from dispersed_operator.sweep_cancels import SweepCancels
from dispersed_operator.sweep_reads import SweepReads
from dispersed_operator.sweeper import LookFor, Sweeper, SweepSettings
from dispersed_operator.telemetry.health import HealthServer, LoopLag, must_be_younger, must_hold
from dispersed_operator.telemetry.metrics import Metrics
from dispersed_operator.telemetry.vocabulary import EventResult
from dispersed_operator.workers import Workers
from dispersed_operator.workqueue import Lane, QueueHooks, WorkQueue

RETRY_CEILING_SECONDS = 60.0
STUCK_SECONDS = 300.0
LEASE_SILENT_SECONDS = 60.0

_log = logging.getLogger(__name__)


async def identify_cluster(kube: KubeClient, configured: str | None) -> str:
    """The cluster id: a setting, else the uid of kube-system; without the right to read it this waits."""
    if configured is not None:
        return configured
    delay = 1.0
    while True:
        try:
            body = await kube.get(NAMESPACES, namespace=None, name="kube-system")
        except KubernetesError as error:
            hint = "; without cluster rights set --cluster-id" if isinstance(error, KubernetesForbidden) else ""
            _log.warning("cannot read the identity of the cluster, trying again: %s%s", error, hint)
            await asyncio.sleep(delay)
            delay = min(30.0, delay * 2)
            continue
        return str(body["metadata"]["uid"])


def remote_http_client(settings: Settings) -> httpx.AsyncClient:
    """The one client of the Dispersed API."""
    return build_http_client(
        proxy=settings.remote_proxy.get_secret_value() if settings.remote_proxy is not None else None,
        ca=str(settings.remote_ca_file) if settings.remote_ca_file is not None else None,
    )


def lane_among_many(store: ResourceStore, key: ResourceKey) -> Lane:
    """Where many are looked at together, as at a start, those that wait for something go before those that only run on:
    there may be thousands."""
    return Lane.POLLING if store.settled(key) else Lane.LIFECYCLE


def wake_jobs(store: ResourceStore, queue: WorkQueue[ResourceKey], account: ResourceKey) -> None:
    """Have all jobs of an account looked at."""
    for job in sorted(store.jobs_of_account(account)):
        queue.add(job, lane_among_many(store, job))


def wake_waiting_jobs(store: ResourceStore, queue: WorkQueue[ResourceKey], account: ResourceKey) -> None:
    """Have those jobs of an account looked at that do not only run on."""
    for job in sorted(store.jobs_of_account(account)):
        if not store.settled(job):
            queue.add(job)


def work_queue(
    *,
    workers: int,
    store: ResourceStore,
    book: AccountBook,
    hooks: QueueHooks | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    randoms: Callable[[], float] = random.random,
) -> WorkQueue[ResourceKey]:
    """The queue, which shares its workers out among namespaces and accounts."""

    def flow_of(key: ResourceKey) -> Flow:
        """New jobs are kept apart: a burst of them must not delay the end of a job. So are accounts themselves."""
        job = store.reading(key) if key.kind is Kind.JOB else None
        if job is None:
            return Flow(key.namespace)
        accounts = job.outline.accounts
        account = next((name for name in accounts if store.holds(name)), accounts[0])
        return Flow(key.namespace, account, errand="" if job.outline.job_uuid or job.deleting else "create")

    def limit(account: Hashable) -> int:
        session = book.get(account) if isinstance(account, ResourceKey) else None
        return workers if session is None else session.client.limiter.startable_within(RESERVE_SECONDS)

    return WorkQueue(
        monotonic=monotonic,
        random=randoms,
        max_delay=RETRY_CEILING_SECONDS,
        hooks=hooks,
        workers=workers,
        flow_of=flow_of,
        limit=limit,
    )


def resource_store(settings: Settings, jobs: Callable[[], JobReconciler]) -> ResourceStore:
    """The store: all accounts, for they decide what a job means, and the jobs that may be this shard's or were.
    `jobs` is asked once there are bodies."""
    shard = settings.part

    def keeps(key: ResourceKey, uid: str, accounts: Sequence[ResourceKey]) -> bool:
        return any(shard.owns(account) for account in accounts) or jobs().remembers(key, uid)

    return ResourceStore(namespaces=settings.namespaces or None, keeps=None if shard.alone else keeps)


def leadership(settings: Settings, kube: KubeClient) -> Leadership:
    """Who leads: this process alone, or whoever holds the Lease."""
    if not settings.leader_elect:
        return SoleLeader(time.monotonic)
    return Election(
        kube,
        namespace=settings.operator_namespace,
        name=settings.lease,
        me=settings.holder,
        monotonic=time.monotonic,
        wall=time.time,
        random=random.random,
    )


def event_recorder(settings: Settings, kube: KubeClient, metrics: Metrics) -> EventRecorder:
    """What writes Events, and counts them."""
    return EventRecorder(
        kube,
        instance=settings.holder,
        clock=time.time,
        on_success=lambda: metrics.event_recorded(EventResult.RECORDED),
        on_failure=lambda _reason: metrics.event_recorded(EventResult.DROPPED),
    )


def health_server(
    settings: Settings,
    *,
    metrics: Metrics,
    gauges: Gauges,
    lag: LoopLag,
    resync: Resync,
    edge: Edge,
    workers: Workers,
    leader: Leadership,
    stopping: Callable[[], bool],
) -> HealthServer:
    """Health and metrics: what makes this process alive, and what makes it ready: to work, or to take over at once."""

    def works(holds: Callable[[], bool]) -> Callable[[], bool]:
        return lambda: not leader.leading or holds()

    live = (
        lag.check(),
        must_hold("stopping", lambda: not stopping(), "the process is stopping"),
        must_be_younger(
            "resync", lambda: resync.idle_for() if leader.leading else None, settings.resync_seconds * 3 + 60
        ),
        must_be_younger("queue", workers.stuck_for, STUCK_SECONDS),
    )
    ready = (
        must_hold("barrier", works(resync.barrier.is_set), "the first listing is not complete"),
        must_hold("watch", works(lambda: edge.ready), "not every kind is watched"),
        must_hold("workers", works(lambda: workers.alive), "the workers are not running"),
        must_be_younger("lease", leader.silent_for, LEASE_SILENT_SECONDS),
    )
    return HealthServer(
        host=settings.health_host,
        port=settings.health_port,
        metrics=metrics,
        live=live,
        ready=ready,
        port_file=settings.health_port_file,
        before_scrape=gauges.refresh,
    )


def listed_kinds(settings: Settings) -> tuple[Kind, ...]:
    """What is kept in the store, accounts first. An installation for some namespaces has no rights on cluster-wide
    kinds."""
    return (Kind.ACCOUNT, Kind.JOB) if settings.namespaces else (Kind.CLUSTER_ACCOUNT, Kind.ACCOUNT, Kind.JOB)


def watched_kinds(settings: Settings) -> tuple[Kind, ...]:
    """What is watched: all of that, and orphans, which are the sweeper's alone."""
    kinds = listed_kinds(settings)
    return kinds if settings.namespaces else (*kinds, Kind.ORPHAN)


def working_fields(settings: Settings) -> dict[str, str]:
    """What the log says of this process when it begins to work."""
    return {"version": __version__, "holder": settings.holder, "shard": settings.shard}


def build_sweeper(
    settings: Settings,
    *,
    cluster_id: str,
    book: AccountBook,
    kube: KubeClient,
    store: ResourceStore,
    orphans: Orphans,
    recorder: EventRecorder,
    statuses: StatusWriter,
    metrics: Metrics,
    leading: Callable[[], bool],
    look_for: LookFor,
    monotonic: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
    randoms: Callable[[], float] = random.random,
) -> Sweeper:
    """The sweeper with its keeper of orphans and its cancels."""
    keeper = OrphanKeeper(orphans, recorder, wall=wall, second_sighting=settings.second_sighting_seconds)
    return Sweeper(
        SweepSettings(
            cluster_id=cluster_id,
            policy=settings.orphan_policy,
            namespaces=settings.namespaces or None,
            interval=settings.sweep_seconds,
        ),
        book=book,
        reads=SweepReads(
            kube=kube, store=store, orphans=orphans, cluster_id=cluster_id, namespaces=settings.namespaces or None
        ),
        store=store,
        keeper=keeper,
        cancels=SweepCancels(kube=kube, orphans=orphans, keeper=keeper, statuses=statuses, metrics=metrics),
        metrics=metrics,
        leading=leading,
        look_for=look_for,
        monotonic=monotonic,
        random=randoms,
    )
