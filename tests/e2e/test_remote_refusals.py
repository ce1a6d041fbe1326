"""What the service refuses is said with its remedy; exactly one job exists after the mend."""

from __future__ import annotations

import json

import pytest

from tests.support.world import World, wait_for


@pytest.mark.reason("RemoteValidationFailed")
def test_a_validation_refusal_waits_for_a_mended_spec_and_is_not_sent_again_before(world: World) -> None:
    world.control.switch(insufficient_funds="400")
    out_of_funds(world, True)
    world.add_batch()
    world.wait_blocked("batch", "RemoteValidationFailed", names="Correct the spec")
    status = world.status("batch")
    assert world.condition("batch", "Stalled")["status"] == "True"
    assert (status["create"]["state"], status["create"]["locked"]) == ("Refused", False)
    assert "CreateRefused" in world.events("batch")

    out_of_funds(world, False)
    world.kubectl("annotate", "dispersedjob", "batch", "example.com/touched=1")
    world.kubectl("patch", "dispersedjob", "batch", "--type=merge", "-p", json.dumps(title("another title")))
    wait_for(lambda: world.status("batch")["observedGeneration"] == 2, what="the edit of the title is observed")
    assert len(world.posts()) == 1, "a title does not change what was refused"
    world.kubectl("patch", "dispersedjob", "batch", "--type=merge", "-p", '{"spec":{"template":{"tag":"v2"}}}')
    world.wait_condition("batch", "Complete")
    assert world.condition("batch", "Stalled")["status"] == "False"
    assert len(world.posts()) == 2
    assert len(world.jobs()) == 1
    world.check_truth()


@pytest.mark.reason("InsufficientFunds")
def test_without_funds_a_job_waits_with_back_off_and_is_created_once_when_there_is_credit(world: World) -> None:
    out_of_funds(world, True)
    world.add_batch()
    world.wait_blocked("batch", "InsufficientFunds", names="Add credit to the account")
    world.kubectl("annotate", "dispersedjob", "batch", "example.com/touched=1")
    world.kubectl("label", "dispersedjob", "batch", "touched=1")
    assert len(world.posts()) == 1
    out_of_funds(world, False)
    world.nudge("batch")
    world.wait_condition("batch", "Complete")
    assert len(world.posts()) == 2
    assert len(world.jobs()) == 1
    world.check_truth()


@pytest.mark.reason("RateLimited")
@pytest.mark.reason("Creating")
def test_a_rate_limit_on_the_create_is_no_refusal_and_brings_no_second_request_before_the_proof(world: World) -> None:
    control = world.control
    refused = control.add_fault("rate_limit", method="POST", times=1)
    world.add_batch("plain")
    world.wait_condition("plain", "RemoteCreated", "Unknown", reason="Creating")
    throttled = control.add_fault("rate_limit", method="GET", times=None, retry_after=1)
    world.nudge("plain")
    world.wait_blocked("plain", "RateLimited", names="requestsPerMinute")
    assert world.condition("plain", "RemoteCreated")["status"] == "Unknown"
    assert control.fault_hits(throttled) < 15, "the operator slows down when it is asked to"
    control.remove_fault(throttled)
    world.wait_condition("plain", "RemoteCreated", "Unknown", reason="Creating")

    committed = control.add_fault("rate_limit", method="POST", times=1, retry_after=1, commit=True)
    world.add_batch("told")
    world.wait_condition("told", "Complete")
    assert (control.fault_hits(refused), control.fault_hits(committed)) == (1, 1)
    assert "Adopted" in world.events("told")
    assert len(world.posts()) == 2

    control.advance(430)
    world.look_again("plain")
    assert world.condition("plain", "RemoteCreated")["status"] == "Unknown"
    assert len(world.posts()) == 2
    control.advance(31)
    world.nudge("plain")
    world.wait_condition("plain", "Complete")
    assert len(world.posts()) == 3
    assert len(world.jobs()) == 2
    world.check_truth()


def title(text: str) -> dict[str, object]:
    return {"spec": {"template": {"title": text}}}


def out_of_funds(world: World, out: bool) -> None:
    world.control.set_account(world.control.keys()[0]["account_uuid"], out_of_funds=out)
