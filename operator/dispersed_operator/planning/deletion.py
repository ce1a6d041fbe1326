"""D1 to D7: the resource goes, so the remote job must be gone first.

A linear story: settle an unknown create, read the job, cancel it until it is terminal with all its runs, tidy up, and
only then let the resource go. Every doubt keeps the finalizer: a resource that is stuck in Terminating says why; a job
that leaks says nothing (failure modes 21 to 27, 29, 52, 61, 71).
"""

from __future__ import annotations

import re

from dispersed_operator.model import naming
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.observed import LOST_RECORD, JobResource, PendingCreate
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.attempt import plan_own_attempt
from dispersed_operator.planning.identity import cancel_identities, claims, has_foreign_origin
from dispersed_operator.planning.lookup import Proof, Question, latest_signature, plan_lookup
from dispersed_operator.planning.missing import Gone, judge_missing
from dispersed_operator.planning.vocabulary import (
    Action,
    CancelJob,
    Created,
    DeleteSecret,
    DropFinalizer,
    Facts,
    Missing,
    Problem,
    ReadJob,
    Rest,
    SecretState,
    Situation,
)

CANCEL_DELAYS = (2.0, 4.0, 8.0, 16.0, 30.0)
CANCEL_REASON = "DispersedJob deleted"
UNREACHABLE_AGAIN_SECONDS = 30.0
_FORCE = re.compile(r"(?P<uid>[0-9a-z]{8}):(?P<reason>.{1,256})", re.DOTALL)


def plan_deletion(resource: JobResource, facts: Facts) -> Action:
    """The next step of a deletion. A resource without any trace of us is none of our business."""
    if not resource.has_trace:
        return Rest(None)
    if _forced_away(resource):
        message = "the finalizer was removed by force; the remote job was NOT verified to be gone"
        return DropFinalizer(EventReason.FORCE_FINALIZED, message, None, forced=True)
    pending = _pending(resource, facts)
    if pending is not None:
        return _settle(resource, facts, pending)
    if resource.job_uuid is None or has_foreign_origin(resource, facts.cluster_id):
        return _let_go(resource, facts, "nothing was created remotely")
    return _end_job(resource, facts, resource.job_uuid)


def _forced_away(resource: JobResource) -> bool:
    """Whether a person names this very object and a reason (D7): the only way past the proof."""
    match = _FORCE.fullmatch(resource.annotations.get(naming.FORCE_FINALIZE_ANNOTATION, "").strip())
    return match is not None and match["uid"] == naming.uid_mark(resource.uid) and bool(match["reason"].strip())


def _pending(resource: JobResource, facts: Facts) -> PendingCreate | None:
    """The create to settle first (D2): traces without an intent count, and so does everything on a copied object."""
    if has_foreign_origin(resource, facts.cluster_id):
        origin_places = cancel_identities(resource, facts.cluster_id)
        return resource.pending_create() if len(origin_places) > 1 else LOST_RECORD
    pending = resource.pending_create()
    if pending is None and resource.intent is None and resource.record is None:
        return LOST_RECORD
    return pending


def _settle(resource: JobResource, facts: Facts, pending: PendingCreate) -> Action:
    """D2: find the job, or prove its absence before the finalizer may go."""
    own_step = plan_own_attempt(facts, pending, may_send=False)
    if own_step is not None:
        return own_step
    question = Question(
        pending=pending,
        identities=cancel_identities(resource, facts.cluster_id),
        signed_at=latest_signature(resource, facts, pending),
        phase=Phase.STOPPING,
    )
    conclusion = plan_lookup(resource, facts, question)
    if conclusion is Proof.ABSENT:
        return _let_go(resource, facts, "the create request is proven to have created nothing")
    return conclusion


def _end_job(resource: JobResource, facts: Facts, uuid: str) -> Action:
    """D3 to D5: read, cancel, read again, until the job and all its runs are terminal."""
    if not facts.account.reachable:
        return _stuck(facts.account.blocker or Problem(Reason.INVALID_REFERENCE, "the account has no usable key"))
    job = facts.job
    if job is None or (isinstance(job, RemoteJob) and (job.uuid != uuid or facts.runs is None)):
        return ReadJob(uuid)
    if isinstance(job, Missing):
        verdict = judge_missing(resource, facts, uuid, job)
        if verdict is Gone.GONE:
            return _let_go(resource, facts, f"the service does not know remote job {uuid} any more")
        return verdict if not isinstance(verdict, Problem) else _stuck(verdict)
    if job.terminal:
        if all(run.terminal for run in facts.runs or ()):
            return _let_go(resource, facts, f"remote job {uuid} is {job.status}")
        return Rest(_stopping(facts, f"remote job {uuid} is {job.status}, but a run of it is not over yet"), 2.0)
    identities = cancel_identities(resource, facts.cluster_id)
    attempts = range(1, resource.highest_attempt() + 1)
    if not any(claims(job, identity, attempts) for identity in identities):
        message = f"the title of remote job {uuid} is not this resource's, so it is not cancelled"
        return _stuck(Problem(Reason.OWNERSHIP_AMBIGUOUS, message))
    due_in = _next_cancel(facts) - facts.now
    if due_in > 0:
        message = f"remote job {uuid} is {job.status}; waiting for it to end"
        return Rest(_stopping(facts, message), max(0.5, min(due_in, 2.0)))
    return CancelJob(uuid, CANCEL_REASON)


def _next_cancel(facts: Facts) -> float:
    """When the cancel is to be repeated (D4): 2 to 30 s after the last one, at once if there was none."""
    if facts.memory.cancels == 0:
        return facts.now
    return facts.memory.last_cancel + CANCEL_DELAYS[min(facts.memory.cancels, len(CANCEL_DELAYS)) - 1]


def _let_go(resource: JobResource, facts: Facts, message: str) -> Action:
    """D6: tidy up, then remove the finalizer. Nothing is left to cancel when this is reached."""
    ref = resource.status.get("connectionSecretRef") or {}
    if ref.get("name") and facts.secret is not SecretState.REMOVED:
        return DeleteSecret(str(ref["name"]))
    if not resource.has_finalizer:
        return Rest(None)
    reason = EventReason.CANCELLED if facts.memory.cancelled_by_us else EventReason.RELEASED
    return DropFinalizer(reason, message, _stopping(facts, message))


def _stopping(facts: Facts, message: str) -> Situation:
    return Situation(
        phase=Phase.STOPPING,
        reason=Reason.STOPPING,
        message=message,
        created=Created.YES,
        job=facts.job if isinstance(facts.job, RemoteJob) else None,
        runs=facts.runs,
    )


def _stuck(problem: Problem) -> Rest:
    """D7: stay in Terminating, and say why."""
    situation = Situation(
        phase=Phase.STOPPING,
        reason=problem.reason,
        message=f"the remote job cannot be ended: {problem.message}",
        created=Created.YES,
        stalled=True,
    )
    return Rest(situation, UNREACHABLE_AGAIN_SECONDS)
