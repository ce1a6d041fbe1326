"""Child processes: ended by id and never by mistake, waited for with a reason when the wait fails."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dispersed_devenv.processes import (
    Command,
    Process,
    ProcessError,
    recorded_process,
    start,
    stop_recorded,
    write_pid_file,
)

DEVENV = Path(__file__).resolve().parents[3] / "devenv"
SLEEP = "import time; print('awake', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
Run = Callable[..., Process]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Starts a Python program; what still runs after the test is killed."""
    started: list[Process] = []

    def run_program(program: str, *, tied: bool = True) -> Process:
        command = Command(
            name="child",
            argv=[sys.executable, "-c", program],
            log=tmp_path / "child.log",
            pid_file=tmp_path / "child.pid",
            dies_with_parent=tied,
        )
        started.append(start(command))
        return started[-1]

    yield run_program
    for process in started:
        process.kill()


def awake(process: Process) -> Process:
    process.wait_until(lambda: "awake" in process.output(), what="awake", seconds=30)
    return process


@pytest.mark.parametrize("tied", [True, False])
def test_a_process_is_stopped_and_its_pid_file_goes(run: Run, tmp_path: Path, tied: bool) -> None:
    process = awake(run(SLEEP, tied=tied))
    assert (tmp_path / "child.pid").read_text().split()[0] == str(process.pid)
    assert process.running
    assert process.stop() == -signal.SIGTERM
    assert process.returncode == -signal.SIGTERM
    assert not (tmp_path / "child.pid").exists()


def test_a_process_that_ignores_the_polite_signal_is_killed_after_the_grace(run: Run) -> None:
    assert awake(run(STUBBORN)).stop(grace_seconds=0.1) == -signal.SIGKILL


def test_stopping_a_process_that_has_ended_gives_its_status(run: Run) -> None:
    process = run("raise SystemExit(3)")
    assert process.wait(30) == 3
    assert process.stop() == 3


def test_a_wait_ends_with_the_process_and_shows_the_end_of_its_log(run: Run) -> None:
    process = run("print('cannot open the door'); raise SystemExit(7)")
    with pytest.raises(ProcessError, match=r"(?s)child ended with status 7.*child\.log.*cannot open the door"):
        process.wait_until(lambda: False, what="ready", seconds=60)


def test_a_wait_that_is_too_long_says_what_was_waited_for(run: Run) -> None:
    process = awake(run(SLEEP))
    with pytest.raises(ProcessError, match=r"(?s)child was not ready after 0 s.*awake"):
        process.wait_until(lambda: False, what="ready", seconds=0.1)
    with pytest.raises(ProcessError, match="not at its end"):
        process.wait(0.1)


def test_the_output_of_an_earlier_process_is_not_taken_for_ours(run: Run, tmp_path: Path) -> None:
    assert run("print('first')").wait(30) == 0
    second = run("print('second')")
    assert second.wait(30) == 0
    assert second.output() == "second\n"
    assert (tmp_path / "child.log").read_text() == "first\nsecond\n"


def test_a_missing_program_fails_with_its_name(tmp_path: Path) -> None:
    missing = str(tmp_path / "no-such-program")
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        start(Command(name="missing", argv=[missing], log=tmp_path / "log", dies_with_parent=False))
    tied = start(Command(name="missing", argv=[missing], log=tmp_path / "log"))
    with pytest.raises(ProcessError, match=r"(?s)ended with status 1.*FileNotFoundError"):
        tied.wait_until(lambda: False, what="there", seconds=30)


def test_a_recorded_process_is_stopped_by_whoever_reads_the_file(run: Run, tmp_path: Path) -> None:
    process = awake(run(SLEEP))
    recorded = recorded_process(tmp_path / "child.pid")
    assert recorded is not None
    assert recorded.pid == process.pid
    assert stop_recorded(tmp_path / "child.pid")
    assert process.wait(30) == -signal.SIGTERM
    assert not stop_recorded(tmp_path / "child.pid")


def test_a_recorded_process_that_ignores_the_polite_signal_is_killed(run: Run, tmp_path: Path) -> None:
    process = awake(run(STUBBORN))
    assert stop_recorded(tmp_path / "child.pid", grace_seconds=0.1)
    assert process.wait(30) == -signal.SIGKILL


def test_a_process_that_got_a_recorded_id_later_is_left_alone(run: Run, tmp_path: Path) -> None:
    process = awake(run(SLEEP))
    stale = tmp_path / "stale.pid"
    stale.write_text(f"{process.pid}\n{psutil.Process(process.pid).create_time() - 3600}\n")
    assert recorded_process(stale) is None
    assert not stop_recorded(stale)
    assert process.running


@pytest.mark.parametrize("content", ["", "rubbish\n", "1 2 3\n", "x y\n"])
def test_a_pid_file_that_makes_no_sense_names_no_process(tmp_path: Path, content: str) -> None:
    (tmp_path / "odd.pid").write_text(content)
    assert recorded_process(tmp_path / "odd.pid") is None


def test_a_zombie_does_not_count_as_running(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        write_pid_file(tmp_path / "zombie.pid", child.pid)
        assert recorded_process(tmp_path / "zombie.pid") is not None
        assert child.stdin is not None
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has taken it away yet
        assert recorded_process(tmp_path / "zombie.pid") is None


def test_a_tied_process_outlives_the_thread_that_started_it(run: Run) -> None:
    made: list[Process] = []
    thread = threading.Thread(target=lambda: made.append(awake(run(SLEEP))))
    thread.start()
    thread.join()
    assert made[0].running
    assert psutil.Process(made[0].pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("tied", [True, False] if sys.platform == "linux" else [False])
def test_only_a_tied_process_ends_with_its_parent(tmp_path: Path, tied: bool) -> None:
    program = (
        "import os, pathlib, signal, sys\n"
        "from dispersed_devenv.processes import Command, start\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        f"command = Command('child', [sys.executable, '-c', {SLEEP!r}], folder / 'log', folder / 'pid',"
        f" dies_with_parent={tied})\n"
        "child = start(command)\n"
        "child.wait_until(lambda: 'awake' in child.output(), what='awake', seconds=30)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(DEVENV)}
    parent = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, env=environment)
    assert parent.returncode == -signal.SIGKILL
    if tied:
        assert not stop_recorded_eventually(tmp_path / "pid")
    else:
        assert stop_recorded(tmp_path / "pid")


def stop_recorded_eventually(path: Path) -> bool:
    """Whether the process is still there once its end, if it is to come, has come."""
    process = recorded_process(path)
    if process is not None:
        psutil.wait_procs([process], timeout=10)
    return recorded_process(path) is not None
