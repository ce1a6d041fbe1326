"""Kustomize and Helm install the same objects, and kubeconform accepts every one of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from dispersed_devenv.controlplane import ControlPlane, KubectlError
from dispersed_devenv.tools import Tools
from tests.integration.install.conftest import CLUSTER_ID
from tests.support.openapi_schemas import write_schemas
from tests.support.rendering import NAMESPACE, Body, is_hook, name_of, normalised, template

EVERYTHING = (
    "--set=networkPolicy.enabled=true,podDisruptionBudget.enabled=true,serviceMonitor.enabled=true",
    "--set=prometheusRule.enabled=true,userRoles.enabled=true,highAvailability.enabled=true",
)
NAMESPACED = ("--set=namespaces={team-a}", f"--set=clusterId={CLUSTER_ID}")
FLAGS = {
    "base": (),
    "cluster-wide": ("--set=userRoles.enabled=true",),
    "high-availability": (
        "--set=userRoles.enabled=true,highAvailability.enabled=true,podDisruptionBudget.enabled=true",
    ),
    "sharded": ("--set=userRoles.enabled=true,podDisruptionBudget.enabled=true,shards=3",),
    "sharded-namespaced": (*NAMESPACED, "--set=podDisruptionBudget.enabled=true,shards=3"),
    "everything": EVERYTHING,
    "namespaced": NAMESPACED,
}
PROXY = {
    "name": "DISPERSED_OPERATOR_REMOTE_PROXY",
    "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}},
}
MORE_FLAGS = {
    "two namespaces, jobs cancelled": (*NAMESPACED, "--set=namespaces={team-a,team-b},uninstall.liveJobs=Cancel"),
    "settings and extras": (
        "--set=settings.logLevel=debug,settings.workers=4,settings.remoteCaFile=/etc/ca/ca.pem",
        f"--set-json=extraEnv={json.dumps([PROXY])}",
        f"--set-json=extraVolumes={json.dumps([{'name': 'ca', 'configMap': {'name': 'ca'}}])}",
        f"--set-json=extraVolumeMounts={json.dumps([{'name': 'ca', 'mountPath': '/etc/ca'}])}",
        f"--set-json=tolerations={json.dumps([{'operator': 'Exists'}])}",
        "--set=imagePullSecrets[0].name=pull,priorityClassName=system-cluster-critical,podLabels.team=gpu",
        "--set=highAvailability.enabled=true,highAvailability.replicas=3",
        "--set=nodeSelector.disk=ssd,image.pullPolicy=Always,podAnnotations.note=x",
    ),
}


def kustomized(plane: ControlPlane, folder: Path) -> list[Body]:
    return list(yaml.safe_load_all(plane.kubectl("kustomize", str(folder))))


@pytest.mark.parametrize("name", FLAGS)
def test_kustomize_and_helm_render_the_same_objects(
    plane: ControlPlane, tools: Tools, overlays: dict[str, Path], name: str
) -> None:
    by_kustomize, by_helm = normalised(kustomized(plane, overlays[name])), normalised(template(tools, *FLAGS[name]))
    assert by_kustomize.keys() == by_helm.keys()
    for key, body in by_kustomize.items():
        assert by_helm[key] == body, key


def test_a_difference_of_one_field_is_noticed(plane: ControlPlane, tools: Tools, overlays: dict[str, Path]) -> None:
    other = template(tools, "--set=resources.requests.cpu=101m")
    assert normalised(kustomized(plane, overlays["base"])) != normalised(other)


def test_a_namespaced_installation_has_no_right_over_the_cluster(
    plane: ControlPlane, tools: Tools, overlays: dict[str, Path]
) -> None:
    for documents in (kustomized(plane, overlays["namespaced"]), template(tools, *NAMESPACED)):
        kinds = {document["kind"] for document in documents}
        assert not {kind for kind in kinds if kind.startswith("ClusterRole")}
        assert {"Role", "RoleBinding"} <= kinds
        names = {document["metadata"]["name"] for document in documents}
        assert not names & {"dispersedorphans.dispersed.dev", "clusterdispersedaccounts.dispersed.dev"}


def test_helm_keeps_the_definitions_on_uninstall(tools: Tools) -> None:
    definitions = [body for body in template(tools) if body["kind"] == "CustomResourceDefinition"]
    assert len(definitions) == 4
    assert {body["metadata"]["annotations"]["helm.sh/resource-policy"] for body in definitions} == {"keep"}


def test_the_rights_to_look_before_an_uninstall_exist_only_during_it(tools: Tools) -> None:
    hooks = {name_of(body): body for body in template(tools) if is_hook(body)}
    assert {name.partition("/")[0] for name in hooks} == {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Job"}
    for body in hooks.values():
        assert body["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    assert hooks["ClusterRole//dispersed-operator-uninstall"]["rules"] == [
        {"apiGroups": ["dispersed.dev"], "resources": ["dispersedjobs"], "verbs": ["list"]}
    ]


@pytest.fixture(scope="module")
def rendered(plane: ControlPlane, tools: Tools, overlays: dict[str, Path]) -> dict[str, list[Body]]:
    """Everything that can be rendered, by name."""
    found = {f"kustomize: {name}": kustomized(plane, folder) for name, folder in overlays.items()}
    return found | {f"helm: {name}": template(tools, *flags) for name, flags in (FLAGS | MORE_FLAGS).items()}


@pytest.fixture(scope="module")
def schemas(plane: ControlPlane, rendered: dict[str, list[Body]], tmp_path_factory: pytest.TempPathFactory) -> str:
    versions = {document["apiVersion"] for documents in rendered.values() for document in documents}
    return write_schemas(plane, tmp_path_factory.mktemp("schemas"), versions)


def conform(tools: Tools, schemas: str, documents: list[Body]) -> tuple[int, Body]:
    answer = subprocess.run(
        [str(tools.kubeconform), "-strict", "-summary", "-output=json", f"-schema-location={schemas}", "-"],
        input=yaml.safe_dump_all(documents), capture_output=True, text=True, check=False,
    )  # fmt: skip
    return answer.returncode, json.loads(answer.stdout)


def test_kubeconform_accepts_everything_that_is_rendered(
    tools: Tools, schemas: str, rendered: dict[str, list[Body]]
) -> None:
    for name, documents in rendered.items():
        status, answer = conform(tools, schemas, documents)
        assert status == 0, (name, answer)
        assert answer["summary"] == {"valid": len(documents), "invalid": 0, "errors": 0, "skipped": 0}, name


def test_kubeconform_refuses_an_unknown_field_and_a_wrong_type(
    tools: Tools, schemas: str, rendered: dict[str, list[Body]]
) -> None:
    (deployment,) = [body for body in rendered["helm: base"] if body["kind"] == "Deployment"]
    misspelt = {**deployment, "spec": {**deployment["spec"], "replica": 1}}
    wrong = {**deployment, "spec": {**deployment["spec"], "replicas": "one"}}
    for body in (misspelt, wrong):
        status, answer = conform(tools, schemas, [body])
        assert (status, answer["summary"]["invalid"]) == (1, 1)


def test_the_pods_of_shards_differ_from_the_one_pod_by_their_number_alone(
    plane: ControlPlane, overlays: dict[str, Path]
) -> None:
    (one,) = [body for body in kustomized(plane, overlays["base"]) if body["kind"] == "Deployment"]
    (many,) = [body for body in kustomized(plane, overlays["sharded"]) if body["kind"] == "StatefulSet"]
    (container,) = many["spec"]["template"]["spec"]["containers"]
    number, shard = container.pop("env")
    assert number["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"
    assert shard == {"name": "DISPERSED_OPERATOR_SHARD", "value": f"$({number['name']})/{many['spec']['replicas']}"}
    assert many["spec"]["template"] == one["spec"]["template"]


@pytest.mark.parametrize("name", ["base", "cluster-wide", "sharded", "everything"])
def test_the_api_server_accepts_every_manifest(plane: ControlPlane, overlays: dict[str, Path], name: str) -> None:
    plane.apply(overlays["base"])
    documents = kustomized(plane, overlays[name])
    answer = plane.kubectl("apply", "--server-side", "--dry-run=server", "-k", str(overlays[name]))
    assert answer.count("serverside-applied (server dry run)") == len(documents)


def test_a_restricted_namespace_admits_every_pod_that_is_rendered_and_no_looser_one(
    plane: ControlPlane, overlays: dict[str, Path], rendered: dict[str, list[Body]]
) -> None:
    plane.apply(overlays["base"])
    pods = [(name, body["kind"], pod) for name, bodies in rendered.items() for body in bodies for pod in pods_of(body)]
    assert {kind for _, kind, _ in pods} == {"Deployment", "StatefulSet", "Job", "CronJob"}
    assert {name for name, _, _ in pods} == set(rendered), "each of them renders a pod"
    distinct = {json.dumps(pod, sort_keys=True): (name, kind) for name, kind, pod in pods}
    for text, where in distinct.items():
        assert "created" in try_pod(plane, json.loads(text)), where
        looser = json.loads(text)
        looser["securityContext"]["runAsNonRoot"] = False
        with pytest.raises(KubectlError, match="violates PodSecurity"):
            try_pod(plane, looser)


def pods_of(body: Body) -> list[Body]:
    """The pod that an object makes."""
    match body["kind"]:
        case "Deployment" | "StatefulSet" | "Job":
            return [body["spec"]["template"]["spec"]]
        case "CronJob":
            return [body["spec"]["jobTemplate"]["spec"]["template"]["spec"]]
        case _:
            return []


def try_pod(plane: ControlPlane, spec: Body) -> str:
    """What the API server's admission says of such a pod in the operator's namespace."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial", "namespace": NAMESPACE}, "spec": spec}
    return plane.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))
