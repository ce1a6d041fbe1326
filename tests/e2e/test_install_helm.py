"""The Helm chart on a real control plane: installed, used, refused to go while a job lives, and gone when it may.

Nothing runs Deployments and Jobs there. The operator and the hook run as processes of the test, with the commands,
variables and service accounts that the chart gives them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dispersed_devenv.binaries import find_or_build
from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.tools import Tools
from dispersed_operator.model.status import UNSEEN
from tests.support.controlplane import temporary_control_plane
from tests.support.installation import (
    install,
    installed_releases,
    make_namespace,
    roll_back,
    start_installed_operator,
    uninstall,
)
from tests.support.rendering import RELEASE
from tests.support.world import World

PLURALS = ("clusterdispersedaccounts", "dispersedaccounts", "dispersedjobs", "dispersedorphans")
DEFINITIONS = {f"{plural}.dispersed.dev" for plural in PLURALS}
CANCEL = "--set=uninstall.liveJobs=Cancel,uninstall.waitSeconds=60"


@pytest.fixture(scope="module")
def bare_plane(tools: Tools) -> Iterator[ControlPlane]:
    """A control plane that has never heard of the project."""
    find_or_build()
    with temporary_control_plane() as plane:
        make_namespace(plane)
        yield plane


def names(plane: ControlPlane, kind: str) -> set[str]:
    return {line.partition("/")[2] for line in plane.kubectl("get", kind, "-A", "-o", "name").split()}


def ours(plane: ControlPlane, kind: str) -> set[str]:
    """Those that a release or its hook made."""
    return {name for name in names(plane, kind) if name.startswith(RELEASE)}


@pytest.mark.failure_mode(32)
def test_helm_installs_the_operator_and_uninstalls_it_only_when_no_job_needs_it(
    bare_plane: ControlPlane, tools: Tools, tmp_path: Path
) -> None:
    with World(bare_plane, tmp_path / "world", "helm-cluster") as world:
        install(bare_plane, tools)
        bare_plane.kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")
        start_installed_operator(world)
        world.add_account()
        world.add_batch()
        world.wait_condition("batch", "Complete")
        world.add_persistent()
        world.wait_condition("server", "Ready")

        refused = uninstall(bare_plane, tools, tmp_path)
        assert (refused.hook_status, refused.helm_status) == (1, 1), refused
        assert "helm-cluster/server" in refused.hook_output
        assert "helm-cluster/batch" not in refused.hook_output
        assert [job["status"] for job in world.live_jobs()] == ["RUNNING"]
        assert ours(bare_plane, "deployment") == ours(bare_plane, "serviceaccount") == {RELEASE}
        assert ours(bare_plane, "clusterrole") == {RELEASE}, "the rights of the hook are gone again"

        # Helm does not upgrade a release whose uninstall was refused, until it is rolled back to what it was.
        roll_back(bare_plane, tools)
        install(bare_plane, tools, CANCEL)
        allowed = uninstall(bare_plane, tools, tmp_path)
        assert (allowed.hook_status, allowed.helm_status) == (0, 0), allowed
        assert world.live_jobs() == []
        assert world.get("server") is None
        assert world.condition("batch", "Complete")["status"] == "True", "what was over stays"

        assert installed_releases(bare_plane, tools) == []
        for kind in ("deployment", "service", "serviceaccount", "clusterrole", "clusterrolebinding"):
            assert ours(bare_plane, kind) == set()
        assert names(bare_plane, "crd") == DEFINITIONS
        world.check_truth()


def test_helm_installs_the_operator_for_one_namespace_without_a_right_over_the_cluster(
    bare_plane: ControlPlane, tools: Tools, tmp_path: Path
) -> None:
    with (
        World(bare_plane, tmp_path / "served", "team-a") as served,
        World(bare_plane, tmp_path / "other", "team-b") as other,
    ):
        install(bare_plane, tools, "--set=namespaces={team-a},clusterId=test-cluster")
        assert ours(bare_plane, "clusterrole") == ours(bare_plane, "clusterrolebinding") == set()
        start_installed_operator(served)
        for world in (served, other):
            world.add_account()
            world.add_batch()
        served.wait_condition("batch", "Complete")
        assert other.status("batch") == UNSEEN, "a namespace that is not served"
        served.add_persistent()
        served.wait_condition("server", "Ready")

        refused = uninstall(bare_plane, tools, tmp_path)
        assert (refused.hook_status, refused.helm_status) == (1, 1), refused
        assert "team-a/server" in refused.hook_output
        assert "team-b" not in refused.hook_output
        served.delete("server")
        served.wait_gone("server")
        served.check_truth()

        gone = uninstall(bare_plane, tools, tmp_path)
        assert (gone.hook_status, gone.helm_status) == (0, 0), gone
        assert "No DispersedJob needs the operator" in gone.hook_output
        assert ours(bare_plane, "role") == ours(bare_plane, "rolebinding") == set()
