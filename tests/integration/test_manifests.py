"""The manifests meet a real API server: they render, are accepted, and grant what the operator needs and no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dispersed_devenv.controlplane import ControlPlane, KubectlError

BASE = Path(__file__).resolve().parents[2] / "manifests" / "base"
NAMESPACE = "dispersed-system"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:dispersed-operator"


@pytest.fixture(scope="module")
def rendered(control_plane: ControlPlane) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(control_plane.kubectl("kustomize", str(BASE))))


@pytest.fixture(scope="module")
def installed(control_plane: ControlPlane) -> ControlPlane:
    """A control plane that holds namespace, service account and rights of the operator."""
    for name in ("namespace.yaml", "serviceaccount.yaml", "rbac.yaml"):
        control_plane.apply(BASE / name)
    return control_plane


def may(plane: ControlPlane, verb: str, resource: str) -> bool:
    """What the API server's own authorizer says; `resource` is `plural[.group][/subresource]`."""
    whole, _, subresource = resource.partition("/")
    plural, _, group = whole.partition(".")
    asked = {"verb": verb, "group": group, "resource": plural, "subresource": subresource, "namespace": "default"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": OPERATOR, "resourceAttributes": asked},
    }
    answer = json.loads(plane.kubectl("create", "-o", "json", "-f", "-", input=json.dumps(review)))
    allowed: bool = answer["status"]["allowed"]
    return allowed


def test_kustomize_renders_definitions_and_operator_together(rendered: list[dict[str, Any]]) -> None:
    assert sorted(document["kind"] for document in rendered) == [
        "ClusterRole",
        "ClusterRoleBinding",
        *["CustomResourceDefinition"] * 4,
        "Deployment",
        "Namespace",
        "Service",
        "ServiceAccount",
    ]


def test_the_api_server_accepts_every_manifest(installed: ControlPlane) -> None:
    answer = installed.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", str(BASE))
    assert answer.count("serverside-applied (server dry run)") == 10


def test_a_restricted_namespace_admits_the_pod(installed: ControlPlane, rendered: list[dict[str, Any]]) -> None:
    (deployment,) = [document for document in rendered if document["kind"] == "Deployment"]
    template = deployment["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "trial", "namespace": NAMESPACE},
        "spec": template["spec"],
    }
    assert "created" in installed.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))

    template["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(KubectlError, match="violates PodSecurity"):
        installed.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("watch", "dispersedjobs.dispersed.dev"),
        ("patch", "dispersedaccounts.dispersed.dev"),
        ("patch", "dispersedjobs.dispersed.dev/status"),
        ("create", "dispersedorphans.dispersed.dev"),
        ("patch", "dispersedorphans.dispersed.dev/status"),
        ("get", "secrets"),
        ("delete", "secrets"),
        ("get", "configmaps"),
        ("get", "namespaces"),
        ("create", "events"),
    ],
)
def test_the_service_account_may(installed: ControlPlane, verb: str, resource: str) -> None:
    assert may(installed, verb, resource)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("list", "secrets"),
        ("watch", "secrets"),
        ("update", "secrets"),
        ("create", "dispersedjobs.dispersed.dev"),
        ("delete", "dispersedjobs.dispersed.dev"),
        ("delete", "dispersedorphans.dispersed.dev"),
        ("list", "pods"),
        ("list", "configmaps"),
        ("list", "namespaces"),
        ("patch", "namespaces"),
        ("delete", "namespaces"),
        ("patch", "customresourcedefinitions.apiextensions.k8s.io"),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
    ],
)
def test_the_service_account_may_not(installed: ControlPlane, verb: str, resource: str) -> None:
    assert not may(installed, verb, resource)
