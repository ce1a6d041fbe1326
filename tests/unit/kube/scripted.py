"""A loopback HTTP server that answers what a test tells it, for failures that no healthy API server produces."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from dispersed_operator.kube.client import KubeClient

Answer = web.StreamResponse | Callable[[web.Request], Any]


@dataclass
class Script:
    """Answers in the order in which requests come; the last one again and again. Requests are kept."""

    answers: list[Answer]
    requests: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.requests.append(f"{request.method} {request.rel_url}")
        self.bodies.append(json.loads(text) if text else None)
        self.headers.append(dict(request.headers))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, web.Response):
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        assert callable(answer)
        response = await answer(request)
        assert isinstance(response, web.StreamResponse)
        return response


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[str]:
    """The URL at which the script is played."""
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", script.handle)
    async with TestServer(application, host="127.0.0.1") as server:
        yield str(server.make_url("")).rstrip("/")


@asynccontextmanager
async def client_of(*answers: Answer) -> AsyncIterator[tuple[KubeClient, Script]]:
    """A client and the script of the server that it talks to."""
    script = Script(list(answers))
    async with serving(script) as url, KubeClient(plain_configuration(url), random=lambda: 0.0) as client:
        yield client, script


def plain_configuration(url: str) -> Configuration:
    return Configuration(host=url, client_session_kwargs={"trust_env": False})


def ok(body: dict[str, Any]) -> web.Response:
    return web.json_response(body)


def failure(status: int, reason: str, *, message: str = "", **details: Any) -> web.Response:
    """A Status object as the API server sends it."""
    body = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": message}
    return web.json_response(body | {"details": details}, status=status)


async def hang_up(request: web.Request) -> web.Response:
    """Take the request and close the connection without an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()
