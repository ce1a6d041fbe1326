"""Faults as a client feels them: sockets that really close, answers that really wait."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from tests.support.simulator import SignedCaller, SimulatorProcess, wait_until


@pytest.mark.parametrize(("kind", "jobs"), [("drop_before_commit", 0), ("drop_after_commit", 1)])
def test_a_dropped_connection_gives_no_byte(
    simulator: SimulatorProcess, caller: SignedCaller, kind: str, jobs: int
) -> None:
    rule = simulator.control.add_fault(kind, method="POST")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        caller.create("dropped")
    assert len(simulator.control.jobs()) == jobs
    assert simulator.control.fault_hits(rule) == 1
    assert simulator.control.requests(method="POST")[0]["status"] == "dropped"
    assert caller.create("afterwards").status_code == 201


@pytest.mark.parametrize("count", [1, 40])
def test_an_answer_is_cut_off_after_its_first_bytes(
    simulator: SimulatorProcess, caller: SignedCaller, count: int
) -> None:
    simulator.control.add_fault("drop_after_first_byte", bytes=count)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        caller.create("cut")
    assert len(simulator.control.jobs()) == 1


def test_a_delayed_commit_comes_when_the_clock_gets_there(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    simulator.control.add_fault("delayed_commit", seconds=400)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        caller.create("late")
    simulator.control.advance(390)
    assert simulator.control.jobs() == []
    simulator.control.advance(20)
    assert [job["title"] for job in simulator.control.jobs()] == ["late"]


def test_a_duplicate_delivery_gives_the_second_answer(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    simulator.control.add_fault("duplicate_delivery")
    assert caller.create("twice").json()["error"]["code"] == "NONCE_REUSED"
    assert len(simulator.control.jobs()) == 1
    assert [row["status"] for row in simulator.control.requests(method="POST")] == [201, 401]


def test_two_deliveries_make_two_jobs_where_the_nonce_store_is_not_atomic(
    simulator: SimulatorProcess, caller: SignedCaller
) -> None:
    simulator.control.switch(nonce_store_atomic=False)
    simulator.control.add_fault("duplicate_delivery", answer="first")
    assert caller.create("twice").status_code == 201
    assert len(simulator.control.jobs()) == 2


@pytest.mark.parametrize(
    ("kind", "params", "status"),
    [
        ("rate_limit", {}, 429),
        ("rate_limit", {"retry_after": 3}, 429),
        ("server_error", {"status": 500}, 500),
        ("server_error", {"status": 502}, 502),
        ("server_error", {"status": 503, "commit": True}, 503),
        ("unauthorized", {}, 401),
        ("forbidden", {}, 403),
        ("malformed", {"shape": "garbage"}, 201),
    ],
)
def test_a_refusal_on_request_reaches_the_client(
    simulator: SimulatorProcess, caller: SignedCaller, kind: str, params: dict[str, Any], status: int
) -> None:
    simulator.control.add_fault(kind, **params)
    answer = caller.create("refused")
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == (str(params["retry_after"]) if "retry_after" in params else None)
    assert answer.headers["content-type"].startswith("text/html" if kind == "server_error" else "application/json")
    assert len(simulator.control.jobs()) == int(kind == "malformed" or "commit" in params)


def test_reads_and_lists_can_be_blind_for_a_while(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    uuid = caller.create("unseen").json()["uuid"]
    simulator.control.add_fault("not_found_burst", path=r"^/v1/jobs/", times=2)
    simulator.control.add_fault("listing_lag", times=1, seconds=60)
    assert [caller.job(uuid).status_code for _ in range(3)] == [404, 404, 200]
    assert [caller.jobs().json()["total"] for _ in range(2)] == [0, 1]


def test_cancels_can_be_lost_or_slow(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    uuid = caller.create("hard to end", task="PERSISTENT").json()["uuid"]
    wait_until(lambda: caller.job(uuid).json()["status"] == "RUNNING")
    simulator.control.add_fault("cancel_lost")
    simulator.control.add_fault("cancel_slow", seconds=200)
    assert [caller.cancel(uuid).json()["status"] for _ in range(2)] == ["RUNNING", "CANCELLING"]
    simulator.control.advance(190)
    assert simulator.control.job(uuid)["status"] == "CANCELLING"
    simulator.control.advance(20)
    truth = simulator.control.job(uuid)
    assert (truth["status"], truth["cancel_requests"]) == ("CANCELLED", 2)


def test_an_unknown_status_and_a_bent_date_reach_the_client(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    uuid = caller.create("strange").json()["uuid"]
    simulator.control.add_fault("unknown_status", status="HIBERNATING")
    simulator.control.add_fault("date_skew", text="not a date", age=9)
    answer = caller.job(uuid)
    assert (answer.json()["status"], answer.headers["date"], answer.headers["age"]) == (
        "HIBERNATING",
        "not a date",
        "9",
    )


def test_a_stalled_answer_waits_until_it_is_released(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    rule = simulator.control.add_fault("stall", method="POST")
    statuses: list[int] = []
    waiting = threading.Thread(target=lambda: statuses.append(caller.create("patient").status_code))
    waiting.start()
    wait_until(simulator.control.jobs)
    assert statuses == []
    simulator.control.release(rule)
    waiting.join(30)
    assert statuses == [201]


def test_a_client_that_gives_up_on_a_stalled_answer_leaves_the_job(
    simulator: SimulatorProcess, caller: SignedCaller
) -> None:
    simulator.control.add_fault("stall")
    with pytest.raises(httpx.ReadTimeout):
        caller.call("GET", "/v1/jobs", timeout_seconds=0.3)
    assert caller.jobs().status_code == 200


def test_a_stall_of_some_seconds_ends_by_itself(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    simulator.control.add_fault("stall", seconds=0.2)
    assert caller.jobs().status_code == 200
