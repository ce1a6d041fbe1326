"""`spec.adopt`: a remote job that exists is taken over instead of created.

Flow: the account must allow it and nobody else may have the job → the job is read → our finalizer and a mark, by
compare-and-swap → one fenced status write that records it, as C5 does. From then on it is watched, limited, suspended
and ended like any other job; what D4 asks is asked of planning/ownership.py. Guarantees: nothing here, and nothing that
follows, ever creates a job; a resource that is refused holds nothing and is deleted freely; one that took its job keeps
its finalizer until the job's end is verified, also when the permission was taken back meanwhile.
"""

from __future__ import annotations

from dataclasses import replace

from dispersed_operator.model import naming
from dispersed_operator.model.observed import CreateRecord, JobResource
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.creation import ACCOUNT_AGAIN_SECONDS, wait_pending
from dispersed_operator.planning.deletion import end_job, let_go
from dispersed_operator.planning.force import plan_force
from dispersed_operator.planning.ownership import ADOPTED_ATTEMPT, adopted_token, adoption_mark, is_marked, objection
from dispersed_operator.planning.tracking import plan_tracking
from dispersed_operator.planning.vocabulary import (
    Action,
    Created,
    Facts,
    ForgetInheritance,
    HoldAdopted,
    InspectContest,
    Missing,
    Problem,
    ReadJob,
    RecordCreate,
    Rest,
    Situation,
)

REFUSED_AGAIN_SECONDS = 10.0
MISSING_AGAIN_SECONDS = 60.0


def plan_takeover(resource: JobResource, perceived: JobResource, facts: Facts) -> Action:
    """The next step for a resource that adopts; `perceived` is the object without what is not its own."""
    if perceived.deleting:
        return _plan_release(perceived, facts)
    if perceived.status != resource.status:
        return ForgetInheritance()
    if perceived.job_uuid is not None:
        return plan_tracking(perceived, facts)
    return _before_reading(perceived, facts) or _take(perceived, facts)


def _before_reading(resource: JobResource, facts: Facts) -> Action | None:
    """What stands against a look at the job, or what to ask first; None if nothing does. No remote call is made."""
    if resource.spec is None or not resource.adopts:
        unnamed = Problem(Reason.REMOTE_VALIDATION_FAILED, "spec.adopt names no job")
        return wait_pending(facts.body_problem or unnamed, stalled=True)
    if not is_marked(resource, facts.cluster_id):
        if resource.suspend_wanted:
            return Rest(_suspended(resource))
        if resource.paused:
            text = f"no job is adopted while {resource.key.name} carries the annotation dispersed.dev/paused"
            return wait_pending(Problem(Reason.PAUSED, text))
    blocker = facts.account.blocker
    if blocker is not None and blocker.reason is Reason.INVALID_REFERENCE:
        return wait_pending(blocker, after=ACCOUNT_AGAIN_SECONDS, account=True)
    if facts.contest is None:
        return InspectContest(facts.cluster_id, facts.job if isinstance(facts.job, RemoteJob) else None)
    against = objection(resource, facts, facts.contest)
    if against is not None:
        return wait_pending(against, after=REFUSED_AGAIN_SECONDS, stalled=True)
    if blocker is not None:
        return wait_pending(blocker, after=ACCOUNT_AGAIN_SECONDS, account=True)
    return None


def _take(resource: JobResource, facts: Facts) -> Action:
    """Read, ask whose title it is, hold, record."""
    uuid, job = resource.adopts, facts.job
    assert uuid
    assert resource.spec is not None
    assert facts.contest is not None
    assert facts.account.mark is not None, "an account that nothing blocks has a key"
    if isinstance(job, Missing):
        text = f"the account does not know remote job {uuid}, which spec.adopt names"
        return wait_pending(Problem(Reason.REMOTE_VANISHED, text), after=MISSING_AGAIN_SECONDS, stalled=True)
    if job is None or job.uuid != uuid:
        return ReadJob(uuid)
    if not facts.contest.titled:
        return InspectContest(facts.cluster_id, job)
    task = resource.spec.task.value
    if job.task and job.task.upper() != task.upper():
        text = f"remote job {uuid} is a {job.task} job, but spec.task says {task}: create another DispersedJob"
        return wait_pending(Problem(Reason.REMOTE_VALIDATION_FAILED, text), stalled=True)
    if not (resource.has_finalizer and is_marked(resource, facts.cluster_id)):
        return HoldAdopted(adoption_mark(resource, facts.cluster_id))
    return RecordCreate(
        uuid=uuid,
        attempt=ADOPTED_ATTEMPT,
        token=adopted_token(resource, facts.cluster_id),
        signed_at=_began(job),
        body_sha256="",
        account=facts.account.mark,
        job=job,
        adopted=True,
    )


def _plan_release(resource: JobResource, facts: Facts) -> Action:
    """A deletion. What was taken is ended as any job is (D3 to D7); what was not is none of our business."""
    if facts.memory.released and not resource.has_finalizer:
        return Rest(None)
    if resource.record is None and not is_marked(resource, facts.cluster_id):
        return let_go(resource, facts, "no remote job was adopted")
    if facts.contest is None:
        return InspectContest(facts.cluster_id, facts.job if isinstance(facts.job, RemoteJob) else None)
    taken = resource if resource.record is not None else _with_record(resource, facts.cluster_id)
    # Forced, it leaves behind what only it can know of; a job of another resource is not its to name.
    forced = plan_force(replace(taken, record=None) if facts.contest.owned else taken, facts, None)
    if forced is not None:
        return forced
    assert taken.job_uuid is not None
    return end_job(taken, facts, taken.job_uuid)


def _with_record(resource: JobResource, cluster_id: str) -> JobResource:
    """The object with the record that was lost, as far as the mark tells it. Which account had the job it does not
    tell, so a 404 is not believed."""
    record = CreateRecord(
        token=adopted_token(resource, cluster_id),
        attempt=ADOPTED_ATTEMPT,
        uuid=resource.adopts,
        signed_at=0,
        state="Accepted",
        locked=False,
        body_sha256="",
        account=None,
    )
    return replace(resource, record=record)


def _began(job: RemoteJob) -> int:
    """When the job began to live, in epoch seconds, as far as it tells; 0 if it does not."""
    title = naming.parse_title(job.title)
    if title is not None and title.signed_at:
        return title.signed_at
    return int(job.created_at.timestamp()) if job.created_at is not None else 0


def _suspended(resource: JobResource) -> Situation:
    return Situation(
        phase=Phase.SUSPENDED,
        reason=Reason.SUSPENDED,
        message=f"spec.suspend is true, so remote job {resource.adopts} is not adopted",
        created=Created.NO,
        suspended=True,
    )
