"""Runs a part of the chaos in a process of its own, where the order of sets is the one of every replay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EPISODES = 250


def chaos(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The chaos program with these arguments; its output holds the command that replays each failure."""
    paths = os.pathsep.join(str(path) for path in (ROOT / "operator", ROOT))
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": "0"}
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation.chaos", *arguments],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def assert_no_violation(first: int, *options: str) -> str:
    """The episodes of the seeds from `first` on end as the resources want it; the figures."""
    done = chaos("--seed", str(first), "--episodes", str(EPISODES), "--stop-after", "2", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"episodes        {EPISODES} " in done.stdout
    return done.stdout
