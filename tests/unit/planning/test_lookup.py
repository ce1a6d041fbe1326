"""C7: a job that is found is adopted at once; absence is proven or waited for, and never assumed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispersed_operator.model.intent import AccountMark
from dispersed_operator.model.reasons import REASONS, Owner, Reason
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.lookup import DELAYS
from dispersed_operator.planning.vocabulary import (
    ClaimIntent,
    Created,
    Facts,
    Problem,
    ReadListing,
    RecordCreate,
    RefuseIntent,
    RememberSighting,
    Rest,
    Sighting,
    Situation,
)
from tests.support.builders import (
    ACCOUNT,
    CREATED,
    JOB,
    MONOTONIC,
    OTHER_ACCOUNT,
    SIGNED,
    JobBuilder,
    a_job,
    a_listing,
    a_row,
    an_account,
    an_intent,
    closed_account,
    facts,
    memory,
    sighting,
    stranger,
)

LATE = SIGNED + 420
UNKNOWN = a_job().intent()
OLD = stranger()


def _proof(**changes: Any) -> Facts:
    """Two listings that prove absence: the first at `LATE`, the second 30 s later with another page size."""
    standard = facts(
        at=LATE + 31, listing=a_listing(OLD, date=LATE + 30), memory=memory(sightings=(sighting(LATE),), lookups=9)
    )
    return replace(standard, **changes)


def _situation(action: object) -> Situation:
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    return action.situation


@pytest.mark.failure_mode(5)
def test_two_late_listings_without_the_job_prove_absence_and_the_next_attempt_follows() -> None:
    assert plan_job(UNKNOWN.resource, _proof()) == ClaimIntent(2)


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"memory": memory()}, "one sighting may be a listing that lags"),
        ({"memory": memory(sightings=(sighting(LATE - 1),))}, "a copy of the request could still have been accepted"),
        ({"listing": a_listing(OLD, date=LATE + 29)}, "the two are less than 30 s apart"),
        ({"listing": a_listing(OLD, date=LATE + 30, page_size=49)}, "with one page size ties can hide a row twice"),
        ({"memory": memory(sightings=(sighting(LATE, account=OTHER_ACCOUNT),))}, "the first was of another account"),
        ({"memory": memory(sightings=(sighting(LATE + 60),))}, "the first is younger than the second"),
        ({"account": an_account(server_time=LATE + 31.0, expiry_enforced=False)}, "signatures do not expire there"),
        ({"account": an_account(server_time=LATE + 31.0, expiry_enforced=None)}, "nobody knows whether they expire"),
        ({"account": an_account(server_time=LATE + 31.0, mark=OTHER_ACCOUNT)}, "another account was asked"),
        (
            {"account": an_account(server_time=LATE + 31.0, windows=ProofWindows(signature_window=600.0))},
            "the probes found that signatures live longer there",
        ),
        ({"listing": a_listing(OLD, date=LATE + 30, begun=800.0), "memory": memory(last_post=900.0)}, "it is too old"),
    ],
)
@pytest.mark.failure_mode(40)
@pytest.mark.failure_mode(55)
def test_with_any_one_condition_missing_there_is_no_proof(changes: dict[str, Any], because: str) -> None:
    action = plan_job(UNKNOWN.resource, _proof(**changes))
    assert isinstance(action, Rest | RememberSighting | ReadListing), because


@pytest.mark.parametrize(
    ("mark", "keys", "proven", "because"),
    [
        (OTHER_ACCOUNT, frozenset({"pk_one"}), True, "a job recorded under the old key is readable with the new one"),
        (OTHER_ACCOUNT, frozenset({"pk_three"}), False, "only a third key is known to continue"),
        (AccountMark("api.example.com", "pk_two", "acc"), frozenset(), False, "the intent names no identity"),
        (AccountMark("other.example.com", "pk_one"), frozenset(), False, "another host is another service"),
    ],
)
@pytest.mark.failure_mode(28)
@pytest.mark.failure_mode(55)
def test_after_a_rotation_a_negative_counts_only_with_continuity(
    mark: AccountMark, keys: frozenset[str], proven: bool, because: str
) -> None:
    account = an_account(server_time=LATE + 31.0, mark=mark, continuous_keys=keys)
    seen = memory(sightings=(sighting(LATE, account=mark),))
    action = plan_job(UNKNOWN.resource, _proof(account=account, memory=seen))
    assert (action == ClaimIntent(2)) is proven, because


@pytest.mark.failure_mode(55)
def test_rows_that_carry_the_same_account_uuid_show_continuity() -> None:
    signed_for, asked = replace(ACCOUNT, identity="acc"), replace(OTHER_ACCOUNT, identity="acc")
    resource = a_job().intent(an_intent(account=signed_for)).resource
    seen = memory(sightings=(sighting(LATE, account=asked),))
    assert plan_job(resource, _proof(account=an_account(mark=asked), memory=seen)) == ClaimIntent(2)


@pytest.mark.parametrize(
    ("age", "rows", "proven", "because"),
    [
        (86_400, (), True, "a request of a day ago may stand in an empty history"),
        (86_401, (), False, "the history of an older one may have been purged"),
        (86_401, (stranger(created_at=a_row(signed_at=SIGNED + 100).created_at),), False, "only younger rows are left"),
        (86_401, (stranger(created_at=a_row(signed_at=SIGNED - 100).created_at),), True, "an older row is still there"),
        (
            86_401,
            (stranger(created_at=a_row(signed_at=SIGNED - 100).created_at, created_at_is_date=True),),
            False,
            "a date counts as the end of its day",
        ),
    ],
)
@pytest.mark.reason("CreateOutcomeUnknown")
def test_after_a_day_absence_needs_an_older_row(age: int, rows: Any, proven: bool, because: str) -> None:
    date = SIGNED + age
    given = facts(at=date, listing=a_listing(*rows, date=date), memory=memory(sightings=(sighting(date - 30),)))
    action = plan_job(UNKNOWN.resource, given)
    assert (action == ClaimIntent(2)) is proven, because


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        pytest.param(
            an_account(expiry_enforced=False), Reason.EXPIRY_NOT_ENFORCED, marks=pytest.mark.reason("ExpiryNotEnforced")
        ),
        pytest.param(
            an_account(mark=OTHER_ACCOUNT), Reason.ACCOUNT_MISMATCH, marks=pytest.mark.reason("AccountMismatch")
        ),
        pytest.param(closed_account(), Reason.INVALID_REFERENCE, marks=pytest.mark.reason("InvalidReference")),
        pytest.param(
            closed_account(Problem(Reason.CREDENTIALS_REJECTED, "HTTP 401")),
            Reason.CREDENTIALS_REJECTED,
            marks=pytest.mark.reason("CredentialsRejected"),
        ),
        pytest.param(an_account(), Reason.CREATING, marks=pytest.mark.reason("Creating")),
        pytest.param(
            an_account(server_time=float(LATE + 901)),
            Reason.CREATE_OUTCOME_UNKNOWN,
            marks=pytest.mark.reason("CreateOutcomeUnknown"),
        ),
    ],
)
@pytest.mark.failure_mode(51)
def test_while_the_outcome_is_unknown_the_status_says_why(account: Any, reason: Reason) -> None:
    waiting = facts(account=account, memory=memory(next_lookup=MONOTONIC + 5))
    situation = _situation(plan_job(UNKNOWN.resource, waiting))
    assert situation.reason is reason
    assert situation.created is Created.UNKNOWN
    assert situation.stalled is (REASONS[reason].owner is Owner.ADMIN), "a person is called only where one must act"


def test_an_account_that_cannot_be_asked_is_not_called_ready() -> None:
    situation = _situation(plan_job(UNKNOWN.resource, facts(account=closed_account())))
    assert situation.account_problem is not None


# --- the schedule ---


def test_the_first_lookup_is_done_at_once_back_to_before_the_creation() -> None:
    expected = ReadListing(since=CREATED - 3600, begun_after=MONOTONIC, page_size=50)
    assert plan_job(UNKNOWN.resource, facts()) == expected


def test_a_lookup_goes_back_to_a_signature_that_is_older_than_its_resource() -> None:
    restored = UNKNOWN.metadata(creationTimestamp="2026-11-30T00:00:00Z").resource
    action = plan_job(restored, facts())
    assert isinstance(action, ReadListing)
    assert action.since <= SIGNED


@pytest.mark.parametrize("lookups", range(len(DELAYS)))
def test_lookups_follow_at_1_2_5_10_20_40_seconds(lookups: int) -> None:
    action = plan_job(UNKNOWN.resource, facts(listing=a_listing(), memory=memory(lookups=lookups)))
    assert isinstance(action, RememberSighting)
    assert action.next_lookup == MONOTONIC + (1, 2, 5, 10, 20, 40)[lookups]


@pytest.mark.parametrize(
    ("date", "delay", "because"),
    [
        (SIGNED + 100, 40.0, "long before the proof the pace stays at 40 s"),
        (LATE - 5, 6.0, "the next is due as soon as it can be the first sighting"),
        (LATE, 31.0, "the next is due as soon as it can be the second sighting"),
    ],
)
def test_later_lookups_come_when_they_can_conclude_something(date: int, delay: float, because: str) -> None:
    given = facts(at=date, listing=a_listing(date=date), memory=memory(lookups=20))
    action = plan_job(UNKNOWN.resource, given)
    assert isinstance(action, RememberSighting)
    assert action.next_lookup == MONOTONIC + delay, because


def test_between_two_lookups_nothing_is_asked_unless_a_person_wants_it() -> None:
    waiting = facts(memory=memory(next_lookup=MONOTONIC + 5))
    action = plan_job(UNKNOWN.resource, waiting)
    assert isinstance(action, Rest)
    assert action.after == 5.0
    assert isinstance(plan_job(UNKNOWN.resource, replace(waiting, forced=True)), ReadListing)


def test_a_listing_that_was_counted_is_not_counted_twice() -> None:
    counted = Sighting(LATE, 50, ACCOUNT)
    given = facts(at=LATE, listing=a_listing(date=LATE), memory=memory(sightings=(counted,), next_lookup=MONOTONIC + 9))
    action = plan_job(UNKNOWN.resource, given)
    assert isinstance(action, Rest)
    assert action.after == 9.0


@pytest.mark.failure_mode(65)
@pytest.mark.parametrize("count", [0, 1, 2, 63, 64])
def test_page_sizes_alternate_however_many_sightings_are_remembered(count: int) -> None:
    sightings = tuple(sighting(SIGNED + number, (50, 49)[number % 2]) for number in range(count))[-64:]
    action = plan_job(UNKNOWN.resource, facts(memory=memory(sightings=sightings)))
    assert isinstance(action, ReadListing)
    assert action.page_size == (50 if count % 2 == 0 else 49)
    full = memory(sightings=tuple(sighting(SIGNED + number, 50) for number in range(64)))
    action = plan_job(UNKNOWN.resource, facts(memory=full))
    assert isinstance(action, ReadListing)
    assert action.page_size == 49


# --- finding ---


@pytest.mark.failure_mode(3)
@pytest.mark.failure_mode(4)
@pytest.mark.parametrize("date", [SIGNED, LATE, SIGNED + 10 * 86400])
def test_a_job_that_is_found_is_adopted_at_once(date: int) -> None:
    action = plan_job(UNKNOWN.resource, facts(at=date, listing=a_listing(OLD, a_row(), date=date)))
    assert isinstance(action, RecordCreate)
    assert (action.uuid, action.adopted) == (JOB, True)


@pytest.mark.failure_mode(28)
def test_a_positive_needs_no_continuity_of_the_account() -> None:
    action = plan_job(UNKNOWN.resource, facts(account=an_account(mark=OTHER_ACCOUNT), listing=a_listing(a_row())))
    assert isinstance(action, RecordCreate)
    assert action.account == OTHER_ACCOUNT


@pytest.mark.failure_mode(53)
def test_a_job_of_an_earlier_attempt_is_not_taken_for_the_pending_one() -> None:
    second = a_job().intent(an_intent(attempt=2))
    action = plan_job(second.resource, facts(listing=a_listing(a_row(attempt=1))))
    assert isinstance(action, RememberSighting)


@pytest.mark.failure_mode(57)
def test_a_job_of_a_newer_attempt_is_adopted_with_its_own_number() -> None:
    action = plan_job(UNKNOWN.resource, facts(listing=a_listing(a_row(attempt=2))))
    assert isinstance(action, RecordCreate)
    assert action.attempt == 2


@pytest.mark.failure_mode(9)
def test_a_late_job_of_an_earlier_attempt_is_recorded_and_no_third_attempt_is_made() -> None:
    """The newer attempt is proven absent while the earlier one, thought lost, shows up: it is adopted, and settled."""
    second = an_intent(attempt=2, signed_at=SIGNED)
    listing = a_listing(a_row(attempt=1), date=LATE + 30)
    proven = _proof(listing=listing)
    adoption = plan_job(a_job().intent(second).resource, proven)
    assert isinstance(adoption, RecordCreate)
    assert adoption.attempt == 1
    recorded = a_job().intent(second).record(attempt=1)
    assert isinstance(plan_job(recorded.resource, proven), RefuseIntent)


# --- when every record of the time is lost ---


@pytest.mark.parametrize(
    "builder",
    [
        pytest.param(a_job().intent("{"), id="garbled intent"),
        pytest.param(
            a_job().held().record(uuid=None, state="Unknown", signedAt=None, token=None), id="record without time"
        ),
    ],
)
def test_a_lost_record_is_looked_for_back_to_before_the_creation(builder: JobBuilder) -> None:
    """Its job may be as old as the resource, so a listing from now on would prove nothing."""
    action = plan_job(builder.resource, facts(at=CREATED + 86_000, memory=memory(first_seen=CREATED + 85_000)))
    assert isinstance(action, ReadListing)
    assert action.since == CREATED - 3600


@pytest.mark.parametrize(("after", "proven"), [(419, False), (420, True)])
def test_a_lost_record_is_proven_absent_only_420_seconds_after_its_first_sight(after: int, proven: bool) -> None:
    first_seen = CREATED + 5000
    date = first_seen + after + 30
    given = facts(
        at=date,
        listing=a_listing(OLD, date=date),
        memory=memory(first_seen=first_seen, sightings=(sighting(date - 30),)),
    )
    action = plan_job(a_job().intent("{").resource, given)
    assert (action == ClaimIntent(1)) is proven


def test_a_lost_record_adopts_a_job_of_any_attempt() -> None:
    action = plan_job(a_job().intent("{").resource, facts(listing=a_listing(a_row(attempt=9))))
    assert isinstance(action, RecordCreate)
    assert action.attempt == 9
