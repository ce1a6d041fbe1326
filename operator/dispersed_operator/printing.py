"""What a command prints for a person: columns that line up, and no character that could steer a terminal.

Why it exists: titles and messages come from the remote side, where anybody may have written them. Invariant: what
leaves here is printable text, one line per row.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of left-aligned columns, two blanks apart, each line without blanks at its end, the last with a line
    end."""
    lines = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "".join("  ".join(f"{cell:<{widths[i]}}" for i, cell in enumerate(line)).rstrip() + "\n" for line in lines)


def printable(text: str) -> str:
    """The text with every character that is not plainly visible replaced by a question mark."""
    return "".join(character if character.isprintable() else "?" for character in text)


def print_out(text: str) -> None:
    """Write text to standard output as it is."""
    sys.stdout.write(text)
