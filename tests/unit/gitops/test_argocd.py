"""Health and actions for Argo CD, run by Lua 5.1 (the language of its sandbox) over Argo CD's own test layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dispersed_devenv.argocd import config_map_patch
from tests.support.argocd import ARGOCD, run

ACCOUNTS = ("DispersedAccount", "ClusterDispersedAccount")
KINDS = sorted((ARGOCD / "resource_customizations").glob("*/*"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def health_cases() -> list[Any]:
    return [
        pytest.param(kind, case, id=f"{kind.name}-{Path(case['inputPath']).stem}")
        for kind in KINDS
        for case in load(kind / "health_test.yaml")["tests"]
    ]


def cases_of(name: str) -> list[Any]:
    return [
        pytest.param(kind / "actions", case, id=f"{Path(case['inputPath']).stem}-{case.get('action', 'discovery')}")
        for kind in KINDS
        if (kind / "actions").is_dir()
        for case in load(kind / "actions" / "action_test.yaml")[name]
    ]


@pytest.mark.parametrize(("kind", "case"), health_cases())
def test_the_health_of_an_object_is_as_its_test_says(kind: Path, case: dict[str, Any]) -> None:
    assert run(kind / "health.lua", load(kind / case["inputPath"])) == case["healthStatus"]


@pytest.mark.parametrize(("folder", "case"), cases_of("discoveryTests"))
def test_the_actions_that_make_sense_are_offered(folder: Path, case: dict[str, Any]) -> None:
    found = run(folder / "discovery.lua", load(folder / case["inputPath"]))
    offered = [{"name": name, "disabled": action["disabled"]} for name, action in sorted(found.items())]
    assert offered == case["result"]


@pytest.mark.parametrize(("folder", "case"), cases_of("actionTests"))
def test_an_action_changes_what_its_test_says_and_nothing_else(folder: Path, case: dict[str, Any]) -> None:
    changed = run(folder / case["action"] / "action.lua", load(folder / case["inputPath"]))
    assert changed == load(folder / case["expectedOutputPath"])


def test_the_action_reconcile_asks_with_the_time_of_the_request() -> None:
    folder = next(kind for kind in KINDS if kind.name == "DispersedJob") / "actions"
    before = load(folder / "testdata" / "running.yaml")
    after = run(folder / "reconcile" / "action.lua", before)
    asked = after["metadata"].pop("annotations")["dispersed.dev/reconcile-requested-at"]
    assert asked.endswith("Z")
    assert after == before


def test_the_patch_of_the_config_map_holds_the_scripts_as_they_are() -> None:
    assert (ARGOCD / "argocd-cm.yaml").read_text() == config_map_patch(ARGOCD), "run make generate"


def test_accounts_of_both_kinds_are_healthy_for_the_same_reasons() -> None:
    """Argo CD wants a file for each kind."""
    own, shared = (ARGOCD / "resource_customizations" / "dispersed.dev" / kind / "health.lua" for kind in ACCOUNTS)
    assert own.read_text() == shared.read_text()
