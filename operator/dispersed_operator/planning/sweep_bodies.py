"""What a sweep needs to know of the resources, read without unpacking all of them: there may be thousands.

Invariant: what is left out here is nothing that a title of the account could belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from dispersed_operator.model import naming
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.observed import JobResource, parse_job
from dispersed_operator.model.reading import Body, Reading
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.planning.sweep import is_of_cluster


def concerned(rows: Iterable[RemoteJob], read: Callable[[Body], Reading]) -> Callable[[Body], Reading | None]:
    """Reads the resources that a sweep of these remote jobs must know: they record one, or a title may mean them."""
    jobs = tuple(rows)
    uuids, marks = {job.uuid for job in jobs}, _marks_in(job.title for job in jobs)

    def read_if_concerned(body: Body) -> Reading | None:
        reading = read(body)
        is_strange = uuids.isdisjoint(reading.outline.uuids) and marks.isdisjoint(_marks(reading))
        return None if is_strange else reading

    return read_if_concerned


def all_claimed(rows: Iterable[RemoteJob], recorded: Callable[[str], Collection[ResourceKey]], cluster_id: str) -> bool:
    """Whether each live job of this cluster's make is recorded by a resource: then no rule makes a suspect of any.
    Jobs of another make are nobody's suspects (rule 6)."""
    return all(row.terminal or recorded(row.uuid) or not is_of_cluster(row, cluster_id) for row in rows)


def recorded_jobs(resources: Iterable[Reading]) -> dict[str, ResourceKey]:
    """Which resource records which remote uuid as its own."""
    return {uuid: resource.key for resource in resources for uuid in resource.outline.uuids}


def possible_owners(resources: Iterable[Reading], titles: Iterable[str]) -> tuple[JobResource, ...]:
    """The resources that one of these remote titles may speak of."""
    marks = _marks_in(titles)
    return tuple(parse_job(resource.body()) for resource in resources if marks and marks & _marks(resource))


def _marks_in(titles: Iterable[str]) -> set[str]:
    parsed = (naming.parse_title(title) for title in titles)
    return {title.uid for title in parsed if title is not None}


def _marks(resource: Reading) -> set[str]:
    """The uid marks of the titles that may belong to a resource: its own, and its origin's."""
    origin = resource.outline.origin_uid
    return {naming.uid_mark(uid) for uid in (resource.uid, origin) if uid is not None}
