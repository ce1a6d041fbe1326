"""What the checker sees: jobs and requests as the simulator knows them, resources as the API server stores them.

Read here a second time, from the frozen wire format and without the operator's code: a checker that shared a mistake
with the operator would not see it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]

FINALIZER = "dispersed.dev/remote-job"
INTENT = "dispersed.dev/create-intent"
ACCEPTED = frozenset({200, 201})


@dataclass(frozen=True, slots=True)
class Claim:
    """What a job's title says about its owner: the first eight characters of its uid, attempt and token."""

    cluster: str
    uid_mark: str
    attempt: int
    token: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job of the simulator. Times are in milliseconds of the simulated clock; `ended_ms` None: not yet.

    `created_by` is the id of the request that made it, or `console` for one that was planted.
    """

    uuid: str
    title: str
    live: bool
    created_ms: int
    ended_ms: int | None
    created_by: str
    cancel_requests: int = 0

    @property
    def claim(self) -> Claim | None:
        """The claim in the title, None if it has none."""
        return claim_in(self.title)


@dataclass(frozen=True, slots=True)
class Resource:
    """A DispersedJob as stored. `recorded` is status.create.uuid, `shown` is status.jobUUID."""

    uid: str
    namespace: str
    name: str
    task: str
    deleting: bool
    held: bool
    recorded: str | None
    shown: str | None
    phase: str
    suspended: bool = False

    @property
    def mark(self) -> str:
        """The eight characters that stand for the uid in a title."""
        return self.uid.replace("-", "")[:8]

    def owns(self, claim: Claim, cluster_id: str) -> bool:
        """Whether the claim is about this resource: cluster, uid, and a token that can be computed again."""
        text = f"{cluster_id}|{self.namespace}/{self.name}|{self.uid}|{claim.attempt}"
        return (claim.cluster, claim.uid_mark, claim.token) == (_base32(cluster_id)[:6], self.mark, _base32(text)[:12])


@dataclass(frozen=True, slots=True)
class Post:
    """One request to create a job that reached the simulator, whatever came of it."""

    id: str
    nonce: str | None
    status: int | str | None
    fault: str | None
    job_uuid: str | None

    @property
    def is_copy(self) -> bool:
        """Whether the simulator itself delivered it a second time."""
        return self.fault in {"duplicate_delivery", "delayed_commit"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One look at everything. `strangers` are uuids of jobs that belong to nobody here.

    `asked_again` tells by mark how often somebody has asked for a further attempt of a resource. `lost_log` names the
    simulator's starts (the number in its request ids) whose last requests went with a SIGKILL.
    """

    cluster_id: str
    resources: tuple[Resource, ...]
    jobs: tuple[Job, ...]
    posts: tuple[Post, ...]
    strangers: frozenset[str] = frozenset()
    asked_again: Mapping[str, int] = field(default_factory=dict)
    lost_log: frozenset[str] = frozenset()


def claim_in(title: str) -> Claim | None:
    """The claim in a title of the form `kd1-<cluster>-<uid>-<attempt><token>-<times>-<check>`, None for any other."""
    parts = title.split(" ", 1)[0].split("-")
    if len(parts) != 6 or parts[0] != "kd1" or len(parts[3]) != 14:
        return None
    return Claim(parts[1], parts[2], int(parts[3][:2], 36), parts[3][2:])


def job_of(row: Row) -> Job:
    """A job from a row of the simulator's control surface."""
    return Job(
        uuid=row["uuid"], title=row["title"], live=row["live"], created_ms=row["created_at_ms"],
        ended_ms=row["completed_at_ms"], created_by=row["created_by"], cancel_requests=row["cancel_requests"],
    )  # fmt: skip


def resource_of(body: Row) -> Resource:
    """A resource from its JSON."""
    metadata, status = body["metadata"], body.get("status") or {}
    return Resource(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        task=body["spec"]["task"],
        deleting="deletionTimestamp" in metadata,
        held=FINALIZER in (metadata.get("finalizers") or ()),
        recorded=(status.get("create") or {}).get("uuid"),
        shown=status.get("jobUUID"),
        phase=status.get("phase", ""),
        suspended=bool(body["spec"].get("suspend")),
    )


def post_of(row: Row) -> Post:
    """A create request from a row of the request log."""
    return Post(row["id"], row["nonce"], row["status"], row["fault"], row["job_uuid"])


def _base32(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()
