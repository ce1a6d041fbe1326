"""What was measured, cell by cell, and the file that it is kept in.

A cell is one scenario of one contender with so many resources. It is written as soon as it is measured, so that a run
that is cut short goes on where it was. The file names no host and no path.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Figures = dict[str, float | None]
"""Name of a figure to its value; None where it could not be measured within the limit of the cell."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One box of the table: who, with how many resources, doing what."""

    size: int
    contender: str
    scenario: str

    def __str__(self) -> str:
        return f"{self.contender}, {self.size} resources, {self.scenario}"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a cell came to. `seconds` is how long it took to measure; `notes` are for the reader."""

    figures: Figures
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Ledger:
    """One run. `conditions` are what holds for all its cells: machine, limits, latency of the service, date."""

    command: str
    conditions: dict[str, str]
    cells: dict[Cell, Measurement] = field(default_factory=dict)

    def missing(self, wanted: Iterable[Cell]) -> list[Cell]:
        """The wanted cells that are not measured yet, in their order."""
        return [cell for cell in wanted if cell not in self.cells]

    def figure(self, cell: Cell, name: str) -> float | None:
        """One figure of a cell, None if there is none."""
        found = self.cells.get(cell)
        return None if found is None else found.figures.get(name)

    def go_on(self, command: str, conditions: dict[str, str]) -> None:
        """The same run goes on, perhaps on another day and with a command that names other cells. Raises ValueError
        where the machine or the service is another, because then no ratio would mean anything."""
        changed = [name for name, value in conditions.items() if name != "date" and self.conditions.get(name) != value]
        if changed:
            raise ValueError(f"this run was made with another {' and '.join(changed)}: begin a new one")
        if command not in self.command.split("; "):
            self.command += f"; {command}"
        if conditions["date"] not in self.conditions["date"]:
            self.conditions["date"] += f", {conditions['date']}"

    def write(self, path: Path) -> None:
        """Write all of it; a reader never sees half a file."""
        rows = [
            {"size": cell.size, "contender": cell.contender, "scenario": cell.scenario,
             "seconds": round(found.seconds, 1), "figures": found.figures, "notes": list(found.notes)}
            for cell, found in self.cells.items()
        ]  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        document = {"command": self.command, "conditions": self.conditions, "cells": rows}
        partial.write_text(json.dumps(document, indent=1) + "\n")
        partial.replace(path)


def read_ledger(path: Path) -> Ledger:
    """The run of a file. Raises OSError, ValueError, KeyError."""
    document: dict[str, Any] = json.loads(path.read_text())
    cells = {
        Cell(row["size"], row["contender"], row["scenario"]): Measurement(
            dict(row["figures"]), row["seconds"], tuple(row["notes"])
        )
        for row in document["cells"]
    }
    return Ledger(document["command"], dict(document["conditions"]), cells)
