"""The reaper's CronJob meets a real API server: it renders, is accepted, and its pod is a restricted one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dispersed_devenv.controlplane import ControlPlane, KubectlError
from dispersed_operator.cli import build_parser

REAPER = Path(__file__).resolve().parents[2] / "manifests" / "reaper"
FOLDERS = [REAPER, REAPER.parent / "reaper-honour-kept"]
NAMESPACE = "dispersed-reaper"


def rendered(plane: ControlPlane, folder: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(plane.kubectl("kustomize", str(folder))))


def pod_spec(documents: list[dict[str, Any]]) -> dict[str, Any]:
    (cronjob,) = [document for document in documents if document["kind"] == "CronJob"]
    spec: dict[str, Any] = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """A control plane with the reaper's namespace and service account."""
    for name in ("namespace.yaml", "serviceaccount.yaml"):
        control_plane.apply(REAPER / name)
    return control_plane


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_api_server_accepts_every_manifest(plane: ControlPlane, folder: Path) -> None:
    documents = rendered(plane, folder)
    answer = plane.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", str(folder))
    assert answer.count("serverside-applied (server dry run)") == len(documents)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_restricted_namespace_admits_the_pod(plane: ControlPlane, folder: Path) -> None:
    spec = pod_spec(rendered(plane, folder))
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial", "namespace": NAMESPACE}, "spec": spec}
    assert "created" in plane.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))
    spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = True
    spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(KubectlError, match="violates PodSecurity"):
        plane.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))


@pytest.mark.parametrize(("folder", "kept"), [(FOLDERS[0], False), (FOLDERS[1], True)])
def test_its_command_line_is_one_that_the_program_knows(plane: ControlPlane, folder: Path, kept: bool) -> None:
    spec = pod_spec(rendered(plane, folder))
    parsed = build_parser().parse_args(spec["containers"][0]["args"])
    assert (parsed.command, parsed.yes, parsed.everything, parsed.honour_kept) == ("reap", True, False, kept)
    assert spec["automountServiceAccountToken"] is kept, "a token only where the cluster is asked"


def test_the_key_comes_from_a_secret_and_never_from_the_command_line(plane: ControlPlane) -> None:
    (container,) = pod_spec(rendered(plane, REAPER))["containers"]
    references = {item["name"]: item.get("valueFrom", {}).get("secretKeyRef") for item in container["env"]}
    assert references["DISPERSED_PUBLIC_KEY"] == {"name": "dispersed-api-key", "key": "publicKey"}
    assert references["DISPERSED_SECRET_KEY"] == {"name": "dispersed-api-key", "key": "secretKey"}


def test_the_only_right_is_to_list_orphans_and_only_where_they_are_honoured(plane: ControlPlane) -> None:
    assert not [item for item in rendered(plane, REAPER) if item["kind"].startswith("ClusterRole")]
    (role,) = [item for item in rendered(plane, FOLDERS[1]) if item["kind"] == "ClusterRole"]
    assert role["rules"] == [{"apiGroups": ["dispersed.dev"], "resources": ["dispersedorphans"], "verbs": ["list"]}]


def test_two_reapers_never_run_at_once(plane: ControlPlane) -> None:
    (cronjob,) = [item for item in rendered(plane, REAPER) if item["kind"] == "CronJob"]
    assert cronjob["spec"]["concurrencyPolicy"] == "Forbid"
