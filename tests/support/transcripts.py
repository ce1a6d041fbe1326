"""Commands and their output as the docs show them, and what of an output stays the same from run to run.

The convention: a fenced block of the kind `console` is a transcript. A line that begins with `$ ` is a command, what
follows up to the next command is its output. A line that holds only `…` stands for any number of lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ELISION = "…"
_FENCE = re.compile(r"^```(\w*)[ \t]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_MAKE = re.compile(r"""^(?:eval "\$\()?make((?: [\w=-]+)*)(?:\)")?$""")
_CHANGING = (
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"kd1-[a-z0-9-]+"), "<mark>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"(?<=token )[a-z2-7]{12}$"), "<token>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12}\b"), "<hex>"),
    (re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:ms|[smhd])(?:\d+[smhd])*(?![\w])"), "<age>"),
    (re.compile(r"\d+(?:\.\d+)?"), "<n>"),
    (re.compile(r"\s+"), " "),
)


@dataclass(slots=True)
class Exchange:
    """One command and the output that is shown for it."""

    command: str
    output: list[str] = field(default_factory=list)

    @property
    def make_targets(self) -> list[str] | None:
        """The targets if the command is `make`, else None."""
        match = _MAKE.match(self.command)
        return None if match is None else [word for word in match[1].split() if not word.startswith("-")]


def fenced_blocks(path: Path, kind: str) -> list[str]:
    """The contents of the fenced blocks of one kind."""
    return [match[2] for match in _FENCE.finditer(path.read_text()) if match[1] == kind]


def exchanges(path: Path) -> list[Exchange]:
    """Every command of a page with its output, in order. Raises ValueError for output without a command."""
    found: list[Exchange] = []
    for block in fenced_blocks(path, "console"):
        fresh = True
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Exchange(line[2:].strip()))
                fresh = False
            elif fresh:
                raise ValueError(f"{path.name}: a console block begins with a command, not with {line!r}")
            else:
                found[-1].output.append(line)
    return found


def stable(line: str) -> str:
    """A line without what differs from run to run: numbers, times, ids, the width of columns."""
    for pattern, substitute in _CHANGING:
        line = pattern.sub(substitute, line)
    return line.strip()


def shows(expected: list[str], real: list[str]) -> str | None:
    """None if the real output is the expected one, up to what changes; else the first expected line that is not there.

    Empty lines at the ends do not count.
    """
    wanted = [stable(line) for line in expected if line.strip()]
    given = [stable(line) for line in real if line.strip()]
    position, free = 0, False
    for line in wanted:
        if line == ELISION:
            free = True
            continue
        if free:
            while position < len(given) and given[position] != line:
                position += 1
        if position >= len(given) or given[position] != line:
            return line
        position, free = position + 1, False
    return None if free or position == len(given) else f"<end>, but there is: {given[position]}"
