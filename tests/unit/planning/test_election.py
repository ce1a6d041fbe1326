"""What a Lease says: how long it holds for somebody who watches it, and what its holder writes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from dispersed_operator.planning.election import SeenLease, Terms, is_free, released, renewed, see, taken

TERMS = Terms()
WALL = 1_795_000_000.25


def lease(version: str = "7", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"resourceVersion": version},
        "spec": {"holderIdentity": "other", "leaseDurationSeconds": 15} | spec,
    }


def seen(at: float = 100.0, **spec: Any) -> SeenLease:
    return see(lease(**spec), None, now=at)


@pytest.mark.parametrize(("after", "free"), [(0.0, False), (14.9, False), (15.0, True)])
def test_a_lease_is_free_when_its_duration_has_passed_since_it_was_first_seen(after: float, free: bool) -> None:
    assert is_free(seen(), now=100.0 + after) is free


def test_the_holder_gives_up_before_anybody_may_take_over() -> None:
    assert TERMS.retry < TERMS.give_up < TERMS.duration


def test_what_counts_is_when_a_version_was_first_seen_not_when_it_was_last_read() -> None:
    again = see(lease(), seen(at=100.0), now=114.0)
    assert is_free(again, now=115.0)
    changed = see(lease(version="8"), again, now=114.0)
    assert not is_free(changed, now=115.0)


def test_no_clock_of_another_machine_is_believed() -> None:
    """A renewTime of long ago, or of tomorrow, changes nothing."""
    for moment in ("2020-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"):
        assert not is_free(seen(renewTime=moment), now=114.0)


def test_the_duration_is_that_which_the_holder_wrote() -> None:
    assert is_free(seen(leaseDurationSeconds=1), now=101.0)
    assert not is_free(seen(leaseDurationSeconds=60), now=150.0)


@pytest.mark.parametrize("spec", [{}, None, {"holderIdentity": None}, {"holderIdentity": ""}])
def test_a_lease_without_a_holder_is_free_at_once(spec: dict[str, Any] | None) -> None:
    assert is_free(see({"metadata": {"resourceVersion": "1"}, "spec": spec}, None, now=0.0), now=0.0)


def test_who_takes_over_counts_it() -> None:
    spec = taken("me", TERMS, seen(leaseTransitions=4), wall=WALL)
    assert (spec["holderIdentity"], spec["leaseTransitions"], spec["leaseDurationSeconds"]) == ("me", 5, 15)
    assert spec["acquireTime"] == spec["renewTime"]
    assert spec["renewTime"].endswith(".250000Z"), "a MicroTime"
    assert datetime.fromisoformat(spec["renewTime"]).timestamp() == WALL
    assert taken("me", TERMS, None, wall=WALL)["leaseTransitions"] == 0


def test_a_renewal_keeps_when_the_lease_was_taken() -> None:
    spec = renewed("me", TERMS, wall=WALL)
    assert spec["holderIdentity"] == "me"
    assert not {"acquireTime", "leaseTransitions"} & spec.keys()


def test_a_released_lease_is_free_for_whoever_looks() -> None:
    after = see(
        {"metadata": {"resourceVersion": "8"}, "spec": lease()["spec"] | released(wall=WALL)}, seen(), now=101.0
    )
    assert is_free(after, now=101.0)
