"""The development control plane behaves like the Kubernetes that the operator's rules rely on."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dispersed_devenv.controlplane import STOP_ORDER, AlreadyRunningError, ControlPlane, KubectlError
from dispersed_devenv.gobuild import kubernetes_version
from tests.support.controlplane import temporary_control_plane

DEVENV = Path(__file__).resolve().parent.parent.parent / "devenv"
WIDGETS = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.controlplane.test}
spec:
  group: controlplane.test
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {low: {type: integer}, high: {type: integer}}
            x-kubernetes-validations:
            - {rule: self.low <= self.high, message: low must not be above high}
"""


@pytest.fixture(scope="module")
def own_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that a test may break: the shared one belongs to everybody."""
    manifest = tmp_path_factory.mktemp("crd") / "widgets.yaml"
    manifest.write_text(WIDGETS)
    with temporary_control_plane(manifest, audit_log=True) as plane:
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    return create_namespace(control_plane)


def create_namespace(plane: ControlPlane) -> str:
    name = f"t-{uuid.uuid4().hex[:8]}"
    plane.kubectl("create", "namespace", name)
    return name


def widget(name: str, low: int, high: int) -> str:
    spec = {"low": low, "high": high}
    return json.dumps(
        {"apiVersion": "controlplane.test/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}
    )


def owned_config_map(owner: dict[str, dict[str, str]], api_version: str, kind: str) -> str:
    reference = {"apiVersion": api_version, "kind": kind}
    reference |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    metadata = {"name": "owned", "ownerReferences": [reference]}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


def test_the_api_server_reports_the_release_it_was_built_from(control_plane: ControlPlane) -> None:
    versions = json.loads(control_plane.kubectl("version", "-o", "json"))
    assert versions["serverVersion"]["gitVersion"] == kubernetes_version()
    assert versions["clientVersion"]["gitVersion"] == kubernetes_version()


def test_a_deleted_namespace_disappears_with_its_content(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "configmap", "content", "-n", namespace)
    control_plane.kubectl("delete", "namespace", namespace, "--wait=false")
    control_plane.kubectl("wait", "--for=delete", f"namespace/{namespace}", "--timeout=60s")
    assert control_plane.kubectl("get", "namespace", namespace, "--ignore-not-found") == ""


def test_a_namespace_is_given_its_default_service_account(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("wait", "--for=create", "serviceaccount/default", "-n", namespace, "--timeout=60s")


def test_a_service_account_token_gives_the_rights_of_its_roles_and_no_others(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    subject = f"--serviceaccount={namespace}:reader"
    for arguments in (
        ("serviceaccount", "reader"),
        ("role", "reader", "--verb=list", "--resource=configmaps"),
        ("rolebinding", "reader", "--role=reader", subject),
    ):
        control_plane.kubectl("create", *arguments, "-n", namespace)
    token = control_plane.service_account_token(namespace, "reader")
    reader = control_plane.write_kubeconfig(tmp_path / "reader", token=token, namespace=namespace)

    who = json.loads(control_plane.kubectl("auth", "whoami", "-o", "json", kubeconfig=reader))
    assert who["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:reader"
    control_plane.kubectl("get", "configmaps", kubeconfig=reader)
    for forbidden in (("get", "secrets"), ("get", "configmaps", "-n", "default")):
        with pytest.raises(KubectlError, match="forbidden"):
            control_plane.kubectl(*forbidden, kubeconfig=reader)


def test_an_unknown_token_is_refused(control_plane: ControlPlane, tmp_path: Path) -> None:
    stranger = control_plane.write_kubeconfig(tmp_path / "stranger", token="stranger")
    with pytest.raises(KubectlError, match="must be logged in"):
        control_plane.kubectl("get", "namespaces", kubeconfig=stranger)


def test_a_cel_rule_refuses_with_its_own_message(own_plane: ControlPlane) -> None:
    with pytest.raises(KubectlError, match="low must not be above high"):
        own_plane.kubectl("create", "-f", "-", input=widget("wrong", 2, 1))
    own_plane.kubectl("create", "-f", "-", input=widget("right", 1, 2))


def test_an_object_is_collected_with_its_custom_owner(own_plane: ControlPlane) -> None:
    namespace = create_namespace(own_plane)
    created = own_plane.kubectl("create", "-n", namespace, "-o", "json", "-f", "-", input=widget("owner", 1, 2))
    owned = owned_config_map(json.loads(created), "controlplane.test/v1", "Widget")
    own_plane.kubectl("create", "-n", namespace, "-f", "-", input=owned)
    own_plane.kubectl("delete", "widget", "owner", "-n", namespace)
    own_plane.kubectl("wait", "--for=delete", "configmap/owned", "-n", namespace, "--timeout=60s")
    assert own_plane.kubectl("get", "configmap", "owned", "-n", namespace, "--ignore-not-found") == ""


def test_a_restarted_api_server_keeps_port_data_and_tokens(own_plane: ControlPlane) -> None:
    namespace, address, before = create_namespace(own_plane), own_plane.base_url, own_plane.pids()
    token = own_plane.service_account_token("default", "default")
    own_plane.restart_apiserver()
    after = own_plane.pids()
    assert after["kube-apiserver"] != before["kube-apiserver"]
    assert after["etcd"] == before["etcd"]
    assert own_plane.base_url == address
    assert namespace in own_plane.kubectl("get", "namespace", namespace)
    identity = own_plane.write_kubeconfig(own_plane.folder / "kept", token=token)
    assert "system:serviceaccount:default:default" in own_plane.kubectl("auth", "whoami", kubeconfig=identity)


def test_a_killed_api_server_answers_nothing_until_it_is_started_again(own_plane: ControlPlane) -> None:
    namespace = create_namespace(own_plane)
    own_plane.kill_apiserver()
    assert "kube-apiserver" not in own_plane.pids()
    with pytest.raises(KubectlError, match="refused"):
        own_plane.kubectl("get", "namespace", namespace)
    own_plane.start_apiserver()
    assert namespace in own_plane.kubectl("get", "namespace", namespace)


def test_the_audit_log_names_requests_but_not_their_content(own_plane: ControlPlane) -> None:
    name = f"audited-{uuid.uuid4().hex[:8]}"
    own_plane.kubectl("create", "configmap", name, "--from-literal=key=hidden-value")
    events = [json.loads(line) for line in own_plane.audit_log_file.read_text().splitlines()]
    created = [event for event in events if event["verb"] == "create" and event["objectRef"].get("name") == name]
    assert [event["responseStatus"]["code"] for event in created] == [201]
    assert "hidden-value" not in own_plane.audit_log_file.read_text()


def test_a_folder_never_gets_a_second_control_plane(own_plane: ControlPlane) -> None:
    before = own_plane.pids()
    with pytest.raises(AlreadyRunningError):
        ControlPlane(own_plane.folder).start()
    assert own_plane.pids() == before


def test_up_leaves_a_control_plane_behind_that_down_ends_and_a_second_up_continues(
    tmp_path: Path, control_plane: ControlPlane
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(DEVENV)}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "dispersed_devenv", *arguments, "--dir", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    plane = ControlPlane(tmp_path, binaries=control_plane.binaries)
    try:
        first = run("up", "--control-plane-only")
        assert first.returncode == 0, first.stderr
        assert f"export KUBECONFIG={plane.kubeconfig}" in first.stdout
        assert run("status", "--control-plane-only").returncode == 0
        assert "already running" in run("up", "--control-plane-only").stderr
        plane.kubectl("create", "namespace", "kept")
        pids, address = plane.pids(), plane.base_url
        assert set(pids) == set(STOP_ORDER)

        assert run("down").returncode == 0
        assert [pid for pid in pids.values() if alive(pid)] == []
        assert run("status", "--control-plane-only").returncode == 1

        assert run("up", "--control-plane-only").returncode == 0
        assert plane.base_url == address
        assert "kept" in plane.kubectl("get", "namespace", "kept")
    finally:
        plane.stop()
    assert plane.pids() == {}


def test_a_control_plane_ends_with_the_process_that_started_it(tmp_path: Path, control_plane: ControlPlane) -> None:
    program = "import sys, pathlib\nfrom dispersed_devenv.controlplane import ControlPlane\n"
    program += "ControlPlane(pathlib.Path(sys.argv[1])).start()\nprint('up', flush=True)\nsys.stdin.read()\n"
    environment = {**os.environ, "PYTHONPATH": str(DEVENV), "KUBEBUILDER_ASSETS": str(control_plane.binaries.folder)}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        orphans = [psutil.Process(pid) for pid in ControlPlane(tmp_path).pids().values()]
        assert len(orphans) == len(STOP_ORDER)
        parent.send_signal(signal.SIGKILL)
    _, left = psutil.wait_procs(orphans, timeout=30)
    assert [process for process in left if alive(process.pid)] == []


def alive(pid: int) -> bool:
    """A zombie is not alive: only whoever adopted it can take it away."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
