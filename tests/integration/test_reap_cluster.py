"""`reap` with a cluster at hand: the jobs of one namespace, and what a person decided to keep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.model.naming import Identity, remote_title
from tests.support.simulator import PUBLIC_KEY, SECRET_KEY, SimulatorProcess

HOUR = 3600


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    options = ("--cancel-seconds", "0.3", "--no-endpoints")
    with SimulatorProcess(tmp_path_factory.mktemp("simulator"), options=options) as simulator:
        yield simulator


@pytest.fixture
def simulator(process: SimulatorProcess) -> SimulatorProcess:
    process.control.reset()
    return process


@pytest.fixture
def cluster_id(control_plane: ControlPlane) -> str:
    return control_plane.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}").strip()


def create_resource(plane: ControlPlane, cluster_id: str) -> Identity:
    """A DispersedJob in a namespace of its own; its identity."""
    namespace = f"t-{uuid.uuid4().hex[:8]}"
    plane.kubectl("create", "namespace", namespace)
    body = {
        "apiVersion": "dispersed.dev/v1alpha1",
        "kind": "DispersedJob",
        "metadata": {"name": "train"},
        "spec": {
            "task": "Batch",
            "template": {"title": "train", "image": "example.com/train", "tag": "1"},
            "deadlines": {"runSeconds": 900},
        },
    }
    made = json.loads(plane.kubectl("create", "-n", namespace, "-o", "json", "-f", "-", input=json.dumps(body)))
    return Identity(cluster_id, namespace, "train", made["metadata"]["uid"])


def insert(simulator: SimulatorProcess, owner: Identity) -> str:
    """A live job of an owner that expired an hour ago; the uuid."""
    signed = int(simulator.control.clock()["now_ms"]) // 1000 - 2 * HOUR
    job = simulator.control.insert_job(
        title=remote_title(owner, attempt=1, signed_at=signed, expiry=signed + HOUR, user_title="train"),
        task="PERSISTENT",
        status="RUNNING",
        fate={"run_seconds": 1_000_000},
        created_at=datetime.fromtimestamp(signed + 1, UTC).isoformat(),
    )
    return str(job["uuid"])


@pytest.fixture
def decide(control_plane: ControlPlane) -> Iterator[Callable[[str, str], None]]:
    """Makes DispersedOrphans with a decision; they go with the test, for they belong to no namespace."""
    made: list[str] = []

    def decided(name: str, decision: str) -> None:
        create_orphan(control_plane, name, decision)
        made.append(name)

    yield decided
    for name in made:
        control_plane.kubectl("delete", "dispersedorphan", name, "--ignore-not-found", "--wait=false")


def create_orphan(plane: ControlPlane, name: str, decision: str) -> None:
    body = {
        "apiVersion": "dispersed.dev/v1alpha1",
        "kind": "DispersedOrphan",
        "metadata": {"name": name},
        "spec": {"decision": decision},
    }
    plane.kubectl("create", "-f", "-", input=json.dumps(body))


def reap(plane: ControlPlane, simulator: SimulatorProcess, *arguments: str) -> dict[str, dict[str, Any]]:
    """The jobs of a run that ended well, by uuid."""
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "dispersed_operator", "reap", "--kubeconfig", str(plane.kubeconfig)),
            *("--base-url", simulator.base_url, "-o", "json", *arguments),
        ],
        env={**os.environ, "DISPERSED_PUBLIC_KEY": PUBLIC_KEY, "DISPERSED_SECRET_KEY": SECRET_KEY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    return {job["uuid"]: job for job in json.loads(answer.stdout)["jobs"]}


def alive(simulator: SimulatorProcess) -> set[str]:
    return {str(job["uuid"]) for job in simulator.control.jobs(live=True, summary=True)}


def test_the_jobs_of_one_namespace_end_and_those_of_its_neighbour_stay(
    control_plane: ControlPlane, simulator: SimulatorProcess, cluster_id: str
) -> None:
    owner, neighbour = create_resource(control_plane, cluster_id), create_resource(control_plane, cluster_id)
    chosen, other = insert(simulator, owner), insert(simulator, neighbour)
    foreign = insert(simulator, Identity("another-cluster", owner.namespace, owner.name, owner.uid))
    jobs = reap(control_plane, simulator, "--namespace", owner.namespace, "--all", "--yes")
    assert jobs[chosen]["outcome"] == "Ended"
    assert jobs[other]["because"] == "no resource of that namespace owns it"
    assert foreign not in jobs
    assert alive(simulator) == {other, foreign}


def test_what_a_resource_of_the_namespace_left_behind_belongs_to_the_namespace_too(
    control_plane: ControlPlane,
    simulator: SimulatorProcess,
    cluster_id: str,
    decide: Callable[[str, str], None],
) -> None:
    owner = create_resource(control_plane, cluster_id)
    vanished = Identity(cluster_id, owner.namespace, "vanished", str(uuid.uuid4()))
    left, other = insert(simulator, vanished), insert(simulator, vanished)
    decide(left, "Report")
    status = json.dumps({"status": {"owner": vanished.namespaced_name}})
    control_plane.kubectl("patch", "dispersedorphan", left, "--subresource=status", "--type=merge", "-p", status)
    jobs = reap(control_plane, simulator, "--namespace", owner.namespace, "--all", "--yes")
    assert jobs[left]["outcome"] == "Ended"
    assert alive(simulator) == {other}


@pytest.mark.failure_mode(60)
def test_a_job_that_a_person_keeps_is_not_reaped_where_the_cluster_can_be_asked(
    control_plane: ControlPlane,
    simulator: SimulatorProcess,
    cluster_id: str,
    decide: Callable[[str, str], None],
) -> None:
    owner = create_resource(control_plane, cluster_id)
    kept, reported = insert(simulator, owner), insert(simulator, owner)
    decide(kept, "Keep")
    decide(reported, "Report")
    jobs = reap(control_plane, simulator, "--honour-kept", "--yes")
    assert jobs[kept]["because"] == "its DispersedOrphan says Keep or Adopt"
    assert jobs[reported]["outcome"] == "Ended"
    assert alive(simulator) == {kept}


def test_a_cluster_that_does_not_answer_ends_the_command_before_anything_is_read(
    control_plane: ControlPlane, simulator: SimulatorProcess, cluster_id: str
) -> None:
    owner = create_resource(control_plane, cluster_id)
    uuid_ = insert(simulator, owner)
    control_plane.kubectl("create", "serviceaccount", "nobody", "-n", owner.namespace)
    token = control_plane.service_account_token(owner.namespace, "nobody")
    kubeconfig = control_plane.write_kubeconfig(simulator.directory / "nobody", token=token)
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "dispersed_operator", "reap", "--kubeconfig", str(kubeconfig)),
            *("--base-url", simulator.base_url, "--honour-kept", "--yes"),
        ],
        env={**os.environ, "DISPERSED_PUBLIC_KEY": PUBLIC_KEY, "DISPERSED_SECRET_KEY": SECRET_KEY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "nothing is reaped" in answer.stderr
    assert simulator.control.requests() == []
    assert alive(simulator) == {uuid_}
