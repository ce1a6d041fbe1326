"""Becomes another program that the kernel ends together with the process that started it.

Run as a script: `tether.py PARENT_PID PROGRAM ARGUMENT…`. Only Linux can tie a child to its parent; elsewhere
the program simply starts. It runs before `exec` in the child itself, so that the parent needs no code between
fork and exec, which is unsafe in a process with threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Tie this process to `parent`, then replace it by `command`. Never returns."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != parent:  # it died before we were tied to it: no signal would ever come
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606  no shell is wanted here


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
