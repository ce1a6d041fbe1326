"""The operator's queue: whose a resource is, and how many workers its account may have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from dispersed_operator.accounts import AccountBook
from dispersed_operator.composition import wake_jobs, wake_waiting_jobs, work_queue
from dispersed_operator.errors import RateLimited
from dispersed_operator.intents import SlotsTaken, reserve
from dispersed_operator.model.account_names import CLUSTER_DEFAULT
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.remote.limiter import CALLERS_PER_SLOT, Limiter
from dispersed_operator.remote.transport import build_http_client
from dispersed_operator.store import ResourceStore
from dispersed_operator.workqueue import WorkQueue
from tests.support.sessions import open_session

WORKERS = 128
BURST = 200
OWN = ResourceKey(Kind.ACCOUNT, "team-a", "default")
Body = dict[str, Any]


class Waits:
    """A clock whose timers are noted and never come."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def call_later(self, seconds: float, _: Callable[[], None]) -> Waits:
        self.seconds.append(seconds)
        return self

    def cancel(self) -> None:
        """It would not have come anyway."""


class Cluster:
    """What the store holds, and the queue on it."""

    def __init__(self) -> None:
        self.store = ResourceStore()
        self.book = AccountBook(
            windows_for=lambda _: ProofWindows(), exists=lambda key: self.store.get(key) is not None
        )
        self.queue: WorkQueue[ResourceKey] = work_queue(workers=WORKERS, store=self.store, book=self.book)
        self._version = 0

    def put(self, key: ResourceKey, *, status: Body | None = None, **metadata: Any) -> ResourceKey:
        """The resource appears or changes."""
        self._version += 1
        names = {"namespace": key.namespace, "name": key.name, "uid": f"uid-of-{key}"}
        body: Body = {"kind": key.kind, "metadata": names | {"resourceVersion": str(self._version)} | metadata}
        self.store.put(key, body | {"spec": {}, "status": status or {}})
        self.queue.add(key)
        return key

    def burst(self, namespace: str) -> None:
        """Many new jobs at once."""
        for number in range(BURST):
            self.put(job(namespace, f"new-{number}"))

    async def served(self, count: int) -> list[ResourceKey]:
        """What one worker after the other serves."""
        keys = []
        for _ in range(count):
            keys.append(await self.queue.get())
            self.queue.done(keys[-1])
        return keys

    async def held(self) -> list[ResourceKey]:
        """What workers take that never come to an end."""
        workers = [asyncio.create_task(self.queue.get()) for _ in range(WORKERS)]
        for _ in range(4 * WORKERS):
            await asyncio.sleep(0)
        taken = [worker.result() for worker in workers if worker.done()]
        for worker in workers:
            worker.cancel()
        return taken


def job(namespace: str, name: str) -> ResourceKey:
    return ResourceKey(Kind.JOB, namespace, name)


async def test_a_new_job_of_another_namespace_of_a_shared_account_waits_for_one_of_the_burst() -> None:
    cluster = Cluster()
    cluster.put(CLUSTER_DEFAULT)
    cluster.burst("noisy")
    await cluster.served(10)
    late = cluster.put(job("quiet", "late"))
    assert late in await cluster.served(2)


async def test_an_account_does_not_wait_behind_its_own_jobs() -> None:
    """Its key may have been rotated, or it is being deleted; and while it is checked, its jobs wait for it."""
    cluster = Cluster()
    cluster.burst("team-a")
    cluster.put(OWN)
    assert OWN in await cluster.served(2)


@pytest.mark.parametrize(
    "change",
    [{"status": {"jobUUID": "j-1"}}, {"deletionTimestamp": "2026-11-29T10:00:00Z"}],
    ids=["has a job", "is being deleted"],
)
async def test_what_costs_money_or_is_to_end_does_not_wait_behind_new_jobs_of_its_account(change: Body) -> None:
    cluster = Cluster()
    cluster.put(OWN)
    await cluster.served(1)
    cluster.put(job("team-a", "old"))
    cluster.burst("team-a")
    old = cluster.put(job("team-a", "old"), **change)
    assert old in await cluster.served(2)


@pytest.mark.parametrize(("refusals", "workers"), [(0, WORKERS // 4), (3, 4)], ids=["not throttled", "throttled"])
async def test_an_account_gets_two_workers_for_each_slot_that_it_has_left(refusals: int, workers: int) -> None:
    async with build_http_client() as http:
        cluster, session = Cluster(), open_session(http)
        cluster.put(OWN)
        await cluster.served(1)
        cluster.book.open(session)
        for _ in range(refusals):
            session.client.limiter.throttled(0.0)
        cluster.burst("team-a")
        assert len(await cluster.held()) == CALLERS_PER_SLOT * session.client.limiter.allowed == workers


async def test_a_create_that_only_waits_for_other_creates_of_its_account_is_not_told_to_slow_down() -> None:
    async with build_http_client() as http:
        session = open_session(http)
        held = [await reserve(session) for _ in range(session.client.limiter.allowed)]
        with pytest.raises(SlotsTaken):
            await reserve(session, patience=0.0)
        session.client.limiter.throttled(60.0)
        with pytest.raises(RateLimited):
            await reserve(session)
        assert len(held) == session.client.limiter.in_flight


async def test_when_an_account_may_be_listed_only_those_of_its_jobs_are_woken_that_wait_for_something() -> None:
    cluster, held_up = Cluster(), job("team-a", "waits")
    cluster.put(OWN)
    cluster.put(job("team-a", "runs-on"), status={"jobUUID": "j-1"})
    cluster.put(held_up)
    await cluster.served(3)
    wake_waiting_jobs(cluster.store, cluster.queue, OWN)
    assert set(await cluster.held()) == {held_up}


async def test_when_an_account_has_changed_all_its_jobs_are_woken() -> None:
    cluster, jobs = Cluster(), [job("team-a", "runs-on"), job("team-a", "waits")]
    cluster.put(OWN)
    cluster.put(jobs[0], status={"jobUUID": "j-1"})
    cluster.put(jobs[1])
    await cluster.served(3)
    wake_jobs(cluster.store, cluster.queue, OWN)
    assert set(await cluster.held()) == set(jobs)


async def test_a_create_gives_its_worker_back_at_once_while_its_account_pauses_for_long() -> None:
    async with build_http_client() as http:
        session, waits = open_session(http), Waits()
        session.client.limiter = Limiter(call_later=waits.call_later)
        session.client.limiter.throttled(60.0)
        with pytest.raises(RateLimited):
            await reserve(session)
        assert waits.seconds == []
