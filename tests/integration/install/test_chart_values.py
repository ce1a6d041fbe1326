"""What the chart's schema can refuse is refused before anything is sent to a cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dispersed_devenv.chart import camel_case, settings_schema
from dispersed_devenv.tools import Tools
from dispersed_operator.cli import build_parser
from dispersed_operator.config import Settings, load_settings, variable_name
from tests.support.rendering import CHART, Body, HelmError, run_helm, template

NAMESPACED = {"namespaces": ["team-a"], "clusterId": "here"}
REFUSED: dict[str, tuple[Body, str]] = {
    "an unknown key": ({"replicas": 2}, "additional properties 'replicas' not allowed"),
    "an unknown key further in": ({"image": {"name": "x"}}, "additional properties 'name' not allowed"),
    "an unknown setting": ({"settings": {"worker": 4}}, "additional properties 'worker' not allowed"),
    "a setting out of range": ({"settings": {"workers": 0}}, "at '/settings/workers'"),
    "a setting of the wrong type": ({"settings": {"workers": "4"}}, "at '/settings/workers'"),
    "a stop that outlasts the pod": ({"settings": {"shutdownGraceSeconds": 90}}, "at '/settings/shutdownGraceSeconds'"),
    "a log level that is none": ({"settings": {"logLevel": "loud"}}, "at '/settings/logLevel'"),
    "a proxy address, which may hold a password": (
        {"settings": {"remoteProxy": "http://proxy:3128"}},
        "additional properties 'remoteProxy' not allowed",
    ),
    "namespaces without an id of the cluster": ({"namespaces": ["team-a"]}, "at '/clusterId'"),
    "a namespace that cannot exist": (NAMESPACED | {"namespaces": ["Team_A"]}, "at '/namespaces/0'"),
    "a namespace twice": (NAMESPACED | {"namespaces": ["a", "a"]}, "at '/namespaces'"),
    "an id with a blank": ({"clusterId": "not set"}, "at '/clusterId'"),
    "ClusterRoles of a namespaced installation": (NAMESPACED | {"userRoles": {"enabled": True}}, "at '/userRoles"),
    "cancelling orphans in a namespaced installation": (
        NAMESPACED | {"settings": {"orphanPolicy": "cancel"}},
        "at '/settings/orphanPolicy'",
    ),
    "a scope by the back door": (
        {"extraEnv": [{"name": "DISPERSED_OPERATOR_NAMESPACES", "value": "team-a"}]},
        "at '/extraEnv/0/name'",
    ),
    "an election by the back door": (
        {"extraEnv": [{"name": "DISPERSED_OPERATOR_LEADER_ELECT", "value": "true"}]},
        "at '/extraEnv/0/name'",
    ),
    "a shard by the back door": (
        {"extraEnv": [{"name": "DISPERSED_OPERATOR_SHARD", "value": "0/3"}]},
        "at '/extraEnv/0/name'",
    ),
    "no shard at all": ({"shards": 0}, "at '/shards'"),
    "shards with standbys": (
        {"shards": 2, "highAvailability": {"enabled": True, "replicas": 2}},
        "at '/highAvailability/enabled'",
    ),
    "two replicas that are one": (
        {"highAvailability": {"enabled": True, "replicas": 1}},
        "at '/highAvailability/replicas'",
    ),
    "a digest that is none": ({"image": {"digest": "sha256:abc"}}, "at '/image/digest'"),
    "a pull policy that is none": ({"image": {"pullPolicy": "Sometimes"}}, "at '/image/pullPolicy'"),
    "no resource requests": ({"resources": {"requests": None}}, "at '/resources'"),
    "labels that would part pods and selectors": (
        {"podLabels": {"app.kubernetes.io/name": "other"}},
        "invalid propertyName 'app.kubernetes.io/name'",
    ),
    "a label that is no text": ({"podLabels": {"tier": 1}}, "at '/podLabels/tier'"),
    "a port that is none": ({"networkPolicy": {"egressPorts": [0]}}, "at '/networkPolicy/egressPorts/0'"),
    "an interval that is none": ({"serviceMonitor": {"interval": "often"}}, "at '/serviceMonitor/interval'"),
    "a word for live jobs that is none": ({"uninstall": {"liveJobs": "Ignore"}}, "at '/uninstall/liveJobs'"),
    "a wait of no time": ({"uninstall": {"waitSeconds": 0}}, "at '/uninstall/waitSeconds'"),
    "a name that cannot exist": ({"fullnameOverride": "Operator!"}, "at '/fullnameOverride'"),
}


def as_flags(values: Body) -> list[str]:
    return [f"--set-json={key}={json.dumps(value)}" for key, value in values.items()]


def container(documents: list[Body]) -> Body:
    (deployment,) = [body for body in documents if body["kind"] == "Deployment"]
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize(("values", "words"), REFUSED.values(), ids=REFUSED)
def test_helm_refuses(tools: Tools, values: Body, words: str) -> None:
    with pytest.raises(HelmError, match="values don't meet the specifications of the schema") as refused:
        template(tools, *as_flags(values))
    assert words in str(refused.value)


def test_helm_lint_finds_nothing(tools: Tools) -> None:
    assert "0 chart(s) failed" in run_helm(tools, "lint", "--strict", str(CHART))


def test_every_default_is_one_that_the_schema_knows(tools: Tools) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = run_helm(tools, "show", "values", str(CHART))
    named = {line.partition(":")[0] for line in values.splitlines() if line and line[0] not in " #"}
    assert named == set(schema["properties"]) - {"global"}


def test_each_setting_of_the_schema_reaches_the_operator_under_its_own_name(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {name: example(name) for name in settings_schema()["properties"] if name != "remoteCaFile"}
    env = container(template(tools, f"--set-json=settings={json.dumps(wanted)}"))["env"]
    for entry in env:
        monkeypatch.setenv(entry["name"], entry["value"])
    loaded = load_settings()
    fields = {camel_case(field): field for field in Settings.model_fields}
    assert {entry["name"] for entry in env} == {variable_name(fields[name]) for name in wanted}
    assert {name: getattr(loaded, fields[name]) for name in wanted} == wanted


def example(name: str) -> Any:
    """A value that differs from the default where there is room, and keeps the settings consistent."""
    field = next(field for field in Settings.model_fields if camel_case(field) == name)
    default = Settings.model_fields[field].default
    if name in {"workers", "remoteConcurrency"}:
        return default - 1
    if isinstance(default, float):
        return default * 1.25
    texts = {"orphanPolicy": "cancel", "logLevel": "debug", "logFormat": "text", "operatorNamespace": "platform"}
    return texts[name]


def test_the_number_of_a_setting_is_not_rounded(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"maxClockOffsetSeconds": 1_000_000, "pollJitterRatio": 0.05}
    env = container(template(tools, f"--set-json=settings={json.dumps(settings)}"))["env"]
    for entry in env:
        monkeypatch.setenv(entry["name"], entry["value"])
    assert (load_settings().max_clock_offset_seconds, load_settings().poll_jitter_ratio) == (1_000_000, 0.05)


def test_a_digest_wins_over_the_tag(tools: Tools) -> None:
    digest = "sha256:" + "0" * 64
    found = container(template(tools, f"--set=image.repository=example.com/op,image.tag=x,image.digest={digest}"))
    assert found["image"] == f"example.com/op@{digest}"


@pytest.mark.parametrize("live_jobs", ["Refuse", "Cancel"])
def test_the_command_line_of_the_hook_is_one_that_the_program_knows(tools: Tools, live_jobs: str) -> None:
    documents = template(tools, f"--set=uninstall.liveJobs={live_jobs},uninstall.waitSeconds=300")
    (job,) = [body for body in documents if body["kind"] == "Job"]
    (found,) = job["spec"]["template"]["spec"]["containers"]
    parsed = build_parser().parse_args(found["args"])
    assert (parsed.command, parsed.cancel) == ("uninstall-check", live_jobs == "Cancel")
    assert not parsed.cancel or parsed.wait_seconds == 300
    assert job["spec"]["activeDeadlineSeconds"] > 300


def test_the_hook_can_be_left_out(tools: Tools) -> None:
    kinds = [body["kind"] for body in template(tools, "--set=uninstall.check=false")]
    assert "Job" not in kinds
