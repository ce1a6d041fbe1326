"""The body of the POST and its digest: golden, because a digest that drifts makes every adoption ambiguous."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.job import DispersedJobSpec
from dispersed_operator.planning.body import BodyProblem, body_digest, build_body, expiry_of, published_ports
from tests.support.builders import BATCH, IDENTITY, JOB, PERSISTENT, SIGNED, SSH_KEY

BATCH_DIGEST = "34d36d03a29a7e8cd7cf48c98eb6c6173210441a252256dc743564d5dd030149"
TOKEN = naming.create_token(IDENTITY, 1)


def _spec(base: Any = BATCH, **template: Any) -> DispersedJobSpec:
    return DispersedJobSpec.from_api({**base, "template": {**base["template"], **template}})


def _sent(spec: DispersedJobSpec) -> dict[str, Any]:
    body = build_body(spec, identity=IDENTITY, attempt=1, signed_at=SIGNED)
    found: dict[str, Any] = json.loads(body.content)
    return found


def test_the_body_of_a_batch_job() -> None:
    spec = _spec()
    assert body_digest(spec) == BATCH_DIGEST
    assert _sent(spec) == {
        "task": "BATCH",
        "title": naming.remote_title(
            IDENTITY, attempt=1, signed_at=SIGNED, expiry=SIGNED + 4800, user_title="Train the model"
        ),
        "description": f"kd1 {TOKEN} {BATCH_DIGEST} | Train the model",
        "max_timeout_assign_ms": 300_000,
        "max_timeout_start_ms": 300_000,
        "max_timeout_run_ms": 600_000,
        "max_retry_count": 0,
        "max_node_count": 1,
        "parameters": {
            "type": "docker",
            "parameters": {
                "image": "registry.example.com/team/train",
                "tag": "v1",
                "env": {"DISPERSED_K8S_TOKEN": TOKEN},
                "ports": [],
            },
        },
    }


def test_the_body_of_a_persistent_job() -> None:
    gpu = {"count": 2, "minVRAMGB": 16, "name": "NVIDIA RTX 4090"}
    resources = {"cpuCount": 4, "minRAMGB": 32, "minStorageGB": 100, "gpu": gpu, "regions": ["eu-central-1"]}
    spec = _spec(PERSISTENT, resources=resources, env=[{"name": "MODE", "value": "fast"}], description="for a test")
    assert body_digest(spec) == "db451c0c58efcc5ade65e329eeeefcbb5d512533eb8f7a51df67259ea948da44"
    sent = _sent(spec)
    assert sent.pop("title").endswith(" Workbench")
    assert sent.pop("description").endswith(" | Workbench | for a test")
    assert sent == {
        "task": "PERSISTENT",
        "max_timeout_assign_ms": 300_000,
        "max_timeout_start_ms": 300_000,
        "max_timeout_run_ms": None,
        "max_retry_count": 0,
        "max_node_count": 1,
        "cpu_count": 4,
        "min_ram_gb": 32,
        "min_storage_gb": 100,
        "allowed_region_codes": ["eu-central-1"],
        "gpu_count": 2,
        "min_vram_gb": 16,
        "gpu_name": "NVIDIA RTX 4090",
        "parameters": {
            "type": "docker",
            "parameters": {
                "image": "registry.example.com/team/bench",
                "tag": "latest",
                "env": {"MODE": "fast", "DISPERSED_K8S_TOKEN": TOKEN},
                "ports": [22, 8080],
                "sshkey": SSH_KEY,
                "allowed_ips": ["203.0.113.7/32"],
            },
        },
    }


def test_the_bytes_are_canonical() -> None:
    content = build_body(_spec(), identity=IDENTITY, attempt=1, signed_at=SIGNED).content
    assert content.isascii()
    assert content == json.dumps(json.loads(content), sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("template", "same"),
    [
        ({"title": "Another title"}, True),
        ({"description": "other words"}, True),
        ({"tag": "v2"}, False),
        ({"image": "registry.example.com/team/other"}, False),
        ({"env": [{"name": "A", "value": ""}]}, False),
        ({"resources": {"cpuCount": 0}}, False),
    ],
)
def test_the_digest_speaks_of_what_runs_and_not_of_its_name(template: dict[str, Any], same: bool) -> None:
    assert (body_digest(_spec(**template)) == BATCH_DIGEST) is same


def test_the_digest_is_the_same_for_every_attempt_and_time() -> None:
    later = build_body(_spec(), identity=IDENTITY, attempt=9, signed_at=SIGNED + 10**6)
    assert later.digest == BATCH_DIGEST
    assert f" {BATCH_DIGEST} " in json.loads(later.content)["description"]


def test_the_order_of_variables_does_not_matter() -> None:
    one, other = {"name": "A", "value": "1"}, {"name": "B", "value": "2"}
    assert body_digest(_spec(env=[one, other])) == body_digest(_spec(env=[other, one]))


@pytest.mark.parametrize(
    ("run", "retries", "life"),
    [(600, 0, 1200 + 3600), (60, 0, 660 + 3600), (600, 2, 3 * 1200 + 3600), (7_776_000, 10, 11 * 7_776_600 + 3600)],
)
def test_a_batch_job_expires_when_every_run_must_be_over_and_an_hour(run: int, retries: int, life: int) -> None:
    deadlines = {**BATCH["deadlines"], "runSeconds": run}
    spec = DispersedJobSpec.from_api({**BATCH, "deadlines": deadlines, "retry": {"remoteRetries": retries}})
    assert expiry_of(spec, SIGNED) == SIGNED + life


def test_a_persistent_job_never_expires() -> None:
    assert expiry_of(_spec(PERSISTENT), SIGNED) == 0


@pytest.mark.parametrize(
    ("spec", "life", "because"),
    [
        (PERSISTENT, 86400, "nothing else ends it"),
        (BATCH, 300, "shorter than its deadlines allow"),
        (BATCH, 1200 + 3600 + 1, "its deadlines end it before"),
    ],
)
def test_a_lifetime_is_the_expiry_where_the_deadlines_do_not_end_the_job_before(
    spec: dict[str, Any], life: int, because: str
) -> None:
    given = DispersedJobSpec.from_api({**spec, "limits": {"maxLifetimeSeconds": life}})
    assert expiry_of(given, SIGNED) == SIGNED + min(life, 4800 if spec is BATCH else life), because
    assert expiry_of(given, naming.MAX_TIME - 10) == naming.MAX_TIME, because


def test_an_expiry_beyond_the_last_second_is_that_second() -> None:
    assert expiry_of(_spec(), naming.MAX_TIME - 10) == naming.MAX_TIME


def test_22_is_published_with_ssh_alone() -> None:
    templates = [_spec(PERSISTENT).template, _spec(PERSISTENT, ssh=None).template, _spec().template]
    assert [published_ports(template) for template in templates if template is not None] == [[22, 8080], [8080], []]


def test_nothing_is_built_for_a_job_that_is_adopted() -> None:
    adopting = DispersedJobSpec.from_api({"task": "Batch", "adopt": {"jobUUID": JOB}})
    with pytest.raises(BodyProblem, match=r"only from spec\.template"):
        body_digest(adopting)


@pytest.mark.parametrize(
    "template",
    [{"title": "Größe"}, {"env": [{"name": "A", "value": "geheim-ä"}]}, {"description": "naïve"}],
)
@pytest.mark.reason("RemoteValidationFailed")
def test_a_text_that_cannot_be_signed_is_named_by_its_place_and_never_by_its_value(template: dict[str, Any]) -> None:
    with pytest.raises(BodyProblem) as caught:
        build_body(_spec(**template), identity=IDENTITY, attempt=1, signed_at=SIGNED)
    assert "ASCII" in str(caught.value)
    assert "geheim" not in str(caught.value)
