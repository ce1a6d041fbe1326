"""Real listeners on loopback for the published ports of running jobs (API reference §13).

Port 22 greets as an SSH server; every other port answers HTTP with the job's name, after the container access token was
shown if the job's fate asks for it. A run's listeners and open connections end with the run.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
import socket
from dataclasses import dataclass, field

from dispersed_simulator.records import Job, NodeUrl, Run

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
SSH_BANNER = b"SSH-2.0-DispersedSimulator_1.0\r\n"
HEAD_LIMIT = 65_536
IDLE_SECONDS = 30.0
TOKEN_USER = "duser"  # noqa: S105  # a user name that everybody knows


@dataclass(slots=True)
class _Published:
    """The open listeners and connections of one run."""

    servers: list[asyncio.Server] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)
    starting: set[asyncio.Task[None]] = field(default_factory=set)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)


class LoopbackEndpoints:
    """Opens and closes the listeners. Bound at once, so that an address is never shown before it accepts."""

    def __init__(self) -> None:
        self._open: dict[str, _Published] = {}

    def publish(self, job: Job, run: Run, ports: list[int]) -> list[NodeUrl]:
        """Open one listener per container port, on its earlier external port if the run had one and it is free."""
        earlier = {url.container_port: url.port for url in run.node_urls}
        published = self._open.setdefault(run.uuid, _Published())
        urls = []
        for port in dict.fromkeys(ports):
            try:
                listener = _bind(earlier.get(port, 0))
            except OSError as error:
                logger.warning("no listener for port %d of run %s: %s", port, run.uuid, error)
                continue
            published.sockets.append(listener)
            urls.append(NodeUrl(port, HOST, listener.getsockname()[1]))
            handler = _Handler(job=job, run=run, container_port=port, published=published)
            task = asyncio.get_running_loop().create_task(_serve(listener, handler, published))
            published.starting.add(task)
            task.add_done_callback(published.starting.discard)
        return urls

    def close(self, run_uuid: str) -> None:
        """Close the listeners and connections of a run."""
        published = self._open.pop(run_uuid, None)
        if published is None:
            return
        for task in published.starting:
            task.cancel()
        for server in published.servers:
            server.close()
        for listener in published.sockets:
            listener.close()
        for writer in list(published.writers):
            writer.transport.abort()

    def close_all(self) -> None:
        """Close everything."""
        for run_uuid in list(self._open):
            self.close(run_uuid)


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            if port == 0:
                raise
            listener.bind((HOST, 0))
        listener.listen(64)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


async def _serve(listener: socket.socket, handler: _Handler, published: _Published) -> None:
    server = await asyncio.start_server(handler.answer, sock=listener, limit=HEAD_LIMIT)
    published.servers.append(server)


@dataclass(frozen=True, slots=True)
class _Handler:
    """Answers the connections to one port."""

    job: Job
    run: Run
    container_port: int
    published: _Published

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.published.writers.add(writer)
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                if self.container_port == 22:
                    await _greet(reader, writer)
                else:
                    await self._answer_http(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            logger.debug("connection to port %d ended: %s", self.container_port, error)
        finally:
            self.published.writers.discard(writer)
            writer.close()

    async def _answer_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        allowed = not self.job.fate.token_required or _shows_token(headers, self.run.access_token)
        body = self._page() if allowed else "401 the container access token is missing or wrong\n"
        status = "200 OK" if allowed else "401 Unauthorized"
        challenge = "" if allowed else 'WWW-Authenticate: Basic realm="container"\r\n'
        payload = body.encode()
        answer = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n{challenge}"
            f"Content-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(answer.encode() + (b"" if lines[0].startswith("HEAD ") else payload))
        await writer.drain()

    def _page(self) -> str:
        return f"job: {self.job.title}\nuuid: {self.job.uuid}\nrun: {self.run.uuid}\nport: {self.container_port}\n"


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(SSH_BANNER)
    await writer.drain()
    await reader.read(HEAD_LIMIT)


def _shows_token(headers: dict[str, str], token: str) -> bool:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return hmac.compare_digest(value.strip().encode(), token.encode())
    if scheme.lower() != "basic":
        return False
    try:
        pair = base64.b64decode(value.strip(), validate=True)
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(pair, f"{TOKEN_USER}:{token}".encode())
