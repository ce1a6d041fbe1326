"""A reverse proxy before the API server that lags behind in what it lists, as one of several API servers may."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.kube.credentials import watch_session
from dispersed_operator.model.base import GROUP
from tests.integration.kube.harness import credentials_for


class LaggingServer:
    """Passes everything on, except that the list of groups lacks ours while `lagging`.

    `kubeconfig` is the way in; `missed` counts the lists of groups that lacked ours.
    """

    def __init__(self, session: aiohttp.ClientSession, upstream: str) -> None:
        self._session = session
        self._upstream = upstream
        self.lagging = True
        self.missed = 0
        self.kubeconfig: Path

    async def handle(self, request: web.Request) -> web.StreamResponse:
        async with self._session.request(
            request.method,
            self._upstream + request.path_qs,
            data=await request.read() or None,
            headers=_passed_on(request),
        ) as answer:
            if request.path == "/apis" and self.lagging:
                self.missed += 1
                return web.json_response(_without_our_group(json.loads(await answer.read())))
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response


def _passed_on(request: web.Request) -> dict[str, str]:
    return {name: request.headers[name] for name in ("Accept", "Content-Type") if name in request.headers}


def _without_our_group(groups: dict[str, Any]) -> dict[str, Any]:
    return groups | {"groups": [group for group in groups["groups"] if group["name"] != GROUP]}


@asynccontextmanager
async def lagging_server(plane: ControlPlane, folder: Path) -> AsyncIterator[LaggingServer]:
    """A lagging server while the block runs."""
    configuration = await credentials_for(plane.kubeconfig).configuration()
    async with watch_session(configuration) as session:
        server = LaggingServer(session, str(configuration.host))
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", server.handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            document = yaml.safe_load(plane.kubeconfig.read_text())
            document["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}
            server.kubeconfig = folder / "lagging.kubeconfig"
            server.kubeconfig.write_text(yaml.safe_dump(document))
            yield server
        finally:
            await runner.cleanup()
