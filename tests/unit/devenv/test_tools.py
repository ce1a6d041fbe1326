"""Helm and kubeconform: built once into the cache, complete or not there, in another folder for other versions."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dispersed_devenv.gobuild import BuildError
from dispersed_devenv.tools import SOURCE, Tools, cached_tools, find_or_build_tools, helm_version

# Stands for the Go toolchain: it counts its builds, "links" programs into a folder, and knows where a module lies.
FAKE_GO = """\
#!/bin/sh
case "$1" in
env) echo go1.26.8 ;;
list) if [ "$3" = -m ]; then echo {sources}; else echo example.test/module; fi ;;
mod) exit {download_status} ;;
build)
  echo "$@" >> {count}
  while [ "$1" != -o ]; do shift; done
  for name in helm kubeconform; do
    printf '#!/bin/sh\\nexit 0\\n' > "$2/$name"
    chmod +x "$2/$name"
  done ;;
esac
"""


def environment(home: Path, *, download_status: int = 0) -> dict[str, str]:
    program = home / "go-bin" / "go"
    program.parent.mkdir()
    sources = home / "sources"
    definitions = sources / "example" / "prometheus-operator-crd"
    definitions.mkdir(parents=True)
    for name in ("servicemonitors", "prometheusrules"):
        (definitions / f"monitoring.coreos.com_{name}.yaml").write_text("kind: CustomResourceDefinition\n")
    program.write_text(FAKE_GO.format(sources=sources, count=home / "builds", download_status=download_status))
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.defpath}"
    return {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PATH": path}


def builds(home: Path) -> list[str]:
    return (home / "builds").read_text().splitlines()


def test_a_build_fills_the_cache_once(tmp_path: Path) -> None:
    environ = environment(tmp_path)
    built = find_or_build_tools(environ, print)
    assert built == cached_tools(environ)
    assert built.complete
    assert find_or_build_tools(environ, print) == built
    assert len(builds(tmp_path)) == 1


def test_helm_is_told_which_release_it_is(tmp_path: Path) -> None:
    find_or_build_tools(environment(tmp_path), print)
    (command,) = builds(tmp_path)
    assert f"-X helm.sh/helm/v4/internal/version.version={helm_version()}" in command
    assert command.endswith("helm.sh/helm/v4/cmd/helm github.com/yannh/kubeconform/cmd/kubeconform")


def test_callers_at_the_same_time_share_one_build(tmp_path: Path) -> None:
    environ = environment(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: find_or_build_tools(environ, print), range(4)))
    assert found == {cached_tools(environ)}
    assert len(builds(tmp_path)) == 1


@pytest.mark.parametrize("lost", ["helm", "kubeconform", "servicemonitors.yaml"])
def test_a_folder_that_lacks_something_is_built_anew(tmp_path: Path, lost: str) -> None:
    environ = environment(tmp_path)
    (find_or_build_tools(environ, print).folder / lost).unlink()
    assert not cached_tools(environ).complete
    assert find_or_build_tools(environ, print).complete
    assert len(builds(tmp_path)) == 2


def test_nothing_is_left_in_the_cache_by_a_build_that_fails(tmp_path: Path) -> None:
    environ = environment(tmp_path, download_status=1)
    with pytest.raises(BuildError, match=r"fetching .*/prometheus-operator failed"):
        find_or_build_tools(environ, print)
    assert [path.suffix for path in cached_tools(environ).folder.parent.iterdir()] == [".lock"]


def test_other_versions_have_another_folder(tmp_path: Path) -> None:
    environ = environment(tmp_path)
    other = tmp_path / "other"
    shutil.copytree(SOURCE, other)
    assert cached_tools(environ, other) == cached_tools(environ)
    (other / "go.sum").write_text("")
    assert cached_tools(environ, other) != cached_tools(environ)


def test_an_empty_folder_is_not_complete(tmp_path: Path) -> None:
    assert not Tools(tmp_path).complete
