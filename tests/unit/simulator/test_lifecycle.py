"""The life of jobs and runs (API reference §11), their price (§9) and their fates."""

from __future__ import annotations

import pytest

from dispersed_simulator.records import Fate, Job
from dispersed_simulator.rendering import log_lines, render_job, render_run
from tests.unit.simulator.harness import World, payload, rows


def _statuses(job: Job) -> tuple[str, list[str]]:
    return job.status, [run.status for run in job.runs]


def test_a_batch_job_walks_from_pending_to_completed() -> None:
    world = World()
    job = world.new_job()
    seen = [_statuses(job)]
    for seconds in (1.0, 0.2, 1.0, 5.0):
        world.advance(seconds)
        seen.append(_statuses(job))
    assert seen == [
        ("PENDING", []),
        ("ASSIGNED", ["ASSIGNED"]),
        ("ASSIGNED", ["PREPARING"]),
        ("RUNNING", ["RUNNING"]),
        ("COMPLETED", ["COMPLETED"]),
    ]


def test_one_long_step_of_the_clock_plays_every_state_at_its_own_time() -> None:
    world = World()
    job = world.new_job()
    start = job.created_ms
    world.advance(3600)
    run = job.runs[0]
    times = (run.assigned_ms, run.preparing_ms, run.started_ms, run.ended_ms, job.completed_ms)
    assert times == tuple(start + ms for ms in (1000, 1200, 2200, 7200, 7200))
    assert world.engine.next_due_ms() is None


@pytest.mark.parametrize(
    ("fate", "fields", "status", "reason"),
    [
        (Fate(exit_code=3), {}, "FAILED", "the container exited with code 3"),
        (Fate(node_lost_after_seconds=2), {}, "FAILED", "the node was lost"),
        (Fate(never_assigned=True), {}, "FAILED", "no node was assigned in time"),
        (Fate(pull_seconds=400), {}, "FAILED", "the node was not ready in time"),
        (Fate(run_seconds=901), {}, "FAILED", "the run time limit was reached"),
        (Fate(run_seconds=899), {}, "COMPLETED", None),
        (Fate(run_seconds=10), {"task": "PERSISTENT"}, "COMPLETED", None),
        (Fate(run_seconds=10, exit_code=1), {"task": "PERSISTENT"}, "FAILED", "the container exited with code 1"),
        (Fate(), {"task": "PERSISTENT"}, "RUNNING", None),
    ],
)
def test_a_fate_decides_how_a_job_ends(fate: Fate, fields: dict[str, str], status: str, reason: str | None) -> None:
    world = World()
    job = world.new_job("fated", fate=fate, **fields)
    world.advance(5000)
    assert (job.status, job.status_reason) == (status, reason)


@pytest.mark.parametrize(
    ("switches", "fate", "fields", "status"),
    [
        ({"run_timeout_result": "COMPLETED"}, Fate(run_seconds=901), {}, "COMPLETED"),
        ({"assign_timeout_result": "CANCELLED"}, Fate(never_assigned=True), {}, "CANCELLED"),
        ({"persistent_exit": "failed"}, Fate(run_seconds=1), {"task": "PERSISTENT"}, "FAILED"),
        ({"persistent_exit": "restart"}, Fate(run_seconds=1, exit_code=1), {"task": "PERSISTENT"}, "RUNNING"),
    ],
)
def test_the_uncertain_endings_are_switches(
    switches: dict[str, str], fate: Fate, fields: dict[str, str], status: str
) -> None:
    world = World()
    world.switches.update(dict(switches))
    job = world.new_job("fated", fate=fate, **fields)
    world.advance(5000)
    assert job.status == status


@pytest.mark.parametrize("between", ["PENDING", "RUNNING"])
def test_a_failed_run_with_retries_left_gives_a_new_run(between: str) -> None:
    world = World()
    world.switches.update({"retry_job_status": between})
    job = world.new_job("again", fate=Fate(exit_code=1, bad_runs=1), max_retry_count=2)
    world.advance(7.2)
    assert _statuses(job) == (between, ["FAILED"])
    world.advance(1)
    assert _statuses(job) == ("ASSIGNED" if between == "PENDING" else "RUNNING", ["FAILED", "ASSIGNED"])
    world.advance(100)
    assert _statuses(job) == ("COMPLETED", ["FAILED", "COMPLETED"])


def test_a_job_fails_when_its_retries_are_used_up() -> None:
    world = World()
    job = world.new_job("again", fate=Fate(exit_code=1), max_retry_count=1)
    world.advance(100)
    assert _statuses(job) == ("FAILED", ["FAILED", "FAILED"])


def test_a_failure_can_be_seen_while_it_is_processed() -> None:
    world = World()
    job = world.new_job("slow", fate=Fate(exit_code=1, failing_seconds=30))
    world.advance(20)
    assert _statuses(job) == ("FAILING", ["FAILING"])
    world.advance(30)
    assert _statuses(job) == ("FAILED", ["FAILED"])


@pytest.mark.parametrize("after", [0.0, 1.0, 1.3, 3.0])
def test_a_live_job_is_cancelled_after_a_while(after: float) -> None:
    world = World()
    job = world.new_job(task="PERSISTENT")
    world.advance(after)
    reply = world.call("PUT", f"/v1/jobs/{job.uuid}/cancel", body={"reason": "enough"})
    assert (reply.status, payload(reply)["status"]) == (200, "CANCELLING")
    world.advance(1)
    assert (job.status, job.status_reason) == ("CANCELLED", "enough")
    assert all(run.status == "CANCELLED" and run.ended_ms == job.completed_ms for run in job.runs)


@pytest.mark.parametrize(("answer", "calls"), [(200, 2), (404, 2), (409, 2)])
def test_what_the_cancel_of_an_ended_job_answers_is_a_switch(answer: int, calls: int) -> None:
    world = World()
    world.switches.update({"cancel_of_terminal": answer})
    job = world.new_job()
    world.advance(100)
    replies = [world.call("PUT", f"/v1/jobs/{job.uuid}/cancel") for _ in range(calls)]
    assert ([reply.status for reply in replies], job.status) == ([answer] * calls, "COMPLETED")
    assert job.cancel_requests == calls


def test_how_a_cancel_answers_is_a_switch() -> None:
    world = World()
    world.switches.update({"cancel_status": 204, "cancel_result": "CANCELLED"})
    job = world.new_job()
    reply = world.call("PUT", f"/v1/jobs/{job.uuid}/cancel")
    assert (reply.status, reply.body, job.status) == (204, b"", "CANCELLED")


def test_without_cancelling_a_job_keeps_its_status_until_it_is_cancelled() -> None:
    world = World()
    world.switches.update({"has_cancelling": False})
    job = world.new_job(task="PERSISTENT")
    world.advance(3)
    assert payload(world.call("PUT", f"/v1/jobs/{job.uuid}/cancel"))["status"] == "RUNNING"
    assert len(rows(world.call("GET", "/v1/jobs", query={"filter[status]": "RUNNING"}))) == 1
    world.advance(1)
    assert payload(world.call("GET", f"/v1/jobs/{job.uuid}"))["status"] == "CANCELLED"


def test_a_job_may_be_assigned_in_the_answer_to_its_create() -> None:
    world = World()
    world.switches.update({"initial_status": "ASSIGNED"})
    assert payload(world.create())["status"] == "ASSIGNED"
    world.advance(100)
    assert [run.status for run in world.engine.store.runs.values()] == ["COMPLETED"]


@pytest.mark.parametrize(("switch", "status"), [("402", 402), ("400", 400)])
def test_a_create_without_funds_is_refused(switch: str, status: int) -> None:
    world = World()
    world.switches.update({"insufficient_funds": switch})
    world.new_job()
    next(iter(world.engine.accounts.values())).out_of_funds = True
    assert (world.create().status, len(world.engine.store.jobs)) == (status, 1)


def test_a_job_without_funds_may_fail_after_it_was_created() -> None:
    world = World()
    world.switches.update({"insufficient_funds": "failed"})
    world.new_job()
    next(iter(world.engine.accounts.values())).out_of_funds = True
    row = payload(world.create())
    assert (row["status"], row["status_reason"]) == ("FAILED", "insufficient funds")


def test_endpoints_appear_after_running_and_an_explicit_list_replaces_the_default() -> None:
    world = World()
    plain = world.new_job("plain", task="PERSISTENT")
    late = world.new_job(
        "late", fate=Fate(endpoints_late_seconds=60), task="PERSISTENT", container={"ports": [8080, 22]}
    )
    world.advance(3.2)
    assert [[url.container_port for url in job.runs[0].node_urls] for job in (plain, late)] == [[22], []]
    world.advance(60)
    shown = render_run(late.runs[0], late, world.switches, now_ms=world.clock.now_ms(), with_logs=False)["node_urls"]
    assert isinstance(shown, list)
    assert [entry["description"] for entry in shown if isinstance(entry, dict)] == ["8080", "ssh"]


def test_batch_is_billed_for_its_runs_and_persistent_from_its_creation() -> None:
    world = World()
    batch = world.new_job("batch", fate=Fate(run_seconds=360, hourly_rate_usd=10))
    persistent = world.new_job("server", fate=Fate(hourly_rate_usd=10), task="PERSISTENT")
    world.advance(3600)
    now_ms = world.clock.now_ms()
    assert [world.engine.cost_usd(job, at_ms=now_ms) for job in (batch, persistent)] == [1.0, 10.0]
    world.call("PUT", f"/v1/jobs/{persistent.uuid}/cancel")
    world.advance(7200)
    assert world.engine.cost_usd(persistent, at_ms=world.clock.now_ms()) == pytest.approx(10.0 + 10 / 3600)


def test_logs_stand_only_on_the_single_run_and_end_with_the_exit_code() -> None:
    world = World()
    job = world.new_job("talker", fate=Fate(exit_code=5, log_lines=("one", "two")))
    world.advance(100)
    listed = rows(world.call("GET", "/v1/job-runs", query={"filter[job_uuid]": job.uuid}))
    single = payload(world.call("GET", f"/v1/job-runs/{job.runs[0].uuid}"))
    assert "logs" not in listed[0]
    lines = single["logs"].splitlines()
    assert lines[1:3] == ["one", "two"]
    assert lines[-1].endswith("exit code 5")
    assert lines == log_lines(job.runs[0], job)


def test_a_fate_can_be_changed_while_a_job_runs() -> None:
    world = World()
    job = world.new_job("server", task="PERSISTENT")
    world.advance(1000)
    world.engine.set_fate(job.uuid, Fate(node_lost_after_seconds=5), at_ms=world.clock.now_ms())
    world.advance(0)
    assert (job.status, job.completed_ms) == ("FAILED", world.clock.now_ms())


def test_a_forced_status_holds_until_the_job_is_cancelled() -> None:
    world = World()
    job = world.new_job()
    world.engine.force_status(job.uuid, "MIGRATING", at_ms=world.clock.now_ms(), hold=True)
    world.advance(10_000)
    assert payload(world.call("GET", f"/v1/jobs/{job.uuid}"))["status"] == "MIGRATING"
    world.call("PUT", f"/v1/jobs/{job.uuid}/cancel")
    world.advance(1)
    assert job.status == "CANCELLED"


def test_the_same_seed_gives_the_same_world() -> None:
    def story() -> list[str]:
        world = World(seed=3)
        for number in range(5):
            world.new_job(f"job {number}", container={"ports": [22, 80]})
        world.advance(4)
        return [str(render_job(job, world.switches)) + str(job.runs) for job in world.engine.store.jobs.values()]

    assert story() == story()
