"""The overlays on a real control plane: applied as docs/install.md says, and the operator run under what they grant."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispersed_devenv.binaries import find_or_build
from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.model.status import UNSEEN
from tests.support.controlplane import CRDS, temporary_control_plane
from tests.support.installation import namespaced_overlay, start_installed_operator
from tests.support.rendering import NAMESPACE, ROOT
from tests.support.world import World, wait_for

OVERLAYS = ROOT / "manifests" / "overlays"


@pytest.fixture
def bare_plane() -> Iterator[ControlPlane]:
    find_or_build()
    with temporary_control_plane() as plane:
        yield plane


def may(plane: ControlPlane, user: str, verb: str, plural: str, namespace: str) -> bool:
    """What the API server's own authorizer says."""
    asked = {"verb": verb, "group": "dispersed.dev", "resource": plural, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": asked},
    }
    answer = json.loads(plane.kubectl("create", "-o", "json", "-f", "-", input=json.dumps(review)))
    return bool(answer["status"]["allowed"])


def test_the_cluster_wide_overlay_runs_a_job_and_gives_people_their_rights(
    bare_plane: ControlPlane, tmp_path: Path
) -> None:
    bare_plane.apply(OVERLAYS / "cluster-wide")
    with World(bare_plane, tmp_path / "world", "team-a") as world:
        bare_plane.apply(namespaced_overlay(tmp_path))
        start_installed_operator(world)
        world.add_account()
        world.add_batch()
        world.wait_condition("batch", "Complete")
        world.check_truth()

        for role in ("view", "edit", "admin"):
            world.kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}")
        table = {
            (user, verb, plural): may(bare_plane, user, verb, plural, "team-a")
            for user in ("view", "edit", "admin")
            for verb in ("list", "create", "delete")
            for plural in ("dispersedjobs", "dispersedaccounts")
        }
        assert {key for key, allowed in table.items() if allowed} == {
            *((user, "list", plural) for user in ("view", "edit", "admin") for plural in
              ("dispersedjobs", "dispersedaccounts")),
            *((user, verb, "dispersedjobs") for user in ("edit", "admin") for verb in ("create", "delete")),
            *(("admin", verb, "dispersedaccounts") for verb in ("create", "delete")),
        }  # fmt: skip
        assert not may(bare_plane, "admin", "list", "dispersedjobs", "default"), "only where the role is bound"

        for role in ("view", "edit", "admin"):
            world.kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}", f"--user=all-{role}")
        over_all = {
            (user, verb, plural)
            for user in ("view", "all-view", "all-edit", "all-admin")
            for verb in ("list", "patch")
            for plural in ("dispersedorphans", "clusterdispersedaccounts")
            if may(bare_plane, user, verb, plural, "")
        }
        assert over_all == {
            *((f"all-{role}", "list", plural) for role in ("view", "edit", "admin") for plural in
              ("dispersedorphans", "clusterdispersedaccounts")),
            *(("all-admin", "patch", plural) for plural in ("dispersedorphans", "clusterdispersedaccounts")),
        }  # fmt: skip


def test_the_namespaced_overlay_serves_its_namespace_without_a_right_over_the_cluster(
    bare_plane: ControlPlane, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    shutil.copytree(CRDS, tmp_path / "crds")
    overlay = tmp_path / "manifests" / "overlays" / "namespaced"
    bare_plane.apply(tmp_path / "manifests" / "base" / "namespace.yaml")
    uid = bare_plane.kubectl("get", "namespace", NAMESPACE, "-o", "jsonpath={.metadata.uid}")
    settings = overlay / "settings.yaml"
    settings.write_text(settings.read_text().replace('"NOT SET: see overlays/namespaced/settings.yaml"', uid))

    with (
        World(bare_plane, tmp_path / "served", "team-a") as served,
        World(bare_plane, tmp_path / "other", "team-b") as other,
    ):
        bare_plane.apply(overlay)
        assert "dispersed-operator" not in bare_plane.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")
        assert "dispersedorphans" not in bare_plane.kubectl("get", "crd", "-o", "name")
        operator = start_installed_operator(served)
        for world in (served, other):
            world.add_account()
            world.add_batch()
        served.wait_condition("batch", "Complete")
        served.add_persistent()
        served.wait_condition("server", "Ready")
        served.delete("server")
        served.wait_gone("server")
        assert served.live_jobs() == []
        assert len(served.posts()) == 2, "one for each job"
        assert other.status("batch") == UNSEEN, "a namespace that is not served"
        assert "forbidden" not in operator.log.read_text().lower()


@pytest.mark.failure_mode(30)
def test_a_served_namespace_that_was_deleted_with_its_role_ends_its_job_once_the_operator_is_lent_rights(
    bare_plane: ControlPlane, tmp_path: Path
) -> None:
    """As docs/install.md says; the operator is away while the namespace is deleted, which is the hardest case."""
    lent = str(ROOT / "manifests" / "base" / "rbac.yaml")
    with World(bare_plane, tmp_path / "world", "team-a") as world:
        bare_plane.apply(namespaced_overlay(tmp_path))
        operator = start_installed_operator(world)
        world.add_account()
        world.add_persistent("server")
        world.wait_condition("server", "Ready")
        operator.stop()
        world.kubectl("delete", "namespace", "team-a", "--wait=false", namespaced=False)
        wait_for(lambda: not world.kubectl("get", "roles,rolebindings", "-o", "name"), what="the rights are gone")
        operator.start(wait=False)
        wait_for(lambda: "HTTP 403" in operator.log.read_text(), what="the operator says what it may not", seconds=60)
        assert not operator.ready()
        assert [job["status"] for job in world.live_jobs()] == ["RUNNING"]

        bare_plane.kubectl("apply", "-f", lent)
        bare_plane.kubectl("wait", "--for=delete", "namespace/team-a", "--timeout=120s")
        assert [job["status"] for job in world.jobs()] == ["CANCELLED"]
        assert len(world.posts()) == 1
        bare_plane.kubectl("delete", "-f", lent)


@pytest.mark.failure_mode(30)
def test_a_served_namespace_that_is_emptied_first_goes_at_once(bare_plane: ControlPlane, tmp_path: Path) -> None:
    with World(bare_plane, tmp_path / "world", "team-a") as world:
        bare_plane.apply(namespaced_overlay(tmp_path))
        start_installed_operator(world)
        world.add_account()
        world.add_persistent("server")
        world.wait_condition("server", "Ready")
        world.kubectl("delete", "dispersedjobs", "--all")
        world.kubectl("delete", "dispersedaccounts", "--all")
        assert [job["status"] for job in world.jobs()] == ["CANCELLED"]
        world.kubectl("delete", "namespace", "team-a", "--timeout=60s", namespaced=False)
