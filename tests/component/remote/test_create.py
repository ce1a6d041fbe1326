"""A create is sent once and classified (protocol C3, C4), whatever the network and the service do."""

import socket
from typing import Any

import pytest

from dispersed_operator.remote.client import fresh_nonce
from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.remote.outcomes import Accepted, RefusalKind, Refused, Unknown
from dispersed_operator.remote.signing import canonical_body
from tests.support.simulator import job_body

from .conftest import Bench


async def test_a_create_is_signed_with_the_time_and_nonce_of_its_intent(bench: Bench) -> None:
    nonce, signed_at = fresh_nonce(), bench.server_seconds() - 7
    outcome = await bench.client().create_job(canonical_body(job_body("one")), signed_at=signed_at, nonce=nonce)
    assert isinstance(outcome, Accepted)
    assert [job["uuid"] for job in bench.simulator.control.jobs()] == [outcome.uuid]
    (request,) = bench.received("POST")
    assert (request["nonce"], request["x_time"]) == (nonce, f"{signed_at}000")
    assert bench.responses == [("POST", "/v1/jobs", 201)]


@pytest.mark.parametrize(
    "switches",
    [{"create_status": 200}, {"create_wrapped": True}, {"body_reading": "bytes"}, {"body_reading": "raw"},
     {"body_reading": "escaped"}, {"initial_status": "ASSIGNED"}],
)  # fmt: skip
async def test_every_reading_of_a_successful_create_is_accepted(bench: Bench, switches: dict[str, Any]) -> None:
    bench.simulator.control.switch(**switches)
    assert isinstance(await bench.create(bench.client()), Accepted)


UNKNOWN_FAULTS: list[tuple[str, dict[str, Any], int]] = [
    ("drop_before_commit", {}, 0),
    ("drop_after_commit", {}, 1),
    ("drop_after_first_byte", {}, 1),
    ("rate_limit", {"retry_after": 1}, 0),
    ("rate_limit", {"commit": True}, 1),
    ("server_error", {"status": 502, "commit": True}, 1),
    ("server_error", {"status": 500}, 0),
    ("unauthorized", {"commit": True}, 1),
    ("unauthorized", {}, 0),
    ("duplicate_delivery", {}, 1),
    *(("malformed", {"shape": shape}, 1) for shape in ("garbage", "empty", "truncated", "text", "list", "null")),
]


@pytest.mark.parametrize(("kind", "params", "jobs"), UNKNOWN_FAULTS)
async def test_trouble_makes_the_outcome_unknown_and_never_a_second_post(
    bench: Bench, kind: str, params: dict[str, Any], jobs: int
) -> None:
    bench.simulator.control.add_fault(kind, method="POST", **params)
    outcome = await bench.create(bench.client())
    assert isinstance(outcome, Unknown)
    posts = bench.received("POST")
    assert len({request["nonce"] for request in posts}) == 1
    assert len([request for request in posts if request["fault"] == kind]) >= 1
    assert len(bench.simulator.control.jobs()) == jobs
    assert bench.slept == []
    assert len(bench.responses) == 1


@pytest.mark.parametrize("reading", ["missing", "null"])
async def test_an_answer_without_a_uuid_is_unknown(bench: Bench, reading: str) -> None:
    bench.simulator.control.switch(uuid_on_create=reading)
    assert isinstance(await bench.create(bench.client()), Unknown)


async def test_no_answer_in_time_is_unknown(bench: Bench) -> None:
    fault = bench.simulator.control.add_fault("stall", method="POST")
    outcome = await bench.create(bench.client(create_timeout=0.2))
    bench.simulator.control.release(fault)
    assert isinstance(outcome, Unknown)
    assert outcome.status is None
    assert bench.responses == [("POST", "/v1/jobs", 0)]


async def test_a_refused_connection_was_not_sent(bench: Bench) -> None:
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        outcome = await bench.create(bench.client(base_url=f"http://127.0.0.1:{placeholder.getsockname()[1]}"))
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.NOT_SENT


async def test_a_failed_tls_handshake_was_not_sent(bench: Bench) -> None:
    outcome = await bench.create(bench.client(base_url=bench.simulator.base_url.replace("http:", "https:")))
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.NOT_SENT
    assert bench.received("POST") == []


@pytest.mark.parametrize("envelope", ["nested", "code_message", "message", "string", "detail", "errors"])
@pytest.mark.parametrize("status", [400, 422])
async def test_an_invalid_body_is_refused_in_every_envelope(bench: Bench, envelope: str, status: int) -> None:
    bench.simulator.control.switch(error_envelope=envelope, validation_status=status)
    outcome = await bench.create(bench.client(), max_timeout_run_ms=1)
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.VALIDATION
    assert outcome.message


async def test_a_refusal_as_a_page_of_html_is_unknown(bench: Bench) -> None:
    bench.simulator.control.switch(error_envelope="html")
    assert isinstance(await bench.create(bench.client(), max_timeout_run_ms=1), Unknown)


async def test_no_money_and_no_right_are_told_apart(bench: Bench) -> None:
    account = bench.simulator.control.keys()[0]["account_uuid"]
    bench.simulator.control.set_account(account, out_of_funds=True)
    no_money = await bench.create(bench.client())
    bench.simulator.control.set_account(account, out_of_funds=False)
    bench.simulator.control.add_fault("forbidden", method="POST")
    no_right = await bench.create(bench.client())
    assert isinstance(no_money, Refused)
    assert isinstance(no_right, Refused)
    assert (no_money.kind, no_right.kind) == (RefusalKind.FUNDS, RefusalKind.PERMISSION)


async def test_a_body_that_is_not_canonical_is_never_sent(bench: Bench) -> None:
    body = b'{"title": "blank after the colon"}'
    outcome = await bench.client().create_job(body, signed_at=bench.server_seconds(), nonce=fresh_nonce())
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.NOT_SENT
    assert bench.received("POST") == []


async def test_a_stale_intent_is_refused_by_the_service_and_never_signed_again(bench: Bench) -> None:
    client = bench.client()
    stale = bench.server_seconds() - 400
    outcome = await client.create_job(canonical_body(job_body("late")), signed_at=stale, nonce=fresh_nonce())
    assert isinstance(outcome, Unknown)
    assert len(bench.received("POST")) == 1
    assert bench.simulator.control.jobs() == []


@pytest.mark.parametrize("code", ["specific", "generic", "none"])
@pytest.mark.parametrize("status", [401, 400, 409])
async def test_after_the_probes_the_refusal_of_a_replay_is_unknown(bench: Bench, status: int, code: str) -> None:
    bench.simulator.control.switch(nonce_replay_status=status, auth_error_code=code)
    client = bench.client()
    await client.probe()
    body, signed_at, nonce = canonical_body(job_body("twice")), bench.server_seconds(), fresh_nonce()
    assert isinstance(await client.create_job(body, signed_at=signed_at, nonce=nonce), Accepted)
    assert isinstance(await client.create_job(body, signed_at=signed_at, nonce=nonce), Unknown)
    assert len(bench.simulator.control.jobs()) == 1


async def test_a_reservation_is_used_up_by_the_create(bench: Bench) -> None:
    limiter = Limiter(concurrency=1)
    client = bench.client(limiter=limiter)
    reservation = await limiter.reserve()
    outcome = await client.create_job(
        canonical_body(job_body("reserved")),
        signed_at=bench.server_seconds(),
        nonce=fresh_nonce(),
        reservation=reservation,
    )
    assert isinstance(outcome, Accepted)
    assert limiter.in_flight == 0


async def test_a_429_pauses_the_account(bench: Bench) -> None:
    bench.simulator.control.add_fault("rate_limit", method="POST", retry_after=9)
    client = bench.client()
    await bench.create(client)
    assert 0 < client.limiter.paused_for <= 9


async def test_a_connection_that_the_service_closed_while_idle_does_not_spoil_the_create(bench: Bench) -> None:
    client = bench.client()
    assert isinstance(await bench.create(client, "before"), Accepted)
    bench.simulator.restart()
    assert isinstance(await bench.create(client, "after"), Accepted)
    assert [job["title"] for job in bench.simulator.control.jobs()] == ["before", "after"]
