"""Writes the generated tables of docs/settings.md and docs/metrics.md, so that the docs cannot drift from the code.

A page keeps its own words; only what stands between its two markers is generated. `python -m
dispersed_operator.telemetry.tables docs` rewrites the pages in place; a test compares them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from dispersed_operator.config import Settings, default_text, flag_name, variable_name
from dispersed_operator.telemetry.metrics import Metrics

_BLOCK = re.compile(r"(<!-- generated: [a-z]+ -->\n).*?(<!-- end -->)", re.DOTALL)


def settings_table() -> str:
    """One row for each setting: flag, variable, default, meaning."""
    rows = [
        (f"`{flag_name(field)}`", f"`{variable_name(field)}`", _code(default_text(info)), info.description or "")
        for field, info in Settings.model_fields.items()
    ]
    return _table(("Flag", "Variable", "Default", "Meaning"), rows)


def metrics_table() -> str:
    """One row for each metric: name, type, labels, meaning."""
    rows = [
        (f"`{row.name}`", row.kind, ", ".join(f"`{label}`" for label in row.labels), row.meaning)
        for row in Metrics().catalogue()
    ]
    return _table(("Metric", "Type", "Labels", "Meaning"), rows)


PAGES: Final[dict[str, Callable[[], str]]] = {"settings.md": settings_table, "metrics.md": metrics_table}


def page_with(table: str, page: str) -> str:
    """The page with its generated block replaced; raises `ValueError` if it has not exactly one."""
    new, count = _BLOCK.subn(lambda match: f"{match[1]}\n{table}\n{match[2]}", page)
    if count != 1:
        raise ValueError("a page needs exactly one generated block")
    return new


def main(arguments: list[str]) -> int:
    """Rewrite the pages in the folder named by the only argument."""
    folder = Path(arguments[0])
    for name, table in PAGES.items():
        path = folder / name
        path.write_text(page_with(table(), path.read_text()))
    return 0


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
