"""Asking the API server whether a namespace may create with a shared account; the judgement is planning/admission.py.

The labels of a namespace are read by quorum when they are needed, and never watched: they count for the moment of a
create only. What the account allows comes from the store, which the watch keeps current.
"""

from __future__ import annotations

from dispersed_operator.errors import KubernetesNotFound
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import NAMESPACES
from dispersed_operator.model.account import AllowedNamespaces
from dispersed_operator.model.account_names import described
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.admission import Labels, allowed_namespaces, barred, is_allowed
from dispersed_operator.planning.vocabulary import Problem
from dispersed_operator.store import ResourceStore


class Admissions:
    """Which namespaces may use which account. Raises KubernetesError if the API server does not tell."""

    def __init__(self, store: ResourceStore, kube: KubeClient) -> None:
        self._store = store
        self._kube = kube

    async def problem(self, account: ResourceKey, namespace: str) -> Problem | None:
        """Why jobs of this namespace may not be created with this account; None if they may."""
        if account.kind is not Kind.CLUSTER_ACCOUNT:
            return None  # a DispersedAccount is its namespace's own
        body = self._store.get(account)
        if body is None:
            return Problem(Reason.INVALID_REFERENCE, f"the {described(account)} does not exist")
        allowed = allowed_namespaces(body)
        if is_allowed(allowed, namespace, await self._labels(allowed, namespace)):
            return None
        return barred(account, namespace)

    async def may_adopt(self, account: ResourceKey | None, resource: JobResource) -> bool:
        """Whether this account lets this resource adopt jobs."""
        body = self._store.get(account) if account is not None else None
        if account is None or body is None or (body.get("spec") or {}).get("allowAdoption") is not True:
            return False
        return await self.problem(account, resource.key.namespace) is None

    async def _labels(self, allowed: AllowedNamespaces, namespace: str) -> Labels:
        if allowed.selector is None or namespace in allowed.names:
            return {}
        try:
            body = await self._kube.get(NAMESPACES, namespace=None, name=namespace)
        except KubernetesNotFound:
            return {}
        labels: Labels = body["metadata"].get("labels") or {}
        return labels
