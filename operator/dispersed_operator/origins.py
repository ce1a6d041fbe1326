"""Does the object live that an inherited intent or record was made for? Asked of the API server, not of the cache.

Store and census say where to look; only a read that begins now counts (protocol, Identity). An object in a namespace
that this installation does not serve cannot be seen, so it is not found alive: the inheritor then waits for a person,
unless it stands in the very place of the other, where two cannot be at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dispersed_operator.census import Census
from dispersed_operator.errors import KubernetesNotFound
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model import naming
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.naming import Identity
from dispersed_operator.model.observed import JobResource
from dispersed_operator.planning.vocabulary import InspectOrigin
from dispersed_operator.store import ResourceStore


async def inspect_origin(
    action: InspectOrigin, asker: JobResource, *, store: ResourceStore, census: Census, kube: KubeClient
) -> bool:
    """Whether the object lives that `asker` inherited from. Raises KubernetesError.

    What is read does not go into the store: whoever reconciles the other object must be told of its changes by the
    watch, which tells only what the store does not know yet.
    """
    near = _places(action, store)
    if await _is_at(near, action, kube):
        return True
    if action.uid is not None and store.sees_all:
        return False  # by its uid the store would have known it
    known = sorted((reading.key, reading.uid) for reading in await census.readings(asker))
    return await _is_at([key for key, uid in known if key not in near and _is_meant(action, key, uid)], action, kube)


async def _is_at(places: Iterable[ResourceKey], action: InspectOrigin, kube: KubeClient) -> bool:
    for key in places:
        try:
            body = await kube.get(DISPERSED_JOBS, namespace=key.namespace, name=key.name)
        except KubernetesNotFound:
            continue
        if _is_meant(action, key, body["metadata"]["uid"]):
            return True
    return False


def _places(action: InspectOrigin, store: ResourceStore) -> list[ResourceKey]:
    """Where the object can be, by its uid or its name; only the token that it derives names no place."""
    if action.uid is None:
        return []
    places = [store.by_uid(action.uid)]
    namespace, _, name = (action.namespaced_name or "").partition("/")
    if name and store.serves(namespace):
        places.append(ResourceKey(Kind.JOB, namespace, name))
    return list(dict.fromkeys(key for key in places if key is not None and key.kind is Kind.JOB))


def _is_meant(action: InspectOrigin, key: ResourceKey, uid: Any) -> bool:
    if action.uid is not None:
        return bool(uid == action.uid)
    identity = Identity(action.cluster_id, key.namespace, key.name, str(uid))
    return naming.create_token(identity, action.attempt) == action.subject
