"""`uninstall-check` against a real API server, with a service account that may list DispersedJobs, or delete them too.

No operator runs here: what it would do with a finalizer, the test does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.model.naming import JOB_FINALIZER
from tests.support.controlplane import temporary_control_plane
from tests.support.rendering import Body


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    name = f"t-{uuid.uuid4().hex[:8]}"
    control_plane.kubectl("create", "namespace", name)
    return name


def account(plane: ControlPlane, folder: Path, namespace: str, *verbs: str) -> Path:
    """A kubeconfig of a service account that may do this with the DispersedJobs of the namespace, and nothing else."""
    plane.kubectl("create", "serviceaccount", "hook", "-n", namespace)
    if verbs:
        grant = (f"--verb={','.join(verbs)}", "--resource=dispersedjobs.dispersed.dev")
        plane.kubectl("create", "role", "hook", "-n", namespace, *grant)
        plane.kubectl(
            "create", "rolebinding", "hook", "-n", namespace, "--role=hook", f"--serviceaccount={namespace}:hook"
        )
    return plane.write_kubeconfig(folder / "hook", token=plane.service_account_token(namespace, "hook"))


def add_job(plane: ControlPlane, namespace: str, name: str, *, live: bool = True, **spec: object) -> None:
    """A job that the operator holds and has created; `live` or completed."""
    template = {"title": name, "image": "example.com/train", "tag": "1"}
    body: Body = {
        "apiVersion": "dispersed.dev/v1alpha1",
        "kind": "DispersedJob",
        "metadata": {"name": name, "finalizers": [JOB_FINALIZER]},
        "spec": {"task": "Batch", "template": template, "deadlines": {"runSeconds": 900}} | spec,
    }
    plane.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(body))
    status: Body = {"jobUUID": str(uuid.uuid4()), "phase": "Running" if live else "Succeeded"}
    status["create"] = {"token": "t", "attempt": 1, "uuid": status["jobUUID"], "state": "Accepted", "locked": True}
    if not live:
        now = "2026-01-01T00:00:00Z"
        done = {"type": "Complete", "status": "True", "reason": "Completed", "message": "", "lastTransitionTime": now}
        status["conditions"] = [done]
    patch = json.dumps({"status": status})
    plane.kubectl("patch", "djob", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)


def let_go(plane: ControlPlane, namespace: str, name: str) -> None:
    patch = '{"metadata":{"finalizers":null}}'
    plane.kubectl("patch", "djob", name, "-n", namespace, "--type=merge", "-p", patch)


def is_deleting(plane: ControlPlane, namespace: str, name: str) -> bool:
    path = "jsonpath={.metadata.deletionTimestamp}"
    return bool(plane.kubectl("get", "djob", name, "-n", namespace, "-o", path).strip())


def start(kubeconfig: Path, namespace: str, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dispersed_operator", "uninstall-check", "--kubeconfig", str(kubeconfig)]
    return subprocess.Popen(
        [*command, "--namespaces", namespace, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def check(kubeconfig: Path, namespace: str, *flags: str) -> tuple[int, str, str]:
    process = start(kubeconfig, namespace, *flags)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def test_the_right_to_list_is_enough_to_look(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    hook = account(control_plane, tmp_path, namespace, "list")
    add_job(control_plane, namespace, "over", live=False)
    status, output, _ = check(hook, namespace)
    assert status == 0
    assert output.startswith("No DispersedJob needs the operator.\n1 that are over carry a finalizer")

    add_job(control_plane, namespace, "train")
    status, output, _ = check(hook, namespace)
    assert status == 1
    assert f"{namespace}/train" in output
    assert f"{namespace}/over" not in output
    for name in ("over", "train"):
        assert not is_deleting(control_plane, namespace, name)
        let_go(control_plane, namespace, name)


def test_told_to_cancel_it_deletes_what_lives_and_waits_until_the_operator_has_let_it_go(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    hook = account(control_plane, tmp_path, namespace, "list", "delete")
    add_job(control_plane, namespace, "train")
    add_job(control_plane, namespace, "over", live=False)
    process = start(hook, namespace, "--cancel", "--wait-seconds=100")
    control_plane.kubectl(
        "wait", "djob/train", "-n", namespace, "--for=jsonpath={.metadata.deletionTimestamp}", "--timeout=60s"
    )
    assert process.poll() is None, "it waits"
    let_go(control_plane, namespace, "train")
    output, errors = process.communicate(timeout=100)
    assert (process.returncode, errors) == (0, "")
    assert f"{namespace}/train deleted" in output
    assert not is_deleting(control_plane, namespace, "over")
    let_go(control_plane, namespace, "over")


def test_what_does_not_end_in_time_keeps_the_operator(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    hook = account(control_plane, tmp_path, namespace, "list", "delete")
    add_job(control_plane, namespace, "train")
    status, output, _ = check(hook, namespace, "--cancel", "--wait-seconds=1")
    assert status == 1
    assert "is being deleted" in output
    let_go(control_plane, namespace, "train")


def test_nothing_is_deleted_while_a_deletion_would_leave_a_job_running(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    hook = account(control_plane, tmp_path, namespace, "list", "delete")
    add_job(control_plane, namespace, "train")
    add_job(control_plane, namespace, "kept", deletionPolicy="Orphan")
    status, output, _ = check(hook, namespace, "--cancel")
    assert status == 1
    assert "spec.deletionPolicy of at least one of them is Orphan" in output
    for name in ("train", "kept"):
        assert not is_deleting(control_plane, namespace, name)
        let_go(control_plane, namespace, name)


@pytest.mark.parametrize(("verbs", "flags"), [((), ()), (("list",), ("--cancel",))])
def test_without_the_rights_the_operator_stays(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, verbs: tuple[str, ...], flags: tuple[str, ...]
) -> None:
    hook = account(control_plane, tmp_path, namespace, *verbs)
    add_job(control_plane, namespace, "train")
    status, output, errors = check(hook, namespace, *flags)
    assert (status, output) == (1, "")
    assert "so the operator must stay" in errors
    assert "403" in errors
    let_go(control_plane, namespace, "train")


def test_an_empty_namespace_needs_no_operator(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    hook = account(control_plane, tmp_path, namespace, "list")
    assert check(hook, namespace) == (0, "No DispersedJob needs the operator.\n", "")


def test_where_the_kind_is_not_served_the_operator_stays(tmp_path: Path) -> None:
    with temporary_control_plane() as bare:
        status, output, errors = check(bare.kubeconfig, "default")
    assert (status, output) == (1, "")
    assert "so the operator must stay" in errors
