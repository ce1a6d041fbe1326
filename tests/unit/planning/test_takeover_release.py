"""spec.adopt: how an adopted job is let go, and that nothing that is forged reaches a job of somebody else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.observed import rfc3339
from dispersed_operator.model.orphan import OrphanCause, OrphanDecision
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    CancelJob,
    Contest,
    DropFinalizer,
    InspectContest,
    LeaveOrphan,
    Missing,
    ReadJob,
    ReadListing,
    RefuseAnswer,
    Rest,
)
from tests.support.adopters import (
    FORBIDDEN,
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
    CLUSTER,
    IDENTITY,
    JOB,
    NOW,
    OTHER_ACCOUNT,
    JobBuilder,
    a_run,
    an_account,
    facts,
    memory,
    reads,
    stranger,
)


def test_one_that_took_nothing_goes_at_once() -> None:
    dropped = plan_job(adopter().deleting().resource, facts())
    assert isinstance(dropped, DropFinalizer)
    assert (dropped.reason, dropped.message) == (EventReason.RELEASED, "no remote job was adopted")
    bare = adopter().metadata(deletionTimestamp=rfc3339(NOW))
    assert plan_job(bare.resource, facts()) == Rest(None)


@pytest.mark.parametrize("builder", [taken(), marked()])
def test_a_deletion_cancels_what_was_taken_also_if_the_status_was_lost(builder: JobBuilder) -> None:
    going = builder.deleting().resource
    assert isinstance(plan_job(going, facts()), InspectContest)
    assert plan_job(going, facts(contest=UNREAD)) == ReadJob(JOB, runs=False)
    assert plan_job(going, facts(**reads(PLAIN, [a_run()]), contest=UNREAD)) == InspectContest(CLUSTER, PLAIN)
    assert plan_job(going, seen()) == CancelJob(JOB, "DispersedJob deleted")
    over = stranger(JOB, status="CANCELLED", task="PERSISTENT")
    assert isinstance(plan_job(going, seen(over, contest=UNREAD)), DropFinalizer)


@pytest.mark.failure_mode(71)
def test_a_deletion_cancels_it_also_without_our_finalizer() -> None:
    going = taken().deleting().metadata(finalizers=["somebody.example/else"])
    assert plan_job(going.resource, seen()) == CancelJob(JOB, "DispersedJob deleted")


@pytest.mark.failure_mode(52)
@pytest.mark.parametrize("builder", [taken(), marked(), marked().intent(), taken().intent()])
@pytest.mark.parametrize(
    ("contest", "reason"), [(FORBIDDEN, Reason.ADOPTION_NOT_ALLOWED), (OWNED, Reason.OWNERSHIP_AMBIGUOUS)]
)
def test_a_forged_status_or_mark_reaches_nobodys_job(builder: JobBuilder, contest: Contest, reason: Reason) -> None:
    """Whatever says that it was taken: without permission, or where it is another's, it is never cancelled, and the
    resource waits for a person instead of being let go."""
    said = told(plan_job(builder.deleting().resource, seen(contest=contest)))
    assert (said.phase, said.reason, said.stalled) == (Phase.STOPPING, reason, True)


@pytest.mark.failure_mode(28)
def test_a_404_of_a_job_whose_account_nobody_recorded_is_not_believed() -> None:
    given = facts(job=Missing(NOW), contest=UNREAD, memory=memory(first_missing=NOW - 60))
    assert told(plan_job(marked().deleting().resource, given)).reason is Reason.ACCOUNT_MISMATCH
    other = replace(given, account=an_account(mark=OTHER_ACCOUNT))
    assert told(plan_job(taken().deleting().resource, other)).reason is Reason.ACCOUNT_MISMATCH
    assert isinstance(plan_job(taken().deleting().resource, given), ReadListing)


@pytest.mark.failure_mode(60)
def test_the_deletion_policy_orphan_leaves_it_behind() -> None:
    going = taken(deletionPolicy="Orphan").deleting().resource
    assert plan_job(going, seen()) == LeaveOrphan(JOB, TOKEN, OrphanDecision.KEEP, OrphanCause.DELETION_POLICY)


@pytest.mark.parametrize("builder", [taken(), marked()])
def test_forced_it_leaves_a_report_but_names_no_job_of_another(builder: JobBuilder) -> None:
    text = f"{naming.uid_mark(IDENTITY.uid)}:the key is lost"
    going = builder.deleting().annotated(naming.FORCE_FINALIZE_ANNOTATION, text).resource
    left = LeaveOrphan(JOB, TOKEN, OrphanDecision.REPORT, OrphanCause.FORCE_FINALIZED)
    assert plan_job(going, facts(contest=UNREAD)) == left
    assert plan_job(going, facts(contest=FORBIDDEN)) == left
    forced = plan_job(going, facts(contest=OWNED))
    assert isinstance(forced, DropFinalizer)
    assert forced.forced


def test_a_forced_end_still_has_to_name_the_object() -> None:
    going = taken().deleting().annotated(naming.FORCE_FINALIZE_ANNOTATION, "no").resource
    assert isinstance(plan_job(going, facts(contest=UNREAD)), RefuseAnswer)


def test_a_released_one_is_none_of_our_business() -> None:
    gone = taken().deleting().metadata(finalizers=[]).resource
    assert plan_job(gone, facts(memory=memory(released=True))) == Rest(None)
