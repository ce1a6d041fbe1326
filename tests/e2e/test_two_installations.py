"""Two namespaced installations in one cluster with one account: each keeps to its own jobs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispersed_devenv.binaries import find_or_build
from dispersed_devenv.controlplane import ControlPlane
from tests.support.controlplane import CRDS, temporary_control_plane
from tests.support.installation import start_installed_operator
from tests.support.rendering import NAMESPACE, ROOT
from tests.support.sweeps import cancelled_uuids, metric, status_of, sweep_again
from tests.support.world import World, wait_for

SHARED_ID = "one-id-for-both"
"""Against the words of settings.yaml, so that each takes the jobs of the other for its own cluster's."""


@pytest.fixture
def bare_plane() -> Iterator[ControlPlane]:
    find_or_build()
    with temporary_control_plane() as plane:
        yield plane


def installed(plane: ControlPlane, folder: Path, *, operators: str, served: str) -> None:
    """The namespaced overlay, copied and set as docs/install.md says: operator in one namespace, jobs in another."""
    shutil.copytree(ROOT / "manifests", folder / "manifests")
    shutil.copytree(CRDS, folder / "crds")
    for file in (folder / "manifests").rglob("*.yaml"):
        file.write_text(file.read_text().replace(NAMESPACE, operators).replace("team-a", served))
    overlay = folder / "manifests" / "overlays" / "namespaced"
    (overlay / "team-a").rename(overlay / served)
    settings = overlay / "settings.yaml"
    text = settings.read_text().replace('"NOT SET: see overlays/namespaced/settings.yaml"', SHARED_ID)
    more = {"ORPHAN_POLICY": "cancel", "SWEEP_SECONDS": '"1"'}
    for name, value in more.items():
        text += f"            - name: DISPERSED_OPERATOR_{name}\n              value: {value}\n"
    settings.write_text(text)
    plane.apply(overlay)


def reported(world: World) -> str:
    """The Events about orphans on the world's own account."""
    items = json.loads(world.kubectl("get", "events", "-o", "json"))["items"]
    about = [item for item in items if item["involvedObject"]["kind"] == "DispersedAccount"]
    return " ".join(item["message"] for item in about if item["reason"] == "OrphanFound")


def wait_reported(world: World, uuid: str) -> None:
    """The world's operator counts one orphan, and its account has an Event about this job."""
    wait_for(lambda: metric(world, "dispersed_operator_sweep_jobs", standing="orphan") == 1, what="one is counted")
    wait_for(lambda: uuid in reported(world), what="the other's job is reported")


def sweep_both_twice(first: World, second: World) -> None:
    """Complete sweeps of both, more than the second sighting apart in the service's time."""
    for _ in range(2):
        sweep_again(first)
        sweep_again(second)
        first.control.advance(31)
    sweep_again(first)
    sweep_again(second)


@pytest.mark.failure_mode(58)
def test_neither_of_two_namespaced_installations_ends_the_others_job_and_each_reports_it(
    bare_plane: ControlPlane, tmp_path: Path
) -> None:
    with (
        World(bare_plane, tmp_path / "first", "team-a") as first,
        World(bare_plane, tmp_path / "second", "team-b") as second,
    ):
        for world, operators in ((first, "operators-a"), (second, "operators-b")):
            installed(bare_plane, tmp_path / operators, operators=operators, served=world.namespace)
            world.add_account(baseURL=first.simulator.base_url)
            start_installed_operator(world, namespace=operators)
        assert "dispersed-operator" not in bare_plane.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")
        jobs = {}
        for world in (first, second):
            world.add_persistent("server")
            world.wait_condition("server", "Ready")
            jobs[world] = str(world.status("server")["jobUUID"])
        first.control.advance(1000)
        sweep_both_twice(first, second)

        for world, other in ((first, second), (second, first)):
            wait_reported(world, jobs[other])
            assert jobs[world] not in reported(world)
        assert first.cancels() == []

        first.remove_jobs("server")
        sweep_both_twice(first, second)
        assert set(cancelled_uuids(first)) == {jobs[first]}
        assert status_of(first, jobs[second]) == "RUNNING"
        second.remove_jobs("server")
        assert set(cancelled_uuids(first)) == set(jobs.values())
        assert first.live_jobs() == []
        assert len(first.posts()) == 2, "one for each job"
        for world in (first, second):
            assert "forbidden" not in world.operators[0].log.read_text().lower()
