"""Bodies as they become when they are stored: merged, tidied, and never shared.

Stored bodies are never changed; a new one may share the parts that stayed the same. What comes from outside is copied.
"""

from __future__ import annotations

import re
from typing import Any

from tests.simulation.cluster.failures import Json, cause
from tests.simulation.cluster.kinds import KindSpec

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_KEY = re.compile(r"([a-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_SERVER_FIELDS = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
_USER_FIELDS = ("name", "generateName", "namespace", "labels", "annotations", "finalizers", "ownerReferences")


def copied(value: Any) -> Any:
    """A deep copy of JSON."""
    if isinstance(value, dict):
        return {name: copied(held) for name, held in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386; `old` stays as it is, and nothing of `patch` is shared."""
    if not isinstance(patch, dict):
        return copied(patch)
    result: Json = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def without_server_fields(body: Json, *, status: bool = False) -> Json:
    """A copy as a backup tool writes it back: without uid, versions, times; with annotations, labels and finalizers.

    With `status` the status stays in it; a create drops it all the same, it takes a patch of the status afterwards.
    """
    dropped = (*_SERVER_FIELDS, "resourceVersion", "managedFields", "selfLink")
    kept = {name: copied(value) for name, value in body.items() if name != "status" or status}
    kept["metadata"] = {name: value for name, value in kept["metadata"].items() if name not in dropped}
    return kept


def tidy_metadata(given: Json, server: Json) -> Json:
    """Metadata to store: what a user may set from `given`, the rest from `server`; nothing empty."""
    tidy = {name: given[name] for name in _USER_FIELDS if given.get(name) not in (None, "", {}, [])}
    for name in ("labels", "annotations"):
        if name in tidy:
            tidy[name] = {key: "" if value is None else value for key, value in tidy[name].items()}
    tidy.update((name, server[name]) for name in _SERVER_FIELDS if name in server)
    return tidy


def metadata_type_faults(metadata: Any) -> list[str]:
    """Fields of metadata that can not be decoded at all."""
    if not isinstance(metadata, dict):
        return ["metadata"]
    faults = []
    for name in ("labels", "annotations"):
        held = metadata.get(name)
        texts = isinstance(held, dict) and all(isinstance(value, str | None) for value in held.values())
        if held is not None and not texts:
            faults.append(name)
    finalizers = metadata.get("finalizers")
    if finalizers is not None and not (isinstance(finalizers, list) and all(isinstance(f, str) for f in finalizers)):
        faults.append("finalizers")
    owners = metadata.get("ownerReferences")
    if owners is not None and not (isinstance(owners, list) and all(isinstance(o, dict) for o in owners)):
        faults.append("ownerReferences")
    return faults


def metadata_faults(metadata: Json) -> list[Json]:
    """What is wrong with tidied metadata, as causes of an `invalid`."""
    faults = []
    for name in ("labels", "annotations"):
        keys = metadata.get(name) or ()
        faults += [cause(f"metadata.{name}", "Invalid", "not a name") for key in keys if not _KEY.fullmatch(key)]
    for owner in metadata.get("ownerReferences") or ():
        absent = [field for field in ("apiVersion", "kind", "name", "uid") if not owner.get(field)]
        faults += [cause(f"metadata.ownerReferences.{field}", "Invalid", "must not be empty") for field in absent]
    return faults


def name_faults(name: str) -> list[Json]:
    """What is wrong with the name of a new object."""
    if not name:
        return [cause("metadata.name", "Required", "name or generateName is required")]
    return [] if _NAME.fullmatch(name) and len(name) <= 253 else [cause("metadata.name", "Invalid", "not a name")]


def content(spec: KindSpec, body: Json) -> Json:
    """The fields of a body apart from metadata, in the shape of its kind; apiVersion and kind among them."""
    shaped: Json = spec.schema.shaped({name: value for name, value in body.items() if name not in _COMMON})
    if not spec.custom:
        shaped = {name: value for name, value in shaped.items() if value not in ({}, None)}
    return shaped


def content_faults(spec: KindSpec, new: Json, old: Json | None) -> list[Json]:
    """What the schema finds wrong with a body whose content is shaped, coming from `old`."""
    before = None if old is None else _content_of(old)
    faults = spec.schema.faults(_content_of(new), "", before)
    return [{**fault, "field": fault["field"].removeprefix(".")} for fault in faults]


def _content_of(body: Json) -> Json:
    return {name: value for name, value in body.items() if name not in _COMMON}


_COMMON = ("apiVersion", "kind", "metadata")
