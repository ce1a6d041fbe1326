"""Resync: when the barrier falls, what a failure does, and when the process must end."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import pytest
from aiohttp import web

from dispersed_operator.errors import KubernetesServerError, StateLost
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resync import Resync
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.store import Changes, ResourceStore
from tests.unit.kube.scripted import client_of, failure, ok

JOB = ResourceKey(Kind.JOB, "team", "train")
MISSING = web.Response(status=404, text="404 page not found\n")


def listing(version: int, *names: str) -> web.Response:
    items = [
        {"kind": "DispersedJob", "metadata": {"namespace": "team", "name": name, "uid": name, "resourceVersion": "5"}}
        for name in names
    ]
    return ok({"metadata": {"resourceVersion": str(version)}, "items": items})


class Fixture:
    def __init__(self, client: KubeClient, **options: Any) -> None:
        self.now = 100.0
        self.reported: list[frozenset[ResourceKey]] = []
        self.store = ResourceStore(namespaces=options.get("namespaces"))
        self.resync = Resync(
            client,
            self.store,
            on_changes=self.reported.append,
            monotonic=lambda: self.now,
            random=lambda: 0.0,
            **options,
        )


async def until_done(task: asyncio.Task[None], condition: asyncio.Event) -> None:
    """Wait for the condition, but not past the end of the task that is to bring it about."""
    waiter = asyncio.create_task(condition.wait())
    await asyncio.wait([task, waiter], return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    with suppress(asyncio.CancelledError):
        await waiter


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def serving(*answers: web.Response) -> AbstractAsyncContextManager[tuple[KubeClient, Any]]:
    return client_of(*answers)


async def test_the_barrier_falls_after_the_first_listing_of_all_kinds() -> None:
    async with serving(listing(9, "train"), listing(9)) as (client, _):
        it = Fixture(client)
        assert not it.resync.barrier.is_set()
        changes = await it.resync.list_once()
    assert it.resync.barrier.is_set()
    assert changes == Changes(changed=frozenset([JOB]), vanished=frozenset())
    assert it.reported == [{JOB}]
    assert it.store.synced(Kind.JOB)
    assert it.store.synced(Kind.ACCOUNT)


async def test_the_barrier_stays_while_one_kind_cannot_be_listed() -> None:
    async with serving(listing(9, "train"), MISSING) as (client, _):
        it = Fixture(client)
        with pytest.raises(KubernetesServerError):
            await it.resync.list_once()
    assert not it.resync.barrier.is_set()
    assert it.resync.age() == float("inf")
    assert it.reported == [{JOB}], "what was listed counts all the same"


async def test_listing_goes_on_until_a_missing_crd_is_there() -> None:
    async with serving(MISSING, listing(9), listing(9)) as (client, script):
        it = Fixture(client)
        task = asyncio.create_task(it.resync.run())
        await until_done(task, it.resync.barrier)
        assert it.resync.barrier.is_set()
        assert len(script.requests) == 3
        await end(task)


async def test_a_lost_deletion_is_found_by_the_next_listing() -> None:
    async with serving(listing(9, "train"), listing(9), listing(12), listing(12)) as (client, _):
        it = Fixture(client)
        await it.resync.list_once()
        changes = await it.resync.list_once()
    assert changes == Changes(changed=frozenset(), vanished=frozenset([JOB]))
    assert it.reported == [{JOB}, {JOB}]
    assert it.store.get(JOB) is None


@pytest.mark.failure_mode(69)
async def test_a_listing_older_than_what_was_seen_ends_the_loop() -> None:
    async with serving(listing(9), listing(9), listing(8)) as (client, _):
        it = Fixture(client, interval=0.0)
        with pytest.raises(StateLost):
            await it.resync.run()


async def test_what_arrives_while_a_listing_runs_is_neither_swept_nor_a_lost_state() -> None:
    async with client_of(listing(9)) as (client, script):
        it = Fixture(client, kinds=[Kind.JOB])
        newer = {"metadata": {"namespace": "team", "name": "train", "uid": "u", "resourceVersion": "12"}}

        async def meanwhile(_: web.Request) -> web.Response:
            it.store.put(JOB, newer)
            return listing(9)

        script.answers[:] = [meanwhile]
        changes = await it.resync.list_once()
    assert (changes.changed, changes.vanished) == (frozenset(), frozenset())
    assert it.store.version(JOB) == 12


async def test_the_age_counts_from_the_last_complete_listing() -> None:
    async with serving(listing(9), listing(9), failure(403, "Forbidden")) as (client, _):
        it = Fixture(client)
        await it.resync.list_once()
        it.now += 30
        assert it.resync.age() == 30
        with pytest.raises(Exception, match="403"):
            await it.resync.list_once()
        assert it.resync.age() == 30


async def test_with_namespaces_only_these_are_listed() -> None:
    async with serving(listing(9)) as (client, script):
        it = Fixture(client, kinds=[Kind.JOB], namespaces=["lab", "team"])
        await it.resync.list_once()
    paths = [request.split("?")[0] for request in script.requests]
    prefix = "GET /apis/dispersed.dev/v1alpha1/namespaces"
    assert paths == [f"{prefix}/lab/dispersedjobs", f"{prefix}/team/dispersedjobs"]
    assert it.store.synced(Kind.JOB)
