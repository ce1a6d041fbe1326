"""What is the case at one moment of the exploration: immutable, hashable, and nothing that does not matter.

Versions are abstracted: a copy of the object is either what the API server holds now (fresh) or it is not, and once
stale it stays stale; that is all that a compare-and-swap asks. Nonces are numbered in the order in which their intents
were won. Times are seconds after `START` on one clock, that of the service; every process's monotonic clock is the same
one, because the protocol only ever uses differences of it.

Texts of objects stand for the objects: equal text, equal object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntFlag
from functools import cache
from typing import Any

from dispersed_operator.model import naming
from dispersed_operator.model.observed import JobResource, parse_job, rfc3339
from dispersed_operator.model.remote import Listing, RemoteJob
from dispersed_operator.planning.matching import ListingIndex, index_listing
from dispersed_operator.planning.vocabulary import Memory, Missing
from tests.support.builders import CREATED, IDENTITY, a_job, a_row, moment

START = CREATED
Document = dict[str, Any]


class Mark(IntFlag):
    """What happened on the way that changes what may be expected at the end."""

    NOTHING = 0
    FINALIZER_STRIPPED = 1
    RECORDS_STRIPPED = 2
    ACCEPTED_TWICE = 4
    ENDED_BY_ITSELF = 8
    CRASHED = 16


@dataclass(frozen=True, slots=True)
class Post:
    """A signed request on its way. It can be accepted until 300 s after `signed_at`, whoever still waits for it."""

    serial: int
    attempt: int
    signed_at: int
    digest: str


@dataclass(frozen=True, slots=True)
class Job:
    """A remote job, as the service keeps it."""

    uuid: str
    attempt: int
    signed_at: int
    digest: str
    created_at: int
    status: str = "PENDING"

    @property
    def live(self) -> bool:
        return self.status == "PENDING"


@dataclass(frozen=True, slots=True)
class Remote:
    """The service and the network: jobs, requests under way, how many intents were ever won, which nonces were sent."""

    jobs: tuple[Job, ...] = ()
    posts: tuple[Post, ...] = ()
    won: int = 0
    sent: tuple[int, ...] = ()

    def with_job(self, job: Job) -> Remote:
        """With this job in place of the one of its uuid."""
        return replace(self, jobs=(*(item for item in self.jobs if item.uuid != job.uuid), job))

    @property
    def live(self) -> tuple[Job, ...]:
        return tuple(job for job in self.jobs if job.live)


@dataclass(frozen=True, slots=True)
class Signing:
    """An intent is signed, its compare-and-swap is on its way."""

    attempt: int
    signed_at: int


@dataclass(frozen=True, slots=True)
class Doubting:
    """The compare-and-swap was not answered; the object is read to see whether it won. `serial` 0: it did not."""

    attempt: int
    signed_at: int
    serial: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A POST was sent and its answer is waited for."""

    serial: int


@dataclass(frozen=True, slots=True)
class Desk:
    """What one pass has in hand (`Pass`)."""

    resource: str
    fresh: bool
    listing: Listing | None = None
    job: RemoteJob | Missing | None = None

    def without_reads(self) -> Desk:
        return replace(self, listing=None, job=None)


@dataclass(frozen=True, slots=True)
class Process:
    """One operator process: its store, its memory, its pass if one runs, and when it will look again.

    `told`: a pass is due now. `due`: one is due then. `abandoned`: jobs that it ends because their resource vanished.
    `paused`: it stands still in the middle of what it does. `deaf`: its watch delivers nothing. `listing`: the newest
    complete listing that its account keeps for others to share.
    """

    leading_since: float
    store: str | None
    fresh: bool = True
    memory: Memory = field(default_factory=Memory)
    unsent: int | None = None
    desk: Desk | None = None
    request: Signing | Doubting | Waiting | None = None
    listing: Listing | None = None
    told: bool = True
    due: float | None = None
    abandoned: tuple[str, ...] = ()
    paused: bool = False
    deaf: bool = False

    def is_busy(self, clock: int) -> bool:
        """Whether it does something at once, before time passes."""
        if self.paused:
            return False
        unheard = not self.fresh and not self.deaf
        due = self.told or (self.due is not None and self.due <= clock)
        return unheard or due or self.desk is not None or bool(self.abandoned)

    def outdated(self) -> Process:
        """After somebody else wrote: every copy of the object that this process has is stale."""
        desk = replace(self.desk, fresh=False) if self.desk is not None else None
        return replace(self, fresh=False, desk=desk)

    def wrote(self, text: str | None) -> Process:
        """After its own write was answered."""
        desk = replace(self.desk, resource=text, fresh=True) if self.desk is not None and text is not None else None
        return replace(self, store=text, fresh=True, desk=desk)

    def failed(self, *, refreshed: str | None = None, refresh: bool = False) -> Process:
        """The pass ended with an error and is tried again; with `refresh` the object was read afresh for that."""
        ended = replace(self, desk=None, request=None, told=True, due=None)
        return replace(ended, store=refreshed, fresh=True) if refresh else ended


def text_of(body: Mapping[str, Any]) -> str:
    """The text that stands for an object."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


@cache
def read(text: str) -> JobResource:
    """The object as planning sees it."""
    return parse_job(json.loads(text))


def new_object() -> str:
    """The resource as its user made it."""
    return text_of(a_job().body)


def changed(text: str, *, status: Mapping[str, Any] | None = None, **metadata: Any) -> str | None:
    """The object with other metadata fields, or another status; None if its last finalizer went while it is deleted."""
    body: Document = json.loads(text)
    body["metadata"] |= metadata
    if status is not None:
        body["status"] = dict(status)
    if body["metadata"].get("deletionTimestamp") and not body["metadata"].get("finalizers"):
        return None
    return text_of(body)


def annotated(text: str, annotation: str | None, **metadata: Any) -> str | None:
    """The object with this create intent, or without one."""
    before: Document = json.loads(text)["metadata"].get("annotations") or {}
    others = {name: value for name, value in before.items() if name != naming.INTENT_ANNOTATION}
    new = others if annotation is None else others | {naming.INTENT_ANNOTATION: annotation}
    return changed(text, annotations=new, **metadata)


@cache
def row_of(job: Job) -> RemoteJob:
    """The job as the service lists it."""
    return a_row(
        uuid=job.uuid,
        status=job.status,
        attempt=job.attempt,
        identity=IDENTITY,
        signed_at=START + job.signed_at,
        digest=job.digest,
        created_at=moment(START + job.created_at),
    )


@cache
def index_of(listing: Listing) -> ListingIndex:
    """The listing with its index."""
    return index_listing(listing)


def timestamp(clock: int) -> str:
    """A moment of the exploration as the API server writes it."""
    return rfc3339(START + clock)
