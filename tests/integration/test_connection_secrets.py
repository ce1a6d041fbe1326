"""Connection Secrets on a real API server: ours are kept right, and nobody else's is ever touched."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.connection import SECRET_TYPE, ConnectionSecrets
from dispersed_operator.errors import KubernetesNotFound
from dispersed_operator.kube.client import SECRETS, KubeClient
from dispersed_operator.model.observed import JobResource, parse_job
from dispersed_operator.planning.vocabulary import SecretState
from tests.integration.kube.harness import client_for, create_job, new_namespace

Json = dict[str, Any]

NAME = "train-connection"
DATA = {"web.url": "https://node.example.net:31080", "token": "one"}
NEWER = {"web.url": "https://node.example.net:31999"}


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    return new_namespace(control_plane)


@pytest.fixture
async def kube(control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    async with client_for(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture
async def resource(kube: KubeClient, namespace: str) -> JobResource:
    return parse_job(await create_job(kube, namespace))


@pytest.fixture
def secrets(kube: KubeClient) -> ConnectionSecrets:
    return ConnectionSecrets(kube)


def _owner(name: str, uid: str, *, kind: str = "DispersedJob", version: str = "v1alpha1") -> Json:
    return {"apiVersion": f"dispersed.dev/{version}", "kind": kind, "name": name, "uid": uid}


def _earlier(name: str = "train", kind: str = "DispersedJob") -> Json:
    """An owner that is gone, of a version that the garbage collector cannot look up: it leaves the Secret alone."""
    return _owner(name, "00000000-0000-4000-8000-000000000001", kind=kind, version="v0")


async def _create(kube: KubeClient, namespace: str, *owners: Json, kind: str = SECRET_TYPE) -> Json:
    metadata = {"name": NAME, "ownerReferences": list(owners)}
    body = {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "data": {"old": "b2xk"}}
    return await kube.create(SECRETS, namespace=namespace, body=body)


async def _stored(kube: KubeClient, namespace: str) -> Json:
    return await kube.get(SECRETS, namespace=namespace, name=NAME)


def _data(secret: Json) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


async def test_a_new_secret_belongs_to_its_resource(
    secrets: ConnectionSecrets, resource: JobResource, kube: KubeClient, namespace: str
) -> None:
    """The owner reference is what makes the Secret go with the resource."""
    assert await secrets.apply(resource, NAME, DATA) is SecretState.WRITTEN
    stored = await _stored(kube, namespace)
    assert (stored["type"], _data(stored)) == (SECRET_TYPE, DATA)
    assert [owner["uid"] for owner in stored["metadata"]["ownerReferences"]] == [resource.uid]


async def test_our_own_secret_is_updated_in_place_and_written_only_if_it_differs(
    secrets: ConnectionSecrets, resource: JobResource, kube: KubeClient, namespace: str
) -> None:
    """A key of an earlier run must not stay beside the new ones, and an equal Secret must not wake its readers."""
    await secrets.apply(resource, NAME, DATA)
    first = await _stored(kube, namespace)
    assert await secrets.apply(resource, NAME, DATA) is SecretState.WRITTEN
    assert await _stored(kube, namespace) == first
    assert await secrets.apply(resource, NAME, NEWER) is SecretState.WRITTEN
    changed = await _stored(kube, namespace)
    assert _data(changed) == NEWER
    assert changed["metadata"]["uid"] == first["metadata"]["uid"]


@pytest.mark.parametrize(
    ("kind", "owners"),
    [
        pytest.param("Opaque", [], id="a person's"),
        pytest.param(SECRET_TYPE, [], id="our type without an owner"),
        pytest.param("Opaque", [_earlier()], id="another type"),
        pytest.param(SECRET_TYPE, [_earlier("another")], id="of another job"),
        pytest.param(SECRET_TYPE, [_earlier(kind="Other")], id="of another kind"),
        pytest.param(SECRET_TYPE, [_earlier(), _earlier("another") | {"uid": "2"}], id="shared with another job"),
    ],
)
@pytest.mark.reason("ConnectionSecretConflict")
async def test_a_secret_of_somebody_else_is_a_conflict_and_stays_as_it_is(
    kind: str, owners: list[Json], secrets: ConnectionSecrets, resource: JobResource, kube: KubeClient
) -> None:
    """Overwriting or removing what a person or another job put there would destroy their data."""
    namespace = resource.key.namespace
    foreign = await _create(kube, namespace, *owners, kind=kind)
    assert await secrets.apply(resource, NAME, DATA) is SecretState.CONFLICT
    assert await _stored(kube, namespace) == foreign
    await secrets.delete(resource, NAME)
    assert await _stored(kube, namespace) == foreign


async def test_a_secret_that_an_earlier_object_of_this_name_left_is_replaced(
    secrets: ConnectionSecrets, resource: JobResource, kube: KubeClient, namespace: str
) -> None:
    """A job that is deleted and created anew is faster than the garbage collector; it must not wait for a person."""
    left = await _create(kube, namespace, _earlier())
    assert await secrets.apply(resource, NAME, DATA) is SecretState.WRITTEN
    stored = await _stored(kube, namespace)
    assert stored["metadata"]["uid"] != left["metadata"]["uid"]
    assert _data(stored) == DATA
    assert [owner["uid"] for owner in stored["metadata"]["ownerReferences"]] == [resource.uid]


async def test_a_delete_removes_our_own_secret_and_none_of_an_earlier_object(
    secrets: ConnectionSecrets, resource: JobResource, kube: KubeClient, namespace: str
) -> None:
    """What an earlier object left is the garbage collector's; a Secret that is gone already is no error."""
    left = await _create(kube, namespace, _earlier())
    await secrets.delete(resource, NAME)
    assert await _stored(kube, namespace) == left
    await secrets.apply(resource, NAME, DATA)
    for _ in range(2):
        await secrets.delete(resource, NAME)
        with pytest.raises(KubernetesNotFound):
            await _stored(kube, namespace)
