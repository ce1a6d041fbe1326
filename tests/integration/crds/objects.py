"""Small valid resources to vary, and a way to have the real API server judge them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.model.base import API_VERSION

Json = dict[str, Any]

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBGsRSs7yj17mB0rDcPKfLIjAUnJc5NnbjJB7prmEGjp me@example"


def job(name: str = "case", *, task: str = "Batch", template: Mapping[str, Any] | None = None, **spec: Any) -> Json:
    """A minimal DispersedJob; `template` and `spec` add fields, None removes one."""
    base: Json = {"title": "t", "image": "team/worker"}
    fields: Json = {"task": task}
    if task == "Batch":
        fields["deadlines"] = {"runSeconds": 60}
    else:
        base["allowedCIDRs"] = ["203.0.113.7/32"]
    fields["template"] = _without_none(base | dict(template or {}))
    return _object("DispersedJob", name, _without_none(fields | spec))


def adopting(name: str = "case", **spec: Any) -> Json:
    """A minimal DispersedJob that adopts; `spec` adds fields, None removes one."""
    fields: Json = {"task": "Persistent", "adopt": {"jobUUID": "0b5f2c1e-7d1c-4a53-9a39-0f3b1d0c8a11"}}
    return _object("DispersedJob", name, _without_none(fields | spec))


def account(name: str = "case", **spec: object) -> Json:
    """A minimal DispersedAccount; `spec` adds fields, None removes one."""
    return _object("DispersedAccount", name, _without_none({"credentialsSecretRef": {"name": "key"}} | spec))


def shared_account(name: str = "case", *, selector: Json | None = None, names: list[str] | None = None) -> Json:
    """A minimal ClusterDispersedAccount; None leaves a part of `allowedNamespaces` out."""
    allowed = _without_none({"names": names, "selector": selector})
    fields = {"credentialsSecretRef": {"name": "key"}, "allowedNamespaces": allowed}
    return _object("ClusterDispersedAccount", name, fields)


def _object(kind: str, name: str, spec: Json) -> Json:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _without_none(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Case:
    """The rule whose message contains `says` refuses `refused`, blaming `where`, and lets `accepted` pass."""

    where: str
    says: str
    refused: Json
    accepted: Json

    def __str__(self) -> str:
        return f"{self.where} {self.says}"


def template_case(where: str, says: str, refused: Json, accepted: Json) -> Case:
    return Case(f"spec.template.{where}", says, job(template=refused), job(template=accepted))


def create(plane: ControlPlane, namespace: str, *objects: Json, dry_run: bool = False) -> None:
    """Create objects. Raises KubectlError if the API server refuses one."""
    options = ["--dry-run=server"] if dry_run else []
    plane.kubectl("create", "-n", namespace, *options, "-f", "-", input="\n".join(map(json.dumps, objects)))


def patch(plane: ControlPlane, namespace: str, resource: str, change: Json, *, status: bool = False) -> None:
    """Merge-patch `resource` (``djob/name``), its status if asked to."""
    options = ["--subresource=status"] if status else []
    plane.kubectl("patch", "-n", namespace, resource, "--type=merge", *options, "-p", json.dumps(change))


def stored(plane: ControlPlane, namespace: str, resource: str) -> Json:
    """The object as the API server holds it."""
    document: Json = json.loads(plane.kubectl("get", "-n", namespace, resource, "-o", "json"))
    return document
