"""The demo as a stranger runs it: it tells the story of the README, checks itself, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dispersed_devenv.binaries import find_or_build
from tests.e2e.leftovers import pids_of, processes_of
from tests.support.transcripts import exchanges, stable

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", autouse=True)
def _programs_are_built() -> None:
    find_or_build()


def start_demo(folder: Path) -> subprocess.Popen[str]:
    """The demo with its temporary files below `folder`; standard error apart. It hears SIGINT as on a terminal, also if
    whoever runs the tests ignores it."""
    with (folder / "stderr").open("w") as complaints:
        return subprocess.Popen(
            ["env", "--default-signal=INT", sys.executable, "-m", "dispersed_devenv", "demo"],
            env={**os.environ, "TMPDIR": str(folder)},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        )


def read_until(demo: subprocess.Popen[str], text: str) -> None:
    """Read its output up to a line that begins with `text`."""
    assert demo.stdout is not None
    assert any(line.startswith(text) for line in demo.stdout), f"the demo never said {text}"


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != "stderr"]


def skeleton(lines: list[str]) -> list[str]:
    """Headings, commands and claims: what every run of the demo says."""
    return [stable(line) for line in lines if line.startswith(("[", "  $ ", "  ok: "))]


def test_the_demo_tells_the_story_of_the_readme_and_leaves_nothing_behind(tmp_path: Path) -> None:
    demo = start_demo(tmp_path)
    output, _ = demo.communicate()
    assert demo.returncode == 0, (tmp_path / "stderr").read_text() + output
    assert processes_of(tmp_path) == []
    assert left_in(tmp_path) == []
    told = skeleton(output.splitlines())
    assert any("3 POSTs and 3 jobs for 3 resources" in line for line in output.splitlines())
    shown = next(item for item in exchanges(ROOT / "README.md") if item.make_targets == ["demo"])
    assert skeleton(shown.output) == told


def test_no_token_is_printed(tmp_path: Path) -> None:
    demo = start_demo(tmp_path)
    read_until(demo, "  the connection Secret")
    assert demo.stdout is not None
    shown = demo.stdout.readline()
    demo.send_signal(signal.SIGINT)  # the rest is not of interest here; on a busy machine it may be over already
    demo.communicate()
    assert demo.returncode in {0, 130}
    assert shown.strip() == "access-token: (hidden)"
    assert processes_of(tmp_path) == []
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"])
def test_a_demo_that_is_stopped_while_it_starts_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    demo = start_demo(tmp_path)
    read_until(demo, "  starting the simulator")
    demo.send_signal(number)
    demo.communicate()
    assert demo.returncode == status
    assert processes_of(tmp_path) == []
    assert left_in(tmp_path) == []


def test_a_step_that_does_not_hold_fails_the_demo_with_the_logs_and_leaves_nothing_behind(tmp_path: Path) -> None:
    demo = start_demo(tmp_path)
    read_until(demo, "[2/7]")
    (server,) = pids_of(tmp_path, "kube-apiserver --etcd-servers")
    os.kill(server, signal.SIGKILL)
    demo.communicate()
    complaint = (tmp_path / "stderr").read_text()
    assert demo.returncode == 1, complaint
    assert "The demo failed: `kubectl" in complaint
    assert "The end of the log of dispersed-operator:" in complaint
    assert processes_of(tmp_path) == []
    assert left_in(tmp_path) == []
