"""Folders of the cache that are built once for each machine.

Invariants: a folder is complete, because it is renamed into its place only when everything is in it; two processes
never build the same one at the same time.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from dispersed_devenv import gobuild
from dispersed_devenv.binaries import build_lock, cache_home
from dispersed_devenv.gobuild import Report

Make = Callable[[Path, Path, Path], None]
"""Is given Go, a scratch folder for logs, and the empty folder that is to be filled."""


def build_once(
    folder: Path, is_complete: Callable[[], bool], make: Make, *, environ: Mapping[str, str], report: Report
) -> None:
    """Let `make` fill `folder` unless it is complete. Raises `BuildError`; nothing is left then."""
    if is_complete():
        return
    with build_lock(folder.parent / f"{folder.name}.lock", report):
        if not is_complete():  # nobody built it while we waited
            _build_into(folder, make, environ, report)


def _build_into(folder: Path, make: Make, environ: Mapping[str, str], report: Report) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="build-") as scratch:
        work = Path(scratch)
        made = work / "made"
        made.mkdir()
        go = gobuild.installed_go(environ) or gobuild.fetch_go(cache_home(environ), report, work)
        make(go, work, made)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    report(f"built: {folder}")
