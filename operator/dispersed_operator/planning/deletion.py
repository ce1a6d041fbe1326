"""D1 to D7: the resource goes, so the remote job must be gone first.

A linear story: settle an unknown create, end the job (planning/cancellation.py), tidy up, and only then let the
resource go. With `deletionPolicy: Orphan` a job that lives is handed to a DispersedOrphan instead of being ended. Every
doubt keeps the finalizer: a resource that is stuck in Terminating says why; a job that leaks says nothing (failure
modes 21 to 27, 29, 52, 60, 61, 71).
"""

from __future__ import annotations

from dispersed_operator.model import naming
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.job import DeletionPolicy
from dispersed_operator.model.naming import Identity
from dispersed_operator.model.observed import LOST_RECORD, JobResource, PendingCreate
from dispersed_operator.model.orphan import OrphanCause, OrphanDecision
from dispersed_operator.model.status import Phase
from dispersed_operator.planning import adoption
from dispersed_operator.planning.answers import plan_answer
from dispersed_operator.planning.attempt import newest_pending, plan_own_attempt
from dispersed_operator.planning.cancellation import (
    CANCEL_DELAYS,
    CANCEL_TEXTS,
    Alive,
    Ended,
    connection_secret,
    look_at,
    plan_end,
    stopping,
)
from dispersed_operator.planning.force import plan_force
from dispersed_operator.planning.identity import cancel_identities, has_foreign_origin
from dispersed_operator.planning.lookup import Proof, Question, latest_signature, plan_lookup
from dispersed_operator.planning.matching import matches
from dispersed_operator.planning.vocabulary import (
    Action,
    CancelJob,
    DeleteSecret,
    DropFinalizer,
    Facts,
    LeaveOrphan,
    Memory,
    RefuseIntent,
    Rest,
    SecretState,
)

CANCEL_REASON = "DispersedJob deleted"
ABSENT_TEXT = "the create request is proven to have created nothing"


def plan_deletion(resource: JobResource, facts: Facts) -> Action:
    """The next step of a deletion. A resource without any trace of us is none of our business."""
    known = resource.has_trace or newest_pending(resource, facts.memory) is not None
    if not known or (facts.memory.released and not resource.has_finalizer):
        return Rest(None)
    pending = create_to_settle(resource, facts.memory, facts.cluster_id)
    forced = plan_force(resource, facts, pending)
    if forced is not None:
        return forced
    if pending is not None:
        return _settle(resource, facts, pending)
    if resource.job_uuid is None:
        return let_go(resource, facts, _why_nothing(resource))
    if facts.memory.extras and facts.account.reachable and facts.now >= facts.memory.last_extra + CANCEL_DELAYS[0]:
        return CancelJob(facts.memory.extras[0], CANCEL_REASON, extra=True)  # nothing on the object names a duplicate
    return end_job(resource, facts, resource.job_uuid)


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
        over = resource.job_uuid is None or (resource.record is not None and resource.record.ended)
        if alive and over:
            return adoption.adopt(facts, alive, phase=Phase.STOPPING)
    if not has_foreign_origin(resource, facts.cluster_id):
        if question.pending.token is not None:
            return RefuseIntent(Refusal.ABSENT, "proven absent while the resource was being deleted")
        if resource.job_uuid is not None:
            return end_job(resource, facts, resource.job_uuid)
    return let_go(resource, facts, ABSENT_TEXT)


def _why_nothing(resource: JobResource) -> str:
    if resource.intent is not None and resource.intent.refusal is Refusal.ABSENT:
        return ABSENT_TEXT
    if resource.intent is not None and resource.intent.refusal is Refusal.ABANDONED:
        return "a person abandoned the create; whether a remote job exists was NOT verified"
    return "nothing was created remotely"


def end_job(resource: JobResource, facts: Facts, uuid: str) -> Action:
    """D3 to D5; or, if the job shall outlive the resource, hand it over."""
    ending = resource.record.ending if resource.record is not None else None
    why = CANCEL_REASON if ending is None else CANCEL_TEXTS[ending]  # what was decided first is the reason
    step = look_at(resource, facts, uuid) if _keeps_job(resource) else plan_end(resource, facts, uuid, why)
    if isinstance(step, Ended):
        return let_go(resource, facts, step.message)
    if not isinstance(step, Alive):
        return step
    if not facts.memory.orphan_left:
        return LeaveOrphan(uuid, step.claimed.token, OrphanDecision.KEEP, OrphanCause.DELETION_POLICY)
    return let_go(resource, facts, f"remote job {uuid} goes on running and costs money, as spec.deletionPolicy asks")


def _keeps_job(resource: JobResource) -> bool:
    """Whether a live job shall outlive the resource; one that was to end anyway shall not."""
    ending = resource.record.ending if resource.record is not None else None
    policy = resource.spec.deletion_policy if resource.spec is not None else DeletionPolicy.CANCEL
    return policy is DeletionPolicy.ORPHAN and ending is None and not resource.suspend_wanted


def let_go(resource: JobResource, facts: Facts, message: str) -> Action:
    """D6: tidy up, then remove the finalizer. Nothing but duplicates can be left to cancel when this is reached."""
    if facts.memory.extras and resource.job_uuid:
        waiting = f"waiting for remote job {facts.memory.extras[0]}, a duplicate, to end"
        return Rest(stopping(resource, facts, waiting), CANCEL_DELAYS[0])
    secret = connection_secret(resource)
    if secret and facts.secret is not SecretState.REMOVED:
        return DeleteSecret(secret)
    if not resource.has_finalizer:
        return Rest(None)
    if facts.memory.orphan_left:
        return DropFinalizer(EventReason.JOB_KEPT, message, None)
    reason = EventReason.CANCELLED if facts.memory.cancelled_by_us else EventReason.RELEASED
    return DropFinalizer(reason, message, stopping(resource, facts, message))
