"""The one entry of planning: what is the next step for this DispersedJob?

The order is the argument. A deletion overrules everything. An identity that is not settled stops everything else. A
create whose outcome is unknown is settled before anything new is thought of. Only then comes watching a job that
exists, and last the creation of one that certainly does not.
"""

from __future__ import annotations

from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.status import Phase
from dispersed_operator.planning import adoption
from dispersed_operator.planning.answers import plan_answer
from dispersed_operator.planning.attempt import newest_pending, plan_own_attempt
from dispersed_operator.planning.creation import plan_creation
from dispersed_operator.planning.deletion import plan_deletion
from dispersed_operator.planning.identity import has_foreign_origin, identity_of
from dispersed_operator.planning.lookup import Proof, Question, latest_signature, plan_lookup
from dispersed_operator.planning.tracking import plan_tracking
from dispersed_operator.planning.vocabulary import Action, Facts, RefuseIntent, RestoreFinalizer


def plan_job(resource: JobResource, facts: Facts) -> Action:
    """The next action for this resource, given these facts."""
    if resource.deleting:
        return plan_deletion(resource, facts)
    if has_foreign_origin(resource, facts.cluster_id):
        return adoption.ambiguous(
            "the create intent on this object was made for another object or cluster (a restored or copied manifest); "
            "remove the annotation dispersed.dev/create-intent and the status of a copy, or delete it"
        )
    pending = newest_pending(resource, facts.memory)
    if pending is None:
        return plan_tracking(resource, facts) if resource.job_uuid else plan_creation(resource, facts)
    if not resource.has_finalizer:
        return RestoreFinalizer()
    own_step = plan_own_attempt(facts, pending, may_send=True)
    if own_step is not None:
        return own_step  # what this process knows of its own request overrules what a person says of it
    answer = plan_answer(resource, facts, pending)
    if answer is not None:
        return answer
    question = Question(
        pending=pending,
        identities=(identity_of(resource, facts.cluster_id),),
        signed_at=latest_signature(resource, facts, pending),
        phase=Phase.CREATING,
    )
    conclusion = plan_lookup(resource, facts, question)
    if conclusion is not Proof.ABSENT:
        return conclusion
    if resource.job_uuid is not None:
        # An earlier attempt that was thought lost did commit, late: the newer one is settled, that job is ours.
        return RefuseIntent(Refusal.ABSENT, "proven absent; the job of an earlier attempt exists")
    return plan_creation(resource, facts)
