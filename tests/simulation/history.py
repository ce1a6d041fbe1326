"""What became of every object and what users did to it: the ground on which an episode is judged.

The API server's own log tells when an object came and went. Users' doings are noted by whoever plays them, because only
they know that a finalizer was taken off by force or that records were thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model import naming
from dispersed_operator.model.naming import Identity
from dispersed_operator.model.observed import parse_job
from dispersed_simulator.records import Job

if TYPE_CHECKING:
    from tests.simulation.world import World

Body = dict[str, Any]
MOST_ATTEMPTS = 16


@dataclass(slots=True)
class Life:
    """One object from its creation to its end. Times are virtual seconds; `gone` None: it exists.

    `records_lost`: when a user threw away what named the newest attempt, and our finalizer with it: as long as that is
    left, it says that there may be a job. `forced`: when a user or a restore of etcd took our finalizer off, if it was
    not put back.
    `copied_from`: uids whose records came with it (a clone or a restored backup). `wishes`: how often a user asked for
    a new attempt (a resume). `stripped`: records went at some time, with or without the finalizer. `kept`: since when
    its job shall outlive it. `limited`: since when it has a limit. `undeleted`: a restore of etcd took its deletion
    back.
    """

    identity: Identity
    born: float
    gone: float | None = None
    last: Body = field(default_factory=dict)
    deleted: float | None = None
    records_lost: list[float] = field(default_factory=list)
    forced: float | None = None
    copied_from: tuple[str, ...] = ()
    wishes: int = 0
    suspended_at: list[float] = field(default_factory=list)
    stripped: bool = False
    kept: float | None = None
    limited: float | None = None
    undeleted: bool = False


class History:
    """All lives by uid, and whose each remote job is."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._subscription = world.api.subscribe(DISPERSED_JOBS)
        self._subscription.relist()
        self.lives: dict[str, Life] = {}
        self._tokens: dict[str, Life] = {}

    def observe(self) -> None:
        """Take in what was written since."""
        now = self._world.loop.time()
        for event in self._subscription.pending():
            self._subscription.take(event)
            body = event.body
            life = self._life(body, now)
            if event.type == "DELETED":
                life.gone = now
                self._world.trace.write("cluster", f"{event.name} is gone ({life.identity.uid[:8]})")
            if _deleting(body) and life.deleted is None:
                life.deleted = now
            if _is_held(body):
                life.forced = None
            self._note_spec(life, body, now)
            life.last = body

    def of(self, body: Body) -> Life:
        """The life of an object."""
        self.observe()
        return self.lives[body["metadata"]["uid"]]

    def note_write(self, before: Body, after: Body) -> None:
        """A user changed an object: note what records and holds that took away."""
        life = self.of(before)
        now = self._world.loop.time()
        old, new = parse_job(before), parse_job(after)
        uuid_lost = old.job_uuid is not None and new.job_uuid is None
        lost = _records(before) - _records(after) or uuid_lost or (old.intent is not None and new.intent is None)
        life.stripped = life.stripped or bool(lost)
        if lost and not new.has_finalizer:
            life.records_lost.append(now)
        if old.has_finalizer and not new.has_finalizer:
            life.forced = now
            if life.stripped and not _records(after):  # the last trace of what was thrown away before
                life.records_lost.append(now)

    def went_back(self) -> None:
        """etcd was restored: objects are gone or back again, and what was written since is lost."""
        now = self._world.loop.time()
        present = {event.body["metadata"]["uid"]: event.body for event in self._subscription.relist()}
        for uid, life in self.lives.items():
            body = present.get(uid)
            if body is None:
                if life.gone is None:
                    life.gone, life.forced = now, now
                    life.records_lost.append(now)
                continue
            life.gone = None
            life.undeleted = life.undeleted or (life.deleted is not None and not _deleting(body))
            if _records(life.last) - _records(body):
                life.records_lost.append(now)
            if _is_held(life.last) and not _is_held(body):
                life.forced = now
            if life.suspended_at and not body["spec"].get("suspend"):
                life.wishes += 1
            if not _outlived(body):
                life.kept = None
            life.last = body

    def owner_of(self, job: Job) -> Life | None:
        """The life whose identity the job's title verifies, None if it is nobody's."""
        parsed = naming.parse_title(job.title)
        life = self._tokens.get(parsed.token) if parsed is not None else None
        if life is None or naming.title_belongs_to(job.title, life.identity) is None:
            return None
        return life

    def of_token(self, token: str) -> Life | None:
        """The life that a token was made for, None if it is nobody's."""
        return self._tokens.get(token)

    def _life(self, body: Body, now: float) -> Life:
        metadata = body["metadata"]
        uid = metadata["uid"]
        if uid not in self.lives:
            identity = Identity(self._world.cluster_id, metadata["namespace"], metadata["name"], uid)
            life = self.lives[uid] = Life(identity, born=now)
            tokens = (naming.create_token(identity, attempt) for attempt in range(1, MOST_ATTEMPTS))
            self._tokens.update(dict.fromkeys(tokens, life))
        return self.lives[uid]

    def _note_spec(self, life: Life, body: Body, now: float) -> None:
        spec = body["spec"]
        if _outlived(body) and life.kept is None:
            life.kept = now
        if spec.get("limits") and life.limited is None:
            life.limited = now


def _deleting(body: Body) -> bool:
    return bool(body["metadata"].get("deletionTimestamp"))


def _outlived(body: Body) -> bool:
    return bool(body["spec"].get("deletionPolicy") == "Orphan")


def _is_held(body: Body) -> bool:
    return naming.JOB_FINALIZER in (body["metadata"].get("finalizers") or ())


def _records(body: Body) -> set[str]:
    """The tokens that an object names."""
    job = parse_job(body)
    named = (job.intent.token if job.intent else None, job.record.token if job.record else None)
    return {token for token in named if token}
