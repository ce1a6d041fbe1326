"""The annotation force-finalize: for the very object that it names, and what may live is reported first (D7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.orphan import OrphanCause, OrphanDecision
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    DropFinalizer,
    Inspected,
    LeaveOrphan,
    ReadJob,
    RefuseAnswer,
)
from tests.support.builders import (
    IDENTITY,
    JOB,
    MONOTONIC,
    JobBuilder,
    a_job,
    a_row,
    a_run,
    closed_account,
    facts,
    memory,
    reads,
)

GOING = a_job().created().deleting()
FORCED = f"{naming.uid_mark(IDENTITY.uid)}:the key is lost"
RUNNING = a_row(status="RUNNING")


@pytest.mark.parametrize(
    "builder",
    [GOING, a_job().intent().deleting(), a_job().intent("{").deleting(), a_job().deleting()],
)
def test_a_person_who_names_the_object_and_a_reason_may_remove_the_finalizer(builder: JobBuilder) -> None:
    forced = builder.annotated(naming.FORCE_FINALIZE_ANNOTATION, FORCED)
    left = plan_job(forced.resource, facts(account=closed_account()))
    assert isinstance(left, LeaveOrphan), "what may live is reported before the finalizer goes"
    assert (left.decision, left.cause) == (OrphanDecision.REPORT, OrphanCause.FORCE_FINALIZED)
    assert left.token == naming.create_token(IDENTITY, 1)
    action = plan_job(forced.resource, facts(account=closed_account(), memory=memory(orphan_left=True)))
    assert isinstance(action, DropFinalizer)
    assert action.forced
    assert "NOT verified" in action.message


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("true", "it names no object"),
        (f"{naming.uid_mark(IDENTITY.uid)}:", "it gives no reason"),
        (f"{naming.uid_mark(IDENTITY.uid)}: ", "a blank is no reason"),
        ("00000000:why not", "it names another object of this name"),
        (f"{IDENTITY.uid}:why not", "only the first eight characters are asked for"),
    ],
)
def test_a_force_that_does_not_name_this_very_object_is_refused_once_and_changes_nothing(
    text: str, because: str
) -> None:
    resource = GOING.annotated(naming.FORCE_FINALIZE_ANNOTATION, text).resource
    refusal = plan_job(resource, facts())
    assert isinstance(refusal, RefuseAnswer), because
    assert plan_job(resource, facts(memory=memory(refused_answers=(refusal.text,)))) == ReadJob(JOB, runs=False), (
        because
    )


@pytest.mark.failure_mode(52)
def test_a_forced_end_reports_no_job_that_a_made_up_status_names() -> None:
    foreign = naming.create_token(replace(IDENTITY, name="neighbour"), 1)
    made_up = a_job().record(token=foreign).deleting().annotated(naming.FORCE_FINALIZE_ANNOTATION, FORCED).resource
    inspected = Inspected(subject=foreign, alive=False, at=MONOTONIC)
    action = plan_job(made_up, facts(memory=memory(inspected=inspected)))
    assert isinstance(action, DropFinalizer)


def test_a_force_on_a_resource_that_is_not_deleting_does_nothing() -> None:
    living = a_job().created().annotated(naming.FORCE_FINALIZE_ANNOTATION, FORCED).resource
    assert plan_job(living, facts(**reads(RUNNING, [a_run()]))) != plan_job(GOING.resource, facts())
    assert not isinstance(plan_job(living, facts(**reads(RUNNING, [a_run()]))), DropFinalizer)
