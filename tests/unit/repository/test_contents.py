"""What no file of the repository may hold: machine paths, index addresses, requirements without a hash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.repository.tree import FILES, ROOT, relative

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

# Written in halves, so that this file does not hold what it forbids.
_MACHINE_PATH = re.compile(r"(?<![\w.$~}>-])/(?:wor" + r"k|roo" + r"t)/[\w.-]+|/tmp/(?:bri" + r"ef|bash_" + r"jobs)")


def _text(path: Path) -> str | None:
    content = path.read_bytes()
    if b"\0" in content[:8192]:
        return None
    return content.decode("utf-8", errors="replace")


TEXTS = [path for path in FILES if _text(path) is not None]


@pytest.mark.parametrize("path", TEXTS, ids=relative)
def test_no_file_names_a_path_of_somebodys_machine(path: Path) -> None:
    assert _MACHINE_PATH.findall(_text(path) or "") == []


def test_there_are_a_lock_for_the_operator_and_one_for_development() -> None:
    assert {"operator.txt", "dev.txt"} <= {lock.name for lock in LOCKS}


@pytest.mark.parametrize("lock", LOCKS, ids=relative)
def test_a_lock_names_no_index_and_no_address(lock: Path) -> None:
    forbidden = re.compile(
        r"://|^\s*(?:-i\b|--index-url|--extra-index-url|--find-links|-f\b|--trusted-host)", re.MULTILINE
    )
    assert forbidden.search(lock.read_text()) is None


@pytest.mark.parametrize("lock", LOCKS, ids=relative)
def test_every_requirement_of_a_lock_is_pinned_and_hashed(lock: Path) -> None:
    joined = re.sub(r"\\\n\s*", " ", lock.read_text())
    requirements = [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(requirements) > 10
    for requirement in requirements:
        assert re.match(r"[A-Za-z0-9._-]+(?:\[[a-z,]+\])?==\S+", requirement), requirement
        assert re.search(r" --hash=sha256:[0-9a-f]{64}\b", requirement), requirement


def test_development_uses_the_very_versions_that_the_operator_runs_with() -> None:
    pins = {lock.name: dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE)) for lock in LOCKS}
    runtime, development = pins["operator.txt"], pins["dev.txt"]
    assert {name: development.get(name) for name in runtime} == runtime
