"""The manifests: least rights, restricted pods, and numbers that agree with the operator's own settings."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from dispersed_devenv import chart
from dispersed_operator.cli import build_parser
from dispersed_operator.config import load_settings
from dispersed_operator.errors import SettingsError
from dispersed_operator.telemetry.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
BASE = MANIFESTS / "base"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((BASE / name).read_text()))


def deployment() -> dict[str, Any]:
    (found,) = documents("deployment.yaml")
    return found


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = deployment()["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    return dict(found)


def test_the_operator_is_granted_exactly_these_rights() -> None:
    role, _ = documents("rbac.yaml")
    grants = {
        (group, resource, tuple(rule.get("resourceNames", ()))): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert grants == {
        ("dispersed.dev", "dispersedjobs", ()): {"get", "list", "watch", "patch"},
        ("dispersed.dev", "dispersedaccounts", ()): {"get", "list", "watch", "patch"},
        ("dispersed.dev", "clusterdispersedaccounts", ()): {"get", "list", "watch", "patch"},
        ("dispersed.dev", "dispersedjobs/status", ()): {"patch"},
        ("dispersed.dev", "dispersedaccounts/status", ()): {"patch"},
        ("dispersed.dev", "clusterdispersedaccounts/status", ()): {"patch"},
        ("dispersed.dev", "dispersedorphans", ()): {"get", "list", "watch", "create", "patch"},
        ("dispersed.dev", "dispersedorphans/status", ()): {"patch"},
        ("", "secrets", ()): {"get", "create", "patch", "delete"},
        ("", "configmaps", ()): {"get"},
        ("", "events", ()): {"create", "patch"},
        ("", "namespaces", ()): {"get"},
        ("apiextensions.k8s.io", "customresourcedefinitions", ()): {"list", "watch"},
    }


def test_no_right_is_a_wildcard() -> None:
    assert "*" not in (BASE / "rbac.yaml").read_text()


def test_the_rights_go_to_the_account_that_the_pod_runs_as() -> None:
    role, binding = documents("rbac.yaml")
    (account,) = documents("serviceaccount.yaml")
    (namespace,) = documents("namespace.yaml")
    (subject,) = binding["subjects"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert subject["name"] == account["metadata"]["name"] == pod()["serviceAccountName"]
    assert subject["namespace"] == account["metadata"]["namespace"] == namespace["metadata"]["name"]
    assert deployment()["metadata"]["namespace"] == namespace["metadata"]["name"]


def test_two_processes_never_overlap_in_a_roll_out() -> None:
    assert deployment()["spec"]["replicas"] == 1
    assert deployment()["spec"]["strategy"] == {"type": "Recreate"}


def test_two_replicas_elect_by_the_settings_of_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    patch = yaml.safe_load((MANIFESTS / "components" / "high-availability" / "replicas.yaml").read_text())
    assert patch["spec"]["replicas"] == 2
    assert patch["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert not load_settings().leader_elect, "one replica needs no Lease"
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    for entry in container["env"]:
        monkeypatch.setenv(entry["name"], entry["value"])
    assert (load_settings().leader_elect, load_settings().lease_name) == (True, "dispersed-operator")


def test_the_pod_is_restricted() -> None:
    (namespace,) = documents("namespace.yaml")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_kubelet_waits_longer_than_the_operator_needs_to_stop() -> None:
    assert pod()["terminationGracePeriodSeconds"] == 90
    assert load_settings().shutdown_grace_seconds < 90


def test_the_probes_ask_the_port_that_the_operator_opens_by_default() -> None:
    (port,) = container()["ports"]
    assert port["containerPort"] == load_settings().health_port
    for probe in ("livenessProbe", "readinessProbe"):
        assert container()[probe]["httpGet"]["port"] == port["name"]
    (service,) = documents("service.yaml")
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]


def test_the_service_finds_the_pods() -> None:
    (service,) = documents("service.yaml")
    labels = deployment()["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert deployment()["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_the_variables_of_services_do_not_reach_the_settings() -> None:
    assert pod()["enableServiceLinks"] is False


def test_the_command_line_of_the_pod_is_one_that_the_operator_knows() -> None:
    assert build_parser().parse_args(container()["args"]).command == "run"


def test_the_image_carries_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert container()["image"] == f"dispersed-operator:{version}"


@pytest.mark.parametrize("folder", ["manifests/base", "crds"])
def test_every_manifest_is_part_of_its_kustomization(folder: str) -> None:
    (kustomization,) = [path for path in (ROOT / folder).iterdir() if path.stem.lower() == "kustomization"]
    named = yaml.safe_load(kustomization.read_text())["resources"]
    files = {path.name for path in (ROOT / folder).iterdir()} - {kustomization.name}
    assert {name for name in named if "/" not in name} == files


def test_the_image_runs_as_the_user_of_the_pod_and_as_nobody_else() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line.removeprefix("USER ") for line in lines if line.startswith("USER ")]
    assert users == [f"{pod()['securityContext']['runAsUser']}:{pod()['securityContext']['runAsGroup']}"]


def rules_of(role: dict[str, Any]) -> list[dict[str, Any]]:
    return list(role["rules"])


def test_a_served_namespace_grants_what_the_cluster_role_grants_on_namespaced_objects() -> None:
    kinds = {"clusterdispersedaccounts", "dispersedorphans"}
    cluster_wide = {"namespaces", "customresourcedefinitions", *kinds, *(f"{kind}/status" for kind in kinds)}
    role, _ = documents("rbac.yaml")
    (served,) = yaml.safe_load_all((MANIFESTS / "served-namespace" / "role.yaml").read_text())
    left = [[name for name in rule["resources"] if name not in cluster_wide] for rule in rules_of(role)]
    wanted = [rule | {"resources": names} for rule, names in zip(rules_of(role), left, strict=True) if names]
    assert rules_of(served) == wanted


def test_the_namespaced_overlay_does_not_start_before_somebody_set_its_cluster_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (patch,) = yaml.safe_load_all((MANIFESTS / "overlays" / "namespaced" / "settings.yaml").read_text())
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    for entry in container["env"]:
        monkeypatch.setenv(entry["name"], entry["value"])
    with pytest.raises(SettingsError, match="DISPERSED_OPERATOR_CLUSTER_ID"):
        load_settings()


def test_the_alerts_are_those_of_the_docs() -> None:
    (rule,) = yaml.safe_load_all((MANIFESTS / "components" / "prometheus-rule" / "prometheusrule.yaml").read_text())
    (group,) = rule["spec"]["groups"]
    alerts = [(alert["expr"], alert.get("for", "")) for alert in group["rules"]]
    page = (ROOT / "docs" / "metrics.md").read_text().partition("## What to alert on")[2]
    rows = re.findall(r"^\| `([^`]+)`(?: for (\d+) minutes)? \|", page, re.MULTILINE)
    assert alerts == [(expression, f"{minutes}m" if minutes else "") for expression, minutes in rows]


def test_each_alert_is_about_metrics_that_exist() -> None:
    text = (MANIFESTS / "components" / "prometheus-rule" / "prometheusrule.yaml").read_text()
    known = {row.name for row in Metrics().catalogue()}
    named = set(re.findall(r"\bdispersed_operator_\w+", text))
    assert named
    assert named <= known


def test_the_chart_agrees_with_crds_manifests_settings_and_version() -> None:
    assert chart.main(["--check"]) == 0


def test_a_chart_that_lags_behind_is_noticed(tmp_path: Path) -> None:
    for name in ("charts", "crds", "manifests"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    role = tmp_path / "manifests" / "served-namespace" / "role.yaml"
    role.write_text(role.read_text().replace("verbs: [create, patch]", "verbs: [create]"))
    old = [path.name for path, text in chart.generated_files(tmp_path).items() if path.read_text() != text]
    assert old == ["rules.yaml"]
