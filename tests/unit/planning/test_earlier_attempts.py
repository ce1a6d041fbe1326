"""A job of an earlier attempt, thought lost, lives beside the one of a later attempt; nobody deletes anything."""

from __future__ import annotations

import pytest

from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import RecordCreate
from tests.support.builders import (
    JOB,
    MONOTONIC,
    NOW,
    OTHER_JOB,
    SIGNED,
    a_job,
    a_listing,
    a_row,
    an_intent,
    facts,
    moment,
)

LATER = SIGNED + 500


@pytest.mark.failure_mode(9)
@pytest.mark.parametrize(
    ("earlier", "extras"),
    [
        pytest.param(a_row(uuid=JOB, attempt=1), (JOB,), id="lives"),
        pytest.param(a_row(uuid=JOB, attempt=1, status="CANCELLED"), (), id="has ended"),
        pytest.param(a_row(uuid=JOB, attempt=1, created_at=moment(SIGNED + 4000)), (), id="is a person's copy"),
    ],
)
def test_a_live_job_of_an_earlier_attempt_is_a_duplicate_of_the_pending_one(
    earlier: object, extras: tuple[str, ...]
) -> None:
    """The newest attempt is what the resource stands for; the late one must not go on costing money unseen."""
    assert isinstance(earlier, type(a_row()))
    resource = a_job().intent(an_intent(attempt=2, signed_at=LATER)).resource
    newest = a_row(uuid=OTHER_JOB, attempt=2, signed_at=LATER)
    listing = a_listing(earlier, newest, date=LATER + 20, begun=MONOTONIC + 1)
    action = plan_job(resource, facts(at=LATER + 20, listing=listing, now=MONOTONIC + 2))
    assert isinstance(action, RecordCreate)
    assert (action.uuid, action.attempt, action.extras) == (OTHER_JOB, 2, extras)
    assert NOW < LATER
