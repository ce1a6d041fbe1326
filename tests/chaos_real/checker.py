"""The invariants, as pure functions over what the simulator and the API server say.

Two kinds. A *breach* can never be mended: a job that was made twice stays made twice, so it counts whenever it is seen.
A *remainder* is what is not yet as the resources want it; it counts only when everything has come to rest. No function
here asks the operator: its logs and statuses are no evidence, except for the uuids that a status names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos_real.evidence import ACCEPTED, Evidence, Job, Resource


class Rule(StrEnum):
    """What must hold."""

    ONE_JOB_PER_ATTEMPT = "an attempt of a resource has made at most one job, ever"
    ONE_JOB_PER_RESOURCE = "a resource has made a second job only if somebody asked for another attempt"
    SENT_ONCE = "a signed create is sent once"
    MADE_BY_A_REQUEST = "a job comes from exactly one request in the log"
    NOT_BEFORE_ITS_END = "a resource goes only after its job has ended"
    HELD_WHILE_LIVE = "a resource carries the finalizer while its job lives"
    STRANGERS_UNTOUCHED = "jobs of others are never cancelled"
    RECORD_IS_TRUE = "a uuid in a status exists and belongs to that resource"
    LIVE_IS_WANTED = "every live job is the recorded one of a resource that wants it"
    WANTED_EXISTS = "every resource has the job that it wants"
    DELETED_IS_GONE = "a deleted resource goes"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule, and what breaks it."""

    rule: Rule
    detail: str


def breaches(evidence: Evidence) -> list[Violation]:
    """What no later step can mend: doubles, runs that nobody asked for, repeated requests, harm to others."""
    return [
        *_doubles(evidence),
        *_repeated_requests(evidence),
        *_unexplained_jobs(evidence),
        *(
            Violation(Rule.STRANGERS_UNTOUCHED, f"{job.uuid} ({job.title}) got {job.cancel_requests} cancel requests")
            for job in evidence.jobs
            if job.uuid in evidence.strangers and (job.cancel_requests or not job.live)
        ),
        *_untrue_records(evidence),
    ]


def remainders(evidence: Evidence) -> list[Violation]:
    """What is not yet as the resources want it."""
    jobs = {job.uuid: job for job in evidence.jobs}
    recorded = {item.recorded: item for item in evidence.resources if item.recorded is not None}
    found = [
        Violation(Rule.DELETED_IS_GONE, f"{item.namespace}/{item.name} ({item.uid}) is still there, {item.phase}")
        for item in evidence.resources
        if item.deleting
    ]
    for job in evidence.jobs:
        owner = recorded.get(job.uuid)
        if job.live and job.uuid not in evidence.strangers and (owner is None or owner.deleting or owner.suspended):
            found.append(Violation(Rule.LIVE_IS_WANTED, f"{job.uuid} ({job.title}) lives"))
    for item in evidence.resources:
        job_or_none = jobs.get(item.recorded or "")
        wanted = job_or_none is not None and (job_or_none.live or item.task == "Batch")
        if item.deleting or item.suspended:
            continue
        unheld = not item.held and job_or_none is not None and job_or_none.live
        if unheld or not wanted or item.shown != item.recorded:
            detail = f"{item.namespace}/{item.name} ({item.uid}, {item.task}) is {item.phase}, records {item.recorded}"
            found.append(Violation(Rule.WANTED_EXISTS, f"{detail}, shows {item.shown}, finalizer {item.held}"))
    return found


def momentary_breaches(
    before: Sequence[Job],
    resources: Sequence[Resource],
    after: Sequence[Job],
    *,
    known: Mapping[str, str],
    unheld: frozenset[str] = frozenset(),
) -> list[Violation]:
    """What is wrong at one moment in the middle of the chaos.

    The three looks were taken in this order, so a job that lives in `before` and `after` lived while `resources` were
    read. `known` are the marks and uids of all resources that the users made, `unheld` uids whose finalizer a user has
    taken away.
    """
    there = {item.mark: item for item in resources}
    lived = {job.uuid for job in before if job.live}
    found = []
    for job in after:
        mark = job.claim.uid_mark if job.claim is not None else ""
        if not job.live or mark not in known:
            continue
        owner = there.get(mark)
        if owner is None:
            if job.uuid in lived:
                found.append(Violation(Rule.NOT_BEFORE_ITS_END, f"{job.uuid} lives, {known[mark]} is gone"))
        elif not owner.held and owner.uid not in unheld and job.uuid in lived:
            found.append(Violation(Rule.HELD_WHILE_LIVE, f"{job.uuid} lives, {owner.name} ({owner.uid}) is not held"))
    return found


@dataclass(frozen=True, slots=True)
class Overlaps:
    """In seconds of the simulated clock: how long two jobs of one resource lived at the same time at most, and how long
    a job outlived its resource at most (`gone`: uid mark to the moment at which it was first seen to be gone)."""

    longest_double: float
    longest_leak: float


def overlaps(jobs: Iterable[Job], *, gone_ms: Mapping[str, int], now_ms: int) -> Overlaps:
    """The longest double and the longest leak that the log can tell."""
    lives: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for job in jobs:
        if job.claim is not None:
            end = job.ended_ms if job.ended_ms is not None else now_ms
            lives[job.claim.uid_mark].append((job.created_ms, now_ms if job.live else end))
    double = leak = 0
    for mark, spans in lives.items():
        spans.sort()
        latest = spans[0][1]
        for start, end in spans[1:]:
            double = max(double, min(latest, end) - start)
            latest = max(latest, end)
        if mark in gone_ms:
            leak = max(leak, latest - gone_ms[mark])
    return Overlaps(double / 1000, leak / 1000)


def _doubles(evidence: Evidence) -> Iterator[Violation]:
    claims = [job.claim for job in evidence.jobs if job.uuid not in evidence.strangers]
    ours = [claim for claim in claims if claim is not None]
    for (mark, attempt), count in Counter((claim.uid_mark, claim.attempt) for claim in ours).items():
        if count > 1:
            yield Violation(Rule.ONE_JOB_PER_ATTEMPT, f"resource {mark}, attempt {attempt}: {count} jobs")
    for mark, count in Counter(claim.uid_mark for claim in ours).items():
        if count > 1 + evidence.asked_again.get(mark, 0):
            yield Violation(Rule.ONE_JOB_PER_RESOURCE, f"resource {mark}: {count} jobs")


def _repeated_requests(evidence: Evidence) -> Iterator[Violation]:
    sent = Counter(post.nonce for post in evidence.posts)
    copied = {post.nonce for post in evidence.posts if post.is_copy}
    for nonce, count in sent.items():
        if count > (2 if nonce in copied else 1):
            yield Violation(Rule.SENT_ONCE, f"the request with nonce {nonce} came {count} times")


def _unexplained_jobs(evidence: Evidence) -> Iterator[Violation]:
    posts = {post.id: post for post in evidence.posts}
    made = Counter(post.job_uuid for post in evidence.posts if post.job_uuid is not None)
    for job in evidence.jobs:
        if job.uuid in evidence.strangers:
            continue
        lost = job.created_by not in posts and _start_of(job.created_by) in evidence.lost_log
        if not lost and made[job.uuid] != 1:
            yield Violation(Rule.MADE_BY_A_REQUEST, f"{job.uuid} ({job.title}) was made by {made[job.uuid]} requests")
    present = {job.uuid for job in evidence.jobs}
    for post in evidence.posts:
        if post.job_uuid is None and post.status in ACCEPTED:
            yield Violation(Rule.MADE_BY_A_REQUEST, f"{post.id} was accepted and names no job")
        if post.job_uuid is not None and post.job_uuid not in present:
            yield Violation(Rule.MADE_BY_A_REQUEST, f"{post.id} made {post.job_uuid}, which is not there")


def _untrue_records(evidence: Evidence) -> Iterator[Violation]:
    jobs = {job.uuid: job for job in evidence.jobs}
    for item in evidence.resources:
        for uuid in {item.recorded, item.shown} - {None}:
            job = jobs.get(uuid or "")
            claim = job.claim if job is not None else None
            if job is None:
                yield Violation(Rule.RECORD_IS_TRUE, f"{item.name} ({item.uid}) names {uuid}, which does not exist")
            elif claim is None or not item.owns(claim, evidence.cluster_id):
                yield Violation(Rule.RECORD_IS_TRUE, f"{item.name} ({item.uid}) names {uuid}, which is {job.title}")


def _start_of(request_id: str) -> str:
    """The number of the simulator's start in `req-<start>-<number>`."""
    return request_id.split("-")[1] if request_id.count("-") == 2 else ""
