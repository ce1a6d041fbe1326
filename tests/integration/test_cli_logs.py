"""`dispersed-operator logs` finds a run's output through the resource, its account and its Secret."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from dispersed_devenv.controlplane import ControlPlane
from tests.support.simulator import PUBLIC_KEY, SECRET_KEY, SimulatorProcess


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(tmp_path_factory.mktemp("simulator"), options=("--clock-rate", "0")) as simulator:
        yield simulator


@pytest.fixture
def finished(simulator: SimulatorProcess) -> dict[str, Any]:
    """The truth of a remote job that succeeded."""
    job: dict[str, Any] = simulator.control.insert_job(title="train")
    simulator.control.advance(86_400)
    return simulator.control.job(job["uuid"])


@pytest.fixture
def namespace(control_plane: ControlPlane, simulator: SimulatorProcess) -> str:
    """A namespace with an account and its Secret."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    control_plane.kubectl("create", "namespace", name)
    control_plane.kubectl(
        *("create", "secret", "generic", "api-key", "-n", name),
        *(f"--from-literal=publicKey={PUBLIC_KEY}", f"--from-literal=secretKey={SECRET_KEY}"),
    )
    spec = {"baseURL": simulator.base_url, "credentialsSecretRef": {"name": "api-key"}}
    create(control_plane, name, "DispersedAccount", "default", spec)
    return name


def create(plane: ControlPlane, namespace: str, kind: str, name: str, spec: dict[str, Any]) -> None:
    body = {"apiVersion": "dispersed.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    plane.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(body))


def create_job(
    plane: ControlPlane,
    namespace: str,
    *,
    remote_uuid: str | None,
    account: str = "default",
    kind: str = "DispersedAccount",
) -> None:
    template = {"title": "train", "image": "example.com/train", "tag": "1"}
    reference = {"kind": kind, "name": account}
    spec = {"task": "Batch", "accountRef": reference, "template": template, "deadlines": {"runSeconds": 900}}
    create(plane, namespace, "DispersedJob", "train", spec)
    if remote_uuid is not None:
        status = json.dumps({"status": {"jobUUID": remote_uuid}})
        plane.kubectl("patch", "djob", "train", "-n", namespace, "--subresource=status", "--type=merge", "-p", status)


def logs(plane: ControlPlane, job: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dispersed_operator", "logs", job, "--kubeconfig", str(plane.kubeconfig), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_output_of_a_job_that_succeeded_is_printed(
    control_plane: ControlPlane, namespace: str, finished: dict[str, Any], simulator: SimulatorProcess
) -> None:
    create_job(control_plane, namespace, remote_uuid=finished["uuid"])
    printed = logs(control_plane, f"{namespace}/train")
    assert (printed.returncode, printed.stderr) == (0, "")
    (run,) = finished["runs"]
    assert finished["status"] == "COMPLETED"
    now_ms = simulator.control.clock()["now_ms"]
    written = simulator.caller().call("GET", f"/v1/job-runs/{run['uuid']}", time_ms=now_ms).json()["logs"]
    assert printed.stdout.rstrip("\n") == written.rstrip("\n") != ""


def test_the_key_of_a_shared_account_is_read_from_the_namespace_of_the_operator(
    control_plane: ControlPlane, namespace: str, finished: dict[str, Any], simulator: SimulatorProcess
) -> None:
    spec = {"baseURL": simulator.base_url, "credentialsSecretRef": {"name": "api-key"}}
    create(control_plane, namespace, "ClusterDispersedAccount", namespace, spec)
    create_job(
        control_plane, namespace, remote_uuid=finished["uuid"], account=namespace, kind="ClusterDispersedAccount"
    )
    printed = logs(control_plane, f"{namespace}/train", "--operator-namespace", namespace)
    elsewhere = logs(control_plane, f"{namespace}/train", "--operator-namespace", "nowhere")
    control_plane.kubectl("delete", "clusterdispersedaccount", namespace)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout
    assert "Secret nowhere/api-key does not exist" in elsewhere.stderr


def test_a_run_can_be_named(control_plane: ControlPlane, namespace: str, finished: dict[str, Any]) -> None:
    create_job(control_plane, namespace, remote_uuid=finished["uuid"])
    (run,) = finished["runs"]
    newest = logs(control_plane, f"{namespace}/train")
    assert logs(control_plane, f"{namespace}/train", "--run", run["uuid"]).stdout == newest.stdout != ""


def test_a_run_of_another_job_is_refused(
    control_plane: ControlPlane, namespace: str, finished: dict[str, Any], simulator: SimulatorProcess
) -> None:
    other = simulator.control.insert_job(title="other")
    create_job(control_plane, namespace, remote_uuid=other["uuid"])
    printed = logs(control_plane, f"{namespace}/train", "--run", finished["runs"][0]["uuid"])
    assert (printed.returncode, printed.stdout) == (1, "")
    assert "belongs to another job" in printed.stderr


def test_a_job_that_has_not_run_yet_says_so(
    control_plane: ControlPlane, namespace: str, simulator: SimulatorProcess
) -> None:
    waiting = simulator.control.insert_job(title="waiting")
    create_job(control_plane, namespace, remote_uuid=waiting["uuid"])
    printed = logs(control_plane, f"{namespace}/train")
    assert (printed.returncode, printed.stdout) == (1, "")
    assert "has no run yet" in printed.stderr


def test_a_resource_without_a_remote_job_says_so(control_plane: ControlPlane, namespace: str) -> None:
    create_job(control_plane, namespace, remote_uuid=None)
    printed = logs(control_plane, f"{namespace}/train")
    assert printed.returncode == 1
    assert f"DispersedJob {namespace}/train has no remote job" in printed.stderr


def test_what_is_missing_is_named(control_plane: ControlPlane, namespace: str, finished: dict[str, Any]) -> None:
    missing = logs(control_plane, f"{namespace}/train")
    assert (missing.returncode, missing.stderr) == (
        1,
        f"dispersed-operator: DispersedJob {namespace}/train does not exist\n",
    )

    create_job(control_plane, namespace, remote_uuid=finished["uuid"], account="nobody")
    missing = logs(control_plane, f"{namespace}/train")
    assert f"DispersedAccount {namespace}/nobody does not exist" in missing.stderr


def test_a_key_that_is_missing_or_refused_is_named_and_never_shown(
    control_plane: ControlPlane, namespace: str, finished: dict[str, Any]
) -> None:
    create_job(control_plane, namespace, remote_uuid=finished["uuid"])
    wrong = json.dumps({"stringData": {"secretKey": "sk_marked_wrong_key"}})
    control_plane.kubectl("patch", "secret", "api-key", "-n", namespace, "--type=merge", "-p", wrong)
    refused = logs(control_plane, f"{namespace}/train")
    assert refused.returncode == 1
    assert "HTTP 401" in refused.stderr
    assert "sk_marked_wrong_key" not in refused.stderr

    control_plane.kubectl(
        "patch", "secret", "api-key", "-n", namespace, "--type=json", "-p", '[{"op":"remove","path":"/data/secretKey"}]'
    )
    missing = logs(control_plane, f"{namespace}/train")
    assert f"Secret {namespace}/api-key has no key secretKey" in missing.stderr
    assert missing.stderr.count("\n") == 1
