"""C0: a create is claimed only when every precondition holds; each of them alone stops it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.naming import MAX_ATTEMPT
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.creation import ACCOUNT_AGAIN_SECONDS, RETRY_AFTER_SECONDS
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    Admission,
    ClaimIntent,
    Created,
    Facts,
    InspectAdmission,
    InspectContest,
    Problem,
    ReadListing,
    ReadServerTime,
    RecordCreate,
    RememberSighting,
    Rest,
    RestoreFinalizer,
    Situation,
)
from tests.support.adopters import adopter
from tests.support.builders import (
    CREATED,
    JOB,
    MONOTONIC,
    NOW,
    SIGNED,
    JobBuilder,
    a_job,
    a_listing,
    a_row,
    an_account,
    closed_account,
    facts,
    memory,
    refused,
    sighting,
    stranger,
)

READY = facts(listing=a_listing(stranger()))


def _situation(action: object) -> Situation:
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    return action.situation


def test_with_every_precondition_met_the_first_attempt_is_claimed() -> None:
    assert plan_job(a_job().resource, READY) == ClaimIntent(1)


@pytest.mark.failure_mode(11)
def test_a_resource_whose_records_were_taken_away_before_our_eyes_is_held_and_looked_for() -> None:
    """A request may have been under way: its job may still be committed, and no listing of now could show it."""
    seen = memory(traced=True, first_seen=NOW)
    bare = a_job().resource
    assert isinstance(plan_job(bare, facts(memory=seen)), RestoreFinalizer), "a deletion would let go of it"
    soon = facts(at=NOW + 60, listing=a_listing(date=NOW + 60), memory=replace(seen, sightings=(sighting(NOW + 30),)))
    assert isinstance(plan_job(a_job().held().resource, soon), RememberSighting)
    proven = facts(
        at=NOW + 450, listing=a_listing(date=NOW + 450), memory=replace(seen, sightings=(sighting(NOW + 420),))
    )
    assert isinstance(plan_job(a_job().held().resource, proven), ClaimIntent)


@pytest.mark.failure_mode(11)
def test_a_resource_that_names_the_job_that_it_wants_has_lost_no_create() -> None:
    action = plan_job(adopter().resource, facts(memory=memory(traced=True)))
    assert isinstance(action, InspectContest), "it takes a job over, and never sends a create"


def test_a_new_resource_shares_the_listing_of_its_account() -> None:
    fresh = plan_job(a_job().resource, facts(memory=memory()))
    assert isinstance(fresh, ReadListing)
    assert fresh.begun_after < MONOTONIC


@pytest.mark.parametrize(
    ("reason", "builder", "facts_", "because"),
    [
        pytest.param(
            Reason.PAUSED,
            a_job().paused(),
            READY,
            "a paused resource creates nothing",
            marks=pytest.mark.reason("Paused"),
        ),
        pytest.param(
            Reason.REMOTE_VALIDATION_FAILED,
            a_job(),
            replace(READY, digest=None, body_problem=Problem(Reason.REMOTE_VALIDATION_FAILED, "not ASCII")),
            "a spec that cannot be sent is not sent",
            marks=pytest.mark.reason("RemoteValidationFailed"),
        ),
        pytest.param(
            Reason.INVALID_REFERENCE,
            a_job(),
            replace(READY, account=closed_account()),
            "without account, Secret and key there is nobody to ask",
            marks=pytest.mark.reason("InvalidReference"),
        ),
        *(
            pytest.param(
                reason,
                a_job(),
                replace(READY, account=an_account(blocker=Problem(reason, "the account is not ready"))),
                "an account that is not accepted creates nothing, although it can be asked",
                marks=pytest.mark.reason(str(reason)),
            )
            for reason in (
                Reason.ACCOUNT_PROBING,
                Reason.CREDENTIALS_REJECTED,
                Reason.CLOCK_SKEW,
                Reason.API_UNAVAILABLE,
                Reason.RATE_LIMITED,
            )
        ),
    ],
)
def test_what_forbids_a_create_is_said_and_nothing_is_claimed(
    reason: Reason, builder: JobBuilder, facts_: Facts, because: str
) -> None:
    situation = _situation(plan_job(builder.resource, facts_))
    assert situation.reason is reason, because
    assert situation.created is Created.NO
    assert not situation.ready


def test_a_job_says_of_its_account_what_the_account_lacks() -> None:
    situation = _situation(plan_job(a_job().resource, replace(READY, account=closed_account())))
    assert situation.account_problem is not None
    assert situation.account_problem.reason is Reason.INVALID_REFERENCE


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"server_time": None, "server_date_age": None}, "an intent is timed by the server's clock alone"),
        ({"server_date_age": 60.1}, "a Date older than a minute is not trusted"),
    ],
)
@pytest.mark.failure_mode(66)
def test_without_a_fresh_server_time_it_is_read_first(changes: dict[str, Any], because: str) -> None:
    assert plan_job(a_job().resource, replace(READY, account=an_account(**changes))) == ReadServerTime(), because


@pytest.mark.parametrize(
    ("changes", "begun_after", "because"),
    [
        ({"listing": None}, 0.0, "no listing was read"),
        (
            {"listing": a_listing(begun=500.0), "leading_since": 500.0},
            500.0,
            "a listing begun before this process led may hide the job of the leader before",
        ),
        (
            {"listing": a_listing(begun=700.0), "memory": memory(last_post=700.0)},
            700.0,
            "a listing begun before our own POST cannot show its job",
        ),
    ],
)
@pytest.mark.failure_mode(14)
def test_a_listing_that_proves_too_little_is_read_again(
    changes: dict[str, Any], begun_after: float, because: str
) -> None:
    expected = ReadListing(since=CREATED - 3600, begun_after=begun_after)
    assert plan_job(a_job().resource, replace(READY, **changes)) == expected, because


BARRED = Problem(Reason.NAMESPACE_NOT_ALLOWED, "the account allows other namespaces")
WAITING = an_account(blocker=Problem(Reason.ACCOUNT_PROBING, "the known jobs are being looked for"), awaits_poll=True)


def test_the_listing_of_a_first_attempt_is_read_while_the_first_poll_is_waited_for() -> None:
    """At a start both are long; neither needs the other, and nothing is claimed before both are there."""
    unread = facts(account=WAITING)
    expected = ReadListing(since=CREATED - 3600, begun_after=unread.leading_since)
    assert plan_job(a_job().resource, unread) == expected
    assert _situation(plan_job(a_job().resource, replace(READY, account=WAITING))).reason is Reason.ACCOUNT_PROBING


@pytest.mark.parametrize(
    ("builder", "facts_", "because"),
    [
        (a_job(), facts(account=replace(WAITING, awaits_poll=False)), "the account itself is not ready"),
        (a_job().paused(), facts(account=WAITING), "it is not the account that it waits for"),
        (a_job().intent(refused(Refusal.ABSENT)), facts(account=WAITING), "a later attempt reads a listing of its own"),
        (
            a_job(),
            facts(account=replace(WAITING, shared=True), admission=Admission(BARRED, MONOTONIC)),
            "the namespace may not use the account",
        ),
    ],
)
def test_no_listing_is_read_ahead_that_would_be_of_no_use(builder: JobBuilder, facts_: Facts, because: str) -> None:
    assert isinstance(plan_job(builder.resource, facts_), Rest), because


def test_on_a_shared_account_the_namespace_must_be_allowed_before_anything_is_listed_for_it() -> None:
    unread = facts(account=replace(WAITING, shared=True))
    assert plan_job(a_job().resource, unread) == InspectAdmission()
    allowed = replace(unread, admission=Admission(None, MONOTONIC))
    assert isinstance(plan_job(a_job().resource, allowed), ReadListing)


def test_a_listing_that_proves_too_little_is_read_again_while_the_poll_is_waited_for() -> None:
    early = facts(account=WAITING, leading_since=500.0, listing=a_listing(begun=500.0))
    assert plan_job(a_job().resource, early) == ReadListing(since=CREATED - 3600, begun_after=500.0)


def test_what_the_status_says_of_an_account_that_is_looked_at_is_not_said_again_in_other_words() -> None:
    said = {"conditions": [{"type": "Ready", "status": "False", "reason": "AccountProbing"}]}
    waiting = plan_job(a_job().status(**said).resource, replace(READY, account=WAITING))
    assert waiting == Rest(None, ACCOUNT_AGAIN_SECONDS)


@pytest.mark.failure_mode(28)
def test_a_listing_from_before_the_end_of_a_doubt_proves_nothing() -> None:
    """The service was blind: what it did not show then may be there."""
    doubted = replace(READY, account=an_account(believed_since=MONOTONIC - 10), listing=a_listing(begun=MONOTONIC - 20))
    expected = ReadListing(since=CREATED - 3600, begun_after=MONOTONIC - 10)
    assert plan_job(a_job().resource, doubted) == expected


# --- rows that no record knows ---


@pytest.mark.failure_mode(14)
def test_a_job_of_this_uid_is_adopted_instead_of_a_second_one_created() -> None:
    action = plan_job(a_job().resource, facts(listing=a_listing(stranger(), a_row(attempt=3))))
    assert isinstance(action, RecordCreate)
    assert (action.uuid, action.attempt, action.adopted) == (JOB, 3, True)


@pytest.mark.failure_mode(15)
@pytest.mark.failure_mode(56)
def test_after_a_restore_to_a_refused_attempt_the_newer_job_is_adopted() -> None:
    builder = a_job().intent(refused(Refusal.ABSENT)).record(uuid=None, state="Refused")
    action = plan_job(builder.resource, facts(listing=a_listing(a_row(attempt=2, signed_at=SIGNED + 900))))
    assert isinstance(action, RecordCreate)
    assert action.attempt == 2


def test_a_terminal_job_is_adopted_as_the_finished_attempt_and_never_run_again() -> None:
    action = plan_job(a_job().resource, facts(listing=a_listing(a_row(status="COMPLETED"))))
    assert isinstance(action, RecordCreate)


@pytest.mark.failure_mode(42)
@pytest.mark.failure_mode(59)
@pytest.mark.reason("OwnershipAmbiguous")
def test_a_copy_made_by_hand_is_neither_adopted_nor_followed_by_a_create() -> None:
    copy = a_row(created_at=a_row(signed_at=SIGNED + 3600).created_at)
    situation = _situation(plan_job(a_job().resource, facts(listing=a_listing(copy))))
    assert situation.reason is Reason.OWNERSHIP_AMBIGUOUS
    assert situation.stalled


@pytest.mark.parametrize(
    ("builder", "attempt", "because"),
    [
        (a_job().intent(refused(Refusal.ABSENT)), 2, "the first attempt is proven absent"),
        (a_job().intent(refused(Refusal.ABSENT, attempt=7)), 8, "one more than the intent"),
        (a_job().record(uuid=None, state="Refused", attempt=4), 5, "one more than the status"),
        (
            a_job().intent(refused(Refusal.ABSENT, attempt=4)).record(uuid=None, state="Refused", attempt=2),
            5,
            "one more than the larger of the two",
        ),
    ],
)
def test_the_next_attempt_is_one_more_than_any_record_knows(builder: JobBuilder, attempt: int, because: str) -> None:
    assert plan_job(builder.resource, READY) == ClaimIntent(attempt), because


@pytest.mark.reason("BackoffLimitExceeded")
def test_when_the_two_digits_of_the_attempt_are_used_up_nothing_is_created_any_more() -> None:
    builder = a_job().intent(refused(Refusal.ABSENT, attempt=MAX_ATTEMPT))
    situation = _situation(plan_job(builder.resource, READY))
    assert situation.reason is Reason.BACKOFF_LIMIT_EXCEEDED
    assert situation.stalled


# --- refusals (C6) ---


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        pytest.param(Refusal.PERMISSION, Reason.PERMISSION_REFUSED, marks=pytest.mark.reason("PermissionRefused")),
        pytest.param(Refusal.FUNDS, Reason.INSUFFICIENT_FUNDS, marks=pytest.mark.reason("InsufficientFunds")),
        pytest.param(
            Refusal.NOT_FOUND, Reason.REMOTE_VALIDATION_FAILED, marks=pytest.mark.reason("RemoteValidationFailed")
        ),
        pytest.param(Refusal.NOT_SENT, Reason.API_UNAVAILABLE, marks=pytest.mark.reason("APIUnavailable")),
    ],
)
def test_a_refusal_waits_by_its_reason_and_is_then_tried_again(refusal: Refusal, reason: Reason) -> None:
    resource = a_job().intent(refused(refusal)).resource
    due = SIGNED + RETRY_AFTER_SECONDS[refusal]
    waiting = plan_job(resource, facts(at=due - 1, listing=READY.listing))
    assert _situation(waiting).reason is reason
    assert isinstance(waiting, Rest)
    assert waiting.after == 1.0
    assert plan_job(resource, facts(at=due, listing=READY.listing)) == ClaimIntent(2)


@pytest.mark.reason("RemoteValidationFailed")
def test_a_validation_refusal_waits_for_a_spec_that_says_something_else() -> None:
    resource = a_job().intent(refused(Refusal.VALIDATION)).resource
    much_later = facts(at=NOW + 86400, listing=READY.listing)
    assert _situation(plan_job(resource, much_later)).stalled
    assert plan_job(resource, replace(much_later, digest="of another spec")) == ClaimIntent(2)


@pytest.mark.parametrize("refusal", [Refusal.VALIDATION, Refusal.PERMISSION, Refusal.FUNDS, Refusal.NOT_SENT])
def test_a_person_who_asks_for_a_look_now_ends_the_wait(refusal: Refusal) -> None:
    resource = a_job().intent(refused(refusal)).resource
    assert plan_job(resource, replace(READY, forced=True)) == ClaimIntent(2)


@pytest.mark.reason("CreateOutcomeUnknown")
def test_an_abandoned_create_is_never_repeated_not_even_when_asked() -> None:
    resource = a_job().intent(refused(Refusal.ABANDONED)).resource
    situation = _situation(plan_job(resource, replace(READY, forced=True)))
    assert situation.reason is Reason.CREATE_OUTCOME_UNKNOWN
    assert situation.stalled


def test_a_pause_holds_back_the_attempt_after_a_proof_too() -> None:
    resource = a_job().intent(refused(Refusal.ABSENT)).paused().resource
    assert _situation(plan_job(resource, READY)).reason is Reason.PAUSED


def test_a_resource_that_the_schema_no_longer_fits_says_which_field() -> None:
    problem = Problem(Reason.REMOTE_VALIDATION_FAILED, "the spec does not fit (template: missing)")
    broken = a_job().spec({"task": "Batch"}).resource
    situation = _situation(plan_job(broken, replace(READY, digest=None, body_problem=problem)))
    assert "template: missing" in situation.message
    assert situation.stalled


def test_a_listing_of_a_moment_ago_serves_as_long_as_nothing_of_ours_was_sent_since() -> None:
    listing = a_listing(begun=MONOTONIC - 50)
    assert plan_job(a_job().resource, facts(listing=listing, memory=memory(last_post=MONOTONIC - 51))) == ClaimIntent(1)


@pytest.mark.parametrize(("since", "enough"), [(CREATED - 3600, True), (CREATED - 3599, False), (SIGNED, False)])
@pytest.mark.failure_mode(14)
def test_the_listing_must_reach_back_to_an_hour_before_the_creation(since: int, enough: bool) -> None:
    action = plan_job(a_job().resource, facts(listing=a_listing(since=since)))
    assert isinstance(action, ClaimIntent) is enough
    assert isinstance(action, ReadListing) is not enough
