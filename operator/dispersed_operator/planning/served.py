"""Whether the kinds that an API server serves are those that this release was written for.

Why it exists: an operator on older definitions does not fail. The API server drops the fields that it does not know,
and with them the record of a create; or a rule is missing that keeps a spec from changing under a live job. What is
served is read from the server's OpenAPI document, which needs no right but to know what there is.

Invariants: a field, value or rule of this release that is not served is `missing`; any other difference is only
`different`, because a newer definition may differ and still hold all that is needed. Descriptions are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dispersed_operator.model.base import GROUP, VERSION
from dispersed_operator.model.definitions import CLUSTER_ACCOUNT, DEFINITIONS, ORPHAN, ResourceDefinition

Schema = Mapping[str, Any]

_RULES = "x-kubernetes-validations"
_COMPARED = ("spec", "status")  # the API server writes the rest of an object's schema itself


@dataclass(frozen=True, slots=True)
class ServedKind:
    """How one kind is served. `missing` and `different` are the paths of fields, in the order of the schema."""

    kind: str
    served: bool
    has_status: bool = False
    missing: tuple[str, ...] = ()
    different: tuple[str, ...] = ()


def needed_kinds(namespaces: Sequence[str]) -> tuple[ResourceDefinition, ...]:
    """The kinds that an installation for these namespaces needs; empty: for the whole cluster."""
    return tuple(item for item in DEFINITIONS if not namespaces or item not in (CLUSTER_ACCOUNT, ORPHAN))


def served_kinds(document: Schema, definitions: Sequence[ResourceDefinition]) -> tuple[ServedKind, ...]:
    """Each of these kinds as the OpenAPI v3 document of our group and version tells; empty if there is none."""
    schemas = _mapping(_mapping(document.get("components")).get("schemas"))
    paths = [str(path) for path in _mapping(document.get("paths"))]
    by_kind = {
        str(named.get("kind")): _mapping(schema)
        for schema in schemas.values()
        for named in _mapping(schema).get("x-kubernetes-group-version-kind") or ()
        if (named.get("group"), named.get("version")) == (GROUP, VERSION)
    }
    return tuple(_served(item, by_kind.get(item.kind), paths) for item in definitions)


def _served(definition: ResourceDefinition, schema: Schema | None, paths: Sequence[str]) -> ServedKind:
    if schema is None:
        return ServedKind(definition.kind, served=False)
    ours = definition.schema()
    parts: list[tuple[str, bool]] = list(_compare_rules("", ours.get(_RULES), schema.get(_RULES)))
    properties = _mapping(schema.get("properties"))
    for name in _COMPARED:
        parts += _compare(name, ours["properties"][name], properties.get(name))
    return ServedKind(
        definition.kind,
        served=True,
        has_status=any(path.endswith(f"/{definition.plural}/{{name}}/status") for path in paths),
        missing=tuple(path for path, lacking in parts if lacking),
        different=tuple(path for path, lacking in parts if not lacking),
    )


def _compare(path: str, ours: Schema, served: Any) -> Iterator[tuple[str, bool]]:
    """Paths that differ, and whether something of ours is lacking there."""
    if not isinstance(served, Mapping):
        yield path, True
        return
    theirs = _mapping(served.get("properties"))
    for name, schema in _mapping(ours.get("properties")).items():
        yield from _compare(f"{path}.{name}", schema, theirs.get(name))
    for nested, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(ours.get(nested), Mapping):
            yield from _compare(path + suffix, ours[nested], served.get(nested))
    yield from _compare_rules(path, ours.get(_RULES), served.get(_RULES))
    if not set(ours.get("enum") or ()) <= set(served.get("enum") or ours.get("enum") or ()) or (
        "default" in ours and "default" not in served
    ):
        yield path, True
    elif _plain(ours) != _plain(served) or theirs.keys() - _mapping(ours.get("properties")).keys():
        yield path, False


def _compare_rules(path: str, ours: Any, served: Any) -> Iterator[tuple[str, bool]]:
    wanted, found = ({str(rule.get("rule")) for rule in rules or ()} for rules in (ours, served))
    if wanted != found:
        yield f"{path or 'object'} (validation)", not wanted <= found


def _plain(schema: Schema) -> dict[str, Any]:
    """What is compared as it is: types, limits, defaults."""
    nested = {"properties", "description", _RULES}
    nested |= {name for name in ("items", "additionalProperties") if isinstance(schema.get(name), Mapping)}
    return {name: value for name, value in schema.items() if name not in nested}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
