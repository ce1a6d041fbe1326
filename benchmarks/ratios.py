"""Ratios within one run, and the gate: what was reached stays reached.

A ratio is the rival's figure by ours, so more is better. Only ratios of one run are compared with recorded ones,
because machines differ and the rivals differ with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.cells import Cell, Ledger
from benchmarks.contenders import LOOP, OPERATOR, TEXTBOOK
from benchmarks.lines import LINES, Line

Ratios = dict[str, float]
"""`size/scenario.figure/rival` to the ratio."""
TOLERANCE = 0.5


def ratio(ledger: Ledger, line: Line, size: int, rival: str) -> float | None:
    """The rival's figure by ours; None where one of the two was not measured."""
    ours = ledger.figure(Cell(size, OPERATOR, line.scenario), line.figure)
    theirs = ledger.figure(Cell(size, rival, line.scenario), line.figure)
    if ours is None or theirs is None:
        return None
    return max(theirs, line.floor) / max(ours, line.floor)


def ratios(ledger: Ledger) -> Ratios:
    """All ratios of the gated lines."""
    sizes = sorted({cell.size for cell in ledger.cells})
    return {
        f"{size}/{line.key}/{rival}": round(found, 2)
        for size in sizes
        for line in LINES
        for rival in (TEXTBOOK, LOOP)
        if line.gated and (found := ratio(ledger, line, size, rival)) is not None
    }


def fallen(measured: Mapping[str, float], recorded: Mapping[str, float]) -> list[str]:
    """A sentence for each recorded ratio that fell below half, or that was not measured now."""
    return [
        f"{key}: {measured[key]:g} now, {known:g} recorded" if key in measured else f"{key}: not measured"
        for key, known in recorded.items()
        if measured.get(key, 0.0) < known * TOLERANCE
    ]


def raised(measured: Mapping[str, float], recorded: Mapping[str, float]) -> Ratios:
    """What to record after a run: each measured ratio, or what was recorded where that is better."""
    return {key: max(now, recorded.get(key, now)) for key, now in measured.items()}


def read_ratios(path: Path) -> Ratios:
    """The recorded ratios; none where nothing was recorded."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def write_ratios(path: Path, found: Mapping[str, float]) -> None:
    """Record ratios."""
    path.write_text(json.dumps(found, indent=1) + "\n")
