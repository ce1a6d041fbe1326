"""The line between a process and the server, beneath the operator's own KubeClient.

KubeClient's mapping of errors, its retries and deadlines run as they are; only what would go to a socket goes to the
server in the process, through a gate at which a driver can delay, lose and forge.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from multidict import CIMultiDict

from dispersed_operator.kube.client import KubeClient
from tests.simulation.cluster.failures import Json

HOST = "http://in-process"


class Server(Protocol):
    """What a line leads to."""

    def handle_text(
        self, method: str, path: str, query: Mapping[str, str], content_type: str, body: Json | None
    ) -> tuple[int, str]:
        """HTTP status, and the body of the answer as text."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request on its way. `body` is to be read only."""

    method: str
    path: str
    query: str
    body: Json | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer on its way back."""

    status: int
    content: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    async def read(self) -> bytes:
        """The body, as the client's library gives it."""
        return self.content


class Gate:
    """What a driver may do to a request; this one lets everything pass. Subclass it; one object per process.

    Both methods may sleep (a sleep for ever is a process that hangs or a packet that is lost: KubeClient's own deadline
    ends it), raise `no_connection()` or `cut()`, or answer in the server's place with `failure(…)`.
    """

    async def before(self, sent: Sent) -> Reply | None:
        """None sends it on. With a Reply, or an exception, the server never sees the request."""
        del sent
        return None

    async def after(self, sent: Sent, reply: Reply) -> Reply:
        """The server has acted. What this returns or raises is all that the client learns of it."""
        del sent
        return reply


def no_connection() -> aiohttp.ClientConnectorError:
    """To raise in `Gate.before`: connection refused, so the request was certainly not processed."""
    key = SimpleNamespace(host="in-process", port=80, ssl=False)
    return aiohttp.ClientConnectorError(cast("Any", key), ConnectionRefusedError(111, "connection refused"))


def cut() -> aiohttp.ServerDisconnectedError:
    """To raise in either: the connection was lost while waiting for the answer. Only `before` and `after` know which
    side of the write it was; the client does not."""
    return aiohttp.ServerDisconnectedError()


def failure(status: int, *, retry_after: float | None = None) -> Reply:
    """An error that the server, or something in front of it, answers without having looked at the request."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {}, "code": status}
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return Reply(status, json.dumps(body).encode(), CIMultiDict(headers))


def client_over(server: Server, *, random: Callable[[], float], gate: Gate | None = None) -> KubeClient:
    """The operator's own KubeClient with this server at the other end of its line. Closing it is harmless."""
    return KubeClient(_configuration(), random=random, api=lambda _: _Api(_Line(server, gate)))


class _Line:
    """Stands where the library's client for HTTP stands: same coroutine, no socket."""

    def __init__(self, server: Server, gate: Gate | None) -> None:
        self._server = server
        self._gate = gate

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Json | None = None,
        post_params: object = None,
        _request_timeout: object = None,
    ) -> Reply:
        """One request, past the gate."""
        del post_params, _request_timeout
        path, _, query = url[len(HOST) :].partition("?")
        if self._gate is None:
            return self._served(method, path, query, headers, body)
        sent = Sent(method, path, query, body)
        forged = await self._gate.before(sent)
        if forged is not None:
            return forged
        return await self._gate.after(sent, self._served(method, path, query, headers, body))

    async def close(self) -> None:
        """Nothing is open."""

    def _served(self, method: str, path: str, query: str, headers: Mapping[str, str], body: Json | None) -> Reply:
        parameters = dict(parse_qsl(query)) if query else {}
        status, text = self._server.handle_text(method, path, parameters, headers["Content-Type"], body)
        return Reply(status, text.encode())


class _Api(ApiClient):
    """The library's client without its pool of connections: loading the certificates for it takes milliseconds."""

    def __init__(self, line: _Line) -> None:
        self.configuration = _configuration()
        self.rest_client = cast("Any", line)
        self.default_headers: dict[str, str] = {}
        self.cookie = None


@lru_cache(maxsize=1)
def _configuration() -> Configuration:
    """One for all: nothing of it is changed."""
    return Configuration(host=HOST)
