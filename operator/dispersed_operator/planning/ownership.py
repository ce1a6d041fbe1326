"""What lets a resource show and end a remote job: the job's title, or its own `spec.adopt`.

For a resource that creates its job the title decides, and nothing else (planning/identity.py). For one that adopts,
three things together do, asked anew in every pass: the uuid in its immutable spec, the permission of its account, and
that no other resource may have the job (planning/contest.py). Invariant: neither status nor annotation gives a resource
any right; a forged one reaches nobody's job (protocol D4, Identity; failure mode 52).
"""

from __future__ import annotations

from dataclasses import replace

from dispersed_operator.model import naming
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.planning.identity import Claimed, claimed_by, identity_of
from dispersed_operator.planning.vocabulary import Contest, Facts, InspectContest, Problem

ADOPTED_ATTEMPT = 1


def claim_on(resource: JobResource, facts: Facts, job: RemoteJob) -> Claimed | Problem | InspectContest | None:
    """What ties `job` to the resource; why an adopted job is not its own now, or what to ask first; None if its title
    is not this resource's."""
    if resource.adopts is None:
        return claimed_by(resource, facts.cluster_id, job, range(1, resource.highest_attempt() + 1))
    if job.uuid != resource.adopts:
        return None
    if facts.contest is None or not facts.contest.titled:
        return InspectContest(facts.cluster_id, job)
    problem = objection(resource, facts, facts.contest)
    return problem or Claimed(ADOPTED_ATTEMPT, 0, adopted_token(resource, facts.cluster_id))


def objection(resource: JobResource, facts: Facts, contest: Contest) -> Problem | None:
    """Why the resource may not have the job that it adopts. The words tell a tenant nothing of another one."""
    if not contest.allowed:
        # Nothing on an adopted job says whose it is: a namespace that may not use a shared account must not reach one
        # of its jobs, even if a record says that it did so earlier.
        shared = facts.account.shared
        account = facts.account.name.replace("/", " ") if shared else f"DispersedAccount {facts.account.name}"
        text = f"spec.adopt names remote job {resource.adopts}, but spec.allowAdoption of the {account} is not true"
        if shared:
            text += f", or its spec.allowedNamespaces does not allow the namespace {resource.key.namespace}"
        return Problem(Reason.ADOPTION_NOT_ALLOWED, text)
    if contest.owned:
        text = f"remote job {resource.adopts} is owned by another DispersedJob; an administrator can tell by which"
        return Problem(Reason.OWNERSHIP_AMBIGUOUS, text)
    return None


def adopted_token(resource: JobResource, cluster_id: str) -> str:
    """The token in the record of an adopted job: it ties the record to this very object, so a copy inherits nothing."""
    return naming.create_token(identity_of(resource, cluster_id), ADOPTED_ATTEMPT)


def adoption_mark(resource: JobResource, cluster_id: str) -> str:
    """The annotation that is written before the record: losing one of the two loses nothing (failure mode 11)."""
    return f"{adopted_token(resource, cluster_id)}:{resource.adopts}"


def is_marked(resource: JobResource, cluster_id: str) -> bool:
    """Whether this very object was about to record its job, or did."""
    return resource.annotations.get(naming.ADOPTED_ANNOTATION) == adoption_mark(resource, cluster_id)


def as_adopter(resource: JobResource, cluster_id: str) -> JobResource:
    """The object without an intent, which it cannot have, and without a status that speaks of another object or job."""
    bare = replace(resource, intent=None, intent_garbled=False)
    record, shown = resource.record, resource.status.get("jobUUID")
    if record is None and not shown:
        return bare
    own = (
        record is not None
        and (record.uuid, record.attempt) == (resource.adopts, ADOPTED_ATTEMPT)
        and record.token == adopted_token(resource, cluster_id)
        and shown in {None, resource.adopts}
    )
    return bare if own else replace(bare, record=None, status={})
