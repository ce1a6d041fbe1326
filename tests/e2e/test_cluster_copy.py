"""A snapshot of the cluster is started beside the original: both believe that the same jobs are theirs (mode 70)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from dispersed_devenv.controlplane import ControlPlane
from tests.support.controlplane import CRDS, temporary_control_plane
from tests.support.proofs import look
from tests.support.world import World, wait_for

BASE = Path(__file__).resolve().parent.parent.parent / "manifests" / "base"
ACCOUNT = "dispersedaccount"


class Pair(NamedTuple):
    """The original, in use, and its copy with an API server of its own authority; one simulator serves both."""

    original: World
    copy: World


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        plane = stack.enter_context(temporary_control_plane(*sorted(CRDS.glob("*.yaml"))))
        plane.apply(BASE)
        original = stack.enter_context(World(plane, tmp_path / "original", "copied"))
        original.add_account()
        original.start_operator()
        for name in ("kept", "leaving", "doubled"):
            original.add_persistent(name)
        for name in ("kept", "leaving", "doubled"):
            original.wait_condition(name, "Ready")
        plane.stop()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dispersed-controlplane-")))
        shutil.copytree(plane.folder / "etcd", folder / "etcd")
        plane.start()
        beside = ControlPlane(folder)
        stack.callback(beside.stop)
        beside.start()
        copy = World(beside, tmp_path / "copy", "copied")
        copy.simulator = original.simulator
        stack.callback(_end, copy)
        yield Pair(original, copy)


def _end(copy: World) -> None:
    """The simulator is the original's and goes with it."""
    for operator in copy.operators:
        operator.stop()
    copy.control.close()


@pytest.mark.failure_mode(70)
@pytest.mark.reason("ClusterIdentityChanged")
def test_a_copy_creates_and_cancels_nothing_until_a_person_confirms_it(pair: Pair) -> None:
    original, copy = pair
    known = original.status("default", ACCOUNT)["apiServerCAs"]
    assert known == copy.status("default", ACCOUNT)["apiServerCAs"], "the copy remembers the original's authority"
    copy.start_operator("beside")
    condition = copy.wait_condition("default", "Ready", "False", reason="ClusterIdentityChanged", kind=ACCOUNT)
    copy.delete("leaving")
    copy.add_persistent("new")
    copy.add_account("another", with_secret=False)
    copy.add_persistent("newer", accountRef={"name": "another"})
    copy.wait_blocked("new", "ClusterIdentityChanged", names="confirm-cluster=")
    copy.wait_blocked("newer", "ClusterIdentityChanged")
    copy.wait_blocked("leaving", "ClusterIdentityChanged")
    look(copy, "kept")
    look(copy, "leaving")
    assert copy.get("leaving") is not None
    assert (len(original.posts()), len(original.live_jobs()), original.cancels()) == (3, 3, [])
    assert copy.condition("kept", "Ready")["status"] == "True", "what runs is still watched"
    original.wait_condition("default", "Ready", kind=ACCOUNT)
    original.remove_jobs("doubled")
    original.check_truth()

    words = condition["message"].split()
    answer = next(word for word in words if word.startswith("dispersed.dev/confirm-cluster="))
    copy.kubectl("annotate", "--overwrite", ACCOUNT, "default", "dispersed.dev/confirm-cluster=00000000")
    look(copy, "leaving")
    assert len(original.live_jobs()) == 2
    original.operators[0].stop()  # a person made sure that only one of the two is left
    copy.kubectl("annotate", "--overwrite", ACCOUNT, "default", answer)
    copy.wait_condition("default", "Ready", kind=ACCOUNT)
    copy.wait_condition("another", "Ready", kind=ACCOUNT)
    assert not set(copy.status("default", ACCOUNT)["apiServerCAs"]) & set(known)
    look(copy, "leaving")
    copy.wait_gone("leaving")
    copy.wait_condition("new", "Ready")
    copy.wait_condition("newer", "Ready")
    wait_for(lambda: len(original.live_jobs()) == 3, what="kept, new and newer live")
    copy.remove_jobs("doubled")
    copy.check_truth()
