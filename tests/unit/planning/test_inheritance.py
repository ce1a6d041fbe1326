"""Restores, clones and forgeries while they live: adopted, ignored, or a person decides; never somebody else's job."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.intent import Origin, Refusal
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.inheritance import INSPECTED_AGAIN_SECONDS, perceive
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    Action,
    CancelJob,
    ClaimIntent,
    Facts,
    ForgetInheritance,
    Inspected,
    InspectOrigin,
    Kept,
    LeaveOrphan,
    Memory,
    Missing,
    Problem,
    ReadJob,
    ReadListing,
    RecordCreate,
    Rest,
    RestoreFinalizer,
    Situation,
)
from tests.support.builders import (
    CLUSTER,
    IDENTITY,
    JOB,
    MONOTONIC,
    NOW,
    OTHER_JOB,
    SIGNED,
    JobBuilder,
    a_job,
    a_listing,
    a_row,
    a_run,
    an_account,
    an_intent,
    facts,
    memory,
    reads,
    refused,
    sighting,
)

OLD = replace(IDENTITY, uid="99999999-0000-4000-8000-000000000000")
NEIGHBOUR = replace(OLD, name="neighbour")
EARLIER_SELF = Origin(OLD.uid, OLD.namespaced_name, CLUSTER)
NEXT_DOOR = Origin(NEIGHBOUR.uid, NEIGHBOUR.namespaced_name, CLUSTER)
MIGRATED = Origin(OLD.uid, IDENTITY.namespaced_name, "another cluster")
ELSEWHERE = Origin(IDENTITY.uid, IDENTITY.namespaced_name, "another cluster")
OLD_TOKEN = naming.create_token(OLD, 1)
NEIGHBOURS_TOKEN = naming.create_token(NEIGHBOUR, 1)
ALIVE, DEAD = True, False


def seen(subject: str, alive: bool, at: float = MONOTONIC) -> Memory:
    return memory(inspected=Inspected(subject, alive, at))


def carrying(origin: Origin, **changes: Any) -> JobBuilder:
    return a_job().intent(an_intent(origin=origin, **changes))


def ambiguous(action: Action) -> bool:
    situation = action.situation if isinstance(action, Rest) else None
    return isinstance(situation, Situation) and situation.reason is Reason.OWNERSHIP_AMBIGUOUS and situation.stalled


RESTORE = carrying(EARLIER_SELF)
RESTORE_WITH_STATUS = RESTORE.record(token=OLD_TOKEN)
CLONE = carrying(NEXT_DOOR)
CLONE_WITH_STATUS = CLONE.record(token=NEIGHBOURS_TOKEN)
STATUS_ONLY = a_job().held().record(token=NEIGHBOURS_TOKEN)


# --- nothing before it is known ---


@pytest.mark.failure_mode(13)
@pytest.mark.failure_mode(36)
@pytest.mark.failure_mode(61)
@pytest.mark.parametrize(
    ("builder", "subject", "because"),
    [
        (RESTORE, OLD.uid, "an intent of an earlier object in this place"),
        (RESTORE_WITH_STATUS, OLD.uid, "with its status"),
        (CLONE, NEIGHBOUR.uid, "an intent of an object next door"),
        (CLONE_WITH_STATUS, NEIGHBOUR.uid, "with its status"),
        (STATUS_ONLY, NEIGHBOURS_TOKEN, "a status whose token is not ours, and no intent that tells whose"),
        (STATUS_ONLY.deleting(), NEIGHBOURS_TOKEN, "also before its end"),
    ],
)
def test_whether_the_other_object_lives_is_read_before_anything_is_done(
    builder: JobBuilder, subject: str, because: str
) -> None:
    action = plan_job(builder.resource, facts(listing=a_listing()))
    assert isinstance(action, InspectOrigin), because
    assert action.subject == subject, because


@pytest.mark.reason("OwnershipAmbiguous")
@pytest.mark.failure_mode(13)
@pytest.mark.failure_mode(36)
@pytest.mark.failure_mode(52)
@pytest.mark.parametrize(
    ("builder", "subject", "because"),
    [
        (CLONE, NEIGHBOUR.uid, "the object next door is gone: a migration, or a forgery"),
        (CLONE_WITH_STATUS, NEIGHBOUR.uid, "its job may still run, and nothing says that it is ours"),
        (carrying(MIGRATED), OLD.uid, "an intent of another cluster"),
        (STATUS_ONLY, NEIGHBOURS_TOKEN, "nobody alive derives this token, and its owner cannot be told"),
    ],
)
def test_what_is_neither_restore_nor_clone_waits_for_a_person(builder: JobBuilder, subject: str, because: str) -> None:
    given = facts(listing=a_listing(), memory=seen(subject, DEAD))
    assert ambiguous(plan_job(builder.resource, given)), because
    later = replace(given, now=MONOTONIC + INSPECTED_AGAIN_SECONDS + 1)
    assert isinstance(plan_job(builder.resource, later), InspectOrigin), "the store may learn of it late"


@pytest.mark.reason("OwnershipAmbiguous")
@pytest.mark.failure_mode(35)
@pytest.mark.parametrize("inspected", [None, Inspected(IDENTITY.uid, ALIVE, MONOTONIC)])
@pytest.mark.parametrize("builder", [carrying(ELSEWHERE), carrying(ELSEWHERE).record(token="a" * 12)])
def test_an_object_whose_cluster_id_was_changed_is_no_clone_of_itself_and_does_not_go(
    builder: JobBuilder, inspected: Inspected | None
) -> None:
    given = facts(listing=a_listing(), memory=memory(inspected=inspected))
    assert ambiguous(plan_job(builder.resource, given))
    assert ambiguous(plan_job(builder.deleting().resource, given)), "its job may run under a title of the other id"
    forced = builder.deleting().annotated(naming.FORCE_FINALIZE_ANNOTATION, f"{naming.uid_mark(IDENTITY.uid)}:known")
    assert isinstance(plan_job(forced.resource, given), LeaveOrphan)


# --- restore ---


@pytest.mark.failure_mode(13)
def test_a_restore_without_status_finds_the_job_of_its_earlier_self_and_keeps_the_origin() -> None:
    gone = seen(OLD.uid, DEAD)
    action = plan_job(RESTORE.resource, facts(listing=a_listing(a_row(identity=OLD)), memory=gone))
    assert isinstance(action, RecordCreate)
    assert (action.uuid, action.token, action.adopted) == (JOB, OLD_TOKEN, True)
    recorded = RESTORE.record(token=action.token).resource
    assert recorded.pending_create() is None
    assert perceive(recorded, CLUSTER, gone.inspected) == recorded


@pytest.mark.failure_mode(13)
def test_a_restore_with_status_shows_the_job_of_its_earlier_self_and_holds_it() -> None:
    given = facts(memory=seen(OLD.uid, DEAD), **reads(a_row(identity=OLD, status="RUNNING"), [a_run()]))
    action = plan_job(RESTORE_WITH_STATUS.resource, given)
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    assert action.situation.reason is Reason.RUNNING
    stripped = RESTORE_WITH_STATUS.metadata(finalizers=[]).resource
    assert isinstance(plan_job(stripped, given), RestoreFinalizer)


@pytest.mark.failure_mode(13)
def test_a_restore_whose_job_does_not_exist_is_created_anew_only_after_the_proof() -> None:
    date = SIGNED + 5000
    early = facts(at=date, listing=a_listing(date=date), memory=seen(OLD.uid, DEAD))
    assert not isinstance(plan_job(RESTORE.resource, early), ClaimIntent)
    proven = replace(early, memory=replace(early.memory, sightings=(sighting(date - 30),)))
    assert plan_job(RESTORE.resource, proven) == ClaimIntent(2)


@pytest.mark.failure_mode(13)
@pytest.mark.failure_mode(56)
def test_a_restore_of_a_refused_create_adopts_a_later_job_of_its_earlier_self() -> None:
    backup = a_job().intent(refused(Refusal.NOT_SENT, origin=EARLIER_SELF)).resource
    later = a_row(identity=OLD, attempt=2)
    given = facts(at=SIGNED + 60, listing=a_listing(later, begun=MONOTONIC), memory=seen(OLD.uid, DEAD))
    action = plan_job(backup, given)
    assert isinstance(action, RecordCreate)
    assert action.attempt == 2


@pytest.mark.failure_mode(52)
@pytest.mark.reason("OwnershipAmbiguous")
def test_an_origin_that_somebody_made_up_reaches_no_job_of_the_object_whose_uid_it_names() -> None:
    """The uid is the neighbour's, the name one's own: no title verifies for such an identity."""
    forged = carrying(EARLIER_SELF).record(token=OLD_TOKEN).resource
    given = facts(memory=seen(OLD.uid, DEAD), **reads(a_row(identity=NEIGHBOUR, status="RUNNING"), [a_run()]))
    assert ambiguous(plan_job(forged, given))


# --- clone ---


@pytest.mark.failure_mode(36)
@pytest.mark.failure_mode(61)
@pytest.mark.parametrize("builder", [CLONE_WITH_STATUS, STATUS_ONLY, CLONE.status(jobUUID=JOB)])
def test_a_clone_loses_the_status_that_speaks_of_the_originals_job(builder: JobBuilder) -> None:
    subject = NEIGHBOURS_TOKEN if builder is STATUS_ONLY else NEIGHBOUR.uid
    given = facts(memory=seen(subject, ALIVE), **reads(a_row(identity=NEIGHBOUR, status="RUNNING"), [a_run()]))
    assert plan_job(builder.resource, given) == ForgetInheritance()


@pytest.mark.failure_mode(36)
def test_a_clone_makes_a_job_of_its_own_with_the_first_attempt() -> None:
    original = a_row(identity=NEIGHBOUR, status="RUNNING")
    given = facts(listing=a_listing(original), memory=seen(NEIGHBOUR.uid, ALIVE))
    assert plan_job(CLONE.resource, given) == ClaimIntent(1)
    paused = plan_job(CLONE.paused().resource, given)
    assert isinstance(paused, Rest)
    assert isinstance(paused.situation, Situation)
    assert paused.situation.reason is Reason.PAUSED


@pytest.mark.failure_mode(11)
@pytest.mark.failure_mode(36)
def test_our_finalizer_without_any_record_counts_as_inherited_only_if_this_process_saw_what_it_came_with() -> None:
    bare, original = a_job().held().resource, a_row(identity=NEIGHBOUR, status="RUNNING")
    after_clearing = facts(listing=a_listing(original), memory=seen(NEIGHBOURS_TOKEN, ALIVE))
    assert plan_job(bare, after_clearing) == ClaimIntent(1)
    for forgetful in (memory(), seen(NEIGHBOURS_TOKEN, DEAD), seen(IDENTITY.uid, ALIVE)):
        action = plan_job(bare, facts(listing=a_listing(original), memory=forgetful))
        assert not isinstance(action, ClaimIntent), (
            "the intent may have been taken away while its request was under way"
        )


@pytest.mark.failure_mode(61)
def test_a_clone_that_was_restored_with_status_is_new_once_its_own_intent_is_won() -> None:
    won = a_job().intent().record(token=NEIGHBOURS_TOKEN, attempt=7)
    assert perceive(won.resource, CLUSTER, None).pending_create() is not None, "the inherited uuid resolves nothing"
    assert plan_job(won.resource, facts()) == ForgetInheritance()


@pytest.mark.failure_mode(11)
@pytest.mark.failure_mode(36)
def test_another_objects_manifest_applied_over_a_resource_with_a_job_disturbs_nothing() -> None:
    overwritten = CLONE.record().resource
    given = facts(**reads(a_row(status="RUNNING"), [a_run()]))
    action = plan_job(overwritten, given)
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    assert action.situation.reason is Reason.RUNNING


@pytest.mark.failure_mode(52)
@pytest.mark.failure_mode(61)
@pytest.mark.parametrize("builder", [STATUS_ONLY, CLONE_WITH_STATUS, a_job().intent(refused(None)).record(token="x")])
def test_a_deleted_clone_settles_its_own_creates_and_cancels_nothing_of_the_original(builder: JobBuilder) -> None:
    doomed = builder.deleting().resource
    subject = doomed.intent.origin.uid if doomed.intent is not None else NEIGHBOURS_TOKEN
    given = facts(memory=seen(subject, ALIVE), **reads(a_row(identity=NEIGHBOUR, status="RUNNING"), [a_run()]))
    assert isinstance(plan_job(doomed, given), ReadListing)


@pytest.mark.failure_mode(52)
@pytest.mark.reason("OwnershipAmbiguous")
def test_a_deleted_object_with_a_record_of_an_unknown_owner_stays_until_that_job_ends() -> None:
    doomed = STATUS_ONLY.deleting().resource
    dead = seen(NEIGHBOURS_TOKEN, DEAD)
    assert plan_job(doomed, facts(memory=dead)) == ReadJob(JOB, runs=False)
    action = plan_job(doomed, facts(memory=dead, **reads(a_row(identity=NEIGHBOUR, status="RUNNING"), [a_run()])))
    assert ambiguous(action)


# --- a copy of the cluster ---


FROZEN = Problem(Reason.CLUSTER_IDENTITY_CHANGED, "the authority is another one")


@pytest.mark.failure_mode(70)
@pytest.mark.reason("ClusterIdentityChanged")
def test_in_a_cluster_that_may_be_a_copy_no_cancel_is_sent_and_the_resource_says_why() -> None:
    doomed = a_job().created().deleting().resource
    given = facts(**reads(a_row(status="RUNNING"), [a_run()]))
    assert isinstance(plan_job(doomed, given), CancelJob)
    action = plan_job(doomed, replace(given, account=an_account(frozen=FROZEN)))
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    assert (action.situation.reason, action.situation.stalled) == (Reason.CLUSTER_IDENTITY_CHANGED, True)


@pytest.mark.failure_mode(70)
def test_in_a_cluster_that_may_be_a_copy_not_even_a_duplicate_is_cancelled() -> None:
    given = facts(memory=memory(extras=(OTHER_JOB,)), **reads(a_row(status="RUNNING"), [a_run()]))
    assert isinstance(plan_job(a_job().created().resource, given), CancelJob)
    frozen = replace(given, account=an_account(frozen=FROZEN))
    action = plan_job(a_job().created().resource, frozen)
    assert isinstance(action, Rest)
    assert action.situation == Kept(FROZEN)


# --- many vanish at once ---


@pytest.mark.failure_mode(28)
@pytest.mark.reason("AccountMismatch")
def test_while_the_account_is_in_doubt_a_404_is_not_even_remembered_and_the_status_stays() -> None:
    doubt = Problem(Reason.ACCOUNT_MISMATCH, "five jobs vanished at once")
    account = an_account(doubt=doubt, blocker=doubt)
    given: Facts = facts(account=account, job=Missing(NOW + 60), memory=memory(first_missing=NOW))
    action = plan_job(a_job().created().resource, given)
    assert isinstance(action, Rest)
    assert action.situation == Kept(doubt)
    doomed = plan_job(a_job().created().deleting().resource, given)
    assert isinstance(doomed, Rest)
    assert isinstance(doomed.situation, Situation)
    assert doomed.situation.reason is Reason.ACCOUNT_MISMATCH
    assert not isinstance(plan_job(a_job().resource, given), ClaimIntent | LeaveOrphan)
