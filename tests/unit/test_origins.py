"""Does the object live that something was inherited from? Only the API server's answer of now counts."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.census import Census
from dispersed_operator.errors import KubernetesError
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.model import naming
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.naming import Identity
from dispersed_operator.origins import inspect_origin
from dispersed_operator.planning.vocabulary import InspectOrigin
from dispersed_operator.store import ResourceStore
from tests.support.builders import CLUSTER, a_job
from tests.unit.kube.scripted import client_of, failure, ok

ORIGINAL = ResourceKey(Kind.JOB, "team-a", "original")
OTHER = ResourceKey(Kind.JOB, "team-a", "other")
UID = "99999999-0000-4000-8000-000000000000"
TOKEN = naming.create_token(Identity(CLUSTER, "team-a", "original", UID), 2)
HEIR = a_job().resource
GONE = failure(404, "NotFound", name="original", kind="dispersedjobs")


def body(name: str = "original", uid: str = UID, version: int = 7) -> dict[str, Any]:
    metadata = {"namespace": "team-a", "name": name, "uid": uid, "resourceVersion": str(version)}
    return {"kind": "DispersedJob", "metadata": metadata}


def by_uid(name: str = "team-a/original") -> InspectOrigin:
    return InspectOrigin(subject=UID, cluster_id=CLUSTER, uid=UID, namespaced_name=name, attempt=0)


async def lives(action: InspectOrigin, store: ResourceStore, kube: KubeClient) -> bool:
    census = Census(store, kube, monotonic=lambda: 0.0)
    return await inspect_origin(action, HEIR, store=store, census=census, kube=kube)


BY_TOKEN = InspectOrigin(subject=TOKEN, cluster_id=CLUSTER, uid=None, namespaced_name=None, attempt=2)


@pytest.fixture
def store() -> ResourceStore:
    made = ResourceStore()
    made.put(ORIGINAL, body())
    made.put(OTHER, body("other", uid="11111111-0000-4000-8000-000000000000", version=8))
    return made


@pytest.mark.failure_mode(36)
@pytest.mark.parametrize("action", [by_uid(), by_uid("team-a/never-was"), BY_TOKEN], ids=["name", "uid", "token"])
async def test_an_object_that_is_there_now_lives(store: ResourceStore, action: InspectOrigin) -> None:
    async with client_of(ok(body())) as (kube, script):
        assert await lives(action, store, kube)
    assert script.requests[0] == "GET /apis/dispersed.dev/v1alpha1/namespaces/team-a/dispersedjobs/original"


@pytest.mark.failure_mode(19)
@pytest.mark.parametrize("action", [by_uid(), BY_TOKEN], ids=["uid", "token"])
async def test_what_the_store_still_holds_is_not_believed(store: ResourceStore, action: InspectOrigin) -> None:
    async with client_of(GONE) as (kube, _):
        assert not await lives(action, store, kube)
    assert store.get(ORIGINAL) is not None, "the watch tells of its end, and whoever reconciles it must hear of that"


async def test_an_object_that_was_created_anew_under_the_name_is_another_one(store: ResourceStore) -> None:
    anew = body(uid="22222222-0000-4000-8000-000000000000", version=9)
    async with client_of(ok(anew)) as (kube, _):
        assert not await lives(by_uid(), store, kube)
    assert store.put(ORIGINAL, anew), "the watch brings it as something new"


async def test_a_token_that_nobody_derives_needs_no_read(store: ResourceStore) -> None:
    action = InspectOrigin(subject="a" * 12, cluster_id=CLUSTER, uid=None, namespaced_name=None, attempt=1)
    async with client_of(GONE) as (kube, script):
        assert not await lives(action, store, kube)
    assert script.requests == []


async def test_in_a_namespace_that_is_not_served_nothing_is_asked_and_nothing_is_found() -> None:
    async with client_of(failure(403, "Forbidden")) as (kube, script):
        assert not await lives(by_uid("elsewhere/original"), ResourceStore(namespaces=["team-a"]), kube)
    assert script.requests == []


async def test_while_the_api_server_cannot_tell_nothing_is_concluded(store: ResourceStore) -> None:
    async with client_of(failure(403, "Forbidden")) as (kube, _):
        with pytest.raises(KubernetesError):
            await lives(by_uid(), store, kube)
