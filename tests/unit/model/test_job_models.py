"""The spec models of DispersedJob: how they read, what they default to, what they bound."""

from typing import Any

import pytest
from pydantic import ValidationError

from dispersed_operator.model import naming
from dispersed_operator.model.base import field_name
from dispersed_operator.model.job import Deadlines, DispersedJobSpec, PortProtocol, Retry, Task
from dispersed_operator.model.template import RESERVED_ENV_NAMES

MINIMAL: dict[str, Any] = {
    "task": "Batch",
    "template": {"title": "t", "image": "team/worker", "env": [{"name": "KEY", "value": "hidden-value"}]},
    "deadlines": {"runSeconds": 60},
}


@pytest.mark.parametrize(
    ("python_name", "expected"),
    [
        ("task", "task"),
        ("uuid", "uuid"),
        ("job_uuid", "jobUUID"),
        ("registry_uuid", "registryUUID"),
        ("min_ram_gb", "minRAMGB"),
        ("min_vram_gb", "minVRAMGB"),
        ("allowed_cidrs", "allowedCIDRs"),
        ("body_sha256", "bodySHA256"),
        ("base_url", "baseURL"),
        ("hourly_rate_usd", "hourlyRateUSD"),
        ("last_handled_reconcile_at", "lastHandledReconcileAt"),
    ],
)
def test_fields_are_spelled_as_the_design_spells_them(python_name: str, expected: str) -> None:
    assert field_name(python_name) == expected


def test_a_minimal_job_reads_with_its_defaults() -> None:
    spec = DispersedJobSpec.from_api(MINIMAL)
    assert spec.task is Task.BATCH
    assert spec.template is not None
    assert spec.template.tag == "latest"
    assert (spec.deadlines.assign_seconds, spec.deadlines.start_seconds, spec.deadlines.run_seconds) == (300, 300, 60)
    assert spec.retry.remote_retries == 0
    assert spec.template.ports == ()
    assert spec.template.resources.gpu is None
    assert spec.connection.secret_name is None


def test_ports_and_ssh_read_with_their_defaults() -> None:
    template = {
        "title": "t",
        "image": "a/b",
        "ports": [{"name": "web", "containerPort": 8080}],
        "ssh": {"publicKey": "ssh-ed25519 AAAA"},
        "resources": {"gpu": {}},
    }
    spec = DispersedJobSpec.from_api({"task": "Persistent", "template": template})
    assert spec.template is not None
    assert spec.template.ports[0].protocol is PortProtocol.HTTP
    assert spec.template.ssh is not None
    assert spec.template.ssh.user == "duser"
    assert spec.template.resources.gpu is not None
    assert spec.template.resources.gpu.count == 1


def test_a_field_of_a_newer_schema_is_left_out_when_reading() -> None:
    newer = MINIMAL | {"restartPolicy": "Never", "template": {**MINIMAL["template"], "maxNodes": 1}}
    assert DispersedJobSpec.from_api(newer) == DispersedJobSpec.from_api(MINIMAL)


def test_code_cannot_name_a_field_that_does_not_exist() -> None:
    with pytest.raises(ValidationError):
        Retry.model_validate({"remoteRetry": 1})


def test_models_cannot_be_changed() -> None:
    spec = DispersedJobSpec.from_api(MINIMAL)
    with pytest.raises(ValidationError):
        spec.task = Task.PERSISTENT  # type: ignore[misc]


def test_env_values_stay_out_of_repr() -> None:
    spec = DispersedJobSpec.from_api(MINIMAL)
    assert "KEY" in repr(spec)
    assert "hidden-value" not in repr(spec)


def test_the_connection_secret_is_named_after_the_resource_unless_the_spec_names_it() -> None:
    spec = DispersedJobSpec.from_api(MINIMAL)
    assert spec.connection_secret_name("train") == "train-connection"
    named = DispersedJobSpec.from_api({**MINIMAL, "connection": {"secretName": "mine"}})
    assert named.connection_secret_name("train") == "mine"


@pytest.mark.parametrize("separator", [".", "-"])
def test_the_connection_secret_of_a_long_name_is_a_valid_name(separator: str) -> None:
    name = "a" * 241 + separator + "b" * 11
    assert DispersedJobSpec.from_api(MINIMAL).connection_secret_name(name) == "a" * 241 + "-connection"


def test_what_is_unset_is_not_written() -> None:
    template = DispersedJobSpec.from_api(MINIMAL).template
    assert template is not None
    assert template.to_api() == {**MINIMAL["template"], "tag": "latest", "resources": {}}


@pytest.mark.parametrize("both", [{}, {"template": MINIMAL["template"], "adopt": {"jobUUID": "a-b"}}])
def test_a_spec_creates_or_adopts_and_not_both(both: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly one of template and adopt"):
        DispersedJobSpec.from_api({"task": "Batch", **both})


def test_an_adopting_spec_needs_no_template() -> None:
    spec = DispersedJobSpec.from_api({"task": "Persistent", "adopt": {"jobUUID": "a-b"}})
    assert (spec.template, spec.adopt and spec.adopt.job_uuid) == (None, "a-b")


def test_the_longest_allowed_batch_job_has_an_expiry_that_fits_a_title() -> None:
    longest = Deadlines(assign_seconds=604800, start_seconds=86400, run_seconds=7776000)
    retries = Retry(remote_retries=10)
    assert longest.run_seconds is not None
    once = longest.assign_seconds + longest.start_seconds + longest.run_seconds
    signed_in_2030 = 1_893_456_000
    assert signed_in_2030 + once * (retries.remote_retries + 1) + 3600 < naming.MAX_TIME


@pytest.mark.parametrize(
    "field",
    [{"assign_seconds": 604801}, {"start_seconds": 86401}, {"run_seconds": 7776001}, {"assign_seconds": 299}],
)
def test_deadlines_beyond_the_bounds_are_refused(field: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Deadlines(**field)


def test_the_variable_that_carries_the_token_is_reserved() -> None:
    assert naming.TOKEN_ENV in RESERVED_ENV_NAMES
