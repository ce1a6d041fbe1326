"""The Dispersed network of the simulation: the simulator's own engine at the other end of the real client's line.

Faults are the simulator's own rules. What a rule orders the transport to do (drop, cut, hold) is done here, and
one thing more: a connection that is refused.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

import httpx

from dispersed_operator.model.naming import TOKEN_ENV
from dispersed_simulator.auth import SignedRequest
from dispersed_simulator.engine import Engine, InsertedJob
from dispersed_simulator.records import ApiKey, Job, Timing
from dispersed_simulator.service import Reply, Service
from dispersed_simulator.switches import Switches
from dispersed_simulator.wire import JsonObject
from tests.simulation.calls import Call, Line

EPOCH = 1_795_000_000
ACCOUNT = "11111111-1111-4111-8111-111111111111"
BASE_URL = "https://api.dispersed.example"
KEYS = (("pk_first", "sk_first_secret"), ("pk_second", "sk_second_secret"))


class ServerTime:
    """The service's clock: the virtual clock and its own steps."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._steps = [(float("-inf"), 0.0)]

    def now_ms(self) -> int:
        """Epoch time in milliseconds."""
        return round((EPOCH + self._monotonic() + self.offset) * 1000)

    @property
    def offset(self) -> float:
        """Seconds by which the clock is ahead now."""
        return self._steps[-1][1]

    @property
    def largest_step(self) -> float:
        """How far the clock ever jumped in all, in seconds."""
        return sum(abs(after - before) for (_, before), (_, after) in pairwise(self._steps))

    def step(self, seconds: float) -> None:
        """Jump, back if negative."""
        self._steps.append((self._monotonic(), self.offset + seconds))

    def moments(self, server_ms: int) -> list[float]:
        """The virtual moments at which the clock showed this, earliest first; that of the jump over it if none."""
        found, jumped = [], self._monotonic()
        ends = [begun for begun, _ in self._steps[1:]] + [float("inf")]
        for (begun, offset), end in zip(self._steps, ends, strict=True):
            moment = server_ms / 1000.0 - EPOCH - offset
            if begun - 0.001 <= moment < end + 0.001:
                found.append(moment)
            elif moment < begun:
                jumped = min(jumped, begun)
        return found or [jumped]

    def reached(self, server_ms: int, *, after: float) -> float:
        """The first virtual moment after another one at which the clock showed this or more."""
        ends = [begun for begun, _ in self._steps[1:]] + [float("inf")]
        for (begun, offset), end in zip(self._steps, ends, strict=True):
            earliest = max(begun, after)
            moment = max(earliest, server_ms / 1000.0 - EPOCH - offset)
            if earliest < end and moment < end:
                return moment
        raise AssertionError("the last stretch of the clock has no end")


class RemoteSide:
    """The service, and what a test knows of it. `posts`: nonce and title of each POST that left a process."""

    def __init__(self, rng: random.Random, monotonic: Callable[[], float], timing: Timing, *, page_rows: int) -> None:
        self.clock = ServerTime(monotonic)
        self.page_rows = page_rows
        switches = Switches(largest_page=page_rows)
        self.service = Service(clock=self.clock, engine=Engine(rng=rng, timing=timing, switches=switches), rng=rng)
        for public, secret in KEYS:
            self.service.keys[public] = ApiKey(public, secret, ACCOUNT)
        self.refusals = 0
        self.posts: list[tuple[str, str]] = []
        self.foreign: list[Job] = []

    def add_foreign_job(self, title: str, *, description: str, token: str, age_seconds: int) -> None:
        """A live job that another cluster's operator made some time ago."""
        at_ms = self.clock.now_ms() - age_seconds * 1000
        container: JsonObject = {"image": "registry.example.com/team/train", "env": {TOKEN_ENV: token}}
        body: JsonObject = {
            "title": title,
            "description": description,
            "task": "PERSISTENT",
            "parameters": {"type": "docker", "parameters": container},
        }
        wanted = InsertedJob(ACCOUNT, body, created_ms=at_ms, status="RUNNING")
        self.foreign.append(self.service.engine.insert_job(wanted, at_ms=at_ms))

    def jobs(self) -> list[Job]:
        """Every job of this cluster that ever was, as it stands now."""
        self.service.advance()
        return [job for job in self.service.engine.store.jobs.values() if job not in self.foreign]

    def job(self, uuid: str) -> Job | None:
        """One job as it stands now."""
        self.service.advance()
        return self.service.engine.store.jobs.get(uuid)

    def calm(self) -> None:
        """No faults from now on."""
        self.service.faults.clear()
        self.refusals = 0


class FaultyTransport(httpx.AsyncBaseTransport):
    """Carries one process's requests to the service and does with each answer what the service's faults order."""

    def __init__(self, remote: RemoteSide, line: Line, trace: Callable[[str], None]) -> None:
        self._remote = remote
        self._line = line
        self._trace = trace

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        signed = _signed(request)
        call = _call_of(signed)
        what = f"{signed.method} {signed.path}"
        await self._line.leave(call, what)
        if self._remote.refusals > 0:
            self._remote.refusals -= 1
            self._trace(f"{what}: connection refused")
            raise httpx.ConnectError("connection refused", request=request)
        if call is Call.POST:
            self._remote.posts.append((signed.headers["x-nonce"], str(json.loads(signed.body)["title"])))
        reply = self._remote.service.handle(signed)
        row = self._remote.service.log.select(method=None, path=None)[-1] if call is not Call.REMOTE_READ else None
        fault = f" [{row.fault}]" if row is not None and row.fault else ""
        if call is not Call.REMOTE_READ or reply.status >= 300 or reply.cut_after is not None:
            job = row.job_uuid if row is not None else None
            self._trace(f"{what} -> {reply.status or 'dropped'} {job or ''}{fault}")
        await self._line.arrive(call, what)
        return await self._answer(request, reply)

    async def _answer(self, request: httpx.Request, reply: Reply) -> httpx.Response:
        if reply.hold_rule is not None:
            await asyncio.sleep(reply.hold_seconds if reply.hold_seconds is not None else 3600.0)
        if reply.cut_after is not None:
            raise httpx.RemoteProtocolError("the connection was closed without a complete answer", request=request)
        headers = [*reply.headers, ("content-type", reply.content_type)]
        return httpx.Response(reply.status, headers=headers, content=reply.body, request=request)


class ShortClient(httpx.AsyncClient):
    """The HTTP client without what the operator's own has switched off: cookies, redirects, proxies, a pool.

    What is left is the request as it would be on the wire, and the answer. It halves the cost of an episode's requests.
    """

    def __init__(self, transport: FaultyTransport) -> None:
        super().__init__(transport=transport, trust_env=False)
        self._far_end = transport

    def build_request(self, method: str, url: httpx.URL | str, **parts: Any) -> httpx.Request:
        """The request that goes over the line."""
        return httpx.Request(method, _parsed(str(url)), headers=parts["headers"], content=parts["content"])

    async def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        """One exchange."""
        return await self._far_end.handle_async_request(request)


@lru_cache(maxsize=4096)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


def _signed(request: httpx.Request) -> SignedRequest:
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    headers = {name.lower().decode("ascii"): value.decode("ascii") for name, value in request.headers.raw}
    return SignedRequest(request.method, path, query, headers, request.content)


def _call_of(request: SignedRequest) -> Call:
    return {"POST": Call.POST, "PUT": Call.CANCEL}.get(request.method, Call.REMOTE_READ)
