"""The demo's narrator believes nothing, and the command line refuses what makes no sense."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from dispersed_devenv import processes
from dispersed_devenv.cli import main, parser
from dispersed_devenv.controlplane import STOP_ORDER
from dispersed_devenv.demo_narration import Narrator, StepFailedError, wait_for
from dispersed_devenv.environment import Environment, PartlyRunningError


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def narrator(tmp_path: Path, out: io.StringIO) -> Narrator:
    made = Narrator(chapters=2, folder=tmp_path, out=out)
    made.use(os.environ)
    return made


def test_a_claim_that_does_not_hold_ends_the_story_and_is_not_printed(narrator: Narrator, out: io.StringIO) -> None:
    with pytest.raises(StepFailedError, match="this does not hold: the sky is green"):
        narrator.check(False, "the sky is green")
    narrator.check(True, "the sky is blue")
    assert out.getvalue() == "  ok: the sky is blue\n"


def test_a_command_stands_above_its_output(narrator: Narrator, out: io.StringIO) -> None:
    assert narrator.run("printf 'one\\ntwo\\n'") == "one\ntwo\n"
    assert out.getvalue() == "  $ printf 'one\\ntwo\\n'\n    one\n    two\n"


def test_a_command_that_fails_ends_the_story_with_its_words(narrator: Narrator) -> None:
    with pytest.raises(StepFailedError, match=r"`ls no-such-file` ended with status \d+: .*no-such-file"):
        narrator.run("ls no-such-file")


def test_chapters_are_counted(narrator: Narrator, out: io.StringIO) -> None:
    narrator.chapter("First")
    narrator.chapter("Second")
    assert out.getvalue() == "\n[1/2] First\n\n[2/2] Second\n"


def test_a_step_that_fails_is_not_called_ready(narrator: Narrator, out: io.StringIO) -> None:
    with pytest.raises(OSError, match="broken"), narrator.step("the machine"):
        raise OSError("broken")
    assert out.getvalue() == "  starting the machine\n"


def test_waiting_for_what_never_comes_ends_with_its_name() -> None:
    with pytest.raises(StepFailedError, match="it has not come true that pigs fly"):
        wait_for(lambda: None, what="pigs fly", seconds=0)
    assert wait_for(lambda: 3, what="three") == 3


def test_applying_manifests_of_ones_own_is_for_a_bare_control_plane(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "--dir", str(tmp_path), "--apply", "x.yaml"]) == 2
    assert "--apply needs --control-plane-only" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_command_is_needed() -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([])
    assert ended.value.code == 2


def test_half_a_control_plane_is_not_built_upon(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    processes.write_pid_file(environment.folder / "pids" / f"{STOP_ORDER[-1]}.pid", os.getpid())
    with pytest.raises(PartlyRunningError, match="kube-apiserver is missing"):
        environment.start()
    assert [part.name for part in environment.parts() if part.pid is not None] == [STOP_ORDER[-1]]


def test_the_parts_are_named_in_the_order_of_their_start(tmp_path: Path) -> None:
    names = [part.name for part in Environment(tmp_path).parts()]
    assert names == ["etcd", "kube-apiserver", "kube-controller-manager", "dispersed-simulator", "dispersed-operator"]
