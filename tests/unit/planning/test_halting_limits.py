"""A job that exceeds a limit of its spec is ended, says so with the amount, and is never run again."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.cost import refresh_seconds
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    CancelJob,
    ReadJob,
    RecordEnding,
    Rest,
)
from tests.support.builders import (
    BATCH,
    IDENTITY,
    JOB,
    NOW,
    SIGNED,
    a_run,
    facts,
    reads,
)
from tests.support.endings import CANCELLED, ENDED_RUN, RUNNING, created, over, situation_of


def limited(**limits: Any) -> dict[str, Any]:
    return {**BATCH, "limits": limits}


DEAR = a_run(hourly_rate_usd=Decimal("4.14"))


@pytest.mark.parametrize(
    ("limits", "run", "at", "reason", "amounts"),
    [
        pytest.param(
            {"maxHourlyRateUSD": "1.00"},
            DEAR,
            NOW,
            Reason.RATE_LIMIT_EXCEEDED,
            ("4.14", "1"),
            marks=[pytest.mark.failure_mode(48), pytest.mark.reason("RateLimitExceeded")],
        ),
        pytest.param(
            {"maxCostUSD": "4.14"},
            DEAR,
            NOW - 10 + 3600,
            Reason.COST_LIMIT_EXCEEDED,
            ("4.1400", "4.14"),
            marks=pytest.mark.reason("CostLimitExceeded"),
        ),
        pytest.param(
            {"maxLifetimeSeconds": 3600},
            a_run(),
            SIGNED + 3600,
            Reason.LIFETIME_EXCEEDED,
            ("3600",),
            marks=pytest.mark.reason("LifetimeExceeded"),
        ),
    ],
)
def test_a_breach_is_written_down_then_the_job_is_ended_then_the_resource_has_failed_with_the_amount(
    limits: dict[str, Any], run: Any, at: int, reason: Reason, amounts: tuple[str, ...]
) -> None:
    builder = created(limited(**limits))
    seen = facts(at=at, snapshot_job=RUNNING, snapshot_runs=(run,))
    decided = plan_job(builder.resource, seen)
    assert isinstance(decided, RecordEnding)
    assert decided.ending is reason
    assert all(amount in decided.message for amount in amounts)
    before = plan_job(builder.resource, facts(at=SIGNED + 15, **reads(RUNNING, [a_run(started_at=None)])))
    assert isinstance(before, Rest), "nothing is exceeded yet"
    record = builder.record(ending=reason.value, endingMessage=decided.message).resource
    cancel = plan_job(record, facts(at=at, **reads(RUNNING, [run])))
    assert isinstance(cancel, CancelJob)
    assert reason.value in cancel.reason
    done = plan_job(record, facts(at=at, **reads(CANCELLED, [ENDED_RUN])))
    said = situation_of(done)
    assert (said.phase, said.reason, said.ended, said.stalled) == (Phase.FAILED, reason, False, True)
    assert decided.message in said.message
    assert done == Rest(said, None)


@pytest.mark.parametrize("ending", ["RateLimitExceeded", "CostLimitExceeded", "LifetimeExceeded"])
def test_a_limit_that_is_lifted_after_the_decision_changes_nothing(ending: str) -> None:
    lifted = created(BATCH, ending=ending, endingMessage="too much").resource
    assert isinstance(plan_job(lifted, facts(**reads(RUNNING, [a_run()]))), CancelJob)
    said = situation_of(plan_job(lifted, facts(**reads(CANCELLED, [ENDED_RUN]))))
    assert said.reason == ending


def test_a_pause_does_not_stop_the_limits() -> None:
    paused = created(limited(maxHourlyRateUSD="1")).paused().resource
    assert isinstance(plan_job(paused, facts(**reads(RUNNING, [DEAR]))), RecordEnding)


def test_the_next_look_is_not_later_than_the_breach() -> None:
    def after(live_jobs: int = 1, **limits: Any) -> float | None:
        action = plan_job(created(limited(**limits)).resource, facts(**reads(RUNNING, [DEAR]), live_jobs=live_jobs))
        assert isinstance(action, Rest)
        return action.after

    assert after() == 900, "the cost is written every 15 minutes"
    assert after(10_000) == refresh_seconds(10_000, IDENTITY.uid) > 15_000, "of many jobs less often"
    assert after(maxLifetimeSeconds=120) == SIGNED + 120 - NOW
    assert after(10_000, maxLifetimeSeconds=120) == SIGNED + 120 - NOW
    assert after(maxCostUSD="0.0345") == pytest.approx(20)
    assert after(maxCostUSD="100", maxLifetimeSeconds=86400) == 900


def test_a_resume_that_has_no_money_left_makes_no_attempt_until_the_limit_is_raised() -> None:
    spent = over(limited(maxCostUSD="2.50")).status(costUSD="2.5000")
    said = situation_of(plan_job(spent.resource, facts()))
    assert (said.reason, said.stalled, said.ended, said.phase) == (
        Reason.COST_LIMIT_EXCEEDED,
        True,
        None,
        Phase.PENDING,
    )
    assert "2.5000" in said.message
    raised = over(limited(maxCostUSD="2.51")).status(costUSD="2.5000")
    assert plan_job(raised.resource, facts()) == ReadJob(JOB, runs=False)


def test_a_job_of_ours_that_is_adopted_cancelled_for_a_limit_is_not_called_cancelled_by_others() -> None:
    cancel = plan_job(created(BATCH, ending="CostLimitExceeded").resource, facts(**reads(RUNNING, [a_run()])))
    assert isinstance(cancel, CancelJob)
    seen: RemoteJob = replace(CANCELLED, status_reason=cancel.reason)
    action = plan_job(created().resource, facts(**reads(seen, [ENDED_RUN])))
    assert isinstance(action, RecordEnding)
    assert action.ending is Reason.COST_LIMIT_EXCEEDED
