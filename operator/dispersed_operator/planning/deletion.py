"""D1 to D7: the resource goes, so the remote job must be gone first.

A linear story: settle an unknown create, read the job, cancel it until it is terminal with all its runs, tidy up, and
only then let the resource go. Every doubt keeps the finalizer: a resource that is stuck in Terminating says why; a job
that leaks says nothing (failure modes 21 to 27, 29, 52, 61, 71).
"""

from __future__ import annotations

import re

from dispersed_operator.model import naming
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.naming import Identity
from dispersed_operator.model.observed import LOST_RECORD, JobResource, PendingCreate
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.model.status import Phase
from dispersed_operator.planning import adoption
from dispersed_operator.planning.answers import plan_answer
from dispersed_operator.planning.attempt import newest_pending, plan_own_attempt
from dispersed_operator.planning.identity import cancel_identities, claims, has_foreign_origin
from dispersed_operator.planning.lookup import Proof, Question, latest_signature, plan_lookup
from dispersed_operator.planning.matching import matches
from dispersed_operator.planning.missing import Gone, judge_missing
from dispersed_operator.planning.tracking import retry_may_follow
from dispersed_operator.planning.vocabulary import (
    Action,
    CancelJob,
    Created,
    DeleteSecret,
    DropFinalizer,
    Facts,
    Memory,
    Missing,
    Problem,
    ReadJob,
    RefuseIntent,
    Rest,
    SecretState,
    Situation,
)

CANCEL_DELAYS = (2.0, 4.0, 8.0, 16.0, 30.0)
CANCEL_REASON = "DispersedJob deleted"
UNREACHABLE_AGAIN_SECONDS = 30.0
ABSENT_TEXT = "the create request is proven to have created nothing"
_FORCE = re.compile(r"(?P<uid>[0-9a-z]{8}):(?P<reason>.{1,256})", re.DOTALL)


def plan_deletion(resource: JobResource, facts: Facts) -> Action:
    """The next step of a deletion. A resource without any trace of us is none of our business."""
    known = resource.has_trace or newest_pending(resource, facts.memory) is not None
    if not known or (facts.memory.released and not resource.has_finalizer):
        return Rest(None)
    if _forced_away(resource):
        if not resource.has_finalizer:
            return Rest(None)
        message = "the finalizer was removed by force; the remote job was NOT verified to be gone"
        return DropFinalizer(EventReason.FORCE_FINALIZED, message, None, forced=True)
    pending = create_to_settle(resource, facts.memory, facts.cluster_id)
    if pending is not None:
        return _settle(resource, facts, pending)
    if resource.job_uuid is None:
        return _let_go(resource, facts, _why_nothing(resource))
    if facts.memory.extras and facts.account.reachable and facts.now >= facts.memory.last_extra + CANCEL_DELAYS[0]:
        return CancelJob(facts.memory.extras[0], CANCEL_REASON, extra=True)  # nothing on the object names a duplicate
    return _end_job(resource, facts, resource.job_uuid)


def _forced_away(resource: JobResource) -> bool:
    """Whether a person names this very object and a reason (D7): the only way past the proof."""
    match = _FORCE.fullmatch(resource.annotations.get(naming.FORCE_FINALIZE_ANNOTATION, "").strip())
    return match is not None and match["uid"] == naming.uid_mark(resource.uid) and bool(match["reason"].strip())


def create_to_settle(resource: JobResource, memory: Memory, cluster_id: str) -> PendingCreate | None:
    """The create that a deletion settles first (D2): traces without an intent count, and so does everything on a
    copied object. None once the newest is resolved."""
    if has_foreign_origin(resource, cluster_id):
        identities = cancel_identities(resource, cluster_id)
        if _recorded_for(resource, identities):
            return None
        return resource.pending_create() if len(identities) > 1 else LOST_RECORD
    pending = newest_pending(resource, memory)
    if pending is None and resource.intent is None and resource.record is None:
        return LOST_RECORD
    return pending


def _recorded_for(resource: JobResource, identities: tuple[Identity, ...]) -> bool:
    """Whether the record names a job of this very resource or its origin, whatever intent lies over it."""
    record = resource.record
    if record is None or not record.uuid:
        return False
    return record.token in {naming.create_token(identity, record.attempt) for identity in identities}


def _settle(resource: JobResource, facts: Facts, pending: PendingCreate) -> Action:
    """D2: find the job, or prove its absence before the finalizer may go."""
    own_step = plan_own_attempt(facts, pending, may_send=False)
    if own_step is not None:
        return own_step
    answer = plan_answer(resource, facts, pending)
    if answer is not None:
        return answer
    question = Question(
        pending=pending,
        identities=cancel_identities(resource, facts.cluster_id),
        signed_at=latest_signature(resource, facts, pending),
        phase=Phase.STOPPING,
    )
    conclusion = plan_lookup(resource, facts, question)
    return conclusion if conclusion is not Proof.ABSENT else _after_proof(resource, facts, question)


def _after_proof(resource: JobResource, facts: Facts, question: Question) -> Action:
    """The newest create made nothing. An earlier attempt may still have: its job is in the very listing or recorded."""
    if facts.listing is not None:
        attempts = range(1, question.pending.attempt + 1)
        rows = matches(facts.listing, question.identities, attempts)
        alive = [row for row in rows if not row.row.terminal and row.row.uuid != resource.job_uuid]
        if alive and resource.job_uuid is None:
            return adoption.adopt(facts, alive, phase=Phase.STOPPING)
    if not has_foreign_origin(resource, facts.cluster_id) and question.pending.token is not None:
        return RefuseIntent(Refusal.ABSENT, "proven absent while the resource was being deleted")
    return _let_go(resource, facts, ABSENT_TEXT)


def _why_nothing(resource: JobResource) -> str:
    if resource.intent is not None and resource.intent.refusal is Refusal.ABSENT:
        return ABSENT_TEXT
    if resource.intent is not None and resource.intent.refusal is Refusal.ABANDONED:
        return "a person abandoned the create; whether a remote job exists was NOT verified"
    return "nothing was created remotely"


def _end_job(resource: JobResource, facts: Facts, uuid: str) -> Action:
    """D3 to D5: read, cancel, read again, until the job and all its runs are terminal."""
    if not facts.account.reachable:
        return _unreachable(facts)
    job = facts.job
    if job is None or (isinstance(job, RemoteJob) and (job.uuid != uuid or facts.runs is None)):
        return ReadJob(uuid)
    if isinstance(job, Missing):
        verdict = judge_missing(resource, facts, uuid, job)
        if verdict is Gone.GONE:
            return _let_go(resource, facts, f"the service does not know remote job {uuid} any more")
        return verdict if not isinstance(verdict, Problem) else _stuck(verdict)
    if job.terminal:
        if retry_may_follow(job, facts.runs or (), resource.spec, facts):
            message = f"remote job {uuid} failed; the service may yet start it again"
            return Rest(_stopping(resource, facts, message), 2.0)
        if all(run.terminal for run in facts.runs or ()):
            return _let_go(resource, facts, f"remote job {uuid} is {job.status}")
        message = f"remote job {uuid} is {job.status}, but a run of it is not over yet"
        return Rest(_stopping(resource, facts, message), 2.0)
    identities = cancel_identities(resource, facts.cluster_id)
    attempts = range(1, resource.highest_attempt() + 1)
    if not any(claims(job, identity, attempts) for identity in identities):
        message = f"the title of remote job {uuid} is not this resource's, so it is not cancelled"
        return _stuck(Problem(Reason.OWNERSHIP_AMBIGUOUS, message))
    due_in = _next_cancel(facts) - facts.now
    if due_in > 0:
        message = f"remote job {uuid} is {job.status}; waiting for it to end"
        return Rest(_stopping(resource, facts, message), max(0.5, min(due_in, 2.0)))
    return CancelJob(uuid, CANCEL_REASON)


def _next_cancel(facts: Facts) -> float:
    """When the cancel is to be repeated (D4): 2 to 30 s after the last one, at once if there was none."""
    if facts.memory.cancels == 0:
        return facts.now
    return facts.memory.last_cancel + CANCEL_DELAYS[min(facts.memory.cancels, len(CANCEL_DELAYS)) - 1]


def _let_go(resource: JobResource, facts: Facts, message: str) -> Action:
    """D6: tidy up, then remove the finalizer. Nothing but duplicates can be left to cancel when this is reached."""
    if facts.memory.extras and resource.job_uuid:
        waiting = f"waiting for remote job {facts.memory.extras[0]}, a duplicate, to end"
        return Rest(_stopping(resource, facts, waiting), CANCEL_DELAYS[0])
    ref = resource.status.get("connectionSecretRef") or {}
    if ref.get("name") and facts.secret is not SecretState.REMOVED:
        return DeleteSecret(str(ref["name"]))
    if not resource.has_finalizer:
        return Rest(None)
    reason = EventReason.CANCELLED if facts.memory.cancelled_by_us else EventReason.RELEASED
    return DropFinalizer(reason, message, _stopping(resource, facts, message))


def _stopping(resource: JobResource, facts: Facts, message: str) -> Situation:
    return Situation(
        phase=Phase.STOPPING,
        reason=Reason.STOPPING,
        message=message,
        created=Created.YES if resource.job_uuid else Created.NO,
        job=facts.job if isinstance(facts.job, RemoteJob) else None,
        runs=facts.runs,
        secret_name=_secret_name(resource) if facts.secret is not SecretState.REMOVED else None,
    )


def _secret_name(resource: JobResource) -> str | None:
    return (resource.status.get("connectionSecretRef") or {}).get("name")


def _unreachable(facts: Facts) -> Rest:
    problem = facts.account.blocker or Problem(Reason.INVALID_REFERENCE, "the account has no usable key")
    if problem.reason is Reason.ACCOUNT_PROBING:
        return Rest(None, UNREACHABLE_AGAIN_SECONDS)  # this process has just begun; the account's check wakes its jobs
    return _stuck(problem, account_problem=problem)


def _stuck(problem: Problem, *, account_problem: Problem | None = None) -> Rest:
    """D7: stay in Terminating, and say why."""
    situation = Situation(
        phase=Phase.STOPPING,
        reason=problem.reason,
        message=f"the remote job cannot be ended: {problem.message}",
        created=Created.YES,
        stalled=True,
        account_problem=account_problem,
    )
    return Rest(situation, UNREACHABLE_AGAIN_SECONDS)
