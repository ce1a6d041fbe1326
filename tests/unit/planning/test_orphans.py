"""What the status of a DispersedOrphan says after each sight of its job."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dispersed_operator.model.naming import create_token
from dispersed_operator.model.observed import rfc3339
from dispersed_operator.planning.orphans import (
    REFRESH_SECONDS,
    closed_status,
    is_worth_writing,
    refused_status,
    seen_status,
)
from tests.support.builders import IDENTITY, JOB, NOW, a_row, a_run

ROW = a_row(status="RUNNING")
OPEN: dict[str, Any] = seen_status({}, ROW, [a_run()], account="team-a/default", key_fingerprint="cafe", now=NOW)


def test_the_first_sight_tells_everything_that_is_known() -> None:
    assert {
        "uuid": JOB,
        "token": create_token(IDENTITY, 1),
        "account": "team-a/default",
        "keyFingerprint": "cafe",
        "title": ROW.title,
        "cause": "NoOwner",
        "remoteStatus": "RUNNING",
        "firstSeen": rfc3339(NOW),
        "lastSeen": rfc3339(NOW),
        "hourlyRateUSD": "0.35",
        "costUSD": "0.0010",
        "phase": "Open",
    } == OPEN


def test_a_later_sight_keeps_what_only_the_first_could_know() -> None:
    before = OPEN | {"owner": "team-a/train", "cause": "DeletionPolicy"}
    later = seen_status(before, ROW, [], account="team-a/default", key_fingerprint="cafe", now=NOW + 600)
    kept = ("owner", "cause", "firstSeen", "hourlyRateUSD", "costUSD")
    assert {name: later[name] for name in kept} == {name: before[name] for name in kept}
    assert later["lastSeen"] == rfc3339(NOW + 600)


def test_the_end_of_the_job_closes_with_its_final_cost() -> None:
    runs = [a_run(status="CANCELLED", hourly_rate_usd=Decimal(36))]
    closed = closed_status(OPEN, a_row(status="CANCELLED"), runs, now=NOW)
    assert (closed["phase"], closed["remoteStatus"], closed["costUSD"]) == ("Closed", "CANCELLED", "0.1000")


def test_a_job_that_is_gone_closes_with_what_was_known() -> None:
    assert closed_status(OPEN, now=NOW) == OPEN | {"phase": "Closed"}


def test_a_refusal_is_a_condition_that_goes_when_it_does_not_hold_any_more() -> None:
    refused = refused_status(OPEN, "not ours", now=NOW, generation=2)
    (condition,) = refused["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Stalled", "True", "OwnershipAmbiguous")
    assert (condition["message"], condition["observedGeneration"]) == ("not ours", 2)
    again = refused_status(refused, "still not ours", now=NOW + 60, generation=3)
    assert again["conditions"][0]["lastTransitionTime"] == condition["lastTransitionTime"]
    assert "conditions" not in seen_status(refused, ROW, [], account="team-a/default", key_fingerprint="cafe", now=NOW)


@pytest.mark.parametrize(
    ("before", "worth", "why"),
    [
        ({}, True, "nothing was ever written"),
        (OPEN, False, "the same was written just now"),
        (OPEN | {"lastSeen": rfc3339(NOW - REFRESH_SECONDS)}, True, "rate and cost are some minutes old"),
        (OPEN | {"remoteStatus": "PREPARING"}, True, "its status changed"),
        (OPEN | {"phase": "Closed"}, True, "it lives after all"),
        (refused_status(OPEN, "no", now=NOW, generation=1), True, "a refusal does not hold any more"),
    ],
)
def test_a_sight_is_written_when_it_says_something_new(before: dict[str, Any], worth: bool, why: str) -> None:
    assert is_worth_writing(before, ROW, NOW) is worth, why
