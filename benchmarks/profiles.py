"""Where the CPU goes: py-spy beside a scenario, and its samples by room and by function."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SPY = Path(sys.executable).with_name("py-spy")
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>.+?)(?::\d+)?\)")
_OURS = "dispersed_operator/"
_LIBRARY = re.compile(r"(?:(?:.*/)?(?:site-packages|python3\.\d+)/)?(?P<name>[\w-]+)")
_IDLE = "selectors.py"


@contextmanager
def record(pid: int, output: Path | None) -> Iterator[None]:
    """Sample a process while the body runs; nothing at all without a file to write."""
    if output is None:
        yield
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [str(_SPY), "record", "--pid", str(pid), "--format", "raw", "--output", str(output), "--rate", "100"]
    spy = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - no shell
    try:
        yield
    finally:
        spy.send_signal(signal.SIGINT)
        spy.wait(60)


def costs(lines: Iterable[str], most: int = 10) -> str:
    """Markdown: the share of the samples by the operator's room and function that were innermost, what they called in
    libraries included; and by library."""
    libraries: Counter[str] = Counter()
    rooms: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    total = 0
    for line in lines:
        text, _, count = line.rpartition(" ")
        frames = [found for found in map(_FRAME.fullmatch, text.split(";")) if found is not None]
        if not frames or frames[-1]["file"].endswith(_IDLE):  # it waits: no cost
            continue
        total += int(count)
        libraries[_library(frames[-1]["file"])] += int(count)
        inner = next((frame for frame in reversed(frames) if _OURS in frame["file"]), None)
        file = "no frame of the operator" if inner is None else inner["file"].rpartition(_OURS)[2]
        rooms[file.partition("/")[0]] += int(count)
        functions[file if inner is None else f"{file} {inner['function']}"] += int(count)
    parts = [
        ("Room of the operator", rooms),
        ("Innermost function of the operator", functions),
        ("Library of the innermost frame", libraries),
    ]
    return "\n\n".join(_table(title, counts, total, most) for title, counts in parts)


def _library(file: str) -> str:
    found = _LIBRARY.match(file)
    return "Python" if found is None else found["name"]


def _table(title: str, counts: Counter[str], total: int, most: int) -> str:
    rows = [f"| {name} | {count / total:.0%} |" for name, count in counts.most_common(most)]
    return "\n".join([f"| {title} | Share of {total} samples |", "|---|---|", *rows])
