"""The users of the benchmark: they create, list and delete many DispersedJobs with few connections."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import aiohttp

from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.services import PUBLIC_KEY, SECRET_KEY

Body = dict[str, Any]
NAMESPACE = "bench"
RIVAL = "rival"
GROUP = "/apis/dispersed.dev/v1alpha1"
JOBS = f"{GROUP}/namespaces/{NAMESPACE}/dispersedjobs"
HANDS = 16
_PAGE = 500


class Cluster:
    """Plain calls as the administrator. Every call may raise aiohttp.ClientError."""

    def __init__(self, plane: ControlPlane) -> None:
        self._base = plane.base_url
        self._trust = ssl.create_default_context(cafile=str(plane.ca_file))
        self._headers = {"Authorization": f"Bearer {plane.admin_token}"}

    def prepare(self, base_url: str) -> None:
        """Namespace, key, account; a service account that may do anything, for the rivals."""
        bodies = {
            "/api/v1/namespaces": {"metadata": {"name": NAMESPACE}},
            f"/api/v1/namespaces/{NAMESPACE}/secrets": _secret(),
            f"{GROUP}/namespaces/{NAMESPACE}/dispersedaccounts": _account(base_url),
            f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts": {"metadata": {"name": RIVAL}},
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings": _binding(),
        }

        async def work(session: aiohttp.ClientSession) -> None:
            for path, body in bodies.items():
                async with session.post(path, json=body) as answer:
                    answer.raise_for_status()

        self._run(work)

    def create(self, names: Iterable[str]) -> dict[str, float]:
        """Create a job of each name; the moment at which each was asked for."""
        return self._many(names, "POST", lambda name: (JOBS, _job(name)))

    def delete(self, names: Iterable[str]) -> dict[str, float]:
        """Delete the jobs without waiting; the moment at which each was asked for."""
        return self._many(names, "DELETE", lambda name: (f"{JOBS}/{name}", None))

    def jobs(self) -> dict[str, Body]:
        """The status of every job by name, {} where there is none; as the API server's cache has it."""
        found: dict[str, Body] = {}

        async def work(session: aiohttp.ClientSession) -> None:
            token = ""
            while True:
                query = {"limit": str(_PAGE), "continue": token} if token else {"limit": str(_PAGE)}
                async with session.get(JOBS, params=query) as answer:
                    answer.raise_for_status()
                    page = await answer.json()
                found.update({item["metadata"]["name"]: item.get("status") or {} for item in page["items"]})
                token = page["metadata"].get("continue") or ""
                if not token:
                    return

        self._run(work)
        return found

    def account_ready(self) -> bool:
        """Whether the operator has accepted the account."""
        found: list[bool] = []

        async def work(session: aiohttp.ClientSession) -> None:
            async with session.get(f"{GROUP}/namespaces/{NAMESPACE}/dispersedaccounts/default") as answer:
                status = (await answer.json()).get("status") or {}
            conditions = status.get("conditions") or ()
            found.append(any(item["type"] == "Ready" and item["status"] == "True" for item in conditions))

        self._run(work)
        return found[0]

    def _many(
        self, names: Iterable[str], method: str, request: Callable[[str], tuple[str, Body | None]]
    ) -> dict[str, float]:
        asked: dict[str, float] = {}
        left = iter(names)

        async def hand(session: aiohttp.ClientSession) -> None:
            for name in left:
                path, body = request(name)
                asked[name] = time.time()
                async with session.request(method, path, json=body) as answer:
                    await answer.read()
                    answer.raise_for_status()

        async def work(session: aiohttp.ClientSession) -> None:
            await asyncio.gather(*(hand(session) for _ in range(HANDS)))

        self._run(work)
        return asked

    def _run(self, work: Callable[[aiohttp.ClientSession], Awaitable[None]]) -> None:
        async def session() -> None:
            connector = aiohttp.TCPConnector(ssl=self._trust, limit=HANDS)
            async with aiohttp.ClientSession(self._base, connector=connector, headers=self._headers) as opened:
                await work(opened)

        asyncio.run(session())


def _secret() -> Body:
    pair = {"publicKey": PUBLIC_KEY, "secretKey": SECRET_KEY}
    data = {name: base64.b64encode(value.encode()).decode() for name, value in pair.items()}
    return {"metadata": {"name": "dispersed-api-key"}, "data": data}


def _account(base_url: str) -> Body:
    spec = {"baseURL": base_url, "credentialsSecretRef": {"name": "dispersed-api-key"}}
    return _body("DispersedAccount", "default", spec)


def _binding() -> Body:
    return {
        "metadata": {"name": RIVAL},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": RIVAL, "namespace": NAMESPACE}],
    }


def _job(name: str) -> Body:
    template = {"title": name, "image": "registry.example.com/team/worker"}
    return _body("DispersedJob", name, {"task": "Batch", "deadlines": {"runSeconds": 86_400}, "template": template})


def _body(kind: str, name: str, spec: Body) -> Body:
    return {"apiVersion": "dispersed.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
