"""The files of the repository as a clone has them: tracked ones, and new ones that git would not ignore."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_LEFT_OUT = {".git", ".venv", "__pycache__", "dist", "build"}


def _files() -> list[Path]:
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        names = sorted(name for name in os.fsdecode(listed).split("\0") if name)
        return [ROOT / name for name in names if (ROOT / name).is_file()]
    # An unpacked archive has no history.
    return sorted(
        path for path in ROOT.rglob("*") if path.is_file() and not _LEFT_OUT.intersection(path.relative_to(ROOT).parts)
    )


def relative(path: Path) -> str:
    """The path as git writes it; the id of a test case."""
    return path.relative_to(ROOT).as_posix()


FILES = _files()
MODULES = [path for path in FILES if path.suffix == ".py"]
