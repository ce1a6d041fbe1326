"""The client under test, against a real simulator process over real signed HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from dispersed_operator.remote.client import DispersedClient, fresh_nonce
from dispersed_operator.remote.clock import ServerClock
from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.remote.outcomes import CreateOutcome
from dispersed_operator.remote.signing import Credentials, canonical_body
from dispersed_operator.remote.transport import build_http_client
from tests.support.simulator import PUBLIC_KEY, SECRET_KEY, SimulatorProcess, job_body


@pytest.fixture(scope="session")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(tmp_path_factory.mktemp("simulator"), options=["--no-endpoints"]) as process:
        yield process


@pytest.fixture
def simulator(simulator_process: SimulatorProcess) -> SimulatorProcess:
    """The simulator without jobs, faults and requests, its clock right and running at normal speed."""
    simulator_process.control.clear_faults()
    simulator_process.control.reset()
    simulator_process.control.set_rate(1)
    simulator_process.control.set_clock(datetime.now(UTC).isoformat())
    return simulator_process


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with build_http_client() as client:
        yield client


@dataclass
class Bench:
    """Makes clients and remembers what they did."""

    simulator: SimulatorProcess
    http: httpx.AsyncClient
    slept: list[float] = field(default_factory=list)
    skipped: float = 0.0
    responses: list[tuple[str, str, int]] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        """A back-off that takes no time: its length is remembered, and the limiter's clock skips it."""
        self._skip(seconds)
        await asyncio.sleep(0)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.Handle:
        """A timer that takes no time either."""

        def due() -> None:
            self._skip(seconds)
            callback()

        return asyncio.get_running_loop().call_soon(due)

    def _skip(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.skipped += seconds

    def client(
        self, *, public: str = PUBLIC_KEY, secret: str = SECRET_KEY, base_url: str | None = None, **options: Any
    ) -> DispersedClient:
        def note(method: str, route: str, status: int, seconds: float) -> None:
            assert seconds >= 0
            self.responses.append((method, route, status))

        limiter = options.pop("limiter", None) or Limiter(
            monotonic=lambda: time.monotonic() + self.skipped, call_later=self.call_later
        )
        return DispersedClient(
            self.http,
            base_url=base_url or self.simulator.base_url,
            credentials=Credentials(public, secret),
            clock=options.pop("clock", None) or ServerClock(),
            limiter=limiter,
            sleep=self.sleep,
            on_response=note,
            **options,
        )

    def server_seconds(self) -> int:
        return int(self.simulator.control.clock()["now_ms"]) // 1000

    async def create(self, client: DispersedClient, title: str = "job", **fields: Any) -> CreateOutcome:
        """One create, signed at the server's present time."""
        body = canonical_body(job_body(title, **fields))
        return await client.create_job(body, signed_at=self.server_seconds(), nonce=fresh_nonce())

    def received(self, method: str, path: str = "/v1/") -> list[dict[str, Any]]:
        return self.simulator.control.requests(method=method, path=path)


@pytest.fixture
def bench(simulator: SimulatorProcess, http: httpx.AsyncClient) -> Bench:
    return Bench(simulator, http)


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that nothing announces; the test's own time-out is the limit."""
    while not condition():  # noqa: ASYNC110 - the condition lives in another process
        await asyncio.sleep(0.01)
