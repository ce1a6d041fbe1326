"""The spelling of rows and errors (API reference §3, §5.2, §6): the default and every switch that changes it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.simulator.harness import World, payload, rows

SECRETS = {"env": {"MODE": "x"}, "secret": "hunter2", "ports": [22, 8080],
           "volumes": [{"image": "d", "mount": "/d", "secret": "hunter3"}]}  # fmt: skip


def _created(**switches: Any) -> dict[str, Any]:
    world = World()
    world.switches.update(switches)
    return dict(payload(world.create("a long title", description="words", container=SECRETS)))


def _run(**switches: Any) -> dict[str, Any]:
    world = World()
    world.switches.update(switches)
    job = world.new_job(task="PERSISTENT", container=SECRETS)
    world.advance(60)
    return dict(payload(world.call("GET", f"/v1/job-runs/{job.runs[0].uuid}")))


def test_a_registry_password_is_never_echoed_and_env_is() -> None:
    row = _created()
    container = row["parameters"]["parameters"]
    assert container["env"] == {"MODE": "x"}
    assert "hunter" not in str(row)


@pytest.mark.parametrize(
    ("switches", "field", "expected"),
    [
        ({}, "created_at", "2025-10-09T08:53:20.000Z"),
        ({"created_at_format": "date"}, "created_at", "2025-10-09"),
        ({"created_at_format": "null"}, "created_at", None),
        ({"created_at_format": "missing"}, "created_at", ...),
        ({"created_at_ties": "minute"}, "created_at", "2025-10-09T08:53:00.000Z"),
        ({"title_max_length": 6}, "title", "a long"),
        ({"description_echo": "dropped"}, "description", ...),
        ({"account_uuid_shown": False}, "account_uuid", ...),
        ({"uuid_on_create": "missing"}, "uuid", ...),
        ({"uuid_on_create": "null"}, "uuid", None),
        ({}, "container_access_tokens", ...),
        ({"access_tokens_on": "job"}, "container_access_tokens", []),
        ({}, "logs", ...),
        ({}, "node_urls", ...),
    ],
)
def test_the_job_row_follows_its_switches(switches: dict[str, Any], field: str, expected: object) -> None:
    assert _created(**switches).get(field, ...) == expected


@pytest.mark.parametrize(("echo", "env"), [("masked", {"MODE": "********"}), ("dropped", None)])
def test_env_may_come_back_masked_or_not_at_all(echo: str, env: dict[str, str] | None) -> None:
    assert _created(env_echo=echo)["parameters"]["parameters"].get("env") == env


def test_a_create_may_answer_200_and_wrapped() -> None:
    world = World()
    world.switches.update({"create_status": 200, "create_wrapped": True})
    reply = world.create()
    assert (reply.status, list(payload(reply))) == (200, ["data"])


@pytest.mark.parametrize(
    ("switches", "field", "kind"),
    [
        ({}, "port", int),
        ({"node_url_port": "text"}, "port", str),
        ({"node_url_port": "float"}, "port", float),
        ({"node_url_description": "int"}, "description", int),
        ({"node_url_description": "tcp"}, "description", str),
        ({}, "tls", bool),
        ({"node_url_tls": "missing"}, "tls", type(None)),
    ],
)
def test_node_urls_follow_their_switches(switches: dict[str, Any], field: str, kind: type) -> None:
    ssh, web = _run(**switches)["node_urls"]
    assert ssh["description"] == "ssh"
    assert type(web.get(field)) is kind


@pytest.mark.parametrize(("before", "shown"), [("empty", []), ("null", None), ("missing", ...)])
def test_node_urls_before_the_endpoints_exist_are_a_switch(before: str, shown: object) -> None:
    world = World()
    world.switches.update({"node_urls_before": before})
    world.new_job()
    world.advance(1)
    assert rows(world.call("GET", "/v1/job-runs"))[0].get("node_urls", ...) == shown


@pytest.mark.parametrize(("shape", "kind"), [("text", str), ("lines", list), ("objects", list), ("null", type(None))])
def test_logs_have_the_type_of_their_switch(shape: str, kind: type) -> None:
    logs = _run(logs_as=shape)["logs"]
    if shape == "objects":
        assert set(logs[0]) == {"message"}
    assert type(logs) is kind


@pytest.mark.parametrize(("shape", "kind"), [("objects", dict), ("strings", str)])
def test_access_tokens_have_the_type_of_their_switch(shape: str, kind: type) -> None:
    (token,) = _run(access_tokens_as=shape)["container_access_tokens"]
    assert type(token) is kind


def test_rate_and_snapshot_and_logs_may_be_missing() -> None:
    row = _run(hourly_rate_shown=False, job_snapshot_shown=False, logs_as="missing", access_tokens_on="none")
    assert not {"hourly_rate_usd", "job_snapshot", "logs", "container_access_tokens"} & set(row)


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("nested", {"error": {"code": "NOT_FOUND", "message": "there is no such job", "details": None}}),
        ("code_message", {"code": "NOT_FOUND", "message": "there is no such job"}),
        ("message", {"message": "there is no such job"}),
        ("string", {"error": "there is no such job"}),
        ("detail", {"detail": "there is no such job"}),
        ("errors", {"errors": [{"code": "NOT_FOUND", "message": "there is no such job", "details": None}]}),
    ],
)
def test_an_error_has_the_envelope_of_its_switch(shape: str, body: dict[str, Any]) -> None:
    world = World()
    world.switches.update({"error_envelope": shape})
    reply = world.call("GET", "/v1/jobs/none")
    assert (reply.status, reply.content_type, payload(reply)) == (404, "application/json", body)


def test_an_error_may_be_a_page() -> None:
    world = World()
    world.switches.update({"error_envelope": "html"})
    reply = world.call("GET", "/v1/jobs/none")
    assert reply.content_type.startswith("text/html")
    assert b"<h1>404</h1>" in reply.body
