"""The judge: what the service really runs, against what the objects want (protocol, "How it is proven").

Two kinds of findings. A `wrong` is done and cannot be made good: a job that ran twice at once, or again, a finalizer
that went while a job lived, a request sent twice. An `open` one may still be settled by time: a job that lives and
should not, an object that waits. At quiescence there must be neither.

What the protocol itself admits is spelled out in `_excused` and nowhere else: records that a third party threw away
before the service showed the job, or while another operator held an older listing, may cost a double; a finalizer that
a third party took off may cost an orphan. Both are ended by the sweep, so they are open findings until it has been; it
never is where the account was deleted as well, because nobody has a key then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dispersed_operator.kube.resources import DISPERSED_ORPHANS
from dispersed_operator.model import naming
from dispersed_operator.model.observed import JobResource, parse_job
from dispersed_operator.model.orphan import OrphanDecision
from dispersed_operator.model.reasons import Reason
from dispersed_operator.orphans import parse_orphan
from dispersed_operator.planning.deletion import CANCEL_REASON
from dispersed_operator.planning.sweep import Standing
from dispersed_operator.sweep_cancels import CANCEL_REASONS
from dispersed_simulator.records import TERMINAL, Job
from tests.simulation.history import Life
from tests.simulation.remote_side import EPOCH

if TYPE_CHECKING:
    from tests.simulation.world import World

SUSPENDED = f"ended by its operator: {Reason.SUSPENDED}"
DELETED = CANCEL_REASON
LIMITS = tuple(f"ended by its operator: {reason}" for reason in (Reason.RATE_LIMIT_EXCEEDED, Reason.LIFETIME_EXCEEDED))
"""The reasons that the operator gives with a cancel."""
LEAST_AGE = {CANCEL_REASONS[Standing.ORPHAN]: 930.0, CANCEL_REASONS[Standing.DUPLICATE]: 30.0}
"""Youngest age in seconds at which the sweep may end a job, by the reason that it gives."""
SETTLING = 40.0
"""Longest lag of a listing, with a little room."""


@dataclass(slots=True)
class Findings:
    """What the judge says at one moment; `doubles` and `leaks` are the longest ones in virtual seconds."""

    wrong: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    longest_double: float = 0.0
    longest_leak: float = 0.0
    excused: int = 0


class Judge:
    """Compares. `sweeps`: whether a sweeper runs, so that what is excused must end as well."""

    def __init__(self, world: World, *, sweeps: bool) -> None:
        self._world = world
        self._sweeps = sweeps

    def look(self) -> Findings:
        """Everything that is wrong or open now."""
        found = Findings()
        history = self._world.history
        history.observe()
        jobs = sorted(self._world.remote.jobs(), key=lambda job: job.seq)
        resources = [parse_job(body) for body in self._world.job_bodies()]
        owners = {job.uuid: history.owner_of(job) for job in jobs}
        self._look_at_requests(found)
        foreign = self._world.remote.foreign
        found.wrong.extend(f"another cluster's job {job.uuid} was cancelled" for job in foreign if job.cancel_requests)
        by_life: dict[str, list[Job]] = {}
        for job in jobs:
            owner = owners[job.uuid]
            if owner is not None:
                self._look_at_sweep(job, owner, found)
            if owner is None:
                found.wrong.append(f"job {job.uuid} carries a title of nobody")
            else:
                by_life.setdefault(owner.identity.uid, []).append(job)
        for uid, own in by_life.items():
            self._look_at_life(history.lives[uid], own, resources, found)
        recorded = {resource.job_uuid: resource for resource in resources if resource.job_uuid}
        for job in jobs:
            if job.status not in TERMINAL and (owner := owners[job.uuid]) is not None:
                self._look_at_live(job, owner, recorded.get(job.uuid), by_life, found)
        for resource in resources:
            self._look_at_resource(resource, {job.uuid: job for job in jobs}, found)
        found.wrong.extend(self._world.defects)
        return found

    # --- what cannot be made good ---

    def _look_at_requests(self, found: Findings) -> None:
        nonces: dict[str, int] = {}
        tokens: dict[str, set[str]] = {}
        for nonce, title in self._world.remote.posts:
            nonces[nonce] = nonces.get(nonce, 0) + 1
            parsed = naming.parse_title(title)
            if parsed is not None:
                tokens.setdefault(parsed.token, set()).add(nonce)
        found.wrong.extend(f"a request was sent {times} times" for times in nonces.values() if times > 1)
        for token, used in tokens.items():
            life = self._world.history.of_token(token)
            # Whoever throws an attempt's records away has its number used again, once its absence is proven.
            if len(used) > 1 and (life is None or not (life.stripped or life.records_lost)):
                found.wrong.append(f"token {token} was signed {len(used)} times")

    def _look_at_sweep(self, job: Job, owner: Life, found: Findings) -> None:
        """Rules 4 and 5: a second sighting after 30 s, and an orphan is older than 15 minutes."""
        least = LEAST_AGE.get(job.cancel_reason or "")
        if least is not None and job.cancel_started_ms is not None:
            age = (job.cancel_started_ms - job.created_ms) / 1000.0
            if age < least - abs(self._world.remote.clock.largest_step):
                found.wrong.append(f"{owner.identity.name}: the sweep ended job {job.uuid} at the age of {age:.0f} s")

    def _look_at_life(self, life: Life, jobs: list[Job], resources: list[JobResource], found: Findings) -> None:
        for earlier, later in pairwise(jobs):
            end = min(self._end(earlier), self._end(later))
            if end > self._at(later.created_ms):
                found.longest_double = max(found.longest_double, end - self._at(later.created_ms))
                kind = "ran beside"
            else:
                kind = "ran again after"
                if life.wishes and self._ended_for_a_wish(life, earlier):
                    continue
            if self._excused(life, earlier, later):
                found.excused += 1
            else:
                found.wrong.append(f"{life.identity.name}: job {later.uuid} {kind} {earlier.uuid}")
        if life.gone is None:
            return
        self._look_at_policy(life, jobs, found)
        keepers = {item.job_uuid for item in resources if life.identity.uid in self._copied(item)}
        for job in jobs:
            over = self._end(job) - max(life.gone, self._at(job.created_ms))
            if over > 0.0 and job.uuid not in keepers and life.kept is None:
                found.longest_leak = max(found.longest_leak, over)
                if life.forced is None and not self._lost_sight(life, job, until=life.gone):
                    found.wrong.append(f"{life.identity.name} was let go while its job {job.uuid} lived")

    def _look_at_policy(self, life: Life, jobs: list[Job], found: Findings) -> None:
        """`deletionPolicy: Orphan` that stood before the deletion: the only job of the object is not ended for it. A
        restored backup takes the job over, and may be older than the policy."""
        if any(life.identity.uid in other.copied_from for other in self._world.history.lives.values()):
            return
        in_time = life.kept is not None and life.deleted is not None and life.kept < life.deleted
        if in_time and len(jobs) == 1 and DELETED in (jobs[0].cancel_reason or "") and not life.suspended_at:
            found.wrong.append(f"{life.identity.name}: job {jobs[0].uuid} was to outlive its object and was ended")

    def _ended_for_a_wish(self, life: Life, job: Job) -> bool:
        """Whether a job ended so that its object, when it is resumed, is to run again: suspended, or suspended while a
        cancel was under way for a deletion that a restore of etcd took back."""
        reason = job.cancel_reason or ""
        return SUSPENDED in reason or (DELETED in reason and life.undeleted and bool(life.suspended_at))

    def _excused(self, life: Life, earlier: Job, later: Job) -> bool:
        """Nothing could lead to the earlier job any more when the later one was sent."""
        return self._lost_sight(life, earlier, until=self._at(later.created_ms))

    def _lost_sight(self, life: Life, job: Job, *, until: float) -> bool:
        """Whether records were thrown away, finalizer included, while nothing else could lead to the job: before the
        service showed it; or, with two operators, while the other one still held an older listing."""
        parsed = naming.parse_title(job.title)
        signed = (parsed.signed_at if parsed is not None else 0) - EPOCH - 400.0
        shown = self._at(max(job.created_ms, job.visible_from_ms)) + SETTLING
        last = min(until, shown) if self._world.plan.processes == 1 else until
        return any(signed <= moment <= last for moment in life.records_lost)

    # --- what time may settle ---

    def _look_at_live(
        self,
        job: Job,
        owner: Life,
        keeper: JobResource | None,
        by_life: dict[str, list[Job]],
        found: Findings,
    ) -> None:
        name = owner.identity.name
        if keeper is None and owner.gone is not None and self._is_kept(job):
            return
        if keeper is None:
            siblings = by_life[owner.identity.uid]
            doubles = (self._excused(owner, *pair) for other in siblings for pair in ((other, job), (job, other)))
            excused = owner.forced is not None or any(doubles)
            lost = bool(owner.records_lost) or owner.forced is not None
            waits = lost and (self._world.incidents.account_is_gone or self._asks_a_person(owner))
            if not waits and (self._sweeps or not excused):
                found.open.append(f"{name}: job {job.uuid} lives and nobody records it")
            else:
                found.excused += 1
        elif keeper.uid != owner.identity.uid and owner.identity.uid not in self._copied(keeper):
            found.wrong.append(f"{keeper.key.name} records job {job.uuid} of {name}")
        elif keeper.uid != owner.identity.uid and self._is_ambiguous(keeper):
            found.excused += 1  # wanted or not: no title proves that the job is this object's, so a person must say so
        elif keeper.deleting or _suspended(keeper):
            found.open.append(f"{name}: job {job.uuid} lives, and its object is deleting or suspended")
        elif self._is_ambiguous(keeper):
            found.excused += 1
        elif not keeper.has_finalizer:
            found.open.append(f"{name}: job {job.uuid} lives without our finalizer on its object")
        elif self._exceeds(job, keeper):
            found.open.append(f"{name}: job {job.uuid} lives beyond its limit")

    def _look_at_resource(self, resource: JobResource, jobs: dict[str, Job], found: Findings) -> None:
        name = resource.key.name
        copied = bool(self._copied(resource))
        if self._is_ambiguous(resource):
            return
        if resource.deleting:
            found.open.append(f"{name} is still being deleted: {_why(resource)}")
            return
        uuid = resource.job_uuid
        if uuid is None:
            if not _suspended(resource) and self._world.incidents.account_serves:
                found.open.append(f"{name} has no job: {_why(resource)}")
            return
        job = jobs.get(uuid)
        if job is None:
            found.open.append(f"{name} records {uuid}, which never was")
            return
        phase = resource.status.get("phase")
        over = phase in {"Succeeded", "Failed", "Stopped"}
        waits = _suspended(resource) or (phase == "Pending" and not self._world.incidents.account_serves)
        if over is not (job.status in TERMINAL) and not waits:
            found.open.append(f"{name} says {phase}, its job is {job.status}")
        life = self._world.history.lives[resource.uid]
        wanted = not copied and not life.suspended_at and life.deleted is None
        limited = life.limited is not None and any(text in (job.cancel_reason or "") for text in LIMITS)
        if job.status == "CANCELLED" and wanted and not limited:
            found.wrong.append(f"{name}: its wanted job {uuid} was cancelled")

    # --- helpers ---

    def _is_kept(self, job: Job) -> bool:
        """Whether a DispersedOrphan says that the job shall go on without an object."""
        orphans = [parse_orphan(body) for body in self._world.api.bodies(DISPERSED_ORPHANS)]
        return any(item.status.get("uuid") == job.uuid and item.decision is OrphanDecision.KEEP for item in orphans)

    def _exceeds(self, job: Job, keeper: JobResource) -> bool:
        """Whether the job has a limit that it does not keep. All jobs cost more than the rates that users allow."""
        limits = keeper.spec.limits if keeper.spec is not None else None
        if limits is None:
            return False
        age = (self._world.remote.clock.now_ms() - job.created_ms) / 1000.0
        lifetime = limits.max_lifetime_seconds
        return limits.max_hourly_rate_usd is not None or (lifetime is not None and age > lifetime)

    def _copied(self, resource: JobResource) -> tuple[str, ...]:
        life = self._world.history.lives.get(resource.uid)
        return life.copied_from if life is not None else ()

    def _is_ambiguous(self, resource: JobResource) -> bool:
        """A copy whose records name nobody's job any more, or a resource that was edited and lost the records of what
        was sent before the edit, and that says so: a person must say whose the job is."""
        if _reason(resource) != Reason.OWNERSHIP_AMBIGUOUS:
            return False
        if self._copied(resource):
            return self._lost_its_origin(resource)
        return resource.generation > 1 and bool(self._world.history.lives[resource.uid].records_lost)

    def _asks_a_person(self, life: Life) -> bool:
        """Whether the object lives and says that a person must say whose its records are."""
        resources = (parse_job(body) for body in self._world.job_bodies())
        return any(item.uid == life.identity.uid and self._is_ambiguous(item) for item in resources)

    def _lost_its_origin(self, resource: JobResource) -> bool:
        """Whether the object that the intent names is gone and this one does not stand in its place, or no intent
        came along that names one."""
        if resource.intent is None:
            return True
        origin = self._world.history.lives.get(resource.intent.origin.uid)
        return origin is None or (origin.gone is not None and origin.identity.name != resource.key.name)

    def _at(self, server_ms: int) -> float:
        """The virtual moment of a moment of the service; the later one if its clock showed it twice."""
        return self._world.remote.clock.moments(server_ms)[-1]

    def _end(self, job: Job) -> float:
        if job.completed_ms is None:
            return self._world.loop.time()
        return self._world.remote.clock.reached(job.completed_ms, after=self._begin(job))

    def _begin(self, job: Job) -> float:
        return self._world.remote.clock.moments(job.created_ms)[0]


def _suspended(resource: JobResource) -> bool:
    return bool(getattr(resource.spec, "suspend", False))


def _reason(resource: JobResource) -> str:
    conditions: Any = resource.status.get("conditions") or ()
    return next((str(item.get("reason")) for item in conditions if item.get("type") == "Ready"), "none")


def _why(resource: JobResource) -> str:
    conditions: Any = resource.status.get("conditions") or ()
    text = next((str(item.get("message")) for item in conditions if item.get("type") == "Ready"), "no condition")
    return f"{resource.status.get('phase')}, {_reason(resource)}, {text}"
