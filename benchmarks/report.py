"""The table: one run as Markdown, ratios first; and its place in the docs."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cells import Cell, Ledger, read_ledger
from benchmarks.contenders import CONTENDERS, LOOP, OPERATOR, TEXTBOOK
from benchmarks.lines import LINES, Line
from benchmarks.ratios import ratio

_HEAD = (
    "| Figure | Resources | Textbook ÷ operator | Operator ÷ loop | Operator | Textbook | Loop | Goal |",
    "|---|---:|---:|---:|---:|---:|---:|---|",
)
_BEGIN, _END = "<!-- generated: benchmarks -->", "<!-- end -->"
PICTURE = "benchmarks.png"
"""It lies beside the page."""
_PICTURE = f"![Latency and memory against the number of resources]({PICTURE})"
NOTHING = "No full run has been recorded yet, and so there are no figures here."


def render(ledger: Ledger) -> str:
    """The whole report of a run."""
    facts = [f"- {name}: {text}" for name, text in {"command": f"`{ledger.command}`", **ledger.conditions}.items()]
    sizes = sorted({cell.size for cell in ledger.cells})
    rows = [row for line in LINES for size in sizes if (row := _row(ledger, line, size)) is not None]
    notes = [f"- {cell}: {note}" for cell, found in sorted(ledger.cells.items()) for note in found.notes]
    return "\n".join([*facts, "", *_HEAD, *rows, *(["", *notes] if notes else [])])


def part_of_page(result: Path) -> str:
    """What the page shows of a result file: the report and its picture, or that there is none."""
    return f"{render(read_ledger(result))}\n\n{_PICTURE}" if result.exists() else NOTHING


def with_report(page: str, report: str) -> str:
    """The page with the report in its place. Raises ValueError if it has no such place."""
    before, begun, rest = page.partition(_BEGIN)
    _, ended, after = rest.partition(_END)
    if not begun or not ended:
        raise ValueError(f"the page has no {_BEGIN} … {_END}")
    return f"{before}{begun}\n\n{report}\n\n{ended}{after}"


def _row(ledger: Ledger, line: Line, size: int) -> str | None:
    """None where nobody measured it."""
    values = {name: ledger.figure(Cell(size, name, line.scenario), line.figure) for name in CONTENDERS}
    if all(value is None for value in values.values()):
        return None
    against = ratio(ledger, line, size, TEXTBOOK)
    bare = ratio(ledger, line, size, LOOP)
    fields = [
        line.title, f"{size:,}", _times(against), _times(None if bare is None else 1 / bare),
        *(_value(ledger, Cell(size, name, line.scenario), line, values[name]) for name in CONTENDERS),
        _goal(line, size, values[OPERATOR], bare),
    ]  # fmt: skip
    return f"| {' | '.join(fields)} |"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}x"


def _value(ledger: Ledger, cell: Cell, line: Line, value: float | None) -> str:
    if value is None:
        return ""
    missing = ledger.figure(cell, "missing") or 0
    at_least = "≥ " if missing and line.unit == "s" else ""
    return f"{at_least}{value:,g} {line.unit}".rstrip()


def _goal(line: Line, size: int, ours: float | None, bare: float | None) -> str:
    """The goal, and whether it was reached."""
    goal = line.goal(size)
    if goal is not None:
        text = f"≤ {goal:g} {line.unit}".rstrip() if goal else "0"
        return text if ours is None else f"{text}: {'reached' if ours <= goal else 'missed'}"
    if line.times_loop is not None:
        text = f"≤ {line.times_loop:g}x the loop"
        return text if bare is None else f"{text}: {'reached' if 1 / bare <= line.times_loop else 'missed'}"
    return ""
