"""What the demo prints, and the check behind each of its claims.

Invariant: nothing is claimed that was not checked. A claim that does not hold raises `StepFailedError`, and so does a
command that fails.
"""

import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.1
HEARTBEAT_SECONDS = 10.0
COMMAND_SECONDS = 150.0


class StepFailedError(Exception):
    """Something that the demo promises did not come true."""


class Narrator:
    """Tells the story to `out`. Commands run in `folder`; `chapters` is their number."""

    def __init__(self, *, chapters: int, folder: Path, out: TextIO | None = None) -> None:
        self._chapters = chapters
        self._folder = folder
        self._out = out or sys.stdout
        self._chapter = 0
        self._environ: Mapping[str, str] = {}

    def use(self, environ: Mapping[str, str]) -> None:
        """The environment of the commands from here on."""
        self._environ = environ

    def say(self, text: str = "") -> None:
        """One line."""
        self._out.write(f"{text}\n")
        self._out.flush()

    def chapter(self, title: str) -> None:
        """The heading of the next chapter."""
        self._chapter += 1
        self.say(f"\n[{self._chapter}/{self._chapters}] {title}")

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """A step that takes a while: its seconds at the end, and a sign of life every ten of them."""
        self.say(f"  starting {text}")
        started, over = time.monotonic(), threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_SECONDS):
                self.say(f"    still at it after {time.monotonic() - started:.0f} s")

        heart = threading.Thread(target=beat, daemon=True)
        heart.start()
        try:
            yield
        finally:
            over.set()
            heart.join()
        self.say(f"    ready after {time.monotonic() - started:.1f} s")

    def show(self, text: str) -> None:
        """Output of a command or the content of a file."""
        for line in text.rstrip("\n").splitlines():
            self.say(f"    {line}".rstrip())

    def show_file(self, name: str) -> None:
        """A file of the demo's folder, as `cat` shows it."""
        self.say(f"  $ cat {name}")
        self.show((self._folder / name).read_text())

    def run(self, command: str) -> str:
        """Print a command, run it for real (no shell), print and return its output. A failure ends the demo."""
        self.say(f"  $ {command}")
        output = self.ask(command)
        self.show(output)
        return output

    def ask(self, command: str) -> str:
        """Run a command without a word about it; its standard output."""
        try:
            answer = subprocess.run(
                shlex.split(command),
                env=dict(self._environ),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=COMMAND_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise StepFailedError(f"`{command}` did not end within {COMMAND_SECONDS:.0f} s") from None
        if answer.returncode != 0:
            raise StepFailedError(f"`{command}` ended with status {answer.returncode}: {answer.stdout.strip()}")
        return answer.stdout

    def check(self, holds: bool, claim: str) -> None:
        """State what holds. Raises `StepFailedError` if it does not."""
        if not holds:
            raise StepFailedError(f"this does not hold: {claim}")
        self.say(f"  ok: {claim}")


def wait_for(look: Callable[[], T | None], *, what: str, seconds: float = 60.0) -> T:
    """Look until there is something to see. Raises `StepFailedError` when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise StepFailedError(f"after {seconds:.0f} s it has not come true that {what}")
        time.sleep(POLL_SECONDS)
