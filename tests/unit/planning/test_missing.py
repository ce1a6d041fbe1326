"""A 404 is not believed at once: account, second read and listing must agree."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    DropFinalizer,
    Kept,
    Missing,
    ReadListing,
    RememberMissing,
    Rest,
    Situation,
)
from tests.support.builders import (
    CREATED,
    JOB,
    MONOTONIC,
    NOW,
    OTHER_ACCOUNT,
    SIGNED,
    a_job,
    a_listing,
    a_row,
    an_account,
    facts,
    memory,
    stranger,
)

CREATED_JOB = a_job().created()
RESOURCES = [pytest.param(CREATED_JOB, id="alive"), pytest.param(CREATED_JOB.deleting(), id="going")]
TWICE: dict[str, Any] = {"job": Missing(NOW + 30), "memory": memory(first_missing=NOW)}


@pytest.mark.failure_mode(24)
@pytest.mark.parametrize("builder", RESOURCES)
def test_the_first_404_is_only_remembered(builder: Any) -> None:
    assert plan_job(builder.resource, facts(job=Missing(NOW))) == RememberMissing(NOW)


@pytest.mark.parametrize("builder", RESOURCES)
def test_a_second_404_counts_only_thirty_seconds_later(builder: Any) -> None:
    action = plan_job(builder.resource, facts(job=Missing(NOW + 29), memory=memory(first_missing=NOW)))
    assert isinstance(action, Rest)
    assert action.after is not None


@pytest.mark.parametrize("builder", RESOURCES)
def test_two_404s_ask_the_listing(builder: Any) -> None:
    assert plan_job(builder.resource, facts(**TWICE)) == ReadListing(since=CREATED - 3600, begun_after=MONOTONIC)


def test_the_listing_goes_back_to_the_signature_of_a_job_older_than_its_resource() -> None:
    restored = CREATED_JOB.metadata(creationTimestamp="2026-11-30T00:00:00Z").resource
    action = plan_job(restored, facts(**TWICE))
    assert isinstance(action, ReadListing)
    assert action.since == SIGNED - 3600


@pytest.mark.reason("RemoteVanished")
def test_a_job_that_vanished_is_said_and_never_created_again() -> None:
    action = plan_job(CREATED_JOB.resource, facts(**TWICE, listing=a_listing(stranger())))
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    assert action.situation.reason is Reason.REMOTE_VANISHED
    assert action.situation.stalled


def test_a_job_that_vanished_lets_its_deletion_end() -> None:
    action = plan_job(CREATED_JOB.deleting().resource, facts(**TWICE, listing=a_listing(stranger())))
    assert isinstance(action, DropFinalizer)


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"account": an_account(mark=OTHER_ACCOUNT)}, "another account knows none of our jobs"),
        ({"listing": a_listing(a_row(status="RUNNING"))}, "the listing shows the job that answers 404"),
    ],
)
@pytest.mark.parametrize("builder", RESOURCES)
@pytest.mark.failure_mode(28)
@pytest.mark.reason("AccountMismatch")
def test_a_contradiction_is_an_account_mismatch_and_nothing_goes(
    builder: Any, changes: dict[str, Any], because: str
) -> None:
    action = plan_job(builder.resource, facts(**{**TWICE, **changes}))
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    assert action.situation.reason is Reason.ACCOUNT_MISMATCH, because
    assert action.situation.stalled


def test_a_doubtful_404_leaves_the_status_as_it_is() -> None:
    action = plan_job(CREATED_JOB.resource, facts(job=Missing(NOW + 1), memory=memory(first_missing=NOW)))
    assert isinstance(action, Rest)
    assert action.situation == Kept()


def test_without_a_recorded_account_no_404_is_ever_believed() -> None:
    resource = a_job().held().record(account=None).resource
    action = plan_job(resource, facts(**TWICE, listing=a_listing()))
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    assert action.situation.reason is Reason.ACCOUNT_MISMATCH
    assert JOB in action.situation.message
