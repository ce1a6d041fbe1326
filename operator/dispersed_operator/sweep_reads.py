"""What a sweep reads, in its order: the remote jobs, the DispersedOrphans, and then the resources.

The resources of thousands of jobs are the dearest of the three, and nearly always they only confirm what is known. So
they are listed where that can matter. If each live job of this cluster's make is recorded in the store, and the API
server counts as many resources as the store holds, no rule makes a suspect of any, and the store's word will do.

Invariant: whatever makes a suspect, or opens or closes a DispersedOrphan, comes from a LIST by quorum that began after
the remote rows were read, never from the store (protocol, Sweep; ADR 0012 has the argument). The API server going back
in time is `StateLost`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from dispersed_operator.accounts import AccountSession
from dispersed_operator.errors import StateLost
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model.keys import Kind
from dispersed_operator.model.reading import Reading
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.orphans import Orphan, Orphans
from dispersed_operator.planning.sweep_bodies import all_claimed, concerned
from dispersed_operator.remote.live import dated_live_jobs
from dispersed_operator.store import ResourceStore, parse_version


class SweepReads:
    """The reads of all sweeps of an installation. `namespaces` None: the whole cluster."""

    def __init__(
        self,
        *,
        kube: KubeClient,
        store: ResourceStore,
        orphans: Orphans,
        cluster_id: str,
        namespaces: Collection[str] | None,
    ) -> None:
        self._kube = kube
        self._store = store
        self._orphans = orphans
        self._cluster_id = cluster_id
        self._namespaces: tuple[str | None, ...] = (None,) if namespaces is None else tuple(namespaces)
        self._listing = asyncio.Lock()  # one LIST of all resources in memory at a time

    async def live_jobs(self, session: AccountSession) -> tuple[tuple[RemoteJob, ...], int]:
        """The live remote jobs and the service's time in epoch seconds. Raises RemoteError."""
        return await dated_live_jobs(session.client)

    async def all_jobs(self, session: AccountSession, *, now: float) -> tuple[tuple[RemoteJob, ...], int]:
        """All remote jobs: a status that is not known may be alive (failure mode 47). `now` is monotonic. Raises
        RemoteError."""
        listing = await session.listings.get(since=0, begun_after=now)
        return listing.rows, listing.server_date

    async def objects(self) -> Mapping[str, Orphan]:
        """The DispersedOrphans by name; none where they cannot be read for lack of rights. Raises KubernetesError."""
        if not self._orphans.cluster_wide:
            return {}
        return (await self._orphans.list())[0]

    async def resources(self, rows: Collection[RemoteJob], *, thorough: bool) -> list[Reading]:
        """The resources that concern these rows. Listed by quorum if `thorough`, or if anything could be found.

        Raises KubernetesError, and StateLost if the API server is behind what it has shown.
        """
        async with self._listing:
            # Asked again after the count: what the store has learnt meanwhile must not make a suspect without a LIST.
            if not thorough and self._all_claimed(rows) and await self._is_complete() and self._all_claimed(rows):
                keys = {key for row in rows for key in self._store.by_uuid(row.uuid)}
                return [reading for reading in self._store.readings(Kind.JOB) if reading.key in keys]
            return await self._listed(rows)

    def _all_claimed(self, rows: Collection[RemoteJob]) -> bool:
        return all_claimed(rows, self._store.by_uuid, self._cluster_id)

    async def _is_complete(self) -> bool:
        """Whether the API server counts as many resources as the store holds. A deletion that the watch missed shows
        here at once; the own LIST finds whatever this overlooks."""
        if not self._store.sees_all:
            return False
        for namespace in self._namespaces:
            floor = self._store.highest_version(Kind.JOB)
            amount, version = await self._kube.count(DISPERSED_JOBS, namespace=namespace)
            _check_time(version, floor)
            if amount != self._store.amount(Kind.JOB, namespace):
                return False
        return True

    async def _listed(self, rows: Collection[RemoteJob]) -> list[Reading]:
        found, read = list[Reading](), concerned(rows, self._store.listed_job)
        for namespace in self._namespaces:
            floor = self._store.highest_version(Kind.JOB)
            items, version = await self._kube.list_each(DISPERSED_JOBS, read, namespace=namespace)
            _check_time(version, floor)
            found += items
        return found


def _check_time(version: str, floor: int) -> None:
    if parse_version(version) < floor:
        raise StateLost("the API server listed DispersedJob at a version older than one it had shown before")
