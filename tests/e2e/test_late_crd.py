"""The operator is there before its resource definitions."""

from __future__ import annotations

from pathlib import Path

from tests.support.controlplane import CRDS, temporary_control_plane
from tests.support.world import World, wait_for

BASE = CRDS.parent / "manifests" / "base"
RIGHTS = ("namespace.yaml", "serviceaccount.yaml", "rbac.yaml")


def test_an_operator_that_starts_before_the_crds_works_once_they_are_installed(tmp_path: Path) -> None:
    with temporary_control_plane(*(BASE / name for name in RIGHTS)) as plane, World(plane, tmp_path, "late") as world:
        operator = world.start_operator(wait=False)
        wait_for(lambda: "listing failed" in operator.log.read_text(), what="the operator missed its kinds")
        assert not operator.ready()
        plane.apply(*sorted(CRDS.glob("*.yaml")))
        world.add_account()
        operator.wait_ready()
        world.add_batch("job")
        world.wait_condition("job", "Complete")
        world.remove_jobs("job")
        assert (len(world.posts()), len(world.jobs())) == (1, 1)
        world.check_truth()
