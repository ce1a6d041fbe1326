"""Docs are run: each command of a transcript ends well and prints what the page shows, where `up` has been run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dispersed_devenv.binaries import find_or_build
from tests.support.transcripts import exchanges, shows
from tests.unit.repository.pages import TRANSCRIPTS
from tests.unit.repository.tree import ROOT, relative

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell that took over what `up` printed."""

    exports: str

    def run(self, command: str) -> tuple[int, str]:
        """Exit status and output of a command, run in the repository's folder."""
        answer = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{self.exports}\n{command}"],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "80"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return answer.returncode, answer.stdout


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    find_or_build()
    folder = tmp_path_factory.mktemp("docs") / "env"
    devenv = [sys.executable, "-m", "dispersed_devenv"]
    try:
        up = subprocess.run(
            [*devenv, "up", "--dir", str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
        )
        yield Shell(up.stdout)
    finally:
        subprocess.run([*devenv, "down", "--dir", str(folder)], cwd=ROOT, check=True)


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=relative)
def test_the_commands_of_a_page_do_what_it_shows(path: Path, shell: Shell) -> None:
    for exchange in exchanges(path):
        if exchange.make_targets is not None:
            continue  # its targets exist (tests/unit/repository); `make demo` and `make up` have tests of their own
        status, output = shell.run(exchange.command)
        assert status == 0, f"{path.name}: {exchange.command}\n{output}"
        missing = shows(exchange.output, output.splitlines())
        assert missing is None, f"{path.name}: {exchange.command}\ndoes not print: {missing}\nbut:\n{output}"


def test_the_pages_leave_no_job_alive(shell: Shell) -> None:
    for path in TRANSCRIPTS:
        assert "kubectl apply" not in path.read_text() or "kubectl delete" in path.read_text()
    status, output = shell.run('curl --silent --fail "$SIMULATOR/_sim/jobs?live=true&summary=true"')
    assert (status, output.strip()) == (0, "[]")
