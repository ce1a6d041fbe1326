"""`up`, `status` and `down`: the same environment, left running and found again by other processes."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from dispersed_devenv.binaries import find_or_build
from dispersed_simulator.control_client import ControlClient, Row
from tests.e2e.leftovers import processes_of

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(600)


def command(name: str, folder: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "dispersed_devenv", name, "--dir", str(folder)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=check, stdin=subprocess.DEVNULL)


def shell(text: str, exports: str) -> str:
    """Run a command in a shell that took the exports of `up` over."""
    answer = subprocess.run(
        ["bash", "-euc", f"{exports}\n{text}"], cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ
    )
    assert answer.returncode == 0, answer.stderr + answer.stdout
    return answer.stdout


def truth(exports: str) -> list[Row]:
    """All jobs of the simulator that `up` names."""
    address = re.findall(r"^export SIMULATOR=(\S+)$", exports, re.MULTILINE)[0]
    with ControlClient(address) as control:
        return control.jobs()


@dataclass(frozen=True, slots=True)
class Up:
    """An environment that was left running, and what `up` printed."""

    folder: Path
    exports: str


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    find_or_build()
    folder = tmp_path_factory.mktemp("up") / "env"
    try:
        yield Up(folder, command("up", folder).stdout)
    finally:
        command("down", folder)


def test_the_environment_outlives_up_and_runs_the_sample_that_it_prints(environment: Up) -> None:
    status = command("status", environment.folder).stdout
    assert len(re.findall(r"pid \d+", status)) == 5
    assert re.search(r"operator +ready", status)
    sample = next(line for line in environment.exports.splitlines() if "kubectl apply -f" in line).lstrip("# ")
    shell(f"{sample} && kubectl wait --for=condition=Complete djob --all --timeout=90s", environment.exports)
    assert "exit code 0" in shell("dispersed-operator logs demo/render-frames", environment.exports)
    assert [job["live"] for job in truth(environment.exports)] == [False]


def test_up_again_says_so_and_starts_nothing_a_second_time(environment: Up) -> None:
    before = command("status", environment.folder).stdout
    again = command("up", environment.folder)
    assert "already up" in again.stderr
    assert again.stdout == environment.exports
    assert command("status", environment.folder).stdout == before


def test_the_operator_left_running_can_work_for_a_day(environment: Up) -> None:
    kubeconfig = environment.folder / "operator" / "operator.kubeconfig"
    token = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["exp"] - claims["iat"] == 24 * 3600
    assert claims["sub"] == "system:serviceaccount:dispersed-system:dispersed-operator"


def test_up_starts_only_what_is_missing(environment: Up) -> None:
    operator = re.compile(r"dispersed-operator +pid (\d+)\n")
    before = command("status", environment.folder).stdout
    os.kill(int(operator.findall(before)[0]), signal.SIGKILL)
    assert command("status", environment.folder, check=False).returncode == 1
    command("up", environment.folder)
    after = command("status", environment.folder).stdout
    assert operator.sub("", after) == operator.sub("", before)
    assert operator.findall(after) != operator.findall(before)


def test_down_ends_everything_and_up_after_it_finds_resources_and_addresses_again(tmp_path: Path) -> None:
    find_or_build()
    folder = tmp_path / "env"
    try:
        exports = command("up", folder).stdout
        shell("kubectl apply -f manifests/samples/batch.yaml", exports)
        shell("kubectl wait --for=condition=Complete djob/render-frames --timeout=90s", exports)
        assert "dispersed-operator" in command("down", folder).stderr
        assert processes_of(folder) == []
        status = command("status", folder, check=False)
        assert (status.returncode, status.stdout.count("not running")) == (1, 5)
        assert "nothing was running" in command("down", folder).stderr

        assert command("up", folder).stdout == exports
        shell("kubectl wait --for=condition=Complete djob/render-frames --timeout=30s", exports)
        assert len(truth(exports)) == 1
    finally:
        command("down", folder)
