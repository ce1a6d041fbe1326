"""The life and end of finalizers, preconditions, watches, controllers: on the real API server and the simulation's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dispersed_operator import errors
from dispersed_operator.kube.client import DISPERSED_JOBS, NAMESPACES, SECRETS
from dispersed_operator.model.naming import JOB_FINALIZER
from tests.contract.clusters import PATIENCE, Cluster, Json, Seen, add_job, change, path_of, read, version

OTHER = "example.com/other"


async def delete(cluster: Cluster, name: str = "train", **preconditions: Any) -> Json:
    return await cluster.kube.delete(DISPERSED_JOBS, namespace=cluster.namespace, name=name, **preconditions)


async def is_gone(cluster: Cluster, name: str = "train") -> bool:
    try:
        await read(cluster, name)
    except errors.KubernetesNotFound:
        return True
    return False


async def test_without_finalizers_a_deletion_is_at_once(cluster: Cluster) -> None:
    created = await add_job(cluster)
    answer = await delete(cluster)
    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    assert answer["details"]["uid"] == created["metadata"]["uid"]
    assert await is_gone(cluster)


async def test_with_finalizers_an_object_stays_until_the_last_one_goes(cluster: Cluster) -> None:
    created = await add_job(cluster, finalizers=[JOB_FINALIZER, OTHER])
    marked = (await delete(cluster))["metadata"]
    assert marked["deletionTimestamp"]
    assert (marked["deletionGracePeriodSeconds"], marked["generation"]) == (0, 2)
    assert int(marked["resourceVersion"]) > int(version(created))
    assert (await delete(cluster))["metadata"]["resourceVersion"] == marked["resourceVersion"]
    one = await change(cluster, {"metadata": {"finalizers": [OTHER]}})
    assert await read(cluster) == one
    last = await change(cluster, {"metadata": {"finalizers": None}})
    assert version(last) == version(one)
    assert "finalizers" not in last["metadata"]
    assert await is_gone(cluster)


async def test_no_finalizer_is_added_to_a_deleting_object(cluster: Cluster) -> None:
    await add_job(cluster, finalizers=[OTHER, "example.com/second"])
    await delete(cluster)
    deleting = await read(cluster)
    for finalizers in ([OTHER, "example.com/second", JOB_FINALIZER], [JOB_FINALIZER]):
        with pytest.raises(errors.KubernetesInvalid) as caught:
            await change(cluster, {"metadata": {"finalizers": finalizers}})
        assert (caught.value.status, caught.value.reason) == (422, "Invalid")
    assert await read(cluster) == deleting
    turned = await change(cluster, {"metadata": {"finalizers": ["example.com/second", OTHER]}})
    assert turned["metadata"]["finalizers"] == ["example.com/second", OTHER]


async def test_a_deletion_is_not_taken_back(cluster: Cluster) -> None:
    await add_job(cluster, finalizers=[OTHER])
    await delete(cluster)
    deleting = await read(cluster)
    assert await change(cluster, {"metadata": {"deletionTimestamp": None}}) == deleting


async def test_a_deleting_object_can_still_be_written(cluster: Cluster) -> None:
    await add_job(cluster, finalizers=[OTHER])
    await delete(cluster)
    edited = await change(cluster, {"spec": {"deadlines": {"runSeconds": 120}}, "metadata": {"labels": {"a": "b"}}})
    assert edited["metadata"]["generation"] == 3
    told = await change(cluster, {"status": {"phase": "Stopping"}, "metadata": {"finalizers": []}}, status=True)
    assert told["metadata"]["finalizers"] == [OTHER]
    with pytest.raises(errors.KubernetesConflict):
        await add_job(cluster)


@pytest.mark.parametrize("stays", [False, True], ids=["plain", "finalizer"])
async def test_a_deletion_meant_for_another_object_does_nothing(cluster: Cluster, stays: bool) -> None:
    created = await add_job(cluster, finalizers=[OTHER] if stays else [])
    with pytest.raises(errors.KubernetesConflict) as caught:
        await delete(cluster, uid="another")
    assert caught.value.reason == "Conflict"
    newer = await change(cluster, {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(errors.KubernetesConflict):
        await delete(cluster, resource_version=version(created))
    assert await read(cluster) == newer
    await delete(cluster, uid=created["metadata"]["uid"], resource_version=version(newer))
    assert await is_gone(cluster) is not stays


async def test_a_recreated_object_is_another_one(cluster: Cluster) -> None:
    first = await add_job(cluster)
    await delete(cluster)
    second = await add_job(cluster)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    with pytest.raises(errors.KubernetesInvalid):
        await change(cluster, {"metadata": {"uid": first["metadata"]["uid"], "labels": {"a": "b"}}})
    with pytest.raises(errors.KubernetesConflict):
        await delete(cluster, uid=first["metadata"]["uid"])
    with pytest.raises(errors.KubernetesConflict):
        await change(cluster, {"metadata": {"resourceVersion": version(first)}})


async def test_a_secret_ends_by_its_finalizers_too(cluster: Cluster) -> None:
    body = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s", "finalizers": [OTHER]}}
    await cluster.kube.create(SECRETS, namespace=cluster.namespace, body=body)
    await cluster.kube.delete(SECRETS, namespace=cluster.namespace, name="s")
    deleting = await read(cluster, "s", res=SECRETS)
    assert deleting["metadata"]["deletionTimestamp"]
    with pytest.raises(errors.KubernetesInvalid):
        await change(cluster, {"metadata": {"finalizers": [OTHER, JOB_FINALIZER]}}, name="s", res=SECRETS)
    await change(cluster, {"metadata": {"finalizers": None}}, name="s", res=SECRETS)
    with pytest.raises(errors.KubernetesNotFound):
        await read(cluster, "s", res=SECRETS)


# Watches.


def told(events: list[Seen]) -> list[tuple[str, str]]:
    return [(event.type, event.body["metadata"]["name"]) for event in events]


async def test_a_watch_tells_every_change_once_in_order_with_the_body_of_its_version(cluster: Cluster) -> None:
    before = await add_job(cluster, "before")
    written = [await add_job(cluster), await change(cluster, {"metadata": {"labels": {"a": "b"}}})]
    await change(cluster, {"metadata": {"labels": {"a": "b"}}})
    written.append(await change(cluster, {"status": {"phase": "Running"}}, status=True))
    written.append(await add_job(cluster, "after"))
    events = await cluster.watch(DISPERSED_JOBS, after=version(before), until=version(written[-1]))
    assert told(events) == [("ADDED", "train"), ("MODIFIED", "train"), ("MODIFIED", "train"), ("ADDED", "after")]
    assert [event.body for event in events] == written


async def test_a_deletion_is_told_with_the_last_stored_body_and_a_version_of_its_own(cluster: Cluster) -> None:
    await add_job(cluster, finalizers=[OTHER])
    await delete(cluster)
    deleting = await read(cluster)
    last = await change(cluster, {"metadata": {"finalizers": None, "labels": {"never": "stored"}}})
    again = await add_job(cluster)
    events = await cluster.watch(DISPERSED_JOBS, after=version(deleting), until=version(again))
    assert told(events) == [("DELETED", "train"), ("ADDED", "train")]
    gone = events[0].body
    assert int(version(last)) < int(version(gone)) < int(version(again))
    assert gone["metadata"] == deleting["metadata"] | {"resourceVersion": version(gone)}


async def test_a_deletion_at_once_is_told_as_it_was_with_a_version_of_its_own(cluster: Cluster) -> None:
    created = await add_job(cluster)
    await delete(cluster)
    again = await add_job(cluster)
    events = await cluster.watch(DISPERSED_JOBS, after=version(created), until=version(again))
    assert told(events) == [("DELETED", "train"), ("ADDED", "train")]
    assert version(created) < version(events[0].body) < version(again)
    assert "deletionTimestamp" not in events[0].body["metadata"]


# Controllers.


async def settled(cluster: Cluster, path: str) -> None:
    """Wait until the path answers 404."""
    async with asyncio.timeout(PATIENCE):
        while (await cluster.ask("GET", path))[0] != 404:
            await cluster.run_controllers()
            await asyncio.sleep(0.02)


async def test_what_is_owned_goes_with_its_owner(cluster: Cluster) -> None:
    owner = await add_job(cluster)
    reference = {name: owner[name] for name in ("apiVersion", "kind")}
    reference |= {name: owner["metadata"][name] for name in ("name", "uid")}
    for name, owners in (("owned", [reference]), ("free", [])):
        secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name, "ownerReferences": owners}}
        await cluster.kube.create(SECRETS, namespace=cluster.namespace, body=secret)
    await cluster.run_controllers()
    assert (await read(cluster, "owned", res=SECRETS))["metadata"]["ownerReferences"] == [reference]
    await delete(cluster)
    await settled(cluster, path_of(cluster, SECRETS, "owned"))
    assert await read(cluster, "free", res=SECRETS)


async def test_a_namespace_waits_for_the_finalizers_within_it_and_takes_nothing_new(cluster: Cluster) -> None:
    await add_job(cluster, finalizers=[OTHER])
    await add_job(cluster, "plain")
    await cluster.kube.delete(NAMESPACES, namespace=None, name=cluster.namespace)
    with pytest.raises(errors.KubernetesForbidden) as caught:
        await add_job(cluster, "late")
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
    await settled(cluster, path_of(cluster, name="plain"))
    async with asyncio.timeout(PATIENCE):
        while "deletionTimestamp" not in (await read(cluster))["metadata"]:
            await cluster.run_controllers()
    await change(cluster, {"metadata": {"finalizers": None}})
    await settled(cluster, NAMESPACES.path(name=cluster.namespace))
