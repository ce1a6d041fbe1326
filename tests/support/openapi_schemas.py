"""JSON schemas for kubeconform, from the API server itself: its OpenAPI v3 tells of every kind that it serves.

Why: there is no network in tests, and the schemas of a server that runs are those of the release that is pinned, its
CustomResourceDefinitions included. Unknown fields are forbidden wherever the server does not keep them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dispersed_devenv.controlplane import ControlPlane

LOCATION = "{{.Group}}-{{.ResourceAPIVersion}}-{{.ResourceKind}}.json"
Schema = dict[str, Any]


def write_schemas(plane: ControlPlane, folder: Path, group_versions: Iterable[str]) -> str:
    """A file for each kind of these group versions (`v1`, `apps/v1`); the schema location for kubeconform."""
    for group_version in sorted(set(group_versions)):
        path = f"apis/{group_version}" if "/" in group_version else f"api/{group_version}"
        document = json.loads(plane.kubectl("get", "--raw", f"/openapi/v3/{path}"))
        schemas = {name: _strict(schema) for name, schema in document["components"]["schemas"].items()}
        group, _, version = group_version.rpartition("/")
        for name, schema in schemas.items():
            for kind in schema.get("x-kubernetes-group-version-kind") or ():
                if (kind["group"], kind["version"]) == (group, version):
                    whole = {"$ref": f"#/definitions/{name}", "definitions": schemas}
                    (folder / _file_name(group, version, kind["kind"])).write_text(json.dumps(whole))
    return str(folder / LOCATION)


def _file_name(group: str, version: str, kind: str) -> str:
    # Of the core group kubeconform says that it is called like its version.
    values = {"{{.Group}}": group or version, "{{.ResourceAPIVersion}}": version, "{{.ResourceKind}}": kind.lower()}
    name = LOCATION
    for placeholder, value in values.items():
        name = name.replace(placeholder, value)
    return name


def _strict(value: Any) -> Any:
    """The schema with references into the same file, and without room for unknown fields."""
    if isinstance(value, list):
        return [_strict(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _strict(item) for key, item in value.items()}
    reference = found.get("$ref")
    if isinstance(reference, str):
        found["$ref"] = reference.replace("#/components/schemas/", "#/definitions/")
    open_ended = found.get("x-kubernetes-preserve-unknown-fields") is True or "additionalProperties" in found
    if isinstance(found.get("properties"), dict) and "type" in found and not open_ended:
        found["additionalProperties"] = False
    return found
