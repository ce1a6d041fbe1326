"""Two clusters behind one face: a real kube-apiserver, and the API server in the process.

A test of the contract asks through this face only, so that it can not know which of them it judges.
"""

from __future__ import annotations

import json
import random
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.errors import KubernetesNotFound
from dispersed_operator.kube.client import DISPERSED_JOBS, KubeClient, Resource
from dispersed_operator.kube.resources import DISPERSED_ORPHANS
from tests.integration.crds.objects import job
from tests.integration.kube.harness import client_for, new_namespace
from tests.simulation.apiserver import ApiServer, client_over

Json = dict[str, Any]

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One event of a watch."""

    type: str
    body: Json

    @property
    def version(self) -> int:
        """The resourceVersion of the body."""
        return int(self.body["metadata"]["resourceVersion"])


class Cluster(Protocol):
    """One cluster and a namespace in it that is the test's own."""

    namespace: str
    kube: KubeClient

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = JSON,
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, Json]:
        """A raw request: HTTP status and body; `{}` where the answer is no JSON."""

    async def watch(self, res: Resource, *, after: str, until: str) -> list[Seen]:
        """What a watch of the test's namespace (of the kind, if it has none) tells from one version to another."""

    async def run_controllers(self) -> None:
        """Let the controllers act; on a real cluster they do so by themselves."""


class RealCluster:
    """A kube-apiserver with its controllers."""

    def __init__(self, plane: ControlPlane, kube: KubeClient, http: httpx.AsyncClient) -> None:
        self.namespace = new_namespace(plane)
        self.kube = kube
        self._http = http

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = JSON,
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, Json]:
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        answer = await self._http.request(method, path, content=content, headers=headers, params=query)
        return answer.status_code, without_managed_fields(answer.json()) if answer.text.startswith("{") else {}

    async def watch(self, res: Resource, *, after: str, until: str) -> list[Seen]:
        seen: list[Seen] = []
        query = {"watch": "1", "resourceVersion": after}
        async with self._http.stream("GET", _collection(res, self.namespace), params=query) as answer:
            async for line in answer.aiter_lines():
                event = json.loads(line)
                seen.append(Seen(event["type"], without_managed_fields(event["object"])))
                if seen[-1].version >= int(until):
                    break
        return seen

    async def run_controllers(self) -> None:
        """They run."""


class ProcessCluster:
    """The API server in the process."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self.server = server
        self.namespace = namespace
        self.kube = client_over(server, random=random.random)
        server.add_namespace(namespace)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = JSON,
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, Json]:
        return self.server.handle(method, path, query, content_type, body)

    async def watch(self, res: Resource, *, after: str, until: str) -> list[Seen]:
        events = self.server.events_after(res, self.namespace if res.namespaced else None, int(after))
        return [Seen(str(event.type), event.body) for event in events if event.version <= int(until)]

    async def run_controllers(self) -> None:
        self.server.run_controllers()


async def _remove_what_holds(kube: KubeClient, namespace: str) -> None:
    """An operator of a later test would wait for what still has finalizers: a sweep for DispersedOrphans, a shared
    account for the jobs of any namespace."""
    for res, place in ((DISPERSED_ORPHANS, None), (DISPERSED_JOBS, namespace)):
        items, _ = await kube.list_all(res, namespace=place)
        for item in items:
            name = item["metadata"]["name"]
            if item["metadata"].get("finalizers"):
                await kube.patch(res, namespace=place, name=name, body={"metadata": {"finalizers": None}})
            with suppress(KubernetesNotFound):
                await kube.delete(res, namespace=place, name=name, uid=item["metadata"]["uid"])


@asynccontextmanager
async def real_cluster(plane: ControlPlane) -> AsyncIterator[RealCluster]:
    """A namespace of a running control plane, asked with the rights of its admin."""
    async with AsyncExitStack() as stack:
        kube = await stack.enter_async_context(client_for(plane.kubeconfig))
        http = httpx.AsyncClient(
            base_url=plane.base_url,
            headers={"Authorization": f"Bearer {plane.admin_token}", "Accept": JSON},
            verify=ssl.create_default_context(cafile=str(plane.ca_file)),
            timeout=PATIENCE,
            trust_env=False,
        )
        cluster = RealCluster(plane, kube, await stack.enter_async_context(http))
        stack.push_async_callback(_remove_what_holds, kube, cluster.namespace)
        yield cluster


def process_cluster(namespace: str = "t-contract") -> ProcessCluster:
    """A fresh cluster in the process."""
    return ProcessCluster(ApiServer(now=time.time, rng=random.Random(7)), namespace)


async def add_job(cluster: Cluster, name: str = "train", *, spec: Json | None = None, **metadata: Any) -> Json:
    """Create a small valid DispersedJob through the client; the answer without managedFields."""
    body = job(name, **(spec or {}))
    body["metadata"] |= metadata
    created = await cluster.kube.create(DISPERSED_JOBS, namespace=cluster.namespace, body=body)
    return without_managed_fields(created)


async def change(
    cluster: Cluster, body: Json, *, name: str = "train", status: bool = False, res: Resource = DISPERSED_JOBS
) -> Json:
    """Merge-patch an object, or its status, through the client; the answer without managedFields."""
    changed = await cluster.kube.patch(
        res,
        namespace=cluster.namespace if res.namespaced else None,
        name=name,
        body=body,
        subresource="status" if status else None,
    )
    return without_managed_fields(changed)


async def read(cluster: Cluster, name: str = "train", *, res: Resource = DISPERSED_JOBS) -> Json:
    """The object, without managedFields."""
    namespace = cluster.namespace if res.namespaced else None
    return without_managed_fields(await cluster.kube.get(res, namespace=namespace, name=name))


def version(body: Json) -> str:
    """The resourceVersion."""
    return str(body["metadata"]["resourceVersion"])


def path_of(cluster: Cluster, res: Resource = DISPERSED_JOBS, name: str | None = None, sub: str | None = None) -> str:
    """The URL path of an object of the test's namespace, or of the collection."""
    return res.path(namespace=cluster.namespace if res.namespaced else None, name=name, subresource=sub)


def without_managed_fields(body: Json) -> Json:
    """The body, or the listing, as the operator looks at it."""
    for item in (body, *(body.get("items") or ())):
        if isinstance(item.get("metadata"), dict):
            item["metadata"].pop("managedFields", None)
    return body


def _collection(res: Resource, namespace: str) -> str:
    return res.path(namespace=namespace if res.namespaced else None)
