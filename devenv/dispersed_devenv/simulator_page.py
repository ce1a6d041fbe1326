"""Writes the generated tables of docs/simulator.md, so that the page cannot drift from the simulator.

`python -m dispersed_devenv.simulator_page docs/simulator.md` rewrites the tables in place; a test compares them. The
words around them are written by hand.
"""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final

from dispersed_simulator.app import build_app
from dispersed_simulator.faults import KINDS
from dispersed_simulator.records import Fate
from dispersed_simulator.runtime import open_runtime
from dispersed_simulator.settings import build_parser, parse_settings
from dispersed_simulator.switches import describe_switches


def options_table() -> str:
    """One row for each option of the command."""
    rows = []
    for action in build_parser()._actions:
        if action.option_strings and action.dest != "help":
            meaning = (action.help or "").replace("%(default)s", str(action.default))
            rows.append((" ".join(f"`{word}`" for word in action.option_strings), meaning))
    return _table(("Option", "Meaning"), rows)


def routes_table() -> str:
    """One row for each call of the control surface."""
    document = build_app(open_runtime(parse_settings([]))).openapi()
    rows = [
        (f"`{method.upper()} {path}`", operation["summary"])
        for path, operations in document["paths"].items()
        if path.startswith("/_sim")
        for method, operation in operations.items()
    ]
    return _table(("Call", "Meaning"), rows)


def faults_table() -> str:
    """One row for each kind of fault."""
    rows = [(f"`{kind}`", _code(method), f"`{path}`", meaning) for kind, (method, path, meaning) in KINDS.items()]
    return _table(("Kind", "Method", "Path", "Meaning"), rows)


def fate_table() -> str:
    """One row for each field of a fate."""
    return _table(("Field", "Default"), [(f"`{spec.name}`", _value(spec.default)) for spec in fields(Fate)])


def switches_table() -> str:
    """One row for each switch."""
    rows = []
    for row in describe_switches():
        listed = row["choices"] if isinstance(row["choices"], list) else []
        choices = ", ".join(_value(choice) for choice in listed)
        rows.append((f"`{row['name']}`", _value(row["default"]), choices, str(row["reference"]), str(row["meaning"])))
    return _table(("Switch", "Default", "Choices", "Reference", "Meaning"), rows)


TABLES: Final[dict[str, Callable[[], str]]] = {
    "options": options_table,
    "routes": routes_table,
    "faults": faults_table,
    "fate": fate_table,
    "switches": switches_table,
}


def page_with_tables(page: str) -> str:
    """The page with all its tables as they are today. Raises `ValueError` if one of them has not exactly one place."""
    for name, table in TABLES.items():
        block = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        made = table()
        page, count = block.subn(lambda match, made=made: f"{match[1]}\n{made}\n{match[2]}", page)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"the page needs exactly one place for the table {name}")
    return page


def _code(text: str | None) -> str:
    return f"`{text}`" if text else "any"


def _value(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(page_with_tables(target.read_text()))
