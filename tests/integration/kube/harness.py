"""What the tests of the Kubernetes side share: a client, a watching edge, and waiting for conditions."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.edge import Edge
from dispersed_operator.kube.client import DISPERSED_JOBS, KubeClient
from dispersed_operator.kube.credentials import Credentials, Kubeconfig
from dispersed_operator.leadership import Election
from dispersed_operator.planning.election import Terms
from tests.integration.crds.objects import job

Json = dict[str, Any]

LEASE_NAME = "operator"
QUICK = Terms(duration=2.0, give_up=1.2, retry=0.2)

PATIENCE = 60.0
"""Seconds after which a condition is taken for one that never comes true."""


def new_namespace(plane: ControlPlane) -> str:
    name = f"t-{uuid.uuid4().hex[:8]}"
    plane.kubectl("create", "namespace", name)
    return name


def credentials_for(kubeconfig: Path) -> Credentials:
    return Credentials(Kubeconfig(str(kubeconfig)), token_seconds=0.0)


@asynccontextmanager
async def client_for(kubeconfig: Path) -> AsyncIterator[KubeClient]:
    configuration = await credentials_for(kubeconfig).configuration()
    async with KubeClient(configuration, random=random.random) as client:
        yield client


def candidate(kube: KubeClient, namespace: str, me: str, *, terms: Terms = QUICK) -> Election:
    """One that wants the Lease of this namespace."""
    return Election(
        kube,
        namespace=namespace,
        name=LEASE_NAME,
        me=me,
        monotonic=time.monotonic,
        wall=time.time,
        random=random.random,
        terms=terms,
    )


async def create_job(client: KubeClient, namespace: str, name: str = "train", **metadata: Any) -> Json:
    body = job(name)
    body["metadata"] |= metadata
    return await client.create(DISPERSED_JOBS, namespace=namespace, body=body)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; a test that waits in vain fails here."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)


@dataclass
class Watcher:
    """A running edge and the events of one namespace that it has brought, as (type, name)."""

    edge: Edge
    events: list[tuple[str | None, str]] = field(default_factory=list)
    bodies: list[Json] = field(default_factory=list)

    def saw(self, name: str, *types: str | None) -> bool:
        """Whether an event about `name` has come, of one of `types` if there are any."""
        return any(seen == name and (not types or kind in types) for kind, seen in self.events)

    def newest(self, name: str) -> Json:
        return [body for body in self.bodies if body["metadata"]["name"] == name][-1]


@asynccontextmanager
async def watching(
    kubeconfig: Path, namespace: str, *, namespaces: list[str] | None = None, on_body: Callable[..., None] | None = None
) -> AsyncIterator[Watcher]:
    """An edge that watches while the block runs; at its end it must not have failed."""

    def sink(event_type: str | None, body: Json) -> None:
        if body["metadata"]["namespace"] != namespace:
            return
        watcher.events.append((event_type, body["metadata"]["name"]))
        watcher.bodies.append(body)
        if on_body is not None:
            on_body(event_type, body)

    edge = Edge(credentials_for(kubeconfig), sink, namespaces=namespaces, random=random.random)
    watcher = Watcher(edge)
    edge.start()
    try:
        yield watcher
        assert not edge.failed.done(), "the edge ended by itself"
    finally:
        await edge.stop()
