"""Bodies of a create (API reference §5.1): each rule with a body that keeps it and one that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_simulator.validation import find_login_problems, find_problems
from tests.support.simulator import job_body
from tests.unit.simulator.harness import World, code, payload

UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"

GOOD: list[dict[str, Any]] = [
    {},
    {"task": "PERSISTENT"},
    {"max_timeout_run_ms": 60_000},
    {"max_timeout_assign_ms": 300_000, "max_timeout_start_ms": 120_000},
    {"max_retry_count": 0, "max_node_count": 1, "cpu_count": 0, "gpu_count": 0, "min_ram_gb": 0, "min_vram_gb": 0},
    {"gpu_name": "NVIDIA RTX 4090"},
    {"gpu_registry_uuid": UUID},
    {"allowed_region_codes": ["us-east-1", "ap-northeast-1"]},
    {"container": {"env": {}, "ports": [22, 8080], "allowed_ips": ["0.0.0.0/0", "203.0.113.7/32"], "volumes": []}},
    {"container": {"host": "", "user": "", "secret": "", "image": "registry.example:5000/group/name"}},
    {"container": {"volumes": [{"image": "data", "tag": "1", "mount": "/data"}]}},
]

BAD: list[tuple[dict[str, Any], str]] = [
    ({"task": "SERVICE"}, "task"),
    ({"title": ""}, "title"),
    ({"title": 7}, "title"),
    ({"description": 7}, "description"),
    ({"max_timeout_run_ms": None}, "max_timeout_run_ms"),
    ({"max_timeout_run_ms": 59_999}, "max_timeout_run_ms"),
    ({"max_timeout_run_ms": "900000"}, "max_timeout_run_ms"),
    ({"max_timeout_run_ms": True}, "max_timeout_run_ms"),
    ({"max_timeout_run_ms": 900_000.0}, "max_timeout_run_ms"),
    ({"task": "PERSISTENT", "max_timeout_run_ms": 900_000}, "max_timeout_run_ms"),
    ({"max_timeout_assign_ms": 299_999}, "max_timeout_assign_ms"),
    ({"max_timeout_start_ms": 119_999}, "max_timeout_start_ms"),
    ({"max_retry_count": -1}, "max_retry_count"),
    ({"max_node_count": 0}, "max_node_count"),
    ({"gpu_count": 2**60}, "gpu_count"),
    ({"gpu_name": "x", "gpu_registry_uuid": UUID}, "gpu_name"),
    ({"gpu_registry_uuid": "4090"}, "gpu_registry_uuid"),
    ({"allowed_region_codes": ["Frankfurt"]}, "allowed_region_codes"),
    ({"parameters": None}, "parameters"),
    ({"parameters": {"type": "vm", "parameters": {"image": "a"}}}, "parameters.type"),
    ({"parameters": {"type": "docker"}}, "parameters.parameters"),
    ({"container": {"image": ""}}, "parameters.parameters.image"),
    ({"container": {"image": "example/worker:v1"}}, "parameters.parameters.image"),
    ({"container": {"tag": 1}}, "parameters.parameters.tag"),
    ({"container": {"env": {"A": 1}}}, "parameters.parameters.env"),
    ({"container": {"ports": ["22"]}}, "parameters.parameters.ports"),
    ({"container": {"ports": [0]}}, "parameters.parameters.ports"),
    ({"container": {"allowed_ips": ["anywhere"]}}, "parameters.parameters.allowed_ips"),
    ({"container": {"volumes": [{"image": "data"}]}}, "parameters.parameters.volumes"),
]


@pytest.mark.parametrize("fields", GOOD, ids=str)
def test_a_body_that_keeps_the_rules_has_no_problems(fields: dict[str, Any]) -> None:
    assert find_problems(job_body("title", **fields), refuse_unknown=True) == []


@pytest.mark.parametrize(("fields", "field"), BAD, ids=str)
def test_a_broken_rule_is_reported_by_its_field(fields: dict[str, Any], field: str) -> None:
    problems = find_problems(job_body(**({"title": "title"} | fields)), refuse_unknown=False)
    assert [problem["field"] for problem in problems] == [field]


@pytest.mark.parametrize("missing", ["title", "max_timeout_run_ms", "parameters"])
def test_a_required_field_may_not_be_missing(missing: str) -> None:
    body = {name: value for name, value in job_body("title").items() if name != missing}
    assert [problem["field"] for problem in find_problems(body, refuse_unknown=False)] == [missing]


def test_task_may_be_missing_and_is_then_batch() -> None:
    body = {name: value for name, value in job_body("title").items() if name != "task"}
    world = World()
    assert payload(world.call("POST", "/v1/jobs", body=body))["task"] == "BATCH"


@pytest.mark.parametrize("body", [[], "text", 7, [{"title": "x"}]])
def test_a_body_that_is_not_an_object_is_refused(body: Any) -> None:
    reply = World().call("POST", "/v1/jobs", body=body)
    assert (reply.status, code(reply)) == (400, "VALIDATION_FAILED")


def test_unknown_fields_are_ignored_unless_the_switch_is_strict() -> None:
    world = World()
    assert world.create(colour="red", container={"shell": "sh"}).status == 201
    world.switches.update({"unknown_fields": "refuse"})
    reply = world.create(colour="red", container={"shell": "sh"})
    fields = [problem["field"] for problem in payload(reply)["error"]["details"]]
    assert (reply.status, fields) == (400, ["colour", "parameters.parameters.shell"])


def test_the_status_of_a_validation_error_is_a_switch_and_nothing_is_created() -> None:
    world = World()
    world.switches.update({"validation_status": 422})
    assert (world.create("").status, world.engine.store.jobs) == (422, {})


LOGIN = {"user": "ci", "secret": "pass word"}
DATA = {"image": "group/data", "mount": "/data", "registry": "r.example"}


@pytest.mark.parametrize(
    ("container", "refused"),
    [
        ({"image": "group/name", "host": "r.example", **LOGIN}, []),
        ({"image": "group/name", "host": "r.example", "user": "ci", "secret": "wrong"}, ["image"]),
        ({"image": "r.example/group/name"}, ["image"]),
        ({"image": "other.example/name"}, []),
        ({"image": "r.example/group/name", **LOGIN, "volumes": [DATA, {**DATA, **LOGIN}]}, ["volumes[0]"]),
    ],
)
def test_a_private_registry_wants_its_login_for_image_and_volumes(
    container: dict[str, Any], refused: list[str]
) -> None:
    body = job_body("title", container=container)
    problems = find_login_problems(body, "r.example ci pass word")
    assert [problem["field"] for problem in problems] == [f"parameters.parameters.{name}" for name in refused]
    assert "wrong" not in str(problems)
    assert find_login_problems(body, "") == []


def test_a_create_with_a_wrong_login_is_refused_as_invalid() -> None:
    world = World()
    world.switches.update({"private_registry": "r.example ci pass"})
    reply = world.create(container={"image": "r.example/group/name"})
    assert (reply.status, code(reply), world.engine.store.jobs) == (400, "VALIDATION_FAILED", {})
