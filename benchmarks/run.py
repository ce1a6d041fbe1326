"""The driver: a stage for each pair of contender and size, one cell after the other, each written when it is done."""

from __future__ import annotations

import itertools
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import meters, profiles
from benchmarks.cells import Cell, Ledger, Measurement
from benchmarks.plans import SCENARIOS
from benchmarks.stage import Stage, StageError

MOST_STAGES = 3
"""How often a pair is begun anew before what is left of it is given up."""

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
        for attempt in range(1, MOST_STAGES + 1):
            missing = ledger.missing(wanted)
            if not missing:
                break
            say(f"{contender}, {size} resources: a new stage ({len(missing)} cells to measure)")
            with Stage(contender, cores, latency_ms=latency_ms, window=window) as stage:
                _play(stage, ledger, missing, result=result, profile=profile, last=attempt == MOST_STAGES)


def _play(
    stage: Stage, ledger: Ledger, cells: Sequence[Cell], *, result: Path, profile: Path | None, last: bool
) -> None:
    for cell in cells:
        begun, pid = time.monotonic(), stage.contender.pid
        starved = meters.starved_seconds(pid)
        try:
            with profiles.record(stage.contender.pid, profile, cell):
                figures = SCENARIOS[cell.scenario](stage, cell.size)
            notes: tuple[str, ...] = () if profile is None else ("measured under a profiler",)
            if stage.contender.pid != pid:
                starved = 0.0  # a new process has a meter of its own
            lost = meters.starved_seconds(stage.contender.pid) - starved
            if lost > MOST_STARVED * (time.monotonic() - begun):
                notes += (f"the machine was not idle: for {lost:.0f} s the contender had to wait for its core",)
        except StageError as error:
            say(f"{cell}: {error}")
            if not last:
                return
            figures, notes = {}, (str(error).splitlines()[0][:200],)
        ledger.cells[cell] = Measurement(figures, time.monotonic() - begun, notes)
        ledger.write(result)
        shown = ", ".join(f"{name} {value}" for name, value in figures.items())
        say(f"{cell} ({time.monotonic() - begun:.0f} s): {shown}")
        if not figures:
            return


def say(text: str) -> None:
    """One line for whoever watches."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()
