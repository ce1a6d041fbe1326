"""What the reaper may ask a cluster, where there still is one: who owns what, and which jobs a person wants kept.

Why it exists: a title holds digests only, so "the jobs of a namespace" and "the jobs to keep" are known to the API
server alone. Invariant: what cannot be read is an error; nothing is reaped on half an answer.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dispersed_operator.config import Settings
from dispersed_operator.errors import KubernetesError, OperatorError
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.credentials import find_credentials
from dispersed_operator.kube.resources import DISPERSED_JOBS, DISPERSED_ORPHANS, NAMESPACES
from dispersed_operator.model.naming import Identity
from dispersed_operator.model.observed import parse_job
from dispersed_operator.model.orphan import SPARING
from dispersed_operator.orphans import parse_orphan
from dispersed_operator.planning.identity import cancel_identities

IDENTITY_NAMESPACE = "kube-system"


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """`cluster_id` is None where it was not needed; `owners` are the resources of the namespace that was named, None
    if none was; the rest are names of DispersedOrphans."""

    cluster_id: str | None
    owners: tuple[Identity, ...] | None
    left_behind: frozenset[str]
    kept: frozenset[str]


async def read_cluster(settings: Settings, *, cluster_id: str | None, namespace: str | None) -> ClusterFacts:
    """Ask the API server for what the flags need. Raises OperatorError that says what could not be read."""
    proxy = settings.kube_proxy.get_secret_value() if settings.kube_proxy is not None else None
    found = find_credentials(kubeconfig=settings.kubeconfig, context=settings.context, proxy=proxy)
    async with KubeClient(await found.configuration(), random=random.random) as kube:
        try:
            orphans, _ = await kube.list_all(DISPERSED_ORPHANS)
            if namespace is None:
                return ClusterFacts(cluster_id, None, frozenset(), _kept(orphans))
            identity = cluster_id or await _identity_of(kube)
            jobs, _ = await kube.list_all(DISPERSED_JOBS, namespace=namespace)
        except KubernetesError as error:
            raise OperatorError(
                f"the cluster did not say what is wanted or kept, so nothing is reaped: {error}"
            ) from None
    resources = (parse_job(body) for body in jobs)
    owners = tuple(known for resource in resources for known in cancel_identities(resource, identity))
    left = frozenset(str(body["metadata"]["name"]) for body in orphans if _namespace_of(body) == namespace)
    return ClusterFacts(identity, owners, left, _kept(orphans))


async def _identity_of(kube: KubeClient) -> str:
    body = await kube.get(NAMESPACES, namespace=None, name=IDENTITY_NAMESPACE)
    return str(body["metadata"]["uid"])


def _kept(orphans: list[dict[str, Any]]) -> frozenset[str]:
    found = (parse_orphan(body) for body in orphans)
    return frozenset(orphan.name for orphan in found if orphan.decision in SPARING)


def _namespace_of(orphan: Mapping[str, Any]) -> str:
    return str((orphan.get("status") or {}).get("owner") or "").partition("/")[0]
