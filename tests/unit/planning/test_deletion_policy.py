"""deletionPolicy: Orphan. A live job outlives its resource, and a DispersedOrphan remembers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.orphan import OrphanCause, OrphanDecision
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    CancelJob,
    DeleteSecret,
    DropFinalizer,
    LeaveOrphan,
    ReadJob,
    ReadListing,
    RecordCreate,
    Rest,
    Situation,
)
from tests.support.builders import (
    BATCH,
    IDENTITY,
    JOB,
    NOW,
    OTHER_JOB,
    JobBuilder,
    a_job,
    a_listing,
    a_row,
    a_run,
    an_intent,
    closed_account,
    facts,
    memory,
    moment,
    reads,
    stranger,
)

ORPHAN = {**BATCH, "deletionPolicy": "Orphan"}
RUNNING = a_row(status="RUNNING")
ENDED_RUN = a_run(status="CANCELLED", ended_at=moment(NOW))


def going(spec: Mapping[str, Any] = ORPHAN, **record: Any) -> JobBuilder:
    return a_job().spec(spec).intent(an_intent()).record(**record).deleting()


@pytest.mark.failure_mode(60)
def test_a_live_job_is_handed_over_and_kept_before_the_finalizer_goes() -> None:
    left = plan_job(going().resource, facts(**reads(RUNNING, [a_run()])))
    token = naming.create_token(IDENTITY, 1)
    assert left == LeaveOrphan(JOB, token, OrphanDecision.KEEP, OrphanCause.DELETION_POLICY)
    kept = memory(orphan_left=True)
    done = plan_job(going().resource, facts(**reads(RUNNING, [a_run()]), memory=kept))
    assert isinstance(done, DropFinalizer)
    assert (done.reason, done.forced) == (EventReason.JOB_KEPT, False)
    assert JOB in done.message


def test_the_connection_secret_goes_with_the_resource() -> None:
    connected = going().status(connectionSecretRef={"name": "train-connection"}).resource
    given = facts(**reads(RUNNING, [a_run()]), memory=memory(orphan_left=True))
    assert plan_job(connected, given) == DeleteSecret("train-connection")


def test_a_job_that_is_over_leaves_nothing_behind() -> None:
    action = plan_job(going().resource, facts(**reads(a_row(status="COMPLETED"), [ENDED_RUN])))
    assert isinstance(action, DropFinalizer)
    assert action.reason is EventReason.RELEASED


def test_an_unknown_create_is_settled_first() -> None:
    unknown = a_job().spec(ORPHAN).intent().deleting().resource
    assert isinstance(plan_job(unknown, facts()), ReadListing)
    assert isinstance(plan_job(unknown, facts(listing=a_listing(RUNNING))), RecordCreate)


def test_whether_the_job_lives_must_be_known() -> None:
    assert plan_job(going().resource, facts()) == ReadJob(JOB, runs=False)
    stuck = plan_job(going().resource, facts(account=closed_account()))
    assert isinstance(stuck, Rest)
    assert isinstance(stuck.situation, Situation)
    assert stuck.situation.stalled


def test_a_duplicate_is_cancelled_although_the_job_is_kept() -> None:
    action = plan_job(going().resource, facts(**reads(RUNNING, [a_run()]), memory=memory(extras=(OTHER_JOB,))))
    assert isinstance(action, CancelJob)
    assert (action.uuid, action.extra) == (OTHER_JOB, True)


@pytest.mark.failure_mode(52)
def test_nobody_can_have_another_ones_job_kept() -> None:
    action = plan_job(going().resource, facts(**reads(stranger(uuid=JOB), [a_run()])))
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    assert action.situation.reason is Reason.OWNERSHIP_AMBIGUOUS


@pytest.mark.parametrize(
    ("builder", "because"),
    [
        (going(BATCH), "the default is to cancel"),
        (going({**ORPHAN, "deletionPolicy": "Cancel"}), "so it is written"),
        (going({**ORPHAN, "suspend": True}), "it was to be suspended"),
        (going(ending="CostLimitExceeded", endingMessage="too dear"), "it was to end"),
        (going().spec({"task": "Batch", "deletionPolicy": "Orphan"}), "a spec that cannot be read asks for nothing"),
    ],
)
def test_in_every_other_case_the_job_is_cancelled(builder: JobBuilder, because: str) -> None:
    action = plan_job(builder.resource, facts(**reads(RUNNING, [a_run()])))
    assert isinstance(action, CancelJob), because


def test_a_job_that_was_to_end_before_the_deletion_is_cancelled_for_the_reason_that_was_decided() -> None:
    """Its service shows that reason to people; "deleted" would read as if the policy had been forgotten."""
    builder = going(ending="CostLimitExceeded", endingMessage="too dear")
    action = plan_job(builder.resource, facts(**reads(RUNNING, [a_run()])))
    assert action == CancelJob(JOB, "DispersedJob ended by its operator: CostLimitExceeded")
