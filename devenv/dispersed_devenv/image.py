"""Builds the image of the Dockerfile without a container engine, and looks at what came out.

    python -m dispersed_devenv.image

Needs root, `buildah` and `debootstrap` (Debian packages). The base that the Dockerfile names cannot be fetched
everywhere, so a small Debian with Python, made by debootstrap, stands in for it under the same name; it is kept in the
cache. What is checked does not depend on the base: every step of the Dockerfile runs, the entry point starts as the
user that the image names, and nothing is in it that builds software.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from dispersed_devenv.binaries import cache_home
from dispersed_devenv.environment import REPOSITORY

IMAGE = "localhost/dispersed-operator:dev"
BASE = re.compile(r"^FROM (\S+)", re.MULTILINE)
SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
SHARED_WITH_THE_BUILD = (Path("/etc/pip.conf"), Path("/etc/ssl/certs/ca-certificates.crt"))
"""How this machine reaches the package index holds inside the build, too; none of it is in the image."""
BUILD_TOOLS = ("gcc", "cc", "make", "pip", "pip3", "git")


class ImageError(Exception):
    """The image cannot be built here, or is not as it must be."""


class Buildah:
    """buildah with a storage of our own: one process beneath another needs no engine and no daemon."""

    def __init__(self, folder: Path) -> None:
        self._arguments = ["buildah", "--root", str(folder / "storage"), "--runroot", str(folder / "run")]

    def __call__(self, *arguments: str) -> str:
        """Run one command; its standard output. Raises ImageError with the end of what it said."""
        environment = os.environ | {"BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run(
            [*self._arguments, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ImageError(f"buildah {arguments[0]}: {(done.stderr or done.stdout)[-3000:]}")
        return done.stdout.strip()


def build(buildah: Buildah, source: Path) -> None:
    """Every step of the Dockerfile; its base must be in the storage."""
    shared = [f"--volume={path}:{path}:ro" for path in SHARED_WITH_THE_BUILD if path.exists()]
    buildah("bud", "--pull-never", "--format=docker", *shared, "--tag", IMAGE, str(source))


def ensure_bases(buildah: Buildah, dockerfile: Path) -> None:
    """Put the stand-in under each name that the Dockerfile builds on, where it is not there yet."""
    known = buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()
    wanted = {f"docker.io/library/{name}" for name in BASE.findall(dockerfile.read_text())} - set(known)
    if not wanted:
        return
    with TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        _run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)])
        container = buildah("from", "scratch")
        buildah("add", "--quiet", container, str(root), "/")
        buildah("run", container, "--", "ln", "--symbolic", "python3", "/usr/bin/python")
        for name in sorted(wanted):
            buildah("commit", "--quiet", container, name)
        buildah("rm", container)


def faults(buildah: Buildah) -> list[str]:
    """What is wrong with the image."""
    container = buildah("from", "--pull-never", IMAGE)
    try:
        found = []
        config = json.loads(buildah("inspect", "--type=container", container))["Docker"]["config"]
        user = str(config["User"]).partition(":")[0]
        if not user.isdigit() or user == "0":
            found.append(f"its user is {user!r}: a number other than 0 is wanted")
        if "Runs GPU jobs" not in buildah("run", container, "--", *config["Entrypoint"], "--help"):
            found.append("its entry point does not start")
        script = f"for name in {' '.join(BUILD_TOOLS)}; do command -v $name; done; true"
        found += [f"it holds {line}" for line in buildah("run", container, "--", "sh", "-c", script).split()]
        script = 'for folder in $(find / -xdev -type d -writable 2>/dev/null); do echo "$folder"; done'
        writable = buildah("run", container, "--", "sh", "-c", script).split()
        allowed = ("/tmp", "/var/tmp", "/dev", "/proc", "/sys", "/run")  # noqa: S108 - named, not used
        found += [f"user {user} may write {path}" for path in writable if not path.startswith(allowed)]
        return found
    finally:
        buildah("rm", container)


def main() -> int:
    """Build and check; 0 if the image is as it must be."""
    missing = [name for name in ("buildah", "debootstrap") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        print("error: this needs root and the Debian packages buildah and debootstrap", file=sys.stderr)
        return 1
    buildah = Buildah(cache_home(os.environ) / "images")
    try:
        ensure_bases(buildah, REPOSITORY / "Dockerfile")
        build(buildah, REPOSITORY)
        wrong = faults(buildah)
    except ImageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for text in wrong:
        print(f"error: the image is not as it must be: {text}", file=sys.stderr)
    if not wrong:
        print(f"{IMAGE} was built; its entry point starts as the user that it names")
    return 1 if wrong else 0


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(f"{command[0]}: {(done.stdout + done.stderr)[-2000:]}")


if __name__ == "__main__":
    sys.exit(main())
