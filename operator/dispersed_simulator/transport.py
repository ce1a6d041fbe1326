"""The last metre: sends an answer, holds it back, cuts it off or closes the socket without a byte.

An ASGI application cannot close its connection, so a small subclass of uvicorn's protocol hands the asyncio transport
to it through the scope's `extensions`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dispersed_simulator.service import Reply

EXTENSION = "dispersed_simulator.transport"


class DroppableProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol that shows its transport to the application."""

    def on_message_begin(self) -> None:
        """A request begins: put the transport into its scope."""
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self.transport}  # type: ignore[dict-item]  # typed for its own keys only


class Holds:
    """Answers that wait for a fault rule to be released."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}

    def event(self, rule_id: str) -> asyncio.Event:
        """The event that ends the wait for a rule."""
        return self._events.setdefault(rule_id, asyncio.Event())

    def release(self, rule_id: str) -> None:
        """Let go of all answers that a rule holds now; later ones are held again."""
        self._events.pop(rule_id, asyncio.Event()).set()

    def release_all(self) -> None:
        """Let go of all answers."""
        for rule_id in list(self._events):
            self.release(rule_id)


class TransportResponse(Response):
    """A response that obeys a Reply's orders to the transport."""

    def __init__(self, reply: Reply, *, holds: Holds, latency_seconds: float) -> None:
        super().__init__(content=reply.body, status_code=reply.status or 500, headers=dict(reply.headers))
        if reply.content_type and reply.status != HTTPStatus.NO_CONTENT:
            self.headers["content-type"] = reply.content_type
        self._reply = reply
        self._holds = holds
        self._latency_seconds = latency_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, or what is left of it."""
        if self._latency_seconds > 0:
            await asyncio.sleep(self._latency_seconds)
        if self._reply.hold_rule is not None and not await self._held(self._reply.hold_rule, receive):
            return
        if self._reply.cut_after is None:
            await super().__call__(scope, receive, send)
            return
        transport: asyncio.Transport = scope["extensions"][EXTENSION]
        if self._reply.cut_after > 0:
            transport.write(self._raw()[: self._reply.cut_after])
            transport.close()
        else:
            transport.abort()
        await _disconnected(receive)

    async def _held(self, rule_id: str, receive: Receive) -> bool:
        """Wait for the release or the time; False if the client left first."""
        released = asyncio.ensure_future(self._holds.event(rule_id).wait())
        gone = asyncio.ensure_future(_disconnected(receive))
        done, waiting = await asyncio.wait(
            {released, gone}, timeout=self._reply.hold_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return gone not in done

    def _raw(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status_code} {HTTPStatus(self.status_code).phrase}".encode()]
        lines += [name + b": " + value for name, value in self.raw_headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + bytes(self.body)


async def _disconnected(receive: Callable[[], Awaitable[object]]) -> None:
    while True:
        message = await receive()
        if isinstance(message, dict) and message.get("type") == "http.disconnect":
            return
