"""The connection Secret: one per job, owned by it, never somebody else's (resources, Connection Secret).

The owner reference makes the Secret go with the resource; a Secret of that name that we do not own is left alone and
said so.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from dispersed_operator.errors import KubernetesConflict, KubernetesNotFound
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.merge import merge_patch
from dispersed_operator.kube.resources import SECRETS
from dispersed_operator.model.keys import Kind
from dispersed_operator.model.observed import JobResource
from dispersed_operator.planning.vocabulary import SecretState

SECRET_TYPE = "dispersed.dev/connection"  # noqa: S105 - a type
JOB_LABEL = "dispersed.dev/job"


class ConnectionSecrets:
    """Writes and removes connection Secrets."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    async def apply(self, resource: JobResource, name: str, data: Mapping[str, str]) -> SecretState:
        """Create or update the Secret; CONFLICT if one of that name belongs to somebody else."""
        namespace = resource.key.namespace
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        try:
            found = await self._kube.get(SECRETS, namespace=namespace, name=name)
        except KubernetesNotFound:
            return await self._create(resource, name, encoded)
        if found.get("type") != SECRET_TYPE or not _owners(found):
            return SecretState.CONFLICT
        if not _owned_by(found, resource):
            return await self._succeed(resource, name, encoded, found)
        difference = merge_patch(found.get("data") or {}, encoded)
        if difference:
            version = found["metadata"]["resourceVersion"]
            patch = {"metadata": {"resourceVersion": version}, "data": difference}
            await self._kube.patch(SECRETS, namespace=namespace, name=name, body=patch)
        return SecretState.WRITTEN

    async def delete(self, resource: JobResource, name: str) -> None:
        """Remove the Secret if it is ours; one that is gone or somebody else's is left as it is."""
        try:
            found = await self._kube.get(SECRETS, namespace=resource.key.namespace, name=name)
            if _owned_by(found, resource):
                await self._kube.delete(
                    SECRETS, namespace=resource.key.namespace, name=name, uid=found["metadata"]["uid"]
                )
        except KubernetesNotFound:
            return

    async def _succeed(
        self, resource: JobResource, name: str, encoded: Mapping[str, str], found: Mapping[str, Any]
    ) -> SecretState:
        """Take the place of a Secret that an earlier object of this very name left to the garbage collector."""
        earlier = (owner.get("kind") == Kind.JOB and owner.get("name") == resource.key.name for owner in _owners(found))
        if not all(earlier):
            return SecretState.CONFLICT
        metadata = found["metadata"]
        await self._kube.delete(SECRETS, namespace=resource.key.namespace, name=name, uid=metadata["uid"])
        return await self._create(resource, name, encoded)

    async def _create(self, resource: JobResource, name: str, encoded: Mapping[str, str]) -> SecretState:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": SECRET_TYPE,
            "metadata": {
                "name": name,
                "labels": {"app.kubernetes.io/managed-by": "dispersed-operator"},
                "annotations": {JOB_LABEL: resource.key.name},
                "ownerReferences": [_owner(resource)],
            },
            "data": dict(encoded),
        }
        try:
            await self._kube.create(SECRETS, namespace=resource.key.namespace, body=body)
        except KubernetesConflict:
            return SecretState.CONFLICT
        return SecretState.WRITTEN


def _owner(resource: JobResource) -> dict[str, Any]:
    return {
        "apiVersion": "dispersed.dev/v1alpha1",
        "kind": Kind.JOB.value,
        "name": resource.key.name,
        "uid": resource.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _owned_by(secret: Mapping[str, Any], resource: JobResource) -> bool:
    return any(owner.get("uid") == resource.uid for owner in _owners(secret))


def _owners(secret: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return secret["metadata"].get("ownerReferences") or ()
