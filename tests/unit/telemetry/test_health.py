"""The health server answers over real HTTP with its named checks, and goes away without a trace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from dispersed_operator.telemetry.health import Check, HealthServer, LoopLag, must_be_younger, must_hold
from dispersed_operator.telemetry.metrics import CONTENT_TYPE, Metrics


class Facts:
    """What the checks ask about; a test changes it while the server runs."""

    def __init__(self) -> None:
        self.kopf_alive = True
        self.resync_age: float | None = None
        self.leading = False


@pytest.fixture
def facts() -> Facts:
    return Facts()


@pytest.fixture
def port_file(tmp_path: Path) -> Path:
    return tmp_path / "port"


@pytest.fixture
async def server(facts: Facts, port_file: Path) -> AsyncIterator[HealthServer]:
    metrics = Metrics()
    server = HealthServer(
        host="127.0.0.1",
        port=0,
        metrics=metrics,
        live=[
            must_hold("kopf", lambda: facts.kopf_alive, "the thread has ended"),
            must_be_younger("resync", lambda: facts.resync_age, 1200.0),
        ],
        ready=[must_hold("leading", lambda: facts.leading, "another process leads")],
        port_file=port_file,
        before_scrape=lambda: metrics.ready(ready=facts.leading),
    )
    await server.start()
    yield server
    await server.stop()


async def get(server: HealthServer, path: str) -> tuple[int, object]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{server.port}{path}") as answer:
        return answer.status, await answer.json() if "json" in answer.content_type else await answer.text()


async def test_a_healthy_process_names_each_check(server: HealthServer) -> None:
    assert await get(server, "/healthz") == (200, {"status": "ok", "checks": {"kopf": "ok", "resync": "ok"}})


async def test_one_failing_check_fails_the_probe_and_says_which(server: HealthServer, facts: Facts) -> None:
    facts.kopf_alive = False
    facts.resync_age = 1800.0
    expected = {"kopf": "the thread has ended", "resync": "age is 1800 s, above 1200 s"}
    assert await get(server, "/healthz") == (503, {"status": "failing", "checks": expected})
    facts.kopf_alive, facts.resync_age = True, 1200.0
    assert (await get(server, "/healthz"))[0] == 200


async def test_ready_and_alive_are_different_questions(server: HealthServer, facts: Facts) -> None:
    assert (await get(server, "/readyz"))[0] == 503
    assert (await get(server, "/healthz"))[0] == 200
    facts.leading = True
    assert await get(server, "/readyz") == (200, {"status": "ok", "checks": {"leading": "ok"}})


async def test_metrics_are_computed_at_each_scrape(server: HealthServer, facts: Facts) -> None:
    facts.leading = True
    url = f"http://127.0.0.1:{server.port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.headers["Content-Type"] == CONTENT_TYPE
        assert "dispersed_operator_ready 1.0" in await answer.text()


async def test_a_check_that_raises_fails_its_probe() -> None:
    def broken() -> str | None:
        raise ArithmeticError("broken check")

    server = HealthServer(host="127.0.0.1", port=0, metrics=Metrics(), live=[Check("broken", broken)], ready=[])
    await server.start()
    try:
        assert (await get(server, "/healthz"))[0] == 500
    finally:
        await server.stop()


async def test_the_port_file_holds_the_bound_port_and_goes_with_the_server(
    server: HealthServer, port_file: Path
) -> None:
    assert files_beside(port_file) == {"port": f"{server.port}\n"}
    await server.stop()
    assert files_beside(port_file) == {}
    await server.stop()


async def test_a_taken_address_is_an_error_and_leaves_nothing_behind(server: HealthServer, tmp_path: Path) -> None:
    second = HealthServer(
        host="127.0.0.1", port=server.port, metrics=Metrics(), live=[], ready=[], port_file=tmp_path / "second"
    )
    with pytest.raises(OSError, match="address already in use"):
        await second.start()
    assert "second" not in files_beside(tmp_path / "second")
    with pytest.raises(RuntimeError, match="not started"):
        _ = second.port


def files_beside(path: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in path.parent.iterdir()}


class HandClock:
    """A monotonic clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_that_does_not_wake_its_sleeper_is_seen_while_it_is_stuck() -> None:
    clock = HandClock()
    lag = LoopLag(clock, interval=1.0)
    assert lag.seconds() == 0.0
    clock.now += 12.0
    assert lag.seconds() == 11.0
    assert lag.check(limit=10.0).probe() == "age is 11 s, above 10 s"
    assert lag.check(limit=11.0).probe() is None


async def test_a_loop_that_was_late_once_recovers_with_the_next_timely_wake_up() -> None:
    clock = HandClock()
    seen: list[float] = []
    lag = LoopLag(clock, interval=1.0, sleep=lambda _: slept())

    async def slept() -> None:
        seen.append(lag.seconds())
        if len(seen) == 4:
            raise asyncio.CancelledError
        clock.now += 6.0 if len(seen) == 1 else 1.0

    with pytest.raises(asyncio.CancelledError):
        await lag.run()
    assert seen == [0.0, 5.0, 0.0, 0.0]
