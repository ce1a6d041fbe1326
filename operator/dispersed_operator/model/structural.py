"""From pydantic's JSON schema to a structural schema, the form that a CustomResourceDefinition accepts.

The API server takes no references, no unions with null, no titles and no `const`. Defaults need care: a default in a
schema is written into every stored object, so only what a user should see there is kept. Python-only defaults (a
`default_factory`, an empty list, None) never reach the schema.
"""

from __future__ import annotations

import inspect
from typing import Any

from dispersed_operator.model.base import ResourceModel

Schema = dict[str, Any]

_KEPT_AS_IS = (
    "enum", "minimum", "maximum", "minLength", "maxLength", "maxItems", "maxProperties", "x-kubernetes-validations"
)  # fmt: skip
_TOLERANT_KEYS = ("description", "type", "format", "items", "properties")
_KEYS_IN_ORDER = ("description", "type", "format", "default", *_KEPT_AS_IS)


def structural_schema(model: type[ResourceModel]) -> Schema:
    """The structural schema of a model, keys in a fixed order. Raises ValueError for what has no structural form."""
    source = model.model_json_schema(by_alias=True)
    return _convert(source, source.get("$defs", {}))


def tolerant(schema: Schema) -> Schema:
    """The schema without anything that could refuse a value of the right type, or add one: for a status."""
    kept = {key: value for key, value in schema.items() if key in _TOLERANT_KEYS}
    if "items" in kept:
        kept["items"] = tolerant(kept["items"])
    if "properties" in kept:
        kept["properties"] = {name: tolerant(field) for name, field in kept["properties"].items()}
    return kept


def _convert(source: Schema, definitions: dict[str, Schema]) -> Schema:
    source = _resolved(source, definitions)
    kind = source.get("type")
    if kind not in ("object", "array", "string", "integer", "boolean"):
        raise ValueError(f"no structural form for {source}")
    found: Schema = {key: source[key] for key in _KEPT_AS_IS if key in source} | {"type": kind}
    if "const" in source:
        found["enum"] = [source["const"]]
    if kind == "integer":
        found["format"] = "int64"
    description = _paragraph(source.get("description", ""))
    if source.get("default") not in (None, [], ""):
        found["default"] = {} if kind == "object" else source["default"]
        if kind != "object":
            description += f" Default: `{_yaml(source['default'])}`."
    if description:
        found["description"] = description
    schema = {key: found[key] for key in _KEYS_IN_ORDER if key in found}
    if kind == "array":
        schema["items"] = _convert(source["items"], definitions)
    if kind == "object" and isinstance(source.get("additionalProperties"), dict):
        schema["additionalProperties"] = _convert(source["additionalProperties"], definitions)
    elif kind == "object":
        if source.get("required"):
            schema["required"] = source["required"]
        schema["properties"] = {name: _convert(value, definitions) for name, value in source["properties"].items()}
    return schema


def _resolved(source: Schema, definitions: dict[str, Schema]) -> Schema:
    """The schema with references and `X | None` replaced by X; what stands beside a reference wins over its target."""
    while True:
        if "$ref" in source:
            beside = {key: value for key, value in source.items() if key != "$ref"}
            source = definitions[source["$ref"].rpartition("/")[2]] | beside
        elif "anyOf" in source:
            choices = [choice for choice in source["anyOf"] if choice.get("type") != "null"]
            if len(choices) != 1:
                raise ValueError(f"a union has no structural form: {source}")
            source = choices[0] | {key: value for key, value in source.items() if key != "anyOf"}
        else:
            return source


def _yaml(value: object) -> str:
    """A default as a user writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _paragraph(docstring: str) -> str:
    return " ".join(inspect.cleandoc(docstring).split())
