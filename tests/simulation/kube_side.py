"""One process's line to the API server: kills and troubles of `calls` put under the operator's own KubeClient."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dispersed_operator.kube.client import KubeClient
from tests.simulation.apiserver import ApiServer
from tests.simulation.calls import Call, KubeFault, Line
from tests.simulation.cluster.link import Gate, Reply, Sent, client_over, cut, failure, no_connection


class KubeGate(Gate):
    """Lets requests pass as the line orders. `changed` is told after each write."""

    def __init__(self, line: Line, changed: Callable[[], None], trace: Callable[[str], None]) -> None:
        self._line = line
        self._changed = changed
        self._trace = trace
        self._lost: dict[int, bool] = {}

    def client(self, server: ApiServer, random: Callable[[], float]) -> KubeClient:
        """The operator's client on this line."""
        return client_over(server, random=random, gate=self)

    async def before(self, sent: Sent) -> Reply | None:
        call = _call_of(sent)
        await self._line.leave(call, f"{sent.method} {sent.path}")
        match self._line.trouble(call):
            case KubeFault.NO_CONNECTION:
                raise no_connection()
            case KubeFault.LOST_BEFORE:
                raise cut()
            case KubeFault.UNAVAILABLE:
                return failure(503)
            case KubeFault.THROTTLED:
                return failure(429, retry_after=2.0)
            case KubeFault.SLOW:
                await asyncio.sleep(14.0)
            case KubeFault.LOST_AFTER:
                self._lost[id(sent)] = True
        return None

    async def after(self, sent: Sent, reply: Reply) -> Reply:
        call = _call_of(sent)
        if sent.method != "GET":
            self._changed()
            if call is not Call.KUBE_WRITE or reply.status >= 300:
                self._trace(f"{sent.method} {sent.path.partition('namespaces/')[2]} -> {reply.status}")
        lost = self._lost.pop(id(sent), False)
        await self._line.arrive(call, f"{sent.method} {sent.path}")
        if lost:
            raise cut()
        return reply


def _call_of(sent: Sent) -> Call:
    if sent.method == "GET":
        return Call.KUBE_READ
    if sent.method == "PATCH" and "/dispersedjobs/" in sent.path:
        return Call.STATUS if sent.path.endswith("/status") else Call.INTENT
    return Call.KUBE_WRITE
