"""An installation on the development control plane, where no kubelet runs: tests do what one would do.

The operator runs as a process with the arguments and variables of the installed Deployment, under the token of its
service account. The hook before an uninstall runs likewise; its result is written into the status of its Job, so that
`helm uninstall` goes on as it would in a cluster.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.services import OperatorService
from dispersed_devenv.tools import Tools
from tests.support.controlplane import CRDS
from tests.support.rendering import CHART, NAMESPACE, RELEASE, ROOT, helm_environment, run_helm
from tests.support.world import PATIENT_CLOCK, World, wait_for

Body = dict[str, Any]
HOOK = f"{RELEASE}-uninstall"
SECONDS = 90


@dataclass(frozen=True)
class Uninstall:
    """What became of an uninstall: the hook's exit code and output, and Helm's."""

    hook_status: int
    hook_output: str
    helm_status: int
    helm_errors: str


def make_namespace(plane: ControlPlane) -> None:
    """The operator's namespace, with its labels, as docs/install.md makes it for Helm."""
    plane.apply(ROOT / "manifests" / "base" / "namespace.yaml")


def namespaced_overlay(folder: Path, *, components: Sequence[str] = ()) -> Path:
    """The overlay for some namespaces, here for `team-a`, copied and filled in as docs/install.md says."""
    shutil.copytree(ROOT / "manifests", folder / "manifests")
    shutil.copytree(CRDS, folder / "crds")
    overlay = folder / "manifests" / "overlays" / "namespaced"
    settings = overlay / "settings.yaml"
    text = settings.read_text().replace('"NOT SET: see overlays/namespaced/settings.yaml"', "an-id-of-its-own")
    settings.write_text(text)
    kustomization = yaml.safe_load((overlay / "kustomization.yaml").read_text())
    kustomization["components"] = [f"../../components/{name}" for name in components]
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return overlay


def install(plane: ControlPlane, tools: Tools, *flags: str) -> str:
    """helm upgrade --install."""
    return run_helm(
        tools, "upgrade", "--install", RELEASE, str(CHART), "--namespace", NAMESPACE, *flags,
        kubeconfig=plane.kubeconfig,
    )  # fmt: skip


def roll_back(plane: ControlPlane, tools: Tools) -> None:
    """helm rollback to the first revision."""
    run_helm(tools, "rollback", RELEASE, "1", "--namespace", NAMESPACE, kubeconfig=plane.kubeconfig)


def installed_releases(plane: ControlPlane, tools: Tools) -> list[str]:
    """The names of the releases in the operator's namespace."""
    listing = run_helm(tools, "list", "--namespace", NAMESPACE, "--output", "json", kubeconfig=plane.kubeconfig)
    return [release["name"] for release in json.loads(listing)]


def start_installed_operator(world: World, name: str = "operator", *, namespace: str = NAMESPACE) -> OperatorService:
    """The operator as the Deployment installed in this namespace says: its arguments and variables, its service
    account."""
    deployment = read(world.plane, "deployment", RELEASE, namespace)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (container["args"], pod["serviceAccountName"]) == (["run"], RELEASE)
    operator = OperatorService(
        world.plane,
        world.folder / name,
        name=name,
        flags=PATIENT_CLOCK,
        environ=variables(container),
        namespace=namespace,
    )
    world.operators.append(operator)
    operator.start()
    return operator


def uninstall(plane: ControlPlane, tools: Tools, folder: Path) -> Uninstall:
    """helm uninstall, with the hook's command executed by the test as the hook's service account."""
    command = [str(tools.helm), "uninstall", RELEASE, "--namespace", NAMESPACE, f"--timeout={SECONDS}s"]
    environment = helm_environment(plane.kubeconfig)
    helm = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        wait_for(lambda: _fresh_hook(plane), what="Helm has made the Job of its hook", seconds=SECONDS)
        hook = run_hook(plane, folder)
        report_end(plane, succeeded=hook.returncode == 0)
        _, errors = helm.communicate(timeout=SECONDS)
    finally:
        if helm.poll() is None:
            helm.kill()
            helm.communicate()
    return Uninstall(hook.returncode, hook.stdout + hook.stderr, helm.returncode, errors)


def run_hook(plane: ControlPlane, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command of the hook's Job as a process, under the token of the Job's service account."""
    pod = read(plane, "job", HOOK)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    token = plane.service_account_token(NAMESPACE, pod["serviceAccountName"])
    kubeconfig = plane.write_kubeconfig(folder / "hook.kubeconfig", token=token)
    return subprocess.run(
        [sys.executable, "-m", "dispersed_operator", *container["args"], "--kubeconfig", str(kubeconfig)],
        capture_output=True, text=True, check=False, env={**os.environ, **variables(container)},
    )  # fmt: skip


def report_end(plane: ControlPlane, *, succeeded: bool) -> None:
    """Write into the hook's Job what a cluster's Job controller would write."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    types = ("SuccessCriteriaMet", "Complete") if succeeded else ("FailureTarget", "Failed")
    conditions = [{"type": type_, "status": "True", "lastTransitionTime": now} for type_ in types]
    status: Body = {"startTime": now, "conditions": conditions, "succeeded" if succeeded else "failed": 1}
    if succeeded:
        status["completionTime"] = now
    plane.kubectl(
        "patch", "job", HOOK, "-n", NAMESPACE, "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": status}),
    )  # fmt: skip


def variables(container: Body) -> dict[str, str]:
    """The variables of a container that are plain texts."""
    return {entry["name"]: entry["value"] for entry in container.get("env") or ()}


def read(plane: ControlPlane, kind: str, name: str, namespace: str = NAMESPACE) -> Body:
    """An object that exists."""
    body: Body = json.loads(plane.kubectl("get", kind, name, "-n", namespace, "-o", "json"))
    return body


def _fresh_hook(plane: ControlPlane) -> bool:
    """Whether the hook's Job stands there and has no result yet; one of an earlier try may still be in its place."""
    text = plane.kubectl("get", "job", HOOK, "-n", NAMESPACE, "-o", "json", "--ignore-not-found")
    body = json.loads(text) if text.strip() else {"status": {"failed": 1}}
    return not body["status"].get("conditions") and "failed" not in body["status"]
