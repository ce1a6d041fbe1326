"""Every DispersedJob there is, for a question that the resources of one shard cannot answer.

The store of a shard holds the jobs of its own accounts. Whether the original of a copy lives, or whether another
resource has the job that one adopts, must be asked of all of them: of the store where it sees all, else of a LIST by
quorum, which is heavy, so it is shared for a short time.

Invariants: a census shows whoever asks, and so everything older than that; it is never older than `SHARED_SECONDS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model.keys import Kind
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.reading import Reading
from dispersed_operator.store import ResourceStore

SHARED_SECONDS = 30.0


class Census:
    """All DispersedJobs of the namespaces that are served."""

    def __init__(self, store: ResourceStore, kube: KubeClient, *, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._kube = kube
        self._monotonic = monotonic
        self._listing = asyncio.Lock()
        self._taken_at = float("-inf")
        self._listed: dict[str, Reading] = {}

    async def readings(self, asker: JobResource) -> Sequence[Reading]:
        """The jobs as they stood not long ago, `asker` among them. Raises KubernetesError."""
        if self._store.sees_all:
            return self._store.readings(Kind.JOB)
        async with self._listing:
            if asker.uid not in self._listed or self._monotonic() - self._taken_at > SHARED_SECONDS:
                await self._take()
            return tuple(self._listed.values())

    async def _take(self) -> None:
        begun, found = self._monotonic(), dict[str, Reading]()
        for namespace in self._store.scopes:
            listed, _ = await self._kube.list_each(DISPERSED_JOBS, self._store.listed_job, namespace=namespace)
            found.update((reading.uid, reading) for reading in listed)
        self._listed, self._taken_at = found, begun
