"""Tolerant parsing: decoration may be missing or odd, but no row vanishes (API reference §3, §5.2, §6)."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dispersed_operator.errors import MalformedAnswer
from dispersed_operator.model.remote import NodeURL, is_terminal
from dispersed_operator.remote import fields
from dispersed_operator.remote.payloads import (
    ErrorBody,
    parse_created,
    parse_error,
    parse_job,
    parse_page,
    parse_run,
    run_of_row,
)

NOON = datetime(2025, 12, 25, 12, 0, tzinfo=UTC)


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def job(**more: object) -> bytes:
    return encoded({"uuid": "j-1", "status": "RUNNING"} | more)


def run_row(**more: object) -> dict[str, Any]:
    return {"uuid": "r-1", "status": "RUNNING", "job_uuid": "j-1"} | more


@pytest.mark.parametrize("body", [job(), encoded({"data": {"uuid": "j-1", "status": "running"}}), job(new_field=[1])])
def test_a_job_comes_bare_or_wrapped_with_unknown_fields_ignored(body: bytes) -> None:
    parsed = parse_job(body)
    assert (parsed.uuid, parsed.status) == ("j-1", "RUNNING")


def test_an_unknown_status_survives_and_is_alive() -> None:
    parsed = parse_job(job(status="migrating"))
    assert parsed.status == "MIGRATING"
    assert not is_terminal(parsed.status)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"uuid": "j-1"}',
        b'{"status": "RUNNING"}',
        b'{"uuid": null, "status": "RUNNING"}',
        b'{"uuid": 7, "status": "RUNNING"}',
        b'{"uuid": "a/b", "status": "RUNNING"}',
        b'{"uuid": "j-1", "status": ""}',
        b'{"uuid": "j-1", "status": NaN}',
        b'{"_id": "j-1", "status": "RUNNING"}',
        b"[" * 100_000,
        b'{"uuid": "j-1", "status": "RUN\xff"}',
        b'{"uuid": "j-1", "status": "RUNNING", "n": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_job_without_a_usable_uuid_and_status_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        parse_job(body)


def test_an_error_text_never_quotes_the_answer() -> None:
    with pytest.raises(MalformedAnswer) as error:
        parse_job(encoded({"uuid": "j-1", "status": {"env": "hunter2"}, "parameters": "hunter2"}))
    assert str(error.value) == "a job without a usable status"
    assert error.value.__cause__ is None


def test_odd_decoration_never_fails_a_job() -> None:
    texts = ["title", "description", "task", "status_reason", "account", "account_uuid"]
    names = [*texts, "created_at", "started_at", "parameters", "container_access_tokens"]
    odd: dict[str, object] = {name: {"unexpected": ["shape"]} for name in names}
    parsed = parse_job(job(**odd))
    assert (parsed.title, parsed.created_at, parsed.account_uuid, parsed.env_token) == ("", None, None, None)


def test_the_env_token_is_found_below_both_parameters() -> None:
    env = {"DISPERSED_K8S_TOKEN": "abcdefgh2345", "OTHER": "x"}
    assert parse_job(job(parameters={"type": "docker", "parameters": {"env": env}})).env_token == "abcdefgh2345"
    assert parse_job(job(parameters={"parameters": {"env": None}})).env_token is None


@pytest.mark.parametrize("more", [{"account_uuid": "a-1"}, {"account": "a-1"}, {"account": {"uuid": "a-1"}}])
def test_the_account_is_found_under_each_of_its_names(more: dict[str, object]) -> None:
    assert parse_job(job(**more)).account_uuid == "a-1"


def test_a_created_job_needs_nothing_but_a_uuid() -> None:
    assert parse_created(encoded({"uuid": "j-1"})).status == "UNKNOWN"
    assert parse_created(encoded({"data": {"uuid": "j-1", "status": None}})).uuid == "j-1"
    with pytest.raises(MalformedAnswer):
        parse_created(encoded({"id": "j-1", "status": "PENDING"}))


@pytest.mark.parametrize(
    ("value", "at", "is_date"),
    [
        ("2025-12-25", datetime(2025, 12, 25, tzinfo=UTC), True),
        ("2025-12-25T12:00:00Z", NOON, False),
        ("2025-12-25T13:00:00.000+01:00", NOON, False),
        ("2025-12-25 12:00:00", NOON, False),
        (1766664000000, NOON, False),
        ("1766664000000", NOON, False),
        (1766664000, NOON, False),
        (1766664000000.0, NOON, False),
    ],
)
def test_a_moment_is_read_in_each_of_its_spellings(value: object, at: datetime, is_date: bool) -> None:
    assert fields.moment(value) == (at, is_date)


@pytest.mark.parametrize(
    "value", [None, 0, "", "yesterday", "2025-13-01", "2025-12-25T99:00:00Z", True, [], {}, -5, 10**30, "20251225"]
)
def test_what_is_no_moment_is_absent(value: object) -> None:
    assert fields.moment(value) is None


def test_milliseconds_are_kept() -> None:
    moment = fields.moment(1766664000123)
    assert moment is not None
    assert moment.at.microsecond == 123_000


def test_a_run_is_read_in_full() -> None:
    row = run_row(
        started_at_ms=1766664000000, ended_at_ms=0, duration_ms="1500", hourly_rate_usd="0.350", exitCode=3,
        container_access_tokens=[{"token": "t-1"}, "t-2", None, {"token": "t-1"}], status_reason="",
    )  # fmt: skip
    run = run_of_row(row)
    assert (run.started_at, run.ended_at, run.duration_ms) == (NOON, None, 1500)
    assert (run.hourly_rate_usd, run.exit_code, run.access_tokens) == (Decimal("0.350"), 3, ("t-1", "t-2"))
    assert run.status_reason is None
    assert "t-1" not in repr(run)


def test_a_rate_keeps_its_decimals_and_a_senseless_one_is_absent() -> None:
    assert parse_run(b'{"uuid":"r-1","status":"X","hourly_rate_usd":0.1}').hourly_rate_usd == Decimal("0.1")
    nonsense: list[object] = [-1, "NaN", "free", True, [], "1e999999999"]
    for senseless in nonsense:
        rate = run_of_row(run_row(hourly_rate_usd=senseless)).hourly_rate_usd
        assert rate is None or rate.is_finite()


def test_exit_code_zero_is_not_absent() -> None:
    assert run_of_row(run_row(exit_code=0, exitCode=5)).exit_code == 0


def test_the_job_of_a_run_falls_back_to_its_snapshot() -> None:
    assert run_of_row(run_row(job_uuid=None, job_snapshot={"uuid": "j-2"})).job_uuid == "j-2"
    assert run_of_row(run_row(job_uuid=None, job_snapshot="j-2")).job_uuid == ""


@pytest.mark.parametrize("port", [40123, "40123", 40123.0, "40123.0"])
@pytest.mark.parametrize(
    ("description", "expected"), [("8000", "8000"), (8000, "8000"), ("8000/tcp", "8000"), ("ssh", "ssh"), (22, "ssh")]
)
def test_a_published_port_is_read_in_each_of_its_spellings(port: object, description: object, expected: str) -> None:
    entry = {"description": description, "hostname": "x.proxy.example", "port": port, "protocol": "TCP"}
    assert run_of_row(run_row(node_urls=[entry])).node_urls == (
        NodeURL(description=expected, hostname="x.proxy.example", port=40123, protocol="tcp", tls=False),
    )


@pytest.mark.parametrize(
    "entry",
    [None, "x", {}, {"hostname": "h"}, {"hostname": "h", "port": 0}, {"hostname": "h", "port": 70000},
     {"hostname": "h h", "port": 1}, {"hostname": "h\n", "port": "x"}, {"hostname": "", "port": 1}],
)  # fmt: skip
def test_a_published_port_that_cannot_be_used_is_left_out(entry: object) -> None:
    good = {"description": "80", "hostname": "h", "port": 1, "tls": "true"}
    urls = run_of_row(run_row(node_urls=[entry, good])).node_urls
    assert [(url.port, url.tls) for url in urls] == [(1, True)]


@pytest.mark.parametrize("value", [None, "none", 5, {}])
def test_missing_node_urls_are_none_at_all(value: object) -> None:
    assert run_of_row(run_row(node_urls=value)).node_urls == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("a\nb\n", "a\nb\n"),
        (["a\n", "b"], "a\nb"),
        ([{"message": "a"}, {"line": "b\n"}, {"other": 1}, None, 7], "a\nb\n\n\n7"),
        ({"lines": ["a", "b"]}, "a\nb"),
        ({"message": "a"}, "a"),
        ([], ""),
    ],
)
def test_logs_become_text(value: object, text: str | None) -> None:
    assert run_of_row(run_row(logs=value)).logs == text


def test_a_page_is_an_envelope_or_an_array() -> None:
    page = parse_page(encoded({"data": [1, 2], "total": "7", "limit": 20, "page": 1}))
    assert (page.rows, page.total, page.limit) == ((1, 2), 7, 20)
    bare = parse_page(encoded([1]))
    assert (bare.rows, bare.total, bare.limit) == ((1,), None, None)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"data": null}', b'{"data": {}}', b'"x"', b"null", b"<html>", b"3"])
def test_what_is_no_page_is_malformed_and_never_an_empty_list(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        parse_page(body)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"error": {"code": "C", "message": "M"}}, ErrorBody("C", "M")),
        ({"error": {"message": "M"}}, ErrorBody("", "M")),
        ({"code": 17, "message": "M"}, ErrorBody("17", "M")),
        ({"message": "M"}, ErrorBody("", "M")),
        ({"error": "E"}, ErrorBody("", "E")),
        ({"detail": "D"}, ErrorBody("", "D")),
        ({"detail": [{"msg": "a"}, {"msg": "b"}]}, ErrorBody("", "a; b")),
        ({"errors": ["a", {"message": "b"}]}, ErrorBody("", "a; b")),
        ({}, None),
        ({"errors": []}, None),
        ([], None),
        ("text", None),
    ],
)
def test_an_error_body_is_read_in_the_order_of_the_reference(value: object, expected: ErrorBody | None) -> None:
    assert parse_error(encoded(value)) == expected


def test_a_body_that_is_not_json_is_no_error_body() -> None:
    assert parse_error(b"<html>502</html>") is None
    assert parse_error(b"") is None
