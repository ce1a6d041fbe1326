"""The driver: a stage for each pair of contender and size, one cell after the other, each written when it is done."""

from __future__ import annotations

import itertools
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import httpx

from benchmarks import meters
from benchmarks.cells import Cell, Ledger, Measurement
from benchmarks.figures import rounded
from benchmarks.plans import SCENARIOS
from benchmarks.stage import NeverAtRest, Stage, StageError

MOST_ATTEMPTS = 2
"""How often a cell is tried, each time on another stage."""
TROUBLES = (StageError, aiohttp.ClientError, httpx.HTTPError, TimeoutError)
"""What ends a stage and not the run."""

MOST_STARVED = 0.1
"""Share of a cell's time for which the contender may have waited for its core."""


def conditions(cores: meters.Cores, latency_ms: float) -> dict[str, str]:
    """What holds for all cells of a run. No name of this machine."""
    system = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": system,
        "limits": cores.describe(),
        "service": f"{latency_ms:g} ms before every answer",
        "polling": "every 15 s, the default of the operator",
    }


def measure(
    ledger: Ledger, cells: Sequence[Cell], *, result: Path, cores: meters.Cores, latency_ms: float, window: float,
    profile: Path | None = None,
) -> None:  # fmt: skip
    """Measure what is missing and write it to `result`."""
    os.sched_setaffinity(0, cores.rest)
    for (size, contender), group in itertools.groupby(cells, key=lambda cell: (cell.size, cell.contender)):
        wanted = list(group)
        failed: Counter[Cell] = Counter()
        while missing := ledger.missing(wanted):
            say(f"{contender}, {size} resources: a new stage ({len(missing)} cells to measure)")
            with Stage(contender, cores, latency_ms=latency_ms, window=window) as stage:
                try:
                    for cell in missing:
                        found = _measured(stage, cell, failed, profile)
                        if found is not None:
                            ledger.cells[cell] = found
                            ledger.write(result)
                        if found is None or not found.figures:
                            break  # this stage is broken
                except NeverAtRest as error:
                    say(f"{contender}, {size} resources: {error}")
                    ledger.cells |= {cell: Measurement({}, 0.0, (str(error),)) for cell in ledger.missing(wanted)}
                    ledger.write(result)


def _measured(stage: Stage, cell: Cell, failed: Counter[Cell], profile: Path | None) -> Measurement | None:
    """One cell; None if it has to be tried again on another stage, without figures if it never came to an end. Raises
    NeverAtRest."""
    begun, pid = time.monotonic(), stage.contender.pid
    starved = meters.starved_seconds(pid)
    try:
        name = f"{cell.contender}-{cell.size}-{cell.scenario}.txt"
        stage.profile = None if profile is None else profile / name
        figures = SCENARIOS[cell.scenario](stage, cell.size)
        figures = {"memory_peak_mib": rounded(meters.peak_mib(stage.contender.pid), 1)} | figures
        if stage.contender.pid != pid:
            starved = 0.0  # a new process has a meter of its own
        lost = meters.starved_seconds(stage.contender.pid) - starved
    except NeverAtRest:
        raise
    except TROUBLES as error:
        failed[cell] += 1
        say(f"{cell}: {type(error).__name__} {error}")
        note = f"{type(error).__name__} {error}".splitlines()[0][:200]
        return Measurement({}, time.monotonic() - begun, (note,)) if failed[cell] == MOST_ATTEMPTS else None
    seconds = time.monotonic() - begun
    notes = [] if profile is None else ["measured under a profiler"]
    if lost > MOST_STARVED * seconds:
        notes.append(f"the machine was not idle: for {lost:.0f} s the contender had to wait for its core")
    say(f"{cell} ({seconds:.0f} s): " + ", ".join(f"{name} {value}" for name, value in figures.items()))
    for note in notes:
        say(f"{cell}: {note}")
    return Measurement(figures, seconds, tuple(notes))


def say(text: str) -> None:
    """One line for whoever watches."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()
