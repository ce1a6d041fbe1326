"""Bad input is refused by the real API server, naming the field and the remedy; the nearest good input passes."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from dispersed_devenv.controlplane import ControlPlane, KubectlError
from dispersed_operator.model.definitions import DEFINITIONS
from tests.integration.crds.cases import OPEN, RULE_CASES, gpu, port
from tests.integration.crds.objects import Case, Json, account, adopting, create, job, shared_account

LONG_NAME = "n" * 254

# Outside the bounds of the schema: the API server's own words name field and bound.
BOUND_CASES = [
    ("spec.task", job(task="Cron", template={"allowedCIDRs": OPEN}), job()),
    ("spec.template.title", job(template={"title": None}), job()),
    ("spec.template.title", job(template={"title": ""}), job(template={"title": "t"})),
    ("spec.template.title", job(template={"title": "t" * 201}), job(template={"title": "t" * 200})),
    ("spec.template.image", job(template={"image": None}), job()),
    ("spec.template.env[0].value", job(template={"env": [{"name": "A"}]}), job()),
    ("spec.template.ports[0].containerPort", job(template=port(containerPort=0)), job(template=port(containerPort=1))),
    (
        "spec.template.ports[0].containerPort",
        job(template=port(containerPort=65536)),
        job(template=port(containerPort=65535)),
    ),
    ("spec.template.ports[0].protocol", job(template=port(protocol="udp")), job(template=port(protocol="tcp"))),
    ("spec.template.resources.gpu.count", job(template=gpu(count=0)), job(template=gpu(count=1))),
    ("spec.template.resources.gpu.count", job(template=gpu(count=1.5)), job(template=gpu(count=2))),
    ("spec.deadlines.assignSeconds", job(deadlines={"runSeconds": 60, "assignSeconds": 299}), job()),
    ("spec.deadlines.startSeconds", job(deadlines={"runSeconds": 60, "startSeconds": 119}), job()),
    ("spec.deadlines.runSeconds", job(deadlines={"runSeconds": 59}), job(deadlines={"runSeconds": 60})),
    ("spec.deadlines.runSeconds", job(deadlines={"runSeconds": 7776001}), job(deadlines={"runSeconds": 7776000})),
    ("spec.retry.remoteRetries", job(retry={"remoteRetries": -1}), job(retry={"remoteRetries": 10})),
    ("spec.limits.maxLifetimeSeconds", job(limits={"maxLifetimeSeconds": 59}), job(limits={"maxLifetimeSeconds": 60})),
    ("spec.limits.maxCostUSD", job(limits={"maxCostUSD": 25}), job(limits={"maxCostUSD": "25"})),
    ("spec.deletionPolicy", job(deletionPolicy="Keep"), job(deletionPolicy="Orphan")),
    ("spec.suspend", job(suspend="true"), job(suspend=True)),
    ("spec.adopt.jobUUID", adopting(adopt={}), adopting()),
    ("spec.adopt.jobUUID", adopting(adopt={"jobUUID": "a" * 65}), adopting(adopt={"jobUUID": "a" * 64})),
    ("spec.allowAdoption", account(allowAdoption="true"), account(allowAdoption=True)),
    ("spec.accountRef.kind", job(accountRef={"kind": "Account", "name": "a"}), job(accountRef={"name": "a"})),
    (
        "spec.accountRef.kind",
        job(accountRef={"kind": "DispersedOrphan", "name": "a"}),
        job(accountRef={"kind": "ClusterDispersedAccount", "name": "a"}),
    ),
    (
        "spec.connection.secretName",
        job(connection={"secretName": LONG_NAME}),
        job(connection={"secretName": "n" * 253}),
    ),
    (
        "spec.allowedNamespaces.selector.matchExpressions[0].operator",
        shared_account(selector={"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}),
        shared_account(selector={"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}),
    ),
    (
        "spec.allowedNamespaces.selector.matchLabels.a",
        shared_account(selector={"matchLabels": {"a": "v" * 64}}),
        shared_account(selector={"matchLabels": {"a": "v" * 63}}),
    ),
    ("spec.credentialsSecretRef", account(credentialsSecretRef=None), account()),
    ("spec.polling.intervalSeconds", account(polling={"intervalSeconds": 4}), account(polling={"intervalSeconds": 5})),
    ("spec.requestsPerMinute", account(requestsPerMinute=0), account(requestsPerMinute=1)),
]

# Rules that compare with the stored object; test_immutability.py takes each of them through a refused edit.
TRANSITION_RULES = {
    "spec.accountRef", "spec.template", "spec.deadlines", "spec.retry", "spec.task", "spec.baseURL",
    "spec.credentialsSecretRef.name", "spec.limits.maxLifetimeSeconds", "spec.adopt.jobUUID",
}  # fmt: skip


def rules() -> Iterator[tuple[str, dict[str, str]]]:
    """(field to blame, rule) of every rule of every kind."""

    def below(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
        for rule in schema.get("x-kubernetes-validations", ()):
            yield (path + rule.get("fieldPath", "")).lstrip("."), rule
        for name, field in schema.get("properties", {}).items():
            yield from below(f"{path}.{name}", field)
        if "items" in schema:
            yield from below(f"{path}[]", schema["items"])

    for definition in DEFINITIONS:
        yield from below("", definition.schema())


def test_every_rule_has_a_case() -> None:
    known = [(re.sub(r"\[\d\]", "[]", case.where), case.says) for case in RULE_CASES]
    for blamed, rule in rules():
        if "oldSelf" in rule["rule"]:
            assert blamed in TRANSITION_RULES
        else:
            assert any(blamed == where and says in rule["message"] for where, says in known), rule["message"]


@pytest.mark.parametrize("case", RULE_CASES, ids=str)
def test_a_rule_refuses_and_names_the_remedy_and_its_twin_passes(
    control_plane: ControlPlane, namespace: str, case: Case
) -> None:
    create(control_plane, namespace, case.accepted, dry_run=True)
    with pytest.raises(KubectlError) as refused:
        create(control_plane, namespace, case.refused, dry_run=True)
    lines = [line for line in str(refused.value).splitlines() if f"{case.where}: " in line and case.says in line]
    assert lines, str(refused.value)


@pytest.mark.parametrize(("where", "refused", "accepted"), BOUND_CASES)
def test_a_bound_refuses_and_names_the_field_and_its_twin_passes(
    control_plane: ControlPlane, namespace: str, where: str, refused: Json, accepted: Json
) -> None:
    create(control_plane, namespace, accepted, dry_run=True)
    with pytest.raises(KubectlError, match=re.escape(f"{where}: ")):
        create(control_plane, namespace, refused, dry_run=True)


def test_a_refused_env_value_is_not_repeated(control_plane: ControlPlane, namespace: str) -> None:
    env = [{"name": name, "value": "marked-value-é"} for name in ("A", "A", "SSH_PUBKEY")]
    with pytest.raises(KubectlError) as refused:
        create(control_plane, namespace, job(template={"env": env, "ssh": {"publicKey": "marked-value"}}), dry_run=True)
    assert "spec.template.env[0].value" in str(refused.value)
    assert "marked-value" not in str(refused.value)


def test_a_job_that_refers_to_a_secret_for_every_variable_is_within_the_budget_of_the_rules(
    control_plane: ControlPlane, namespace: str
) -> None:
    ref = {"name": "s" * 253, "key": "k" * 253, "optional": True}
    env = [{"name": f"V{number}".ljust(128, "_"), "valueFrom": {"secretKeyRef": ref}} for number in range(100)]
    create(control_plane, namespace, job("referring", template={"env": env}))
    control_plane.kubectl("label", "-n", namespace, "djob/referring", "touched=yes")


def test_the_largest_job_is_within_the_budget_of_the_rules(control_plane: ControlPlane, namespace: str) -> None:
    large = {
        "env": [{"name": f"V{number}".ljust(128, "_"), "value": "x" * 12_000} for number in range(100)],
        "ports": [{"name": f"p{number}", "containerPort": 1000 + number} for number in range(20)],
        "allowedCIDRs": [f"10.0.{number}.0/24" for number in range(64)],
        "description": "d" * 2000,
        "resources": {"regions": ["eu-central-1"] * 64},
        "envFrom": [{"secretRef": {"name": f"s{number}".ljust(253, "0")}, "prefix": "P" * 64} for number in range(32)],
        "volumes": [{"image": "i" * 255, "mountPath": f"/{n}".ljust(255, "a"), "tag": "t" * 128} for n in range(16)],
        "imagePullSecretRef": {"name": "s" * 253},
    }
    create(control_plane, namespace, job("large", template=large))
    control_plane.kubectl("label", "-n", namespace, "djob/large", "touched=yes")
