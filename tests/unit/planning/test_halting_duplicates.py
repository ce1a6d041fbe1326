"""A suspension ends every job of the resource, the duplicates that only memory knows of included."""

from __future__ import annotations

import pytest

from dispersed_operator.model.status import Phase
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import CancelJob, Rest, Situation
from tests.support.builders import (
    BATCH,
    MONOTONIC,
    NOW,
    OTHER_JOB,
    a_job,
    a_row,
    a_run,
    an_intent,
    facts,
    memory,
    moment,
    reads,
)

ENDING = {"ending": "Suspended", "endingMessage": "spec.suspend was set to true"}
SUSPENDING = a_job().spec({**BATCH, "suspend": True}).intent(an_intent()).record(**ENDING).resource
OVER = reads(a_row(status="CANCELLED"), [a_run(status="CANCELLED", ended_at=moment(NOW))])


@pytest.mark.failure_mode(45)
def test_suspended_is_not_said_while_a_duplicate_lives_and_its_cancel_is_repeated() -> None:
    waiting = plan_job(SUSPENDING, facts(**OVER, memory=memory(extras=(OTHER_JOB,), last_extra=MONOTONIC)))
    assert isinstance(waiting, Rest)
    assert isinstance(waiting.situation, Situation)
    assert (waiting.situation.phase, waiting.situation.suspended) == (Phase.STOPPING, False)
    assert OTHER_JOB in waiting.situation.message
    assert waiting.after is not None, "nobody else would wake it: the duplicate stands on no object"
    due = plan_job(SUSPENDING, facts(**OVER, memory=memory(extras=(OTHER_JOB,), last_extra=MONOTONIC - 60)))
    assert isinstance(due, CancelJob)
    assert (due.uuid, due.extra) == (OTHER_JOB, True)


def test_suspended_is_said_once_the_duplicate_is_over() -> None:
    said = plan_job(SUSPENDING, facts(**OVER))
    assert isinstance(said, Rest)
    assert isinstance(said.situation, Situation)
    assert said.situation.suspended
