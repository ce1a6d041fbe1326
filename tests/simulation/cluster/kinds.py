"""Which kinds the server serves, and which object a URL path means.

The project's own kinds come from `crds/`, whatever is there. Of the built-in kinds there is what the operator touches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from tests.simulation.cluster.failures import NotServed
from tests.simulation.cluster.rules import rule
from tests.simulation.cluster.schema import Schema, compiled

CRDS = Path(__file__).resolve().parent.parent.parent.parent / "crds"

_OPEN = Schema("", {}, (), (), None, None, True, False, {})
_STRING = Schema("string", {}, (), (), None, None, False, False, {})
_STRINGS = Schema("object", {}, (), (), None, _STRING, False, False, {})
_EVENT_FIELDS = [
    "action",
    "count",
    "eventTime",
    "firstTimestamp",
    "involvedObject",
    "lastTimestamp",
    "message",
    "reason",
]
_EVENT_FIELDS += ["related", "reportingComponent", "reportingInstance", "series", "source", "type"]


@dataclass(frozen=True, slots=True)
class KindSpec:
    """A kind as the server knows it. `custom` kinds have a generation, a status of their own, and stricter updates."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    custom: bool
    schema: Schema
    default_status: Mapping[str, Any] | None = None

    def unseen(self) -> dict[str, Any]:
        """The status that an object without one is read with, as a part of its body."""
        return {} if self.default_status is None else {"status": dict(self.default_status)}

    @property
    def api_version(self) -> str:
        """The apiVersion of its bodies."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True)
class Route:
    """What a path means. Without `name` it is the collection; without `namespace` too, all namespaces."""

    spec: KindSpec
    namespace: str
    name: str
    subresource: str


@lru_cache(maxsize=1)
def served() -> Mapping[tuple[str, str], KindSpec]:
    """All kinds by group and plural."""
    known = [
        _built_in("secrets", "Secret", {"data": _STRINGS, "type": _STRING, "immutable": _OPEN}),
        _built_in("configmaps", "ConfigMap", {"data": _STRINGS, "binaryData": _STRINGS, "immutable": _OPEN}),
        _built_in("events", "Event", dict.fromkeys(_EVENT_FIELDS, _OPEN)),
        _built_in("namespaces", "Namespace", {"spec": _OPEN, "status": _OPEN}, namespaced=False),
    ]
    known += [_custom(yaml.safe_load(file.read_text())) for file in sorted(CRDS.glob("*.yaml"))]
    return {(spec.group, spec.plural): spec for spec in known}


@lru_cache(maxsize=8192)
def route(path: str) -> Route:
    """Raises `NotServed`."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    spec = served().get((group, rest[0])) if rest else None
    if spec is None or spec.version != version or len(rest) > 3 or (namespace and not spec.namespaced):
        raise NotServed
    name, subresource = [*rest[1:], "", ""][:2]
    if name and spec.namespaced and not namespace:
        raise NotServed
    return Route(spec, namespace, name, subresource)


def _built_in(plural: str, kind: str, fields: Mapping[str, Schema], *, namespaced: bool = True) -> KindSpec:
    secret = kind == "Secret"
    defaults = (("type", "Opaque"),) if secret else ()
    rules = (rule("self.type == oldSelf.type", ".type"),) if secret else ()
    schema = Schema("object", fields, (), defaults, None, None, False, False, {}, rules)
    return KindSpec("", "v1", plural, kind, namespaced, False, schema)


def _custom(crd: Mapping[str, Any]) -> KindSpec:
    spec = crd["spec"]
    (version,) = spec["versions"]
    source = version["schema"]["openAPIV3Schema"]
    # A body is shaped without its status, which has its own subresource; so its default is none of the body's.
    schema = compiled(source)
    defaults = dict(schema.defaults)
    status = defaults.pop("status", None)
    return KindSpec(
        group=spec["group"],
        version=version["name"],
        plural=spec["names"]["plural"],
        kind=spec["names"]["kind"],
        namespaced=spec["scope"] == "Namespaced",
        custom=True,
        schema=replace(schema, defaults=tuple(defaults.items())),
        default_status=status,
    )
