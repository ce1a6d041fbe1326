"""A control plane that also knows the kinds of Prometheus' operator, and the two renderings of each installation."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispersed_devenv.binaries import find_or_build
from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.tools import Tools
from tests.support.controlplane import CRDS, temporary_control_plane
from tests.support.rendering import ROOT, write_kustomization

MANIFESTS = ROOT / "manifests"
CLUSTER_ID = "0d5f3c1e-0000-4000-8000-5a5a5a5a5a5a"


@pytest.fixture(scope="package")
def plane(tools: Tools) -> Iterator[ControlPlane]:
    find_or_build()
    with temporary_control_plane(*sorted(CRDS.glob("*.yaml")), *tools.monitoring_definitions) as made:
        yield made


@pytest.fixture(scope="package")
def overlays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kustomizations by name: those of the repository, one with everything that goes together, one with shards for some
    namespaces, and `namespaced` filled in as its files ask for."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(MANIFESTS, copy / "manifests")
    shutil.copytree(CRDS, copy / "crds")
    manifests = copy / "manifests"
    namespaced = manifests / "overlays" / "namespaced"
    settings = namespaced / "settings.yaml"
    text = settings.read_text().replace('"NOT SET: see overlays/namespaced/settings.yaml"', CLUSTER_ID)
    assert CLUSTER_ID in text
    settings.write_text(text)
    components = sorted(path for path in (manifests / "components").iterdir() if path.name != "shards")
    everything = write_kustomization(
        manifests / "overlays" / "everything", resources=[manifests / "base"], components=components
    )
    sharded = manifests / "overlays" / "sharded"
    some = manifests / "overlays" / "sharded-namespaced"
    some.mkdir()
    text = (sharded / "kustomization.yaml").read_text().replace("../../base", "../namespaced")
    (some / "kustomization.yaml").write_text(text.replace("  - ../../components/user-roles\n", ""))
    return {
        "base": manifests / "base",
        "cluster-wide": manifests / "overlays" / "cluster-wide",
        "high-availability": manifests / "overlays" / "high-availability",
        "sharded": sharded,
        "sharded-namespaced": some,
        "everything": everything,
        "namespaced": namespaced,
        "reaper": manifests / "reaper",
        "reaper-honour-kept": manifests / "reaper-honour-kept",
    }
