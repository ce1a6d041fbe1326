"""What a sweep needs to know of a resource, read from its body without parsing all of it: there may be thousands.

Invariant: what is left out here is nothing that a title of the account could belong to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dispersed_operator.model import naming
from dispersed_operator.model.intent import parse_intent
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.observed import JobResource, parse_job

Body = Mapping[str, Any]


def recorded_jobs(bodies: Iterable[Body]) -> dict[str, ResourceKey]:
    """Which resource records which remote uuid as its own."""
    return {uuid: key for body in bodies for uuid, key in _records(body)}


def possible_owners(bodies: Iterable[Body], titles: Iterable[str]) -> tuple[JobResource, ...]:
    """The resources that one of these remote titles may speak of."""
    parsed = (naming.parse_title(title) for title in titles)
    marks = {title.uid for title in parsed if title is not None}
    return tuple(parse_job(body) for body in bodies if marks & _marks(body))


def _records(body: Body) -> list[tuple[str, ResourceKey]]:
    """(uuid, key) of what a resource names as its own."""
    found = body.get("status")
    status: Body = found if isinstance(found, Mapping) else {}
    create = status.get("create")
    named = {status.get("jobUUID"), create.get("uuid") if isinstance(create, Mapping) else None}
    metadata = body["metadata"]
    key = ResourceKey(Kind.JOB, metadata["namespace"], metadata["name"])
    return [(uuid, key) for uuid in named if isinstance(uuid, str) and uuid]


def _marks(body: Body) -> set[str]:
    """The uid marks of the titles that may belong to a resource: its own, and its origin's."""
    metadata = body["metadata"]
    intent = parse_intent((metadata.get("annotations") or {}).get(naming.INTENT_ANNOTATION) or "")
    uids = [metadata["uid"], *([intent.origin.uid] if intent is not None else [])]
    return {naming.uid_mark(uid) for uid in uids}
