"""What the API server does with a body by the schema of its kind: prune, drop nulls, fill in defaults, check.

The schemas come from `crds/`, so that an object of the simulation looks as it would in a cluster, and what the real
server would refuse is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.simulation.cluster.failures import Json, cause
from tests.simulation.cluster.rules import Rule, rules_of

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


@dataclass(frozen=True, slots=True)
class Schema:
    """One node of an OpenAPI schema, reduced to what decides."""

    type: str
    properties: Mapping[str, Schema]
    required: tuple[str, ...]
    defaults: tuple[tuple[str, Any], ...]
    items: Schema | None
    additional: Schema | None
    open: bool
    nullable: bool
    limits: Mapping[str, Any]
    rules: tuple[Rule, ...] = ()

    def shaped(self, value: Any) -> Any:
        """A copy of `value` without unknown fields and nulls, with defaults where they are due."""
        if isinstance(value, dict):
            return self._shaped_object(value) if self.type == "object" else dict(value)
        if isinstance(value, list):
            return [self.items.shaped(item) for item in value] if self.items is not None else list(value)
        return value

    def faults(self, value: Any, path: str, old: Any = None) -> list[Json]:
        """What is wrong with `value`, as causes of an `invalid`. `old` is what stood in its place, None without."""
        if not _is_a(self.type, value):
            return [cause(path, "TypeInvalid", f"must be of type {self.type}")]
        found = (
            [cause(path, reason, "is out of bounds") for reason in self._broken_limits(value)] if self.limits else []
        )
        if isinstance(value, dict):
            found += [
                cause(f"{path}.{name}", "Required", "Required value") for name in self.required if name not in value
            ]
            before = old if isinstance(old, dict) else {}
            for name, held in value.items():
                inner = self.properties.get(name) or self.additional
                if inner is not None:
                    found += inner.faults(held, f"{path}.{name}", before.get(name))
        elif isinstance(value, list) and self.items is not None:
            for number, held in enumerate(value):
                found += self.items.faults(held, f"{path}[{number}]")
        if self.rules and not found:  # a rule may trust the shape of what it reads
            found = [fault for rule in self.rules if (fault := rule.fault(value, old, path)) is not None]
        return found

    def _shaped_object(self, value: Json) -> Json:
        shaped: Json = {}
        for name, held in value.items():
            inner = self.properties.get(name) or self.additional
            if inner is None:
                if self.open:
                    shaped[name] = held
            elif held is not None:
                shaped[name] = inner.shaped(held)
            elif inner.nullable:
                shaped[name] = None
        for name, default in self.defaults:
            if name not in shaped:
                shaped[name] = self.properties[name].shaped(default)
        return shaped

    def _broken_limits(self, value: Any) -> list[str]:
        broken = []
        for name, limit in self.limits.items():
            if name == "enum":
                if value not in limit:
                    broken.append("NotSupported")
            elif not _LIMITS[name](value, limit):
                broken.append("TooLong" if name == "maxLength" else "Invalid")
        return broken


_LIMITS: Mapping[str, Any] = {
    "minimum": lambda value, limit: value >= limit,
    "maximum": lambda value, limit: value <= limit,
    "minLength": lambda value, limit: len(value) >= limit,
    "maxLength": lambda value, limit: len(value) <= limit,
    "minItems": lambda value, limit: len(value) >= limit,
    "maxItems": lambda value, limit: len(value) <= limit,
    "minProperties": lambda value, limit: len(value) >= limit,
    "maxProperties": lambda value, limit: len(value) <= limit,
    "pattern": lambda value, limit: re.search(limit, value) is not None,
}


def compiled(source: Mapping[str, Any]) -> Schema:
    """The schema of a CRD, or of a part of it."""
    properties = {name: compiled(inner) for name, inner in (source.get("properties") or {}).items()}
    additional = source.get("additionalProperties")
    items = source.get("items")
    return Schema(
        type=source.get("type", ""),
        properties=properties,
        required=tuple(source.get("required") or ()),
        defaults=tuple((n, p["default"]) for n, p in (source.get("properties") or {}).items() if "default" in p),
        items=compiled(items) if isinstance(items, dict) else None,
        additional=compiled(additional) if isinstance(additional, dict) else None,
        open=bool(source.get("x-kubernetes-preserve-unknown-fields")),
        nullable=bool(source.get("nullable")),
        limits={name: source[name] for name in ("enum", *_LIMITS) if name in source},
        rules=rules_of(source),
    )


def _is_a(name: str, value: Any) -> bool:
    if not name:
        return True
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name])
