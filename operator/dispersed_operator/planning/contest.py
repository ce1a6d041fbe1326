"""May this resource have the remote job that it adopts? Judged from the resources of the cluster as the store has them.

A uuid in `spec.adopt` is only a wish, and anybody who may create a resource can write one. So the account must allow
adoption, and the job must be nobody else's. Invariants: what a status says can only take a job away from a resource
here, never give it one; of several that adopt the same job exactly one may have it, whatever their statuses say; the
answer names nobody (failure mode 52).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from dispersed_operator.model import naming
from dispersed_operator.model.observed import JobResource, parse_job
from dispersed_operator.model.reading import Reading
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.planning.identity import cancel_identities, claims
from dispersed_operator.planning.sweep_bodies import possible_owners, recorded_jobs
from dispersed_operator.planning.vocabulary import Contest

UNSEEN_ATTEMPTS = 3

Allows = Callable[[JobResource], bool]


def judge_contest(
    adopter: JobResource, job: RemoteJob | None, known: Collection[Reading], *, cluster_id: str, allows: Allows
) -> Contest:
    """`known` are all DispersedJobs that are known; `allows` tells whether the account of a resource lets it adopt
    jobs. Without `job` the title is not asked whose it is."""
    others = [other for other in known if other.uid != adopter.uid]
    rivals = rivals_of(adopter, known)
    owned = (
        adopter.adopts in recorded_jobs(other for other in others if other.outline.adopts != adopter.adopts)
        or any(_comes_first(rival, adopter, allows) for rival in rivals)
        or (job is not None and _is_titled_for(job, others, cluster_id))
    )
    return Contest(allowed=allows(adopter), owned=owned, titled=job is not None)


def rivals_of(adopter: JobResource, known: Collection[Reading]) -> list[JobResource]:
    """The other resources that adopt the same job; `allows` is asked of these, and of the adopter."""
    rivals = (other for other in known if other.uid != adopter.uid and other.outline.adopts == adopter.adopts)
    return [parse_job(rival.body()) for rival in rivals]


def _comes_first(rival: JobResource, adopter: JobResource, allows: Allows) -> bool:
    """Of several that adopt one job the oldest has it; one whose account forbids it, or that goes, is no rival."""
    if rival.deleting and not rival.has_finalizer:
        return False
    older = (rival.created_at, rival.uid) < (adopter.created_at, adopter.uid)
    return older and allows(rival)


def _is_titled_for(job: RemoteJob, others: Collection[Reading], cluster_id: str) -> bool:
    """Whether the job proves to be of another resource, or of its earlier self (protocol, Identity)."""
    owners = possible_owners(others, [job.title])
    if naming.parse_title(job.title) is None and (job.env_token or naming.parse_description(job.description)):
        # The title was rewritten: only the token tells (mode 41).
        owners = tuple(parse_job(other.body()) for other in others)
    return any(
        claims(job, identity, range(1, other.highest_attempt() + UNSEEN_ATTEMPTS + 1)) is not None
        for other in owners
        for identity in cancel_identities(other, cluster_id)
    )
