"""The bare loop: the least work that can create, follow and cancel jobs with the operator's own two client libraries.

List, watch, one patch before and one after the POST, one list poller. It is the limit that a correct operator can come
near to, not one to run: no retries, no proof of anything, no back-off, no events, and it ends at the first error.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

from benchmarks.rivals.service import ENDED, LIVE, PHASES, POLL_SECONDS, Service, job_request

WORKERS = 16
PAGE = 50
FINALIZER = "bench.example.com/remote-job"
PATH = "/apis/dispersed.dev/v1alpha1/namespaces/{}/dispersedjobs"
Body = dict[str, Any]


class Loop:
    """One namespace. `jobs` is what was last written: uuid of the job, its object's name, the phase."""

    def __init__(self, api: ApiClient, service: Service, namespace: str) -> None:
        self._api = api
        self._service = service
        self._path = PATH.format(namespace)
        self._queue: asyncio.Queue[tuple[str, Body]] = asyncio.Queue()
        self._jobs: dict[str, tuple[str, str]] = {}
        self._taken: set[str] = set()
        self._listed = asyncio.Event()
        self._hands = asyncio.Semaphore(WORKERS)

    async def run(self) -> None:
        """Until an error."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._poll())
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _send(self, method: str, path: str, body: Body | None = None, **query: str) -> aiohttp.ClientResponse:
        headers = {"Content-Type": "application/merge-patch+json" if body else "application/json"}
        method, url, headers, sent, _ = await self._api.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
        answer = await self._api.call_api(method, f"{url}?{urlencode(query)}", headers, sent, _request_timeout=timeout)
        raw: aiohttp.ClientResponse = answer.response
        raw.raise_for_status()
        return raw

    async def _patch(self, name: str, body: Body, *, status: bool = False) -> None:
        answer = await self._send("PATCH", f"{self._path}/{name}{'/status' if status else ''}", body)
        await answer.read()

    async def _watch(self) -> None:
        """List and watch, and again when the server ends the watch, as it does with a slow reader."""
        while True:
            answer = await self._send("GET", self._path)
            listing = await answer.json()
            for item in listing["items"]:
                self._see(item)
            self._listed.set()
            await self._follow(listing["metadata"]["resourceVersion"])

    async def _follow(self, version: str) -> None:
        stream = await self._send("GET", self._path, watch="true", resourceVersion=version, timeoutSeconds="3600")
        buffer = b""
        async for chunk in stream.content.iter_any():
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event["type"] in {"ADDED", "MODIFIED"}:
                    self._see(event["object"])

    def _see(self, item: Body) -> None:
        """Queue what has to be done for an object, each of the two things once."""
        name, metadata, status = item["metadata"]["name"], item["metadata"], item.get("status") or {}
        uuid = status.get("jobUUID")
        if uuid:
            self._jobs.setdefault(uuid, (name, status.get("phase", "")))
        verb = "delete" if "deletionTimestamp" in metadata else "create"
        wanted = uuid and FINALIZER in metadata.get("finalizers", ()) if verb == "delete" else not uuid
        key = f"{verb} {metadata['uid']}"
        if wanted and key not in self._taken:
            self._taken.add(key)
            self._queue.put_nowait((verb, item))

    async def _work(self) -> None:
        while True:
            verb, item = await self._queue.get()
            await (self._create(item) if verb == "create" else self._delete(item))

    async def _create(self, item: Body) -> None:
        name = item["metadata"]["name"]
        await self._patch(name, {"metadata": {"finalizers": [FINALIZER]}})
        job = await self._service.call("POST", "/v1/jobs", job_request(name, item["spec"]))
        phase = PHASES[job["status"]]
        self._jobs[job["uuid"]] = name, phase
        await self._patch(name, {"status": {"jobUUID": job["uuid"], "phase": phase}}, status=True)

    async def _delete(self, item: Body) -> None:
        uuid, phase = item["status"]["jobUUID"], item["status"]["phase"]
        self._jobs.pop(uuid, None)
        if phase not in {PHASES[word] for word in ENDED}:
            await self._service.call("PUT", f"/v1/jobs/{uuid}/cancel", {})
        await self._patch(item["metadata"]["name"], {"metadata": {"finalizers": None}})

    async def _poll(self) -> None:
        await self._listed.wait()
        while True:
            known = dict(self._jobs)
            if known:
                await self._compare(known, await self._list())
            await asyncio.sleep(POLL_SECONDS)

    async def _list(self) -> dict[str, str]:
        """The status of every live job."""
        found: dict[str, str] = {}
        page = 1
        while True:
            query = (
                ("filter[status]", ",".join(LIVE)),
                ("limit", str(PAGE)),
                ("page", str(page)),
                ("sort", "-created_at"),
            )
            answer = await self._service.call("GET", "/v1/jobs", query=query)
            found |= {row["uuid"]: row["status"] for row in answer["data"]}
            if page * PAGE >= answer["total"] or not answer["data"]:
                return found
            page += 1

    async def _compare(self, known: dict[str, tuple[str, str]], found: dict[str, str]) -> None:
        """Write what has changed; a job that is not among the live ones is read first."""
        async with asyncio.TaskGroup() as group:
            for uuid, (name, phase) in known.items():
                over = phase in {PHASES[word] for word in ENDED}
                if not over and PHASES.get(found.get(uuid, "")) != phase:
                    group.create_task(self._settle(uuid, name, found.get(uuid)))

    async def _settle(self, uuid: str, name: str, word: str | None) -> None:
        async with self._hands:
            if word is None:
                word = (await self._service.call("GET", f"/v1/jobs/{uuid}"))["status"]
            phase = PHASES[str(word)]
            if uuid in self._jobs and self._jobs[uuid][1] != phase:
                self._jobs[uuid] = name, phase
                await self._patch(name, {"status": {"phase": phase}}, status=True)


async def main() -> None:
    """Serve the namespace NAMESPACE of the cluster that KUBECONFIG names."""
    configuration = Configuration(client_session_kwargs={"trust_env": False})
    load: Any = load_kube_config  # the library's function carries no types
    await load(os.environ["KUBECONFIG"], client_configuration=configuration)
    async with ApiClient(configuration) as api:
        await Loop(api, Service(), os.environ["NAMESPACE"]).run()


if __name__ == "__main__":
    asyncio.run(main())
