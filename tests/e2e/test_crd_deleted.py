"""The definition of the kind is deleted while a job runs; every resource of it is deleted with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.controlplane import CRDS, temporary_control_plane
from tests.support.world import World, wait_for

BASE = CRDS.parent / "manifests" / "base"
RIGHTS = ("namespace.yaml", "serviceaccount.yaml", "rbac.yaml")
DEFINITION = "dispersedjobs.dispersed.dev"


@pytest.mark.failure_mode(31)
def test_a_deleted_crd_ends_the_jobs_before_it_goes(tmp_path: Path) -> None:
    """The API server deletes the resources one by one and waits for our finalizers; so each job is cancelled first."""
    manifests = (*sorted(CRDS.glob("*.yaml")), *(BASE / name for name in RIGHTS))
    with temporary_control_plane(*manifests) as plane, World(plane, tmp_path, "crd") as world:
        world.add_account()
        world.start_operator()
        world.add_persistent("one")
        world.add_persistent("two")
        world.wait_condition("one", "Ready")
        world.wait_condition("two", "Ready")
        lost = world.control.add_fault("cancel_lost")
        world.kubectl("delete", "crd", DEFINITION, "--wait=false", namespaced=False)
        wait_for(
            lambda: not world.kubectl("get", "crd", DEFINITION, "--ignore-not-found", "-o", "name", namespaced=False),
            what="the definition is gone",
            seconds=120,
        )
        assert world.live_jobs() == [], "a definition that goes before its jobs have ended leaks them"
        assert [job["status"] for job in world.jobs()] == ["CANCELLED", "CANCELLED"]
        assert world.control.fault_hits(lost) == 1
        assert len(world.cancels()) >= 3, "the lost cancel was repeated"
        assert len(world.posts()) == 2
        plane.apply(*sorted(CRDS.glob("*.yaml")))  # the end of the world looks for what is left
