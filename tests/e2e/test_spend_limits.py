"""spec.limits: a job that costs too much or lives too long is cancelled, says how much, and is never run again."""

from __future__ import annotations

import json

import pytest

from dispersed_operator.model.naming import parse_title
from dispersed_operator.model.observed import epoch
from tests.support.proofs import look
from tests.support.world import Body, World, wait_for

LONG = 600.0


def failed(world: World, name: str, reason: str, *amounts: str) -> None:
    """The resource has failed for this reason, names the amounts, and stays so; its job has ended."""
    condition = world.wait_condition(name, "Failed", reason=reason)
    assert all(amount in condition["message"] for amount in amounts), condition
    assert f"docs/reasons/{reason}.md" in condition["message"]
    assert world.remote(name)["status"] == "CANCELLED"
    assert reason in world.events(name)
    posts = len(world.posts())
    look(world, name)
    assert len(world.posts()) == posts
    assert world.status(name)["phase"] == "Failed"


def title_of(job: Body) -> tuple[int, int]:
    """Time of signature and expiry in a title."""
    parsed = parse_title(job["title"])
    assert parsed is not None
    return parsed.signed_at, parsed.expiry


@pytest.mark.failure_mode(48)
@pytest.mark.reason("RateLimitExceeded")
def test_a_small_request_on_a_dear_node_is_cancelled_when_its_price_shows(world: World) -> None:
    world.control.add_fate("dear", hourly_rate_usd=4.14, run_seconds=LONG)
    world.control.add_fate("cheap", run_seconds=LONG)
    for name in ("dear", "cheap"):
        world.add_batch(name, limits={"maxHourlyRateUSD": "1.50"})
    failed(world, "dear", "RateLimitExceeded", "4.14", "1.5")
    world.wait_phase("cheap", "Running")
    assert len(world.posts()) == 2
    world.check_truth()


@pytest.mark.reason("CostLimitExceeded")
def test_a_job_that_has_spent_its_money_is_cancelled_and_a_crash_meanwhile_does_not_change_the_story(
    world: World,
) -> None:
    world.control.add_fate("server", cancel_seconds=LONG)
    world.add_persistent(limits={"maxCostUSD": "0.50"})
    world.wait_condition("server", "Ready")
    world.control.advance(3600)
    look(world, "server")
    assert world.status("server")["phase"] == "Running"
    assert world.cancels() == []
    world.control.advance(3600)
    world.nudge("server")
    wait_for(lambda: world.remote("server")["status"] == "CANCELLING", what="the cancel took effect")
    world.operators[0].kill()
    world.control.advance(LONG + 1)
    world.start_operator("second")
    failed(world, "server", "CostLimitExceeded", "0.7", "0.5")
    assert len(world.posts()) == 1
    world.check_truth()


def test_what_the_attempt_before_a_suspension_cost_counts(world: World) -> None:
    world.add_persistent(limits={"maxCostUSD": "0.60"})
    world.wait_condition("server", "Ready")
    world.control.advance(3600)
    look(world, "server")
    world.kubectl("patch", "dispersedjob", "server", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    world.wait_condition("server", "Suspended")
    spent = float(world.status("server")["costUSD"])
    assert spent >= 0.35
    world.kubectl("patch", "dispersedjob", "server", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    world.wait_condition("server", "Ready")
    assert float(world.status("server")["create"]["priorCostUSD"]) == spent
    world.control.advance(3600)
    world.nudge("server")
    failed(world, "server", "CostLimitExceeded", "0.6")
    world.kubectl("patch", "dispersedjob", "server", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    look(world, "server")
    assert world.status("server")["phase"] == "Failed"
    assert len(world.posts()) == 2
    world.check_truth()


@pytest.mark.reason("LifetimeExceeded")
def test_a_lifetime_stands_in_the_title_and_ends_the_job(world: World) -> None:
    world.add_persistent("short", limits={"maxLifetimeSeconds": 900})
    world.add_persistent("endless")
    world.control.add_fate("batch", run_seconds=LONG)
    world.add_batch(limits={"maxLifetimeSeconds": 3000})
    for name in ("short", "endless", "batch"):
        world.wait_phase(name, "Running")
    signed_at, expiry = title_of(world.remote("short"))
    assert expiry == signed_at + 900
    assert epoch(world.status("short")["create"]["expiresAt"]) == expiry
    assert title_of(world.remote("endless"))[1] == 0
    assert world.status("endless")["create"]["expiresAt"] == "never"
    batch = title_of(world.remote("batch"))
    assert batch[1] == batch[0] + 3000
    body = json.dumps({"spec": {"limits": {"maxLifetimeSeconds": 800}}})
    world.kubectl("patch", "dispersedjob", "short", "--type=merge", "-p", body)
    world.control.advance(801)
    world.nudge("short")
    failed(world, "short", "LifetimeExceeded", "800")
    assert world.remote("endless")["status"] == "RUNNING"
    assert len(world.posts()) == 3
    world.check_truth()
