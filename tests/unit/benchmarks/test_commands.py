"""The commands of the benchmarks, as make calls them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.cells import Cell, Ledger, Measurement
from tests.unit.repository.tree import ROOT


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def result(folder: Path, *, textbook: float) -> Path:
    cells = {
        Cell(200, name, "burst"): Measurement({"cpu_per_create_ms": value}, 1.0)
        for name, value in {"operator": 2.0, "textbook": textbook}.items()
    }
    file = folder / f"run-{textbook:g}.json"
    Ledger("the command", {}, cells).write(file)
    return file


def test_the_gate_fails_where_a_ratio_fell_and_where_nothing_is_recorded(tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.json"
    good, bad = result(tmp_path, textbook=8.0), result(tmp_path, textbook=3.0)
    assert command("gate", good, recorded).returncode == 1
    assert command("gate", good, recorded, "--record").returncode == 0
    assert command("gate", good, recorded).returncode == 0
    fallen = command("gate", bad, recorded)
    assert fallen.returncode == 1
    assert "burst.cpu_per_create_ms/textbook: 1.5 now, 4 recorded" in fallen.stdout


def test_the_report_of_a_result_is_printed(tmp_path: Path) -> None:
    assert "| 200 | 4x |" in command("report", result(tmp_path, textbook=8.0)).stdout
