"""Each kind of fault: what it does to the truth and what the client gets to see."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dispersed_simulator.faults import COLOURING, KINDS
from dispersed_simulator.service import Reply
from tests.unit.simulator.harness import World, code, payload, rows


def _faulty(kind: str, *, times: int | None = 1, **params: Any) -> World:
    world = World()
    world.faults.add(kind, times=times, params=params)
    return world


def _jobs(world: World) -> int:
    return len(world.engine.store.jobs)


def _date(reply: Reply) -> str | None:
    return dict(reply.headers).get("date")


def test_drop_before_commit_leaves_no_job_and_no_nonce() -> None:
    world = _faulty("drop_before_commit")
    assert (world.create().cut_after, _jobs(world), len(world.service.nonces)) == (0, 0, 0)
    assert world.create().status == 201


def test_drop_after_commit_leaves_a_job_that_nobody_was_told_of() -> None:
    world = _faulty("drop_after_commit")
    assert (world.create().cut_after, _jobs(world)) == (0, 1)
    assert world.service.log.select(method="POST", path=None)[0].status == "dropped"


def test_drop_after_first_byte_cuts_the_answer() -> None:
    world = _faulty("drop_after_first_byte", bytes=3)
    assert (world.create().cut_after, _jobs(world)) == (3, 1)


def test_a_delayed_commit_appears_later_with_the_time_of_the_commit() -> None:
    world = _faulty("delayed_commit", seconds=500)
    sent_ms = world.clock.now_ms()
    assert (world.create().cut_after, _jobs(world)) == (0, 0)
    assert world.service.next_due_ms() == sent_ms + 500_000
    world.advance(499)
    assert _jobs(world) == 0
    world.advance(2)
    (job,) = world.engine.store.jobs.values()
    assert (job.created_ms, job.status) == (sent_ms + 500_000, "ASSIGNED")


def test_a_delayed_commit_may_answer_a_gateway_time_out() -> None:
    assert _faulty("delayed_commit", answer=504).create().status == 504


@pytest.mark.parametrize(("seconds", "jobs"), [(299, 1), (301, 0)])
def test_a_request_that_is_delivered_late_is_refused_once_its_signature_has_expired(seconds: int, jobs: int) -> None:
    world = _faulty("delayed_commit", seconds=seconds, verify_at="delivery")
    world.create()
    world.advance(1000)
    assert _jobs(world) == jobs


def test_a_delayed_commit_with_a_bad_signature_never_happens() -> None:
    world = _faulty("delayed_commit")
    assert world.call("POST", "/v1/jobs", body={}, age_seconds=999).status == 401
    world.advance(1000)
    assert _jobs(world) == 0


@pytest.mark.parametrize(("params", "status"), [({}, 401), ({"answer": "first"}, 201)])
def test_a_request_delivered_twice_makes_one_job_and_the_second_is_refused(params: dict[str, Any], status: int) -> None:
    world = _faulty("duplicate_delivery", **params)
    assert (world.create().status, _jobs(world)) == (status, 1)
    assert [row.status for row in world.service.log.select(method="POST", path=None)] == [201, 401]


def test_a_request_delivered_twice_makes_two_jobs_where_the_nonce_store_is_not_atomic() -> None:
    world = _faulty("duplicate_delivery")
    world.switches.update({"nonce_store_atomic": False})
    assert (world.create().status, _jobs(world)) == (201, 2)


def test_listing_lag_hides_young_jobs_from_lists_only() -> None:
    world = _faulty("listing_lag", times=None, seconds=30)
    job = world.new_job()
    assert rows(world.call("GET", "/v1/jobs")) == []
    assert world.call("GET", f"/v1/jobs/{job.uuid}").status == 200
    world.advance(31)
    assert len(rows(world.call("GET", "/v1/jobs"))) == 1


def test_listing_lag_on_a_create_hides_that_job() -> None:
    world = World()
    world.faults.add("listing_lag", method="POST", params={"seconds": 30})
    world.create("hidden")
    world.create("shown")
    assert [row["title"] for row in rows(world.call("GET", "/v1/jobs"))] == ["shown"]
    world.advance(30)
    assert len(rows(world.call("GET", "/v1/jobs"))) == 2


def test_a_burst_of_404_ends_by_itself() -> None:
    world = _faulty("not_found_burst", times=2)
    job = world.new_job()
    assert [world.call("GET", f"/v1/jobs/{job.uuid}").status for _ in range(3)] == [404, 404, 200]


@pytest.mark.parametrize(("params", "header"), [({}, None), ({"retry_after": 7}, "7")])
def test_a_rate_limit_comes_with_or_without_retry_after(params: dict[str, Any], header: str | None) -> None:
    world = _faulty("rate_limit", **params)
    reply = world.create()
    assert (reply.status, dict(reply.headers).get("retry-after"), _jobs(world)) == (429, header, 0)


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("commit", [False, True])
def test_a_server_error_is_a_page_and_may_come_after_the_commit(status: int, commit: bool) -> None:
    world = _faulty("server_error", status=status, commit=commit)
    reply = world.create()
    assert (reply.status, reply.content_type, _jobs(world)) == (status, "text/html", int(commit))


@pytest.mark.parametrize(("kind", "status"), [("unauthorized", 401), ("forbidden", 403)])
def test_refusals_on_request_are_json(kind: str, status: int) -> None:
    world = _faulty(kind)
    reply = world.create()
    assert (reply.status, bool(code(reply)), _jobs(world)) == (status, True, 0)


@pytest.mark.parametrize("shape", ["garbage", "empty", "truncated", "text"])
def test_a_malformed_answer_is_a_success_that_is_not_json(shape: str) -> None:
    world = _faulty("malformed", shape=shape)
    reply = world.create()
    assert (reply.status, _jobs(world)) == (201, 1)
    with pytest.raises(ValueError, match=r"."):
        json.loads(reply.body)


@pytest.mark.parametrize("shape", ["list", "null", "wrong_types"])
def test_a_malformed_answer_may_be_json_of_the_wrong_shape(shape: str) -> None:
    world = _faulty("malformed", shape=shape, commit=False)
    reply = world.create()
    assert (reply.status, _jobs(world)) == (200, 0)
    assert not (isinstance(payload(reply), dict) and isinstance(payload(reply)["uuid"], str))


def test_a_lost_cancel_says_yes_and_does_nothing() -> None:
    world = _faulty("cancel_lost")
    job = world.new_job(task="PERSISTENT")
    world.advance(5)
    assert world.call("PUT", f"/v1/jobs/{job.uuid}/cancel").status == 200
    world.advance(1000)
    assert (job.status, job.cancel_requests) == ("RUNNING", 1)


def test_a_slow_cancel_stays_cancelling() -> None:
    world = _faulty("cancel_slow", seconds=600)
    job = world.new_job(task="PERSISTENT")
    world.call("PUT", f"/v1/jobs/{job.uuid}/cancel")
    world.advance(599)
    assert job.status == "CANCELLING"
    world.advance(1)
    assert job.status == "CANCELLED"


def test_an_unknown_status_is_shown_but_not_true() -> None:
    world = _faulty("unknown_status", times=2, status="HIBERNATING")
    job = world.new_job()
    shown = [
        payload(world.call("GET", f"/v1/jobs/{job.uuid}"))["status"],
        rows(world.call("GET", "/v1/jobs"))[0]["status"],
    ]
    assert (shown, job.status) == (["HIBERNATING", "HIBERNATING"], "PENDING")


def test_a_stall_names_how_long_the_answer_is_held() -> None:
    world = _faulty("stall", times=2, seconds=3)
    replies = [world.create(), world.create(), world.create()]
    assert [reply.hold_seconds for reply in replies] == [3, 3, None]
    assert [reply.hold_rule is None for reply in replies] == [False, False, True]


def test_the_date_header_follows_the_clock_and_can_be_bent() -> None:
    world = World()
    assert _date(world.call("GET", "/v1/jobs")) == "Thu, 09 Oct 2025 08:53:20 GMT"
    world.advance(60)
    assert _date(world.call("GET", "/v1/none")) == "Thu, 09 Oct 2025 08:54:20 GMT"
    world.faults.add("date_skew", params={"seconds": -60, "age": 30})
    bent = world.call("GET", "/v1/jobs")
    assert (_date(bent), dict(bent.headers)["age"]) == ("Thu, 09 Oct 2025 08:53:20 GMT", "30")
    world.faults.add("date_skew", params={"omit": True})
    assert _date(world.call("GET", "/v1/jobs")) is None
    world.faults.add("date_skew", params={"text": "yesterday"})
    assert _date(world.call("GET", "/v1/jobs")) == "yesterday"


def test_a_rule_strikes_only_what_it_names_and_only_so_often() -> None:
    world = World()
    rule = world.faults.add("rate_limit", method="GET", path=r"^/v1/job-runs$", times=2, api_key="pk_sim_demo")
    other = world.faults.add("rate_limit", times=None, api_key="pk_other")
    calls = [("GET", "/v1/jobs"), ("GET", "/v1/job-runs"), ("GET", "/v1/job-runs"), ("GET", "/v1/job-runs")]
    assert [world.call(*call).status for call in calls] == [200, 429, 429, 200]
    assert (rule.hits, other.hits) == (2, 0)


def test_a_rule_with_a_probability_strikes_about_so_often() -> None:
    world = World()
    rule = world.faults.add("rate_limit", times=None, probability=0.3)
    for _ in range(300):
        world.call("GET", "/v1/jobs")
    assert 50 < rule.hits < 130


def test_colouring_rules_strike_together_with_a_disruptive_one() -> None:
    world = World()
    for kind in ("stall", "date_skew", "server_error"):
        world.faults.add(kind)
    world.call("GET", "/v1/jobs")
    assert world.service.log.select(method=None, path=None)[0].fault == "server_error+stall+date_skew"


@pytest.mark.parametrize(
    "wrong", [{"kind": "gremlin"}, {"kind": "stall", "path": "("}, {"kind": "stall", "times": 0},
              {"kind": "stall", "probability": 2}, {"kind": "malformed", "params": {"shape": "odd"}}], ids=str
)  # fmt: skip
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        World().faults.add(**wrong)


def test_every_kind_of_fault_can_strike() -> None:
    for kind, (method, _, _) in KINDS.items():
        world = World()
        job = world.new_job()
        rule = world.faults.add(kind)
        path = f"/v1/jobs/{job.uuid}/cancel" if method == "PUT" else "/v1/jobs"
        world.call(method or "GET", path, body={} if method != "GET" else None)
        assert rule.hits == 1, kind
    assert set(KINDS) >= COLOURING
