"""One simulator process for a module, as new for each test."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from dispersed_simulator.wire import to_rfc3339
from tests.support.simulator import SignedCaller, SimulatorProcess

FAST = (
    "--assign-seconds", "0.1", "--accept-seconds", "0.1", "--prepare-seconds", "0.1", "--run-seconds", "0.2",
    "--endpoints-seconds", "0.1", "--cancel-seconds", "0.2",
)  # fmt: skip


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """A running simulator with a fast world."""
    with SimulatorProcess(tmp_path_factory.mktemp("simulator"), options=FAST) as running:
        yield running
        assert "Traceback" not in running.log_file.read_text()


@pytest.fixture
def simulator(process: SimulatorProcess) -> SimulatorProcess:
    """The running simulator without jobs, faults and switches of earlier tests, at the present time."""
    process.control.reset()
    process.control.set_clock(to_rfc3339(int(time.time() * 1000)))
    return process


@pytest.fixture
def caller(simulator: SimulatorProcess) -> SignedCaller:
    """A signed caller with the demo key."""
    return simulator.caller()
