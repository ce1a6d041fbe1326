"""What an account of either kind shows of itself: to a person in its status, to an alert in a metric."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from dispersed_devenv.services import PUBLIC_KEY, SECRET_KEY
from dispersed_operator.planning.account import key_fingerprint
from tests.support.sweeps import metric
from tests.support.world import World, wait_for

KINDS = ["dispersedaccount", "clusterdispersedaccount"]
NEW_KEY, NEW_SECRET = "pk_new", "sk_new"


def wait_metric(world: World, name: str, kind: str, value: float) -> None:
    """Wait for the value of an account's gauge; the namespace of a shared account is empty."""
    namespace = world.namespace if kind == "dispersedaccount" else ""
    labels = {"namespace": namespace, "account": "default"}
    wait_for(lambda: metric(world, f"dispersed_operator_{name}", **labels) == value, what=f"{name} is {value}")


@pytest.mark.failure_mode(27)
@pytest.mark.reason("CredentialsRejected")
@pytest.mark.parametrize("kind", KINDS)
def test_an_account_shows_its_key_clock_jobs_and_spend_and_a_refused_key_to_people_and_alerts(
    make_world: Callable[..., World], kind: str
) -> None:
    world = make_world()
    add_account, add_secret, nudge = (
        (world.add_account, world.add_secret, world.nudge_account)
        if kind == "dispersedaccount"
        else (world.add_shared_account, world.add_shared_secret, world.nudge_shared_account)
    )
    add_account()
    world.start_operator()
    world.add_persistent("job")
    world.wait_condition("job", "Ready")
    ready = world.wait_condition("default", "Ready", kind=kind)
    assert ready["reason"] == "Accepted"
    rate = world.status("job")["hourlyRateUSD"]
    assert float(rate) > 0

    def shows(live: int, hourly: str) -> bool:
        status = world.status("default", kind)
        return (status.get("liveJobs"), status.get("hourlyRateUSD")) == (live, hourly)

    nudge()
    wait_for(lambda: shows(1, rate), what="the account shows its job and what it costs")
    status = world.status("default", kind)
    assert status["keyFingerprint"] == key_fingerprint(PUBLIC_KEY)
    assert abs(status["clockOffsetSeconds"]) <= 5
    assert status["observedGeneration"] == 1
    wait_metric(world, "account_ready", kind, 1)

    world.control.revoke_key(PUBLIC_KEY)
    refused = world.wait_condition("default", "Ready", "False", reason="CredentialsRejected", kind=kind)
    assert "docs/reasons/CredentialsRejected.md" in refused["message"]
    wait_metric(world, "account_ready", kind, 0)
    assert "CredentialsRejected" in world.kubectl("get", kind, "default")

    world.control.add_key(NEW_KEY, NEW_SECRET)
    add_secret(public=NEW_KEY, secret=NEW_SECRET)  # nobody tells the operator
    world.wait_condition("default", "Ready", kind=kind)
    assert world.status("default", kind)["keyFingerprint"] == key_fingerprint(NEW_KEY)
    wait_metric(world, "account_ready", kind, 1)
    assert world.condition("job", "Ready")["status"] == "True"
    assert len(world.posts()) == 1

    world.remove_jobs("job")
    nudge()
    wait_for(lambda: shows(0, "0"), what="the account shows that nothing runs")
    text = json.dumps(world.get("default", kind))
    assert not [secret for secret in (PUBLIC_KEY, SECRET_KEY, NEW_KEY, NEW_SECRET) if secret in text]
    world.check_truth()
