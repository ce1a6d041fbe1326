"""Answers that make no sense never end a worker, never count as "gone", and never double a job."""

from __future__ import annotations

import urllib.request

import pytest

from dispersed_simulator.faults import MALFORMED_SHAPES
from tests.support.world import World, wait_for

LONG = 600.0
JOB, LIST, RUNS = r"^/v1/jobs/[^/]+$", r"^/v1/jobs$", r"^/v1/job-runs"


def test_malformed_answers_in_every_shape_change_nothing_about_a_running_job_and_create_nothing_twice(
    world: World,
) -> None:
    control = world.control
    control.add_fate("other", run_seconds=LONG)
    world.add_persistent()
    world.add_batch("other")
    world.wait_condition("server", "Ready")
    world.wait_phase("other", "Running")
    before = world.status("server")
    server = rf"^/v1/jobs/{before['jobUUID']}$"
    for path in (server, LIST, RUNS):
        for shape in MALFORMED_SHAPES:
            control.add_fault("malformed", method="GET", path=path, shape=shape, times=1)
        control.add_fault("server_error", method="GET", path=path, status=502, times=1)
    control.add_fault("drop_after_commit", method="POST", times=1)
    world.add_batch()

    def all_struck() -> bool:
        world.nudge("server", "other", "batch")
        return all(rule["hits"] == 1 for rule in control.faults())

    wait_for(all_struck, what="every malformed answer was given")
    world.wait_condition("batch", "Complete")
    world.nudge("server")
    world.wait_condition("server", "AccountReady")
    after = world.status("server")
    kept = ("phase", "jobUUID", "create", "endpoints", "connectionSecretRef", "runs", "active")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert world.condition("server", "Ready")["status"] == "True"
    assert "RemoteVanished" not in world.events("server")
    check_healthy(world)
    for name in ("server", "other"):
        world.delete(name)
    for name in ("server", "other"):
        world.wait_gone(name)
    assert len(world.posts()) == 3
    assert len(world.jobs()) == 3
    world.check_truth()


@pytest.mark.failure_mode(47)
@pytest.mark.reason("UnknownRemoteStatus")
def test_a_burst_of_404_and_an_unknown_status_leave_a_live_job_alive(world: World) -> None:
    control = world.control
    control.add_fate("batch", run_seconds=LONG)
    world.add_batch()
    world.wait_phase("batch", "Running")
    uuid = world.status("batch")["jobUUID"]
    burst = control.add_fault("not_found_burst", method="GET", path=JOB, times=3)

    def burst_is_over() -> bool:
        world.nudge("batch")
        return control.fault_hits(burst) == 3

    wait_for(burst_is_over, what="three reads were answered 404")
    strange = control.add_fault("unknown_status", times=None)
    world.nudge("batch")
    world.wait_blocked("batch", "UnknownRemoteStatus", names="MIGRATING")
    assert world.status("batch")["active"] == 1
    control.remove_fault(strange)
    world.nudge("batch")
    world.wait_phase("batch", "Running")
    assert world.status("batch")["jobUUID"] == uuid
    assert "RemoteVanished" not in world.events("batch")
    check_healthy(world)
    world.delete("batch")
    world.wait_gone("batch")
    assert len(world.posts()) == 1
    assert control.job(uuid)["status"] == "CANCELLED"
    world.check_truth()


def test_other_spellings_of_the_same_answers_are_understood(world: World) -> None:
    world.control.switch(
        list_shape="array", node_url_port="text", node_url_description="int", access_tokens_as="strings",
        created_at_format="date", node_urls_before="null", logs_as="lines", create_wrapped=True, cancel_status=204,
    )  # fmt: skip
    world.add_persistent()
    world.wait_condition("server", "Ready")
    web = world.status("server")["endpoints"][0]
    with urllib.request.urlopen(web["url"], timeout=10) as answer:  # noqa: S310 - loopback
        assert world.remote("server")["title"] in answer.read().decode()
    data = world.secret_data("server-connection")
    assert data is not None
    assert data["access-token"] == world.remote("server")["runs"][0]["access_token"]
    world.delete("server")
    world.wait_gone("server")
    check_healthy(world)
    assert len(world.posts()) == 1
    world.check_truth()


def check_healthy(world: World) -> None:
    """The process is whole: healthy, ready, and no reconcile failed in a way that nobody foresaw."""
    for operator in world.operators:
        with urllib.request.urlopen(f"{operator.health_url}/healthz", timeout=5) as answer:  # noqa: S310 - loopback
            assert answer.status == 200
        assert operator.ready()
        assert "dispersed_operator_ready 1.0" in operator.metrics()
        assert "a defect" not in operator.log.read_text()
