"""May the operator go? Only when every DispersedJob is known to be over, or can have no remote job."""

from __future__ import annotations

import pytest

from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.job import DeletionPolicy
from dispersed_operator.planning.uninstall import UninstallPlan, plan_uninstall
from tests.support.builders import BATCH, JOB, JobBuilder, a_job, an_intent, refused

SUSPENDED = {**BATCH, "suspend": True}
KEEPING = {**BATCH, "deletionPolicy": DeletionPolicy.ORPHAN.value}


def with_condition(job: JobBuilder, type_: str, status: str = "True") -> JobBuilder:
    return job.status(conditions=[{"type": type_, "status": status, "reason": "Reason"}])


def plan(*jobs: JobBuilder) -> UninstallPlan:
    return plan_uninstall(job.resource for job in jobs)


NEEDED = {
    "nobody has touched it yet": (a_job(), "has no remote job yet, and the operator may create one"),
    "a create is under way": (a_job().intent(), "has a create whose outcome is not known"),
    "a create is under way, and it is to be suspended": (
        a_job().spec(SUSPENDED).intent(),
        "has a create whose outcome is not known",
    ),
    "an intent that cannot be read": (a_job().intent("garbled"), "has a create whose outcome is not known"),
    "a finalizer, and all records taken away": (a_job().held(), "has a create whose outcome is not known"),
    "a create was refused and may be tried again": (
        a_job().intent(refused(Refusal.FUNDS)),
        "has no remote job yet, and the operator may create one",
    ),
    "it lives": (a_job().created(), f"has the remote job {JOB}"),
    "it lives, and a condition is not true": (
        with_condition(a_job().created(), "Failed", "False"),
        f"has the remote job {JOB}",
    ),
    "it lives and is to be suspended": (a_job().spec(SUSPENDED).created(), f"has the remote job {JOB}"),
    "it was resumed": (
        a_job().created().record(ended=True, ending="Suspended"),
        "was resumed, and the operator may create its next job",
    ),
    "it is being deleted": (a_job().created().deleting(), "is being deleted"),
    "it is over and being deleted": (with_condition(a_job().created(), "Complete").deleting(), "is being deleted"),
    "it is being deleted, and our finalizer was stripped while it lives": (
        a_job().record().metadata(deletionTimestamp="2026-11-20T00:00:00Z"),
        "is being deleted",
    ),
    "a newer attempt than the one that is over": (
        with_condition(a_job().record().intent(an_intent(attempt=2)), "Failed"),
        "has a create whose outcome is not known",
    ),
}
FREE = {
    "it completed": with_condition(a_job().created(), "Complete"),
    "it failed": with_condition(a_job().created(), "Failed"),
    "it is suspended": a_job().spec(SUSPENDED).created().record(ended=True, ending="Suspended"),
    "a limit ended it": a_job().created().record(ended=True, ending="CostLimitExceeded"),
    "it was suspended before anything was created": a_job().spec(SUSPENDED),
    "its create was refused, and it is suspended": a_job().spec(SUSPENDED).intent(refused(Refusal.FUNDS)),
    "it is being deleted, and we do not hold it": a_job().metadata(deletionTimestamp="2026-11-20T00:00:00Z"),
}


@pytest.mark.failure_mode(32)
@pytest.mark.parametrize(("job", "because"), NEEDED.values(), ids=NEEDED)
def test_the_operator_must_stay(job: JobBuilder, because: str) -> None:
    (item,) = plan(job).needing
    assert item.because == because


@pytest.mark.failure_mode(32)
@pytest.mark.parametrize("job", FREE.values(), ids=FREE)
def test_the_operator_may_go(job: JobBuilder) -> None:
    assert plan(job).needing == ()


def test_what_is_over_and_held_is_counted() -> None:
    assert plan(*FREE.values()).held == 5


def test_what_is_not_over_is_to_be_deleted_and_what_is_over_is_not() -> None:
    live, over = a_job().created(), with_condition(a_job().created(), "Complete")
    found = plan(live, over)
    assert [item.uid for item in found.to_delete] == [live.resource.uid]


def test_what_is_being_deleted_is_not_deleted_again() -> None:
    assert plan(a_job().created().deleting()).to_delete == ()


def test_nothing_is_deleted_while_a_deletion_would_leave_a_job_running() -> None:
    found = plan(a_job().created(), a_job().spec(KEEPING).created())
    assert [item.outlives_deletion for item in found.needing] == [False, True]
    assert found.to_delete == ()


def test_a_kept_job_that_was_never_created_can_be_deleted() -> None:
    assert len(plan(a_job().spec(KEEPING)).to_delete) == 1
