"""What a command of the development environment may leave behind: nothing."""

from __future__ import annotations

from pathlib import Path

import psutil


def processes_of(folder: Path) -> list[str]:
    """The command lines of all living processes that name a folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or ())
        if str(folder) in words and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(words)
    return found


def pids_of(folder: Path, word: str) -> list[int]:
    """The ids of the processes that name a folder and a word."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or ()) and word in " ".join(process.info["cmdline"] or ())
    ]
