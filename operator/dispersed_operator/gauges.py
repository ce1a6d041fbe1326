"""The gauges that are computed when somebody scrapes: ages, depths and counts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from dispersed_operator.accounts import AccountBook
from dispersed_operator.kube.resync import Resync
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.planning.cost import read_rate
from dispersed_operator.store import ResourceStore
from dispersed_operator.telemetry.metrics import Metrics
from dispersed_operator.workqueue import Lane, WorkQueue


class Gauges:
    """Refreshes the computed gauges."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        store: ResourceStore,
        queue: WorkQueue[ResourceKey],
        book: AccountBook,
        resync: Resync,
        leading: Callable[[], bool],
        swept: Callable[[ResourceKey], float | None] = lambda _: None,
    ) -> None:
        self._metrics = metrics
        self._store = store
        self._queue = queue
        self._book = book
        self._resync = resync
        self._leading = leading
        self._swept = swept

    def refresh(self) -> None:
        """Set every computed gauge to what is true now."""
        for lane in Lane:
            self._metrics.queue_state(lane, depth=self._queue.depth(lane), oldest_seconds=self._queue.oldest_age(lane))
        self._metrics.shard(str(self._book.shard), count=self._book.shard.count)
        leading = self._leading()
        self._metrics.leading(leading=leading)
        self._metrics.ready(ready=self._resync.barrier.is_set() and leading)
        if self._resync.barrier.is_set():
            for kind in self._resync.kinds:
                self._metrics.resync_age(kind, self._resync.age())
        self._count_jobs()
        waiting = self._queue.depth_by_account()
        for session in self._book.sessions():
            self._metrics.account_load(
                session.key.namespace,
                session.key.name,
                waiting=waiting[session.key],
                concurrency=session.client.limiter.allowed,
            )
            swept, polled = self._swept(session.key), session.view.polled
            if swept is not None:
                self._metrics.sweep_age(session.key.namespace, session.key.name, swept)
            if polled is not None and not session.poller.idle:
                self._metrics.poll_age(session.key.namespace, session.key.name, time.monotonic() - polled)

    def _count_jobs(self) -> None:
        phases: Counter[str] = Counter()
        live, unknown, rate = 0, 0, 0.0
        for job in self._store.outlines():
            if not self._book.shard.alone and not self._book.owns_job(job.accounts):
                continue  # another shard counts it
            phases[job.phase or "Pending"] += 1
            unknown += job.unknown
            if job.active:
                live += 1
                rate += float(read_rate(job.hourly_rate) or 0)
        self._metrics.jobs_by_phase(phases)
        self._metrics.creates_unknown(unknown)
        self._metrics.live_jobs(live, hourly_rate_usd=rate)
