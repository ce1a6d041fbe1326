"""The one entry of planning: what is the next step for this DispersedJob?

The order is the argument. A deletion overrules everything. An identity that is not settled stops everything else. A
create whose outcome is unknown is settled before anything new is thought of. Only then comes watching a job that
exists, and last the creation of one that certainly does not.
"""

from __future__ import annotations

from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.answers import plan_answer
from dispersed_operator.planning.attempt import newest_pending, plan_own_attempt
from dispersed_operator.planning.creation import plan_creation
from dispersed_operator.planning.deletion import plan_deletion
from dispersed_operator.planning.identity import cancel_identities
from dispersed_operator.planning.inheritance import perceive, plan_inheritance
from dispersed_operator.planning.lookup import Proof, Question, latest_signature, plan_lookup
from dispersed_operator.planning.takeover import plan_takeover
from dispersed_operator.planning.tracking import plan_tracking
from dispersed_operator.planning.vocabulary import (
    Action,
    CancelJob,
    Created,
    Facts,
    Kept,
    Problem,
    RefuseIntent,
    Rest,
    RestoreFinalizer,
    Situation,
)

FROZEN_AGAIN_SECONDS = 30.0


def plan_job(resource: JobResource, facts: Facts) -> Action:
    """The next action for this resource, given these facts."""
    perceived = perceive(resource, facts.cluster_id, facts.memory.inspected)
    if resource.adopts is not None:
        action = plan_takeover(resource, perceived, facts)
    else:
        action = plan_inheritance(resource, perceived, facts) or _plan(perceived, facts)
    if isinstance(action, CancelJob) and facts.account.frozen is not None:
        return _held_back(perceived, facts.account.frozen)  # the one gate before every cancel (failure mode 70)
    return action


def _plan(resource: JobResource, facts: Facts) -> Action:
    """The next step for a resource that carries nothing of another one but of its earlier self."""
    if resource.deleting:
        return plan_deletion(resource, facts)
    pending = newest_pending(resource, facts.memory)
    if pending is None:
        return plan_tracking(resource, facts) if resource.job_uuid else plan_creation(resource, facts)
    if not resource.has_finalizer:
        return RestoreFinalizer()
    own_step = plan_own_attempt(facts, pending, may_send=not resource.suspend_wanted)
    if own_step is not None:
        return own_step  # what this process knows of its own request overrules what a person says of it
    answer = plan_answer(resource, facts, pending)
    if answer is not None:
        return answer
    question = Question(
        pending=pending,
        identities=cancel_identities(resource, facts.cluster_id),
        signed_at=latest_signature(resource, facts, pending),
        phase=Phase.CREATING,
    )
    conclusion = plan_lookup(resource, facts, question)
    if conclusion is not Proof.ABSENT:
        return conclusion
    if resource.job_uuid is not None:
        # An earlier attempt that was thought lost did commit, late: the newer one is settled, that job is ours.
        return RefuseIntent(Refusal.ABSENT, "proven absent; the job of an earlier attempt exists")
    if resource.suspend_wanted and (pending.token is not None or resource.record is not None):
        return RefuseIntent(Refusal.ABSENT, "proven absent while the resource was suspended")
    return plan_creation(resource, facts)


def _held_back(resource: JobResource, problem: Problem) -> Rest:
    """A cancel that waits for a person. A resource that stays keeps what its status says."""
    if not resource.deleting:
        return Rest(Kept(problem), FROZEN_AGAIN_SECONDS)
    situation = Situation(
        phase=Phase.STOPPING,
        reason=problem.reason,
        message=f"the remote job is not cancelled: {problem.message}",
        created=Created.YES,
        stalled=True,
        account_problem=problem,
    )
    return Rest(situation, FROZEN_AGAIN_SECONDS)
