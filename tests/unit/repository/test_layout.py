"""The layout of the repository: the rooms that the architecture names, and the names that would break Python itself."""

from __future__ import annotations

import ast
import operator as stdlib_operator
import sysconfig
from pathlib import Path

import pytest

from tests.unit.repository.tree import MODULES, ROOT, relative

PACKAGE = ROOT / "operator" / "dispersed_operator"
FORBIDDEN = {"logging.py", "queue.py", "types.py", "signal.py", "secrets.py"}
LONGEST = 400

ROOMS = (
    "cli.py",
    "__main__.py",
    "app.py",
    "config.py",
    "errors.py",
    "edge.py",
    "store.py",
    "workqueue.py",
    "reconciler.py",
    "planning",
    "model",
    "kube",
    "remote",
    "telemetry",
)
PLACES = (
    "pyproject.toml",
    "README.md",
    "Dockerfile",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "STYLE.md",
    "LICENSE",
    "Makefile",
    ".ci/run",
    "requirements",
    "crds",
    "charts/dispersed-operator",
    "manifests/base",
    "manifests/overlays/cluster-wide",
    "manifests/overlays/namespaced",
    "manifests/samples",
    "operator/dispersed_simulator",
    "benchmarks",
    "docs/adr",
    "docs/architecture.md",
    "docs/install.md",
    "docs/limits.md",
    "docs/settings.md",
    "docs/metrics.md",
    "tests/unit",
    "tests/component",
    "tests/integration",
    "tests/e2e",
    "tests/support",
)


@pytest.mark.parametrize("path", ROOMS)
def test_the_operator_has_the_rooms_of_the_architecture(path: str) -> None:
    assert (PACKAGE / path).exists()


@pytest.mark.parametrize("path", PLACES)
def test_the_repository_has_the_places_of_the_architecture(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_source_folder_is_not_a_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_import_operator_still_means_the_standard_library() -> None:
    assert Path(str(stdlib_operator.__file__)).parent == Path(sysconfig.get_path("stdlib"))


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_no_module_is_named_like_one_of_the_standard_library_that_others_import(module: Path) -> None:
    assert module.name not in FORBIDDEN


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_no_module_is_longer_than_a_person_reads_in_one_go(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_every_module_says_why_it_exists(module: Path) -> None:
    tree = ast.parse(module.read_text())
    assert not tree.body or ast.get_docstring(tree)


def test_there_is_something_to_check() -> None:
    assert len(MODULES) > 30
    assert PACKAGE / "config.py" in MODULES
