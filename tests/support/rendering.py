"""What the two ways of installing render, and what of it must be the same.

`normalised` sets aside what only one of them can know: the labels and annotations with which Helm marks its own, its
hooks, and the Namespace, which is made before a release is.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dispersed_devenv.tools import Tools

Body = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "dispersed-operator"
RELEASE = "dispersed-operator"
NAMESPACE = "dispersed-system"
_HELMS_OWN = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
    "helm.sh/resource-policy",
}


class HelmError(Exception):
    """Helm ended with an error; its own words are the text."""


def run_helm(tools: Tools, *arguments: str, kubeconfig: Path | None = None) -> str:
    """Helm's standard output; without a kubeconfig it knows no cluster. Raises HelmError."""
    command = [str(tools.helm), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=helm_environment(kubeconfig))
    if answer.returncode != 0:
        raise HelmError(answer.stderr)
    return answer.stdout


def helm_environment(kubeconfig: Path | None) -> dict[str, str]:
    """An environment that sets the user's own files and plugins aside; caches go beside the kubeconfig."""
    home = tempfile.gettempdir() if kubeconfig is None else str(kubeconfig.parent)
    return {
        "PATH": os.defpath,
        "HOME": home,
        "KUBECONFIG": str(kubeconfig or os.devnull),
        "HELM_PLUGINS": os.devnull,
    }


def template(tools: Tools, *flags: str, namespace: str = NAMESPACE) -> list[Body]:
    """The objects of `helm template`."""
    text = run_helm(tools, "template", RELEASE, str(CHART), "--namespace", namespace, *flags)
    return [document for document in yaml.safe_load_all(text) if document]


def write_kustomization(folder: Path, *, resources: Sequence[Path], components: Sequence[Path] = ()) -> Path:
    """A kustomization that takes these folders; `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    body: Body = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    body["resources"] = [os.path.relpath(path, folder) for path in resources]
    body["components"] = [os.path.relpath(path, folder) for path in components]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(body))
    return folder


def name_of(document: Body) -> str:
    """Kind, namespace and name."""
    metadata = document["metadata"]
    return "/".join((document["kind"], metadata.get("namespace", ""), metadata["name"]))


def is_hook(document: Body) -> bool:
    return "helm.sh/hook" in (document["metadata"].get("annotations") or {})


def normalised(documents: Iterable[Body]) -> dict[str, Body]:
    """The objects that both ways must have, by name, without Helm's own marks."""
    found: dict[str, Body] = {}
    for document in documents:
        if document["kind"] == "Namespace" or is_hook(document):
            continue
        assert name_of(document) not in found, f"{name_of(document)} is rendered twice"
        found[name_of(document)] = _without_marks(document)
    return found


def _without_marks(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: _without_marks(item) for key, item in value.items() if key not in _HELMS_OWN}
        return {key: item for key, item in kept.items() if not (key in {"labels", "annotations"} and item == {})}
    if isinstance(value, list):
        return [_without_marks(item) for item in value]
    return value
