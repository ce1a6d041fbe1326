"""The store between a real watch, our own writes and our own LIST."""

from __future__ import annotations

import asyncio
import random
import time

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.edge import Sink
from dispersed_operator.kube.client import DISPERSED_JOBS, KubeClient
from dispersed_operator.kube.resync import Resync
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.naming import JOB_FINALIZER
from dispersed_operator.store import ResourceStore, key_of, version_of
from tests.integration.kube.harness import Json, create_job, until, watching

OBJECTS = 10
WRITES = 30


def feed(store: ResourceStore, history: list[tuple[ResourceKey, int]] | None = None) -> Sink:
    def on_body(event_type: str | None, body: Json) -> None:
        key = key_of(body)
        if event_type == "DELETED":
            store.remove(key, body)
        else:
            store.put(key, body)
        if history is not None:
            history.append((key, store.version(key)))

    return on_body


async def test_versions_in_the_store_only_grow_while_watch_and_answers_race(
    control_plane: ControlPlane, client: KubeClient, namespace: str
) -> None:
    store, history = ResourceStore(), list[tuple[ResourceKey, int]]()

    async def write(name: str) -> int:
        body = await create_job(client, namespace, name)
        for number in range(WRITES):
            change = {"metadata": {"labels": {"number": str(number)}}}
            body = await client.patch(DISPERSED_JOBS, namespace=namespace, name=name, body=change)
            store.put(key_of(body), body)
            history.append((key_of(body), store.version(key_of(body))))
        return version_of(body)

    async with watching(control_plane.kubeconfig, namespace, on_body=feed(store, history)) as watcher:
        await until(lambda: watcher.edge.ready)
        names = [f"train-{number}" for number in range(OBJECTS)]
        final = await asyncio.gather(*(write(name) for name in names))
        await until(lambda: len(watcher.events) >= OBJECTS)
    for name, newest in zip(names, final, strict=True):
        key = ResourceKey(Kind.JOB, namespace, name)
        versions = [version for seen, version in history if seen == key]
        assert versions == sorted(versions)
        assert store.version(key) == newest


async def test_the_answer_to_the_removal_of_the_last_finalizer_does_not_bring_the_object_back(
    control_plane: ControlPlane, client: KubeClient, namespace: str
) -> None:
    store = ResourceStore()
    async with watching(control_plane.kubeconfig, namespace, on_body=feed(store)) as watcher:
        await create_job(client, namespace, finalizers=[JOB_FINALIZER])
        await until(lambda: watcher.saw("train"))
        await client.delete(DISPERSED_JOBS, namespace=namespace, name="train")
        change = {"metadata": {"finalizers": None}}
        answer = await client.patch(DISPERSED_JOBS, namespace=namespace, name="train", body=change)
        await until(lambda: watcher.saw("train", "DELETED"))
        assert not store.put(key_of(answer), answer)
        assert store.get(key_of(answer)) is None


def resync_of(client: KubeClient, store: ResourceStore, namespace: str) -> tuple[Resync, list[ResourceKey]]:
    reported: list[ResourceKey] = []
    resync = Resync(
        client,
        store,
        namespaces=[namespace],
        on_changes=reported.extend,
        monotonic=time.monotonic,
        random=random.random,
    )
    return resync, reported


async def test_a_deletion_that_no_event_told_of_is_found_by_listing(client: KubeClient, namespace: str) -> None:
    store = ResourceStore(namespaces=[namespace])
    resync, reported = resync_of(client, store, namespace)
    for name in ("stays", "goes"):
        await create_job(client, namespace, name)
    await resync.list_once()
    await client.delete(DISPERSED_JOBS, namespace=namespace, name="goes")
    await create_job(client, namespace, "comes")
    changes = await resync.list_once()
    assert changes.vanished == {ResourceKey(Kind.JOB, namespace, "goes")}
    assert changes.changed == {ResourceKey(Kind.JOB, namespace, "comes")}
    assert sorted(key.name for key in store.keys(Kind.JOB)) == ["comes", "stays"]
    assert sorted(key.name for key in reported) == ["comes", "goes", "goes", "stays"]


async def test_a_listing_while_objects_come_and_go_never_takes_a_live_one_away(
    client: KubeClient, namespace: str
) -> None:
    store = ResourceStore(namespaces=[namespace])
    resync, _ = resync_of(client, store, namespace)

    async def churn(name: str) -> None:
        for _ in range(5):
            body = await create_job(client, namespace, name)
            store.put(key_of(body), body)
            await client.delete(DISPERSED_JOBS, namespace=namespace, name=name)
        body = await create_job(client, namespace, name)
        store.put(key_of(body), body)

    names = [f"train-{number}" for number in range(8)]
    churning = asyncio.gather(*(churn(name) for name in names))
    while not churning.done():
        await resync.list_once()
    await churning
    assert {key.name for key in store.keys(Kind.JOB)} == set(names)
    await resync.list_once()
    for name in names:
        body = await client.get(DISPERSED_JOBS, namespace=namespace, name=name)
        assert store.version(key_of(body)) == version_of(body)
