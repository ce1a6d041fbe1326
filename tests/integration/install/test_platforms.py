"""The locked dependencies of the image exist as wheels for every platform that a release is built for.

The image has no compiler, so a dependency without a wheel would break one of the two builds on the day of a release.
The package index is asked what it would install; nothing is downloaded but metadata, and nothing is installed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LOCK = ROOT / "requirements" / "operator.txt"


def python_of_the_image() -> str:
    found = re.search(r"^FROM python:(\d+\.\d+)-", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return found.group(1)


def platforms_of_the_release() -> list[str]:
    found = re.search(r"--platform (\S+)", (ROOT / "docs" / "release.md").read_text())
    assert found is not None
    return found.group(1).split(",")


@pytest.mark.parametrize(("platform", "machine"), [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64")])
def test_every_locked_dependency_has_a_wheel_for_the_platform(platform: str, machine: str, tmp_path: Path) -> None:
    assert platform in platforms_of_the_release()
    tags = [f"manylinux_2_{glibc}_{machine}" for glibc in (5, 12, 17, 28, 34)] + [f"manylinux2014_{machine}"]
    asked = subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-",
            "--disable-pip-version-check", "--ignore-installed", "--target", str(tmp_path / "nothing"),
            "--only-binary=:all:", "--no-deps", "--require-hashes", "--python-version", python_of_the_image(),
            *(word for tag in tags for word in ("--platform", tag)), "-r", str(LOCK),
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr
    chosen = {item["metadata"]["name"].lower().replace("_", "-") for item in json.loads(asked.stdout)["install"]}
    locked = set(re.findall(r"^([A-Za-z0-9._-]+)==", LOCK.read_text(), re.MULTILINE))
    assert chosen == {name.lower().replace("_", "-") for name in locked}


def test_a_release_is_built_for_both_platforms() -> None:
    assert platforms_of_the_release() == ["linux/amd64", "linux/arm64"]
