"""C0 with references: read last and for one attempt; what cannot be resolved claims nothing and is read again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.creation import RETRY_AFTER_SECONDS
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.memory import Unresolved
from dispersed_operator.planning.resolved import Resolved
from dispersed_operator.planning.vocabulary import (
    ClaimIntent,
    Created,
    Problem,
    ReadListing,
    ReadServerTime,
    ResolveReferences,
    Rest,
    Situation,
)
from tests.support.builders import (
    BATCH,
    MONOTONIC,
    SIGNED,
    JobBuilder,
    a_job,
    a_listing,
    an_account,
    an_intent,
    digest_of,
    facts,
    memory,
    refused,
    stranger,
)

SPEC: dict[str, Any] = {**BATCH, "template": {**BATCH["template"], "imagePullSecretRef": {"name": "pull"}}}
READY = facts(listing=a_listing(stranger()), digest=digest_of(SPEC))
FOUND = Resolved(env={})
MISSING = Problem(Reason.INVALID_REFERENCE, "spec.template.imagePullSecretRef: the Secret team-a/pull does not exist")


def referring() -> JobBuilder:
    return a_job().spec(SPEC)


def remembered(*, due: float = MONOTONIC + 20.0, generation: int = 1) -> Unresolved:
    return Unresolved(MISSING.reason, MISSING.message, generation=generation, failures=2, due=due)


def test_references_are_resolved_directly_before_the_intent_is_claimed() -> None:
    assert plan_job(referring().resource, READY) == ResolveReferences()
    assert plan_job(referring().resource, replace(READY, references=FOUND)) == ClaimIntent(1)


def test_a_job_without_references_reads_nothing() -> None:
    assert plan_job(a_job().resource, replace(READY, digest=digest_of())) == ClaimIntent(1)


def test_nothing_is_read_while_any_other_precondition_lacks() -> None:
    resource = referring().resource
    assert isinstance(plan_job(resource, replace(READY, listing=None)), ReadListing)
    stale = an_account(server_date_age=61.0)
    assert plan_job(resource, replace(READY, account=stale)) == ReadServerTime()
    assert isinstance(plan_job(referring().paused().resource, READY), Rest)


@pytest.mark.reason("InvalidReference")
def test_what_cannot_be_resolved_stalls_the_job_until_the_next_look_is_due() -> None:
    held = memory(unresolved=remembered())
    for known in (replace(READY, references=MISSING, memory=held), replace(READY, memory=held)):
        action = plan_job(referring().resource, known)
        assert isinstance(action, Rest)
        assert isinstance(action.situation, Situation)
        assert (action.situation.reason, action.situation.message) == (MISSING.reason, MISSING.message)
        assert (action.situation.stalled, action.situation.created) == (True, Created.NO)
        assert action.after == 20.0


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"memory": memory(unresolved=remembered(due=MONOTONIC))}, "the time has come"),
        ({"memory": memory(unresolved=remembered()), "forced": True}, "a person asks for a look now"),
        ({"memory": memory(unresolved=remembered(generation=0))}, "the spec was edited since"),
    ],
)
def test_references_are_read_again(changes: dict[str, Any], because: str) -> None:
    assert plan_job(referring().resource, replace(READY, **changes)) == ResolveReferences(), because


def test_a_request_for_a_look_reads_once_and_then_rests() -> None:
    asked = replace(READY, forced=True, references=MISSING, memory=memory(unresolved=remembered()))
    assert isinstance(plan_job(referring().resource, asked), Rest)


def test_a_memory_of_a_broken_reference_does_not_stop_a_job_whose_references_are_resolved() -> None:
    known = replace(READY, references=FOUND, memory=memory(unresolved=remembered()))
    assert plan_job(referring().resource, known) == ClaimIntent(1)


def test_a_second_attempt_reads_afresh() -> None:
    resource = referring().intent(refused(Refusal.ABSENT)).resource
    assert plan_job(resource, READY) == ResolveReferences()


@pytest.mark.reason("RemoteValidationFailed")
def test_a_validation_refusal_of_a_job_with_references_is_tried_again_slowly_because_a_secret_may_be_mended() -> None:
    resource = referring().intent(refused(Refusal.VALIDATION, body_sha256=digest_of(SPEC))).resource
    due = SIGNED + RETRY_AFTER_SECONDS[Refusal.VALIDATION]
    waiting = plan_job(resource, facts(at=due - 1, listing=READY.listing, digest=digest_of(SPEC)))
    assert isinstance(waiting, Rest)
    assert isinstance(waiting.situation, Situation)
    assert (waiting.situation.reason, waiting.situation.stalled) == (Reason.REMOTE_VALIDATION_FAILED, True)
    assert waiting.after == 1.0
    again = plan_job(resource, facts(at=due, listing=READY.listing, digest=digest_of(SPEC)))
    assert again == ResolveReferences()


@pytest.mark.parametrize("refusal", [Refusal.VALIDATION, Refusal.FUNDS])
def test_a_broken_reference_found_after_a_refusal_is_what_is_told_and_its_mending_ends_the_wait(
    refusal: Refusal,
) -> None:
    resource = referring().intent(refused(refusal, body_sha256=digest_of(SPEC))).resource
    soon = facts(at=SIGNED + 20, listing=READY.listing, digest=digest_of(SPEC))
    told = plan_job(resource, replace(soon, memory=memory(unresolved=remembered())))
    assert isinstance(told, Rest)
    assert isinstance(told.situation, Situation)
    assert told.situation.reason is MISSING.reason
    due = replace(soon, memory=memory(unresolved=remembered(due=MONOTONIC)))
    assert plan_job(resource, due) == ResolveReferences()
    assert plan_job(resource, replace(soon, references=FOUND)) == ClaimIntent(2)
    earlier = replace(soon, memory=memory(unresolved=remembered(generation=0)))
    assert isinstance(plan_job(resource, earlier), Rest), "what was known of an earlier spec ends no wait"


@pytest.mark.parametrize(
    "builder",
    [
        referring().intent(an_intent(body_sha256=digest_of(SPEC))),
        referring().created(),
        referring().created().deleting(),
        referring().intent(an_intent(body_sha256=digest_of(SPEC))).deleting(),
    ],
)
def test_a_job_that_was_requested_never_needs_its_references_again(builder: JobBuilder) -> None:
    for listing in (None, READY.listing):
        assert plan_job(builder.resource, replace(READY, listing=listing)) != ResolveReferences()
