"""Flux's kustomize-controller: built once into the cache with its definitions, complete or not there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dispersed_devenv.flux import SOURCE, cached_flux, controller_version, find_or_build_flux
from dispersed_devenv.gobuild import BuildError

DEFINITIONS = (
    "kustomize.toolkit.fluxcd.io_kustomizations.yaml",
    *(
        f"source.toolkit.fluxcd.io_{plural}.yaml"
        for plural in ("buckets", "externalartifacts", "gitrepositories", "ocirepositories")
    ),
)
# Stands for the Go toolchain: it counts its builds, "links" a program, and knows where each module lies.
FAKE_GO = """\
#!/bin/sh
case "$1" in
env) echo go1.26.8 ;;
list) if [ "$3" = -m ]; then shift 5; echo {modules}/$(basename "$1"); else echo example.test/module; fi ;;
mod) exit {download_status} ;;
build)
  echo "$@" >> {count}
  while [ "$1" != -o ]; do shift; done
  printf '#!/bin/sh\\nexit 0\\n' > "$2"
  chmod +x "$2" ;;
esac
"""


def environment(home: Path, *, download_status: int = 0) -> dict[str, str]:
    for name in DEFINITIONS:
        module = "kustomize-controller" if name.startswith("kustomize") else "source-controller"
        bases = home / "modules" / module / "config" / "crd" / "bases"
        bases.mkdir(parents=True, exist_ok=True)
        (bases / name).write_text(f"of {module}\n")
    program = home / "go-bin" / "go"
    program.parent.mkdir()
    program.write_text(FAKE_GO.format(modules=home / "modules", count=home / "builds", download_status=download_status))
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.defpath}"
    return {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PATH": path}


def builds(home: Path) -> list[str]:
    return (home / "builds").read_text().splitlines()


def test_a_build_fills_the_cache_once_with_the_controller_and_all_that_it_watches(tmp_path: Path) -> None:
    environ = environment(tmp_path)
    built = find_or_build_flux(environ, print)
    assert built == cached_flux(environ)
    assert built.complete
    assert {path.name: path.read_text() for path in built.definitions.iterdir()} == {
        name: f"of {'kustomize' if name.startswith('kustomize') else 'source'}-controller\n" for name in DEFINITIONS
    }
    assert find_or_build_flux(environ, print) == built
    (command,) = builds(tmp_path)
    assert command.endswith("github.com/fluxcd/kustomize-controller")


@pytest.mark.parametrize("lost", ["kustomize-controller", f"definitions/{DEFINITIONS[0]}"])
def test_a_folder_that_lacks_something_is_built_anew(tmp_path: Path, lost: str) -> None:
    environ = environment(tmp_path)
    (find_or_build_flux(environ, print).folder / lost).unlink()
    assert not cached_flux(environ).complete
    assert find_or_build_flux(environ, print).complete
    assert len(builds(tmp_path)) == 2


def test_nothing_is_left_in_the_cache_by_a_build_that_fails(tmp_path: Path) -> None:
    environ = environment(tmp_path, download_status=1)
    with pytest.raises(BuildError, match=r"fetching .*/kustomize-controller failed"):
        find_or_build_flux(environ, print)
    assert [path.suffix for path in cached_flux(environ).folder.parent.iterdir()] == [".lock"]


@pytest.mark.parametrize("lock", ["go.mod", "go.sum", "sources/go.mod", "sources/go.sum"])
def test_other_versions_have_another_folder(tmp_path: Path, lock: str) -> None:
    other = tmp_path / "other"
    shutil.copytree(SOURCE, other)
    assert cached_flux({}, other) == cached_flux({})
    (other / lock).write_text("")
    assert cached_flux({}, other) != cached_flux({})


def test_the_release_is_the_one_that_the_module_requires() -> None:
    assert f"github.com/fluxcd/kustomize-controller {controller_version()} " in (SOURCE / "go.sum").read_text()
