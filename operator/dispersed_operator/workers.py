"""The workers: keys from the queue, one reconcile each, under a deadline; nothing that goes wrong is ever dropped.

This is one of the two places with a broad `except`: a defect in the reconcile of one resource must neither end the
process nor lose the key. It is logged, counted and tried again with back-off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from dispersed_operator.errors import KubernetesConflict, KubernetesError, KubernetesInvalid, StateLost
from dispersed_operator.model.keys import ACCOUNT_KINDS, ResourceKey
from dispersed_operator.reconciler import Outcome
from dispersed_operator.telemetry.logs import about
from dispersed_operator.telemetry.metrics import Metrics
from dispersed_operator.telemetry.vocabulary import ReconcileResult
from dispersed_operator.workqueue import Lane, QueueClosed, WorkQueue

Reconcile = Callable[[ResourceKey], Awaitable[Outcome]]

_log = logging.getLogger(__name__)


class Workers:
    """A fixed number of workers on one queue. `fatal` is called with an error that the process must not survive."""

    def __init__(
        self,
        *,
        queue: WorkQueue[ResourceKey],
        reconcile: Reconcile,
        metrics: Metrics,
        deadline: float,
        monotonic: Callable[[], float],
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._metrics = metrics
        self._deadline = deadline
        self._monotonic = monotonic
        self._fatal = fatal
        self._tasks: list[asyncio.Task[None]] = []
        self._door = asyncio.Lock()
        self._served = monotonic()

    def start(self, count: int) -> None:
        """Start `count` workers."""
        self._served = self._monotonic()
        self._tasks = [asyncio.create_task(self._work(), name=f"worker-{number}") for number in range(count)]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    @property
    def alive(self) -> bool:
        """Whether all workers run."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    def stuck_for(self) -> float:
        """Seconds for which something was due and no worker took or finished anything; 0.0 while work flows."""
        return min(self._queue.oldest_age(), self._monotonic() - self._served)

    async def stop(self, grace: float) -> None:
        """Wait for the reconciles under way after the queue was closed, then cancel what is left."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            await self._give_way()
            try:
                key = await self._queue.get()
            except QueueClosed:
                return
            self._served = self._monotonic()
            try:
                with about(key):
                    await self._one(key)
            finally:
                self._served = self._monotonic()
                self._queue.done(key)

    async def _give_way(self) -> None:
        """Let everything else that is ready have a turn of the event loop before the next key, one worker at a time. A
        pass that finds nothing to do waits for nothing, so the passes of a backlog would follow each other without end,
        and requests under way, probes and the Lease would stand still for as long."""
        async with self._door:
            await asyncio.sleep(0)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal(error)

    async def _one(self, key: ResourceKey) -> None:
        begun = self._monotonic()
        result = await self._attempt(key)
        self._metrics.reconciled(key.kind, result, self._monotonic() - begun)

    async def _attempt(self, key: ResourceKey) -> ReconcileResult:
        try:
            async with asyncio.timeout(self._deadline):
                outcome = await self._reconcile(key)
        except (KubernetesConflict, KubernetesInvalid) as error:
            level = logging.DEBUG if isinstance(error, KubernetesConflict) else logging.WARNING
            _log.log(level, "the object changed meanwhile, or refuses the write; starting over: %s", error)
            if isinstance(error, KubernetesConflict):
                self._metrics.conflict(key.kind)
            self._queue.retry(key, Lane.LIFECYCLE)
            return ReconcileResult.CONFLICT
        except KubernetesError as error:
            _log.warning("the Kubernetes API failed: %s", error)
            self._queue.retry(key, Lane.LIFECYCLE)
            return ReconcileResult.ERROR
        except TimeoutError:
            _log.warning("no end within %.0f s; tried again later", self._deadline)
            self._queue.retry(key, Lane.LIFECYCLE)
            return ReconcileResult.TIMEOUT
        except StateLost as error:
            self._fatal(error)
            return ReconcileResult.ERROR
        except Exception:  # noqa: BLE001 - the worker loop: a defect must neither end the process nor lose the key
            _log.exception("a defect: the reconcile failed in a way nobody foresaw")
            self._queue.retry(key, Lane.LIFECYCLE)
            return ReconcileResult.ERROR
        return self._requeue(key, outcome)

    def _requeue(self, key: ResourceKey, outcome: Outcome) -> ReconcileResult:
        urgent = outcome.urgent or key.kind in ACCOUNT_KINDS
        lane = Lane.LIFECYCLE if urgent else Lane.POLLING
        if outcome.failed:
            self._queue.retry(key, lane)
            return ReconcileResult.ERROR
        self._queue.forget(key)
        if outcome.after is None:
            return ReconcileResult.DONE
        self._queue.add_after(key, outcome.after, lane)
        return ReconcileResult.REQUEUED
