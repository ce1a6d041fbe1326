"""What a sweep needs to know of the resources, read without unpacking all of them: there may be thousands.

Invariant: what is left out here is nothing that a title of the account could belong to.
"""

from __future__ import annotations

from collections.abc import Iterable

from dispersed_operator.model import naming
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.observed import JobResource, parse_job
from dispersed_operator.model.reading import Reading


def recorded_jobs(resources: Iterable[Reading]) -> dict[str, ResourceKey]:
    """Which resource records which remote uuid as its own."""
    return {uuid: resource.key for resource in resources for uuid in resource.outline.uuids}


def possible_owners(resources: Iterable[Reading], titles: Iterable[str]) -> tuple[JobResource, ...]:
    """The resources that one of these remote titles may speak of."""
    parsed = (naming.parse_title(title) for title in titles)
    marks = {title.uid for title in parsed if title is not None}
    return tuple(parse_job(resource.body()) for resource in resources if marks and marks & _marks(resource))


def _marks(resource: Reading) -> set[str]:
    """The uid marks of the titles that may belong to a resource: its own, and its origin's."""
    origin = resource.outline.origin_uid
    return {naming.uid_mark(uid) for uid in (resource.uid, origin) if uid is not None}
