"""The HTTP server for probes and metrics: /healthz, /readyz and /metrics.

`/healthz` answers whether the process still does its work, not whether it could open a port: a kubelet restarts what
answers 503, so each check must be about something that only a restart mends (a dead thread, a stuck worker, a loop that
does not turn), never about an API that is down. `/readyz` answers whether this process reconciles now, or stands by
to take over.

Invariant: a probe never waits for anything and never asks another machine. A check that raises fails its probe.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from dispersed_operator.telemetry.metrics import CONTENT_TYPE, Metrics

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]
Probe = Callable[[], str | None]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """A named question: `probe` answers None if all is well, else one sentence about what is wrong."""

    name: str
    probe: Probe


def must_hold(name: str, holds: Callable[[], bool], otherwise: str) -> Check:
    """A check of a plain fact (a thread lives, a barrier was passed); `otherwise` is said when it does not hold."""
    return Check(name, lambda: None if holds() else otherwise)


def must_be_younger(name: str, age: Callable[[], float | None], limit: float) -> Check:
    """A check of an age in seconds (last resync, oldest queued key); None means that there is nothing to age yet."""

    def probe() -> str | None:
        seconds = age()
        return None if seconds is None or seconds <= limit else f"age is {seconds:.0f} s, above {limit:.0f} s"

    return Check(name, probe)


class LoopLag:
    """Measures how late the event loop wakes a sleeper; a blocked loop delays every deadline of the protocol.

    `clock` is monotonic, in seconds. The lag that counts is that of the last wake-up, or how overdue the next one is.
    """

    def __init__(self, clock: Clock, *, interval: float = 1.0, sleep: Sleep = asyncio.sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._interval = interval
        self._due = clock() + interval
        self._last = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            self._due = self._clock() + self._interval
            await self._sleep(self._interval)
            self._last = max(0.0, self._clock() - self._due)

    def seconds(self) -> float:
        """The current lag in seconds."""
        return max(self._last, self._clock() - self._due, 0.0)

    def check(self, limit: float = 10.0) -> Check:
        """Fails while the lag is above `limit` seconds."""
        return must_be_younger("loop-lag", self.seconds, limit)


class HealthServer:
    """Serves the probes and the metrics on one address until stopped.

    `before_scrape` runs before each exposition, for gauges that are computed (ages, counts).
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        metrics: Metrics,
        live: Sequence[Check],
        ready: Sequence[Check],
        port_file: Path | None = None,
        before_scrape: Callable[[], None] | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._metrics = metrics
        self._live = tuple(live)
        self._ready = tuple(ready)
        self._port_file = port_file
        self._before_scrape = before_scrape
        self._runner: web.AppRunner | None = None
        self._bound: int | None = None

    @property
    def port(self) -> int:
        """The port bound; raises `RuntimeError` before `start`."""
        if self._bound is None:
            raise RuntimeError("the health server is not started")
        return self._bound

    async def start(self) -> None:
        """Bind, write the port file, serve. Raises `OSError` if the address is taken or the file cannot be written."""
        app = web.Application()
        app.router.add_get("/healthz", self._answer_live)
        app.router.add_get("/readyz", self._answer_ready)
        app.router.add_get("/metrics", self._answer_metrics)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        self._runner = runner
        try:
            await web.TCPSite(runner, self._host, self._port).start()
            self._bound = int(runner.addresses[0][1])
            if self._port_file is not None:
                _write_whole(self._port_file, f"{self._bound}\n")
        except OSError:
            await self.stop()
            raise
        _logger.info("Health and metrics are served.", extra={"fields": {"port": self._bound}})

    async def stop(self) -> None:
        """Stop serving and remove the port file; may be called twice."""
        if self._runner is None:
            return
        runner, self._runner, self._bound = self._runner, None, None
        await runner.cleanup()
        if self._port_file is not None:
            with contextlib.suppress(FileNotFoundError):
                self._port_file.unlink()

    async def _answer_live(self, _request: web.Request) -> web.Response:
        return _verdict(self._live)

    async def _answer_ready(self, _request: web.Request) -> web.Response:
        return _verdict(self._ready)

    async def _answer_metrics(self, _request: web.Request) -> web.Response:
        if self._before_scrape is not None:
            self._before_scrape()
        return web.Response(body=self._metrics.expose(), headers={"Content-Type": CONTENT_TYPE})


def _verdict(checks: Sequence[Check]) -> web.Response:
    answers = {check.name: check.probe() for check in checks}
    healthy = all(answer is None for answer in answers.values())
    body = {
        "status": "ok" if healthy else "failing",
        "checks": {name: answer if answer is not None else "ok" for name, answer in answers.items()},
    }
    return web.json_response(body, status=200 if healthy else 503)


def _write_whole(path: Path, text: str) -> None:
    # A reader that waits for the file must never see it empty.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text)
    part.replace(path)
