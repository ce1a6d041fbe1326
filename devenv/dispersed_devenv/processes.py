"""Starting, watching and ending child processes.

Invariants: a process is ended by its own id, never by name, and only while that id still belongs to the process
that was started (a pid file holds the id and the start time, because ids are used again); a wait has a deadline,
ends at once when the process has died, and its error carries the end of the log.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from dispersed_devenv import tether

POLL_SECONDS = 0.05
STOP_GRACE_SECONDS = 15.0
_TAIL_LINES = 25
_CLOCK_STEP_SECONDS = 10.0  # start times are computed from the wall clock, which may be set meanwhile

# The kernel ties a child to the *thread* that forked it. This one lives as long as the interpreter.
_forker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forker")


class ProcessError(Exception):
    """A process ended, or did not become what it was waited for. The text ends with the tail of its log."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run.

    `env` is the complete environment (None: that of this process). `pid_file` is written at the start and removed
    when the process is stopped through `Process`. With `dies_with_parent` the kernel kills the process when this
    one ends for whatever reason (Linux); without it the process gets a session of its own and outlives us.
    """

    name: str
    argv: Sequence[str]
    log: Path
    pid_file: Path | None = None
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    dies_with_parent: bool = True


class Process:
    """A running child. Made by `start`."""

    def __init__(self, command: Command, child: "subprocess.Popen[bytes]", log_start: int) -> None:
        self.command = command
        self._child = child
        self._log_start = log_start

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._child.poll()

    @property
    def running(self) -> bool:
        return self.returncode is None

    def output(self) -> str:
        """Everything that this process (not an earlier one with the same log file) has written so far."""
        with self.command.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def wait_until(self, condition: Callable[[], bool], *, what: str, seconds: float) -> None:
        """Poll `condition` until it holds.

        Raises `ProcessError` as soon as the process has ended, or when `seconds` have passed. `what` completes
        the sentence "… was not <what>".
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if not self.running:
                raise ProcessError(f"{self.command.name} ended with status {self.returncode}{self._tail()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.command.name} was not {what} after {seconds:.0f} s{self._tail()}")
            time.sleep(POLL_SECONDS)

    def wait(self, seconds: float) -> int:
        """The exit status of a process that ends by itself. Raises `ProcessError` when it is late."""
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"{self.command.name} was not at its end after {seconds:.0f} s{self._tail()}") from None

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens when the process has ended already."""
        self._child.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._child.kill()
        self._child.wait()
        self._forget()

    def stop(self, grace_seconds: float = STOP_GRACE_SECONDS) -> int:
        """SIGTERM, wait, SIGKILL after the grace. The exit status; harmless when the process has ended."""
        self._child.terminate()
        try:
            self._child.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self._child.kill()
        status = self._child.wait()
        self._forget()
        return status

    def _forget(self) -> None:
        if self.command.pid_file is not None:
            self.command.pid_file.unlink(missing_ok=True)

    def _tail(self) -> str:
        lines = self.output().splitlines()[-_TAIL_LINES:]
        return "\n".join(["; its log file is " + str(self.command.log), *("  | " + line for line in lines)])


def start(command: Command) -> Process:
    """Start a process with standard output and error appended to its log file.

    Raises `OSError` when the program cannot be started. (With `dies_with_parent` a missing program shows as a
    process that ends at once, its log saying why.)
    """
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("ab") as log:
        log_start = log.tell()
        argv = list(command.argv)
        if command.dies_with_parent:
            argv = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *argv]

        def fork() -> "subprocess.Popen[bytes]":
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if command.env is None else dict(command.env),
                cwd=command.cwd,
                start_new_session=not command.dies_with_parent,
            )

        child = _forker.submit(fork).result()
    if command.pid_file is not None:
        write_pid_file(command.pid_file, child.pid)
    return Process(command, child, log_start)


def write_pid_file(path: Path, pid: int) -> None:
    """Record a process: its id on the first line, its start time on the second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(psutil.NoSuchProcess):  # it has ended already: whoever waits for it will say so
        path.write_text(f"{pid}\n{psutil.Process(pid).create_time()}\n")


def recorded_process(path: Path) -> psutil.Process | None:
    """The process that a pid file names, if it is still that very process and has not ended."""
    try:
        pid, created = path.read_text().split()
        process = psutil.Process(int(pid))
        if (
            abs(process.create_time() - float(created)) > _CLOCK_STEP_SECONDS
            or process.status() == psutil.STATUS_ZOMBIE
        ):
            return None
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None
    return process


def stop_recorded(path: Path, grace_seconds: float = STOP_GRACE_SECONDS) -> bool:
    """End the process that a pid file names, whoever started it. False when it was not running."""
    process = recorded_process(path)
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
        if not _gone(process, grace_seconds):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
            if not _gone(process, STOP_GRACE_SECONDS):
                raise ProcessError(f"process {process.pid} is still there after SIGKILL")
    path.unlink(missing_ok=True)
    return process is not None


def _gone(process: psutil.Process, seconds: float) -> bool:
    """Wait for the end. A zombie has ended: only its parent can take it away, and that may not be us."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(POLL_SECONDS)
    return False
