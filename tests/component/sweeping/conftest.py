"""A simulator for each module of tests, and a bench around a sweeper for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from dispersed_operator.remote.transport import build_http_client
from tests.component.sweeping.bench import Bench
from tests.support.simulator import SimulatorProcess


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(tmp_path_factory.mktemp("simulator"), options=["--cancel-seconds", "0.1"]) as running:
        yield running


@pytest.fixture
def simulator(process: SimulatorProcess) -> SimulatorProcess:
    process.control.clear_faults()
    process.control.reset()
    process.control.set_clock(datetime.now(UTC).isoformat())
    return process


@pytest.fixture
async def bench(simulator: SimulatorProcess) -> AsyncIterator[Bench]:
    async with build_http_client() as http:
        made = Bench(simulator, http)
        yield made
        for session in made.book.sessions():
            await session.listings.aclose()
