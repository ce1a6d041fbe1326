"""The preflight's look at the cluster: API server, identity, kinds, rights, namespaces.

Why it exists: apart from `planning.preflight`, which judges, and from the command, which prints. Invariant: nothing is
written; the two reviews that are posted are questions, which the API server answers and does not store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dispersed_operator.config import Settings
from dispersed_operator.errors import KubernetesError, KubernetesForbidden, KubernetesNotFound
from dispersed_operator.kube.client import NAMESPACES, KubeClient
from dispersed_operator.kube.resources import ACCESS_REVIEWS, SELF_REVIEWS
from dispersed_operator.model.base import GROUP, VERSION
from dispersed_operator.model.rights import ScopedRight, needed_rights
from dispersed_operator.planning.preflight import (
    Line,
    cluster_id_line,
    kind_line,
    namespace_line,
    orphan_policy_line,
    rights_lines,
    rights_unknown_line,
    version_line,
    warn,
)
from dispersed_operator.planning.served import needed_kinds, served_kinds

AT_ONCE = 8
FIRST_ANSWER_SECONDS = 5.0


async def server_version(kube: KubeClient) -> str:
    """What the API server calls itself. Raises KubernetesError."""
    return str((await kube.document("/version", deadline=FIRST_ANSWER_SECONDS)).get("gitVersion") or "")


async def cluster_lines(kube: KubeClient, settings: Settings, version: str) -> tuple[Line, ...]:
    """Everything about the cluster, whose API server answered with this version."""
    needed = needed_rights(
        settings.namespaces, election_in=settings.operator_namespace if settings.leader_elect else None
    )
    kinds = await _kinds(kube, settings)
    try:
        user, granted = await _user(kube), await _granted(kube, needed)
        rights = rights_lines(user, needed, granted)
    except KubernetesError as error:
        granted, rights = frozenset(), (rights_unknown_line(str(error)),)
    return (
        version_line(version),
        await _identity(kube, settings),
        *kinds,
        *rights,
        *await _namespaces(kube, settings, {item.namespace for item in granted}),
        orphan_policy_line(settings.orphan_policy, namespaced=bool(settings.namespaces)),
    )


async def _identity(kube: KubeClient, settings: Settings) -> Line:
    found, error = None, ""
    if settings.cluster_id is None:
        try:
            found = str((await kube.get(NAMESPACES, namespace=None, name="kube-system"))["metadata"]["uid"])
        except KubernetesError as raised:
            error = str(raised)
    return cluster_id_line(
        configured=settings.cluster_id, found=found, error=error, namespaced=bool(settings.namespaces)
    )


async def _kinds(kube: KubeClient, settings: Settings) -> tuple[Line, ...]:
    document: Mapping[str, Any] = {}
    try:
        document = await kube.document(f"/openapi/v3/apis/{GROUP}/{VERSION}")
    except KubernetesError as error:
        if error.status != 404:  # which says that the group is not served at all
            return (warn("kinds", f"they could not be looked at ({error})", "bind system:discovery to this user"),)
    return tuple(kind_line(kind) for kind in served_kinds(document, needed_kinds(settings.namespaces)))


async def _granted(kube: KubeClient, needed: Sequence[ScopedRight]) -> frozenset[ScopedRight]:
    slots = asyncio.Semaphore(AT_ONCE)
    answers = await asyncio.gather(*(_may(kube, item, slots) for item in needed))
    return frozenset(item for item, allowed in zip(needed, answers, strict=True) if allowed)


async def _user(kube: KubeClient) -> str:
    answer = await kube.create(
        SELF_REVIEWS, namespace=None, body={"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    )
    return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "this user")


async def _may(kube: KubeClient, asked: ScopedRight, slots: asyncio.Semaphore) -> bool:
    right = asked.right
    attributes = {
        "group": right.group,
        "resource": right.resource,
        "subresource": right.subresource,
        "verb": right.verb,
        "namespace": asked.namespace or "",
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    async with slots:
        answer = await kube.create(ACCESS_REVIEWS, namespace=None, body=review)
    return (answer.get("status") or {}).get("allowed") is True


async def _namespaces(kube: KubeClient, settings: Settings, granted: Collection[str | None]) -> list[Line]:
    """Those that are served; else that of the Secrets of ClusterDispersedAccounts."""
    wanted = dict.fromkeys(settings.namespaces, "served")
    if not wanted:
        wanted = {settings.operator_namespace: "has the Secrets of ClusterDispersedAccounts"}
    return [
        namespace_line(name, role, exists=await _exists(kube, name), granted=name in granted)
        for name, role in wanted.items()
    ]


async def _exists(kube: KubeClient, name: str) -> bool | None:
    """Whether there is such a namespace; None if it may not be read."""
    try:
        await kube.get(NAMESPACES, namespace=None, name=name)
    except KubernetesNotFound:
        return False
    except KubernetesForbidden:
        return None
    return True
