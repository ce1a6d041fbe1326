"""spec.adopt: how a job is taken over, when it is not, and that nothing is ever created for such a resource."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.observed import rfc3339
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.records import accepted_record, with_record
from dispersed_operator.planning.vocabulary import (
    CancelJob,
    ClaimIntent,
    Contest,
    Created,
    DropFinalizer,
    Facts,
    ForgetInheritance,
    HoldAdopted,
    InspectContest,
    Kept,
    Missing,
    ReadJob,
    ReadListing,
    RecordCreate,
    RecordEnding,
    Rest,
    RestoreFinalizer,
    SendCreate,
)
from tests.support.adopters import (
    FORBIDDEN,
    FREE,
    MARK,
    OWNED,
    PLAIN,
    TOKEN,
    UNREAD,
    adopter,
    marked,
    seen,
    taken,
    told,
)
from tests.support.builders import (
    ACCOUNT,
    CLUSTER,
    CREATED,
    IDENTITY,
    JOB,
    NOW,
    OTHER_JOB,
    JobBuilder,
    a_job,
    a_row,
    a_run,
    an_intent,
    closed_account,
    facts,
    moment,
    reads,
    refused,
    stranger,
)

# --- taking


def test_the_steps_of_a_takeover_in_their_order() -> None:
    """Asked, read, asked whose title it is, held, recorded: and no create anywhere."""
    assert plan_job(adopter().resource, facts()) == InspectContest(CLUSTER, None)
    assert plan_job(adopter().resource, facts(contest=UNREAD)) == ReadJob(JOB)
    read = reads(PLAIN, [a_run()])
    assert plan_job(adopter().resource, facts(**read)) == InspectContest(CLUSTER, PLAIN)
    assert plan_job(adopter().resource, facts(**read, contest=UNREAD)) == InspectContest(CLUSTER, PLAIN)
    assert plan_job(adopter().resource, facts(**read, contest=FREE)) == HoldAdopted(MARK)
    recorded = plan_job(marked().resource, facts(**read, contest=FREE))
    assert recorded == RecordCreate(
        uuid=JOB,
        attempt=1,
        token=TOKEN,
        signed_at=CREATED - 3600,
        body_sha256="",
        account=ACCOUNT,
        job=PLAIN,
        adopted=True,
    )


def test_a_finalizer_or_a_mark_alone_is_not_enough_to_record() -> None:
    assert plan_job(adopter().held().resource, seen()) == HoldAdopted(MARK)
    assert plan_job(adopter().annotated(naming.ADOPTED_ANNOTATION, MARK).resource, seen()) == HoldAdopted(MARK)


def test_the_record_names_the_account_and_locks_it_and_a_strangers_title_never_expires() -> None:
    recorded = plan_job(marked().resource, seen())
    assert isinstance(recorded, RecordCreate)
    fields = accepted_record(marked().resource, recorded)
    assert (fields["jobUUID"], fields["account"]) == (JOB, "default")
    assert fields["create"] == {
        "token": TOKEN,
        "attempt": 1,
        "uuid": JOB,
        "state": "Accepted",
        "locked": True,
        "account": {"host": ACCOUNT.host, "publicKey": ACCOUNT.public_key},
        "expiresAt": "never",
        "signedAt": rfc3339(CREATED - 3600),
        "notAfter": rfc3339(CREATED - 3300),
    }
    edited = taken(accountRef={"name": "other"}).status(account="default").resource
    assert with_record(edited, dict(edited.status))["create"]["locked"] is False, "so that it can be taken back"


def test_a_job_with_a_title_of_ours_keeps_the_time_and_the_expiry_that_stand_in_it() -> None:
    orphan = a_row(identity=replace(IDENTITY, uid="99999999-1f2e-4c1a-8a55-2d1f4e6a9c03"), signed_at=CREATED - 60)
    recorded = plan_job(marked(task="Batch").resource, seen(orphan))
    assert isinstance(recorded, RecordCreate)
    assert recorded.signed_at == CREATED - 60
    assert accepted_record(marked().resource, recorded)["create"]["expiresAt"] == rfc3339(CREATED - 60 + 4800)


def test_a_job_that_has_ended_is_recorded_as_the_finished_job_that_it_is() -> None:
    done = stranger(JOB, status="COMPLETED", task="BATCH", completed_at=moment(NOW - 600))
    assert isinstance(plan_job(marked(task="Batch").resource, seen(done)), RecordCreate)
    said = told(plan_job(taken(task="Batch").resource, seen(done)))
    assert (said.phase, said.reason, said.ended) == (Phase.SUCCEEDED, Reason.COMPLETED, True)


# --- not taking


@pytest.mark.reason("AdoptionNotAllowed")
def test_without_permission_nothing_is_read_or_held_and_it_is_looked_at_again_soon() -> None:
    action = plan_job(adopter().resource, facts(contest=replace(UNREAD, allowed=False)))
    said = told(action)
    assert (said.phase, said.reason, said.stalled) == (Phase.PENDING, Reason.ADOPTION_NOT_ALLOWED, True)
    assert (said.created, said.job) == (Created.NO, None)
    assert "spec.allowAdoption of the DispersedAccount default" in said.message
    assert isinstance(action, Rest)
    assert action.after is not None


@pytest.mark.failure_mode(52)
@pytest.mark.reason("OwnershipAmbiguous")
@pytest.mark.parametrize("given", [facts(contest=replace(UNREAD, owned=True)), seen(contest=OWNED)])
def test_a_job_of_somebody_else_is_refused_and_nobody_is_named(given: Facts) -> None:
    said = told(plan_job(adopter().resource, given))
    assert (said.phase, said.reason, said.stalled) == (Phase.PENDING, Reason.OWNERSHIP_AMBIGUOUS, True)
    assert said.message == f"remote job {JOB} is owned by another DispersedJob; an administrator can tell by which"


def test_a_job_that_the_account_does_not_know_is_told_and_tried_again() -> None:
    action = plan_job(adopter().resource, facts(job=Missing(NOW), contest=UNREAD))
    said = told(action)
    assert (said.reason, said.stalled, said.created) == (Reason.REMOTE_VANISHED, True, Created.NO)
    assert isinstance(action, Rest)
    assert action.after is not None


def test_a_job_of_another_kind_is_refused() -> None:
    said = told(plan_job(adopter().resource, seen(stranger(JOB, task="BATCH"))))
    assert (said.reason, said.stalled) == (Reason.REMOTE_VALIDATION_FAILED, True)
    assert "is a BATCH job" in said.message


@pytest.mark.parametrize(
    ("builder", "given", "reason"),
    [
        (adopter(suspend=True), facts(), Reason.SUSPENDED),
        (adopter().paused(), facts(), Reason.PAUSED),
        (adopter(), facts(account=closed_account(), contest=FORBIDDEN), Reason.INVALID_REFERENCE),
    ],
)
def test_nothing_is_taken_while_suspended_paused_or_without_an_account(
    builder: JobBuilder, given: Facts, reason: Reason
) -> None:
    said = told(plan_job(builder.resource, given))
    assert (said.reason, said.created, said.suspended) == (reason, Created.NO, reason is Reason.SUSPENDED)


@pytest.mark.parametrize("adopt", [{}, {"jobUUID": 7}, "text", {"jobUUID": ""}])
def test_an_adopt_that_cannot_be_read_creates_nothing(adopt: Any) -> None:
    builder = a_job().spec({**a_job().body["spec"], "adopt": adopt})
    broken = facts(contest=FREE, digest=None)
    said = told(plan_job(builder.resource, broken))
    assert (said.reason, said.stalled) == (Reason.REMOTE_VALIDATION_FAILED, True)


@pytest.mark.failure_mode(52)
@pytest.mark.parametrize(
    "builder",
    [
        adopter().intent(),
        adopter().intent(an_intent(attempt=7)),
        adopter().intent(refused(Refusal.ABSENT)),
        adopter().intent("garbled"),
        adopter().held(),
        marked(),
        taken(),
        taken().intent(an_intent(attempt=2)),
        taken(suspend=False).record(ending="Suspended", ended=True),
        adopter().record(uuid=None, state="Unknown"),
    ],
)
@pytest.mark.parametrize("job", [None, PLAIN, Missing(NOW)])
def test_whatever_the_object_carries_no_create_is_ever_claimed_or_sent(builder: JobBuilder, job: Any) -> None:
    for contest in (None, UNREAD, FREE, FORBIDDEN, OWNED):
        given = facts(job=job, runs=() if job is PLAIN else None, contest=contest)
        action = plan_job(builder.resource, given)
        assert not isinstance(action, (ClaimIntent, SendCreate, ReadListing)), action


@pytest.mark.failure_mode(61)
@pytest.mark.parametrize(
    "inherited",
    [
        adopter().record(token=naming.create_token(replace(IDENTITY, uid="other"), 1)),
        adopter().record(uuid=OTHER_JOB),
        adopter().record(attempt=2),
        adopter().status(jobUUID=OTHER_JOB),
    ],
)
def test_a_status_of_another_object_or_job_is_cleared_and_gives_nothing(inherited: JobBuilder) -> None:
    assert plan_job(inherited.resource, seen()) == ForgetInheritance()
    gone = plan_job(inherited.deleting().resource, seen())
    assert isinstance(gone, DropFinalizer), "it never took a job, so nothing is cancelled"


# --- living with it


def test_a_job_that_runs_is_shown_and_a_persistent_one_is_ready() -> None:
    assert plan_job(taken().resource, facts(**reads(PLAIN, [a_run()]))) == InspectContest(CLUSTER, PLAIN)
    said = told(plan_job(taken().resource, seen()))
    assert (said.phase, said.ready, said.secret_name) == (Phase.RUNNING, True, None)


@pytest.mark.failure_mode(12)
def test_a_finalizer_that_was_stripped_is_put_back() -> None:
    bare = taken().metadata(finalizers=[])
    assert plan_job(bare.resource, seen()) == RestoreFinalizer()


@pytest.mark.parametrize(
    ("contest", "reason"), [(FORBIDDEN, Reason.ADOPTION_NOT_ALLOWED), (OWNED, Reason.OWNERSHIP_AMBIGUOUS)]
)
def test_a_right_that_was_lost_later_is_told_and_the_job_is_left_alone(contest: Contest, reason: Reason) -> None:
    limited = taken(suspend=True, limits={"maxHourlyRateUSD": "0.01"}).resource
    said = told(plan_job(limited, seen(contest=contest)))
    assert (said.reason, said.stalled, said.job) == (reason, True, None)


def test_a_limit_ends_it() -> None:
    dear = taken(limits={"maxHourlyRateUSD": "0.01"})
    ending = plan_job(dear.resource, seen())
    assert isinstance(ending, RecordEnding)
    assert ending.ending is Reason.RATE_LIMIT_EXCEEDED
    cancelled = plan_job(dear.record(ending="RateLimitExceeded", endingMessage="dear").resource, seen())
    assert isinstance(cancelled, CancelJob)


def test_the_lifetime_counts_from_the_creation_of_the_job() -> None:
    ending = plan_job(taken(limits={"maxLifetimeSeconds": 3600}).resource, seen())
    assert isinstance(ending, RecordEnding)
    assert ending.ending is Reason.LIFETIME_EXCEEDED


@pytest.mark.failure_mode(43)
def test_a_fresh_failure_is_not_final_because_nobody_told_how_often_the_service_retries() -> None:
    failed = stranger(JOB, status="FAILED", task="PERSISTENT", completed_at=moment(NOW - 5))
    over = stranger(JOB, status="FAILED", task="PERSISTENT", completed_at=moment(NOW - 61))
    assert told(plan_job(taken().resource, seen(failed))).ended is None
    assert isinstance(plan_job(taken().deleting().resource, seen(failed)), Rest)
    assert isinstance(plan_job(taken().deleting().resource, seen(over)), DropFinalizer)


@pytest.mark.failure_mode(45)
def test_suspending_cancels_it_and_only_then_says_so() -> None:
    asked = plan_job(taken(suspend=True).resource, seen())
    assert isinstance(asked, RecordEnding)
    ending = taken(suspend=True).record(ending="Suspended", endingMessage="asked")
    assert isinstance(plan_job(ending.resource, seen()), CancelJob)
    over = stranger(JOB, status="CANCELLED", task="PERSISTENT")
    said = told(plan_job(ending.resource, seen(over)))
    assert (said.phase, said.suspended, said.reason) == (Phase.SUSPENDED, True, Reason.NOT_RESUMABLE)


@pytest.mark.reason("NotResumable")
def test_a_suspended_one_is_not_resumed_but_over() -> None:
    ended = taken(suspend=False).record(ending="Suspended", ended=True, locked=False)
    assert plan_job(ended.resource, facts()) == ReadJob(JOB, runs=False), (
        "whoever wrote the status, the end is verified anew"
    )
    over = stranger(JOB, status="CANCELLED", task="PERSISTENT")
    said = told(plan_job(ended.resource, facts(**reads(over))))
    assert (said.phase, said.reason, said.ended, said.stalled) == (Phase.STOPPED, Reason.NOT_RESUMABLE, False, True)
    assert isinstance(plan_job(ended.resource, seen()), CancelJob), "it was said to be over, and lives"
    told_already = ended.status(conditions=[{"type": "Failed", "status": "True"}])
    assert plan_job(told_already.resource, facts()) == Rest(Kept(), None)
