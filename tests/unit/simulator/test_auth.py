"""Signature verification against the published rules and vectors (API reference §2, §19)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dispersed_simulator.api_error import ApiError
from dispersed_simulator.auth import NonceMemory, SignedRequest, Verifier, matching_readings
from dispersed_simulator.records import ApiKey
from dispersed_simulator.switches import Switches
from tests.support.simulator import PUBLIC_KEY, SignedCaller
from tests.unit.simulator.harness import World, code

VECTORS: list[dict[str, str]] = json.loads(
    (Path(__file__).parents[2] / "support" / "signing-vectors.json").read_text("utf-8")
)
PLAIN = [vector for vector in VECTORS if not vector["name"].startswith("B")]
UNSETTLED = {vector["name"]: vector for vector in VECTORS if vector["name"].startswith("B")}


def _request(vector: dict[str, str], *, body: bytes | None = None, query: str | None = None) -> SignedRequest:
    headers = {
        "x-api-key": vector["pk"],
        "x-time": vector["ts"],
        "x-nonce": vector["nonce"],
        "x-signature": vector["sig"],
    }
    return SignedRequest(
        vector["method"],
        vector["path"],
        vector["query"] if query is None else query,
        headers,
        vector["body"].encode() if body is None else body,
    )


def _verify(vector: dict[str, str], request: SignedRequest, **switches: Any) -> str:
    settings = Switches()
    settings.update(switches)
    keys = {vector["pk"]: ApiKey(vector["pk"], vector["sk"])}
    verifier = Verifier(keys=keys, nonces=NonceMemory(), switches=settings)
    return verifier.verify(request, now_ms=int(vector["ts"]))[1].text


@pytest.mark.parametrize("vector", PLAIN, ids=[vector["name"] for vector in PLAIN])
def test_a_published_vector_verifies_under_every_reading(vector: dict[str, str]) -> None:
    readings = matching_readings(_request(vector), secret=vector["sk"])
    assert (readings.query, readings.body) == (("percent", "plus"), ("escaped", "raw", "bytes"))


@pytest.mark.parametrize("vector", PLAIN, ids=[vector["name"] for vector in PLAIN])
@pytest.mark.parametrize("changed", ["method", "path", "query", "body", "sig", "sk", "ts", "nonce"])
def test_no_part_of_a_vector_can_be_changed(vector: dict[str, str], changed: str) -> None:
    other = {"method": "PATCH", "path": "/v1/other", "query": "x=1", "body": '{"x":1}', "sig": "0" * 64, "sk": "sk_no",
             "ts": "1760000000001", "nonce": "f" * 32}  # fmt: skip
    readings = matching_readings(_request(vector | {changed: other[changed]}), secret=(vector | other)["sk"]
                                 if changed == "sk" else vector["sk"])  # fmt: skip
    assert (readings.query, readings.body) == ((), ())


@pytest.mark.parametrize(("name", "strict", "other"), [("B1-raw", "raw", "escaped"), ("B1-esc", "escaped", "raw")])
def test_a_strict_body_switch_accepts_exactly_its_reading(name: str, strict: str, other: str) -> None:
    vector = UNSETTLED[name]
    assert _verify(vector, _request(vector), body_reading=strict).endswith(f"/{strict}+bytes")
    assert _verify(vector, _request(vector), body_reading="bytes").endswith(f"/{strict}+bytes")
    with pytest.raises(ApiError, match="signature"):
        _verify(vector, _request(vector), body_reading=other)


def test_a_server_that_canonicalises_does_not_mind_the_spelling_that_was_sent() -> None:
    vector = UNSETTLED["B1-raw"]
    sent_escaped = json.dumps(json.loads(vector["body"]), indent=2).encode()
    assert _verify(vector, _request(vector, body=sent_escaped), body_reading="raw").endswith("/raw")
    with pytest.raises(ApiError, match="signature"):
        _verify(vector, _request(vector, body=sent_escaped), body_reading="bytes")


@pytest.mark.parametrize(("name", "strict", "other"), [("B2-%20", "percent", "plus"), ("B2-plus", "plus", "percent")])
def test_a_strict_space_switch_accepts_exactly_its_reading(name: str, strict: str, other: str) -> None:
    vector = UNSETTLED[name]
    assert _verify(vector, _request(vector), space_encoding=strict).startswith(f"{strict}/")
    assert _verify(vector, _request(vector)).startswith(f"{strict}/")
    with pytest.raises(ApiError, match="signature"):
        _verify(vector, _request(vector), space_encoding=other)


def test_the_order_of_query_parameters_on_the_wire_does_not_matter() -> None:
    vector = next(vector for vector in VECTORS if vector["name"] == "A9")
    shuffled = _request(vector, query="z=3&tag=zebra&b=2&tag=apple&a=1")
    assert _verify(vector, shuffled) == "percent+plus/escaped+raw+bytes"


@pytest.mark.parametrize("header", ["x-api-key", "x-time", "x-nonce", "x-signature"])
def test_a_request_without_one_of_the_four_headers_is_refused(header: str) -> None:
    world = World()
    request = world.request("GET", "/v1/jobs")
    headers = {name: value for name, value in request.headers.items() if name != header}
    reply = world.service.handle(SignedRequest("GET", "/v1/jobs", "", headers, b""))
    assert (reply.status, code(reply)) == (401, "MISSING_HEADER")


@pytest.mark.parametrize(("age", "status"), [(300, 200), (301, 401), (-300, 200), (-301, 401)])
def test_a_request_is_good_for_five_minutes_either_way(age: float, status: int) -> None:
    assert World().call("GET", "/v1/jobs", age_seconds=age).status == status


def test_the_time_window_can_be_wider_or_absent() -> None:
    world = World()
    world.switches.update({"time_window_seconds": 600})
    assert [world.call("GET", "/v1/jobs", age_seconds=age).status for age in (330, 630)] == [200, 401]
    world.switches.update({"time_window_enforced": False})
    assert world.call("GET", "/v1/jobs", age_seconds=100_000).status == 200


def test_a_nonce_is_good_once_and_is_remembered_for_a_day() -> None:
    world = World()
    world.switches.update({"time_window_enforced": False})
    request = world.request("GET", "/v1/jobs")
    assert world.service.handle(request).status == 200
    assert code(world.service.handle(request)) == "NONCE_REUSED"
    world.advance(86_399)
    assert code(world.service.handle(request)) == "NONCE_REUSED"
    world.advance(2)
    world.call("GET", "/v1/jobs")
    assert world.service.handle(request).status == 200


@pytest.mark.parametrize(("consumes", "status"), [(False, 200), (True, 401)])
def test_a_rejected_request_uses_up_its_nonce_only_if_the_switch_says_so(consumes: bool, status: int) -> None:
    world = World()
    world.switches.update({"rejected_consumes_nonce": consumes})
    nonce = "ab" * 16
    assert world.call("GET", "/v1/jobs", nonce=nonce, age_seconds=900).status == 401
    assert world.call("GET", "/v1/jobs", nonce=nonce).status == status


@pytest.mark.parametrize(("scope", "status"), [("key", 200), ("global", 401)])
def test_the_scope_of_the_nonce_memory_is_a_switch(scope: str, status: int) -> None:
    world = World()
    world.switches.update({"nonce_scope": scope})
    world.service.keys["pk_2"] = ApiKey("pk_2", "sk_2")
    nonce = "cd" * 16
    assert world.call("GET", "/v1/jobs", nonce=nonce).status == 200
    other = world.call("GET", "/v1/jobs", nonce=nonce, signer=SignedCaller("", public="pk_2", secret="sk_2"))
    assert other.status == status


@pytest.mark.parametrize("status", [401, 409, 400])
def test_the_status_of_a_refused_replay_is_a_switch(status: int) -> None:
    world = World()
    world.switches.update({"nonce_replay_status": status})
    request = world.request("GET", "/v1/jobs")
    assert [world.service.handle(request).status for _ in range(2)] == [200, status]


def test_a_service_may_not_refuse_replays_at_all() -> None:
    world = World()
    world.switches.update({"replay_refused": False})
    request = world.request("GET", "/v1/jobs")
    assert [world.service.handle(request).status for _ in range(3)] == [200, 200, 200]


def test_a_store_that_is_not_atomic_lets_simultaneous_copies_pass_and_later_ones_not() -> None:
    world = World()
    world.switches.update({"nonce_store_atomic": False, "nonce_store_delay_ms": 100})
    request = world.request("GET", "/v1/jobs")
    assert [world.service.handle(request).status for _ in range(2)] == [200, 200]
    world.advance(0.2)
    assert world.service.handle(request).status == 401


def test_unknown_revoked_and_expired_keys_are_refused() -> None:
    world = World()
    assert code(world.call("GET", "/v1/jobs", signer=SignedCaller("", public="pk_none"))) == "UNKNOWN_API_KEY"
    key = world.service.keys[PUBLIC_KEY]
    key.expires_ms = world.clock.now_ms() + 1000
    assert world.call("GET", "/v1/jobs").status == 200
    world.advance(1)
    assert code(world.call("GET", "/v1/jobs")) == "API_KEY_REVOKED"
    key.expires_ms, key.revoked = None, True
    assert code(world.call("GET", "/v1/jobs")) == "API_KEY_REVOKED"


def test_a_key_without_the_permission_is_forbidden() -> None:
    world = World()
    world.service.keys[PUBLIC_KEY].permissions = ["jobs.read.own"]
    assert world.call("GET", "/v1/jobs").status == 200
    assert (world.create().status, len(world.engine.store.jobs)) == (403, 0)


@pytest.mark.parametrize("body", [b"not json", b"\xff\xfe", b'{"a":NaN}', b"[" * 100_000])
def test_a_signed_body_that_is_not_json_is_verified_by_its_bytes_and_then_refused(body: bytes) -> None:
    world = World()
    request = world.request("POST", "/v1/jobs")
    headers = SignedCaller("").headers("POST", "/v1/jobs", "", body, time_ms=world.clock.now_ms())
    reply = world.service.handle(
        SignedRequest("POST", "/v1/jobs", "", {name.lower(): value for name, value in headers.items()}, body)
    )
    assert request.body == b""
    assert (reply.status, len(world.engine.store.jobs)) == (400, 0)


@pytest.mark.parametrize(("style", "shown"), [("specific", "INVALID_SIGNATURE"), ("generic", "UNAUTHORIZED")])
def test_the_codes_of_refusals_are_a_switch(style: str, shown: str) -> None:
    world = World()
    world.switches.update({"auth_error_code": style, "auth_failure_status": 403})
    reply = world.call("GET", "/v1/jobs", signer=SignedCaller("", secret="sk_wrong"))
    assert (reply.status, code(reply)) == (403, shown)
