"""Jobs that are to be ended or were: what tests of suspension and limits share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispersed_operator.planning.vocabulary import Action, Rest, Situation
from tests.support.builders import BATCH, NOW, JobBuilder, a_job, a_row, a_run, an_intent, moment

SUSPEND = {**BATCH, "suspend": True}
RUNNING = a_row(status="RUNNING")
CANCELLED = a_row(status="CANCELLED")
ENDED_RUN = a_run(status="CANCELLED", ended_at=moment(NOW))
ENDING = {"ending": "Suspended", "endingMessage": "spec.suspend was set to true"}


def created(spec: Mapping[str, Any] = BATCH, **record: Any) -> JobBuilder:
    """A job that was accepted, with this spec now."""
    return a_job().spec(spec).intent(an_intent()).record(**record)


def over(spec: Mapping[str, Any] = BATCH, **record: Any) -> JobBuilder:
    """A job whose suspension is complete, with this spec now."""
    return created(spec, locked=False, ended=True, **ENDING, **record)


def situation_of(action: Action) -> Situation:
    """What a rest says."""
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    return action.situation
