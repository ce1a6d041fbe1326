"""Processes that break the protocol on purpose: what the exploration must find, or it proves nothing.

Each is the real planning code with one rule taken out, so that a rule which nobody checks shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.planning import vocabulary as say
from dispersed_operator.planning.job import plan_job
from tests.exploration.explorer import Scenario
from tests.exploration.moves import Habits, Plan

IMPATIENT = ProofWindows(signature_window=0.0, proof_margin=-120.0, second_sighting=0.0)


def believes_the_first_empty_listing(resource: JobResource, facts: say.Facts) -> say.Action:
    """Takes the first listing without the job for the proof that there is none."""
    action = plan_job(resource, facts)
    if not isinstance(action, say.RememberSighting):
        return action
    seen = replace(action.sighting, page_size=action.sighting.page_size + 1)
    memory = replace(facts.memory, sightings=(seen,))
    return plan_job(resource, replace(facts, account=replace(facts.account, windows=IMPATIENT), memory=memory))


def drops_the_finalizer_with_the_cancel(resource: JobResource, facts: say.Facts) -> say.Action:
    """Cancels once and lets the resource go without looking whether the job has ended."""
    if resource.deleting and resource.job_uuid and facts.memory.cancels:
        return say.DropFinalizer(EventReason.CANCELLED, "cancelled", None)
    return plan_job(resource, facts)


def believes_the_first_404(resource: JobResource, facts: say.Facts) -> say.Action:
    """Lets a deleted resource go as soon as one read does not find its job."""
    if resource.deleting and isinstance(facts.job, say.Missing):
        return say.DropFinalizer(EventReason.RELEASED, "the job is not known", None)
    return plan_job(resource, facts)


def sends_again_after_a_lost_answer(resource: JobResource, facts: say.Facts) -> say.Action:
    """Repeats a request whose outcome it does not know."""
    own = facts.memory.own
    if own is not None and own.state is say.SendState.UNKNOWN and facts.now - own.won_at < 20:
        return say.SendCreate()
    return plan_job(resource, facts)


def claims_anew_while_unknown(resource: JobResource, facts: say.Facts) -> say.Action:
    """Signs the next attempt at once when nobody knows what became of the last."""
    pending = resource.pending_create()
    if pending is not None and facts.memory.own is None and not resource.deleting:
        return say.ClaimIntent(pending.attempt + 1)
    return plan_job(resource, facts)


def forgets_a_deleted_create(resource: JobResource, facts: say.Facts) -> say.Action:
    """Lets a deleted resource go that has no recorded job, though its create may still come true."""
    if resource.deleting and resource.job_uuid is None and resource.has_finalizer:
        return say.DropFinalizer(EventReason.RELEASED, "nothing was recorded", None)
    return plan_job(resource, facts)


def creates_again_what_has_ended(resource: JobResource, facts: say.Facts) -> say.Action:
    """Runs the job of a resource again once it is over."""
    job = facts.job or facts.snapshot_job
    if isinstance(job, RemoteJob) and job.terminal and not resource.deleting:
        return say.ClaimIntent(resource.highest_attempt() + 1)
    return plan_job(resource, facts)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken process, in which scenario it is met, and how the broken rule begins."""

    habits: Habits
    rule: str
    scenario: Scenario = field(default_factory=Scenario)


def _plan(plan: Plan, rule: str) -> Mutant:
    return Mutant(Habits(plan=plan), rule)


MUTANTS: Mapping[str, Mutant] = {
    "believes the first empty listing": _plan(believes_the_first_empty_listing, "nonce 1 was sent for an intent"),
    "drops the finalizer with the cancel": _plan(drops_the_finalizer_with_the_cancel, "a job lives without"),
    "believes the first 404": _plan(believes_the_first_404, "a job lives without"),
    "sends again after a lost answer": Mutant(
        Habits(plan=sends_again_after_a_lost_answer, keeps_signed=True), "nonce 1 was sent twice"
    ),
    "claims anew while unknown": _plan(claims_anew_while_unknown, "nonce 1 was sent for an intent"),
    "forgets a deleted create": _plan(forgets_a_deleted_create, "a request can be accepted without"),
    "creates again what has ended": _plan(creates_again_what_has_ended, "a second job"),
    "posts without compare-and-swap": Mutant(Habits(compares=False), "", Scenario(faults=0)),
}
