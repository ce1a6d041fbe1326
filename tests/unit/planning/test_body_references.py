"""The body of a job with references: values are sent, and the digest speaks of the references alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.job import DispersedJobSpec
from dispersed_operator.planning.body import body_digest, build_body
from dispersed_operator.planning.resolved import RegistryLogin, Resolved
from tests.support.builders import BATCH, IDENTITY, SIGNED, SSH_KEY


def from_secret(variable: str, **ref: object) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": ref}}


TEMPLATE: dict[str, Any] = {
    **BATCH["template"],
    "env": [
        {"name": "MODE", "value": "fast"},
        from_secret("PASSWORD", name="db", key="password"),
        {"name": "REGION", "valueFrom": {"configMapKeyRef": {"name": "site", "key": "region", "optional": True}}},
    ],
    "envFrom": [{"prefix": "DB_", "secretRef": {"name": "db"}}, {"configMapRef": {"name": "site"}}],
    "ssh": {"publicKeySecretRef": {"name": "keys"}},
    "imagePullSecretRef": {"name": "pull"},
    "volumes": [
        {"image": "team/open", "tag": "1", "mountPath": "/open"},
        {"image": "team/data", "mountPath": "/data", "registry": "r.example.com", "pullSecretRef": {"name": "pull"}},
    ],
}
VALUES = Resolved(
    env={"MODE": "fast", "PASSWORD": "hunter2", "DB_password": "hunter2"},
    ssh_key=SSH_KEY,
    login=RegistryLogin("registry.example.com", "team/train", "puller", "pull-password"),
    volume_logins=(None, RegistryLogin("r.example.com", "team/data", "puller", "data-password")),
)
DIGEST = "3fd1f2ab6e727445f1609a48c2235e74cc00fcafc15e48de532875f74aeb04aa"


def spec(**changes: Any) -> DispersedJobSpec:
    return DispersedJobSpec.from_api({**BATCH, "template": {**TEMPLATE, **changes}})


def test_the_digest_of_a_job_with_references_is_golden() -> None:
    assert body_digest(spec()) == DIGEST


def test_values_are_sent_and_no_reference_is() -> None:
    body = build_body(spec(), identity=IDENTITY, attempt=1, signed_at=SIGNED, references=VALUES)
    sent = json.loads(body.content)
    assert body.digest == DIGEST
    assert sent["parameters"]["parameters"] == {
        "image": "team/train",
        "tag": "v1",
        "host": "registry.example.com",
        "user": "puller",
        "secret": "pull-password",
        "env": {
            "MODE": "fast",
            "PASSWORD": "hunter2",
            "DB_password": "hunter2",
            "DISPERSED_K8S_TOKEN": naming.create_token(IDENTITY, 1),
        },
        "ports": [22],
        "sshkey": SSH_KEY,
        "volumes": [
            {"image": "team/open", "tag": "1", "registry": "", "user": "", "secret": "", "mount": "/open"},
            {
                "image": "team/data",
                "tag": "latest",
                "registry": "r.example.com",
                "user": "puller",
                "secret": "data-password",
                "mount": "/data",
            },
        ],
    }
    assert "hunter2" not in repr(body)


def test_the_digest_does_not_depend_on_a_value() -> None:
    other = Resolved(env={"PASSWORD": "other"}, ssh_key=SSH_KEY, volume_logins=(None, None))
    body = build_body(spec(), identity=IDENTITY, attempt=1, signed_at=SIGNED, references=other)
    assert body.digest == DIGEST


@pytest.mark.parametrize(
    "change",
    [
        {"env": [*TEMPLATE["env"][:2]]},
        {"env": [*TEMPLATE["env"][:2], from_secret("REGION", name="site", key="region", optional=True)]},
        {"env": [*TEMPLATE["env"][::2], from_secret("PASSWORD", name="db", key="other")]},
        {"env": [*TEMPLATE["env"][::2], from_secret("PASSWORD", name="db", key="password", optional=True)]},
        {"envFrom": [*reversed(TEMPLATE["envFrom"])]},
        {"envFrom": [{"secretRef": {"name": "db"}}, TEMPLATE["envFrom"][1]]},
        {"ssh": {"publicKeySecretRef": {"name": "keys", "key": "other"}}},
        {"ssh": {"publicKey": SSH_KEY}},
        {"imagePullSecretRef": {"name": "other"}},
        {"imagePullSecretRef": None},
        {"volumes": [TEMPLATE["volumes"][0], {**TEMPLATE["volumes"][1], "pullSecretRef": {"name": "other"}}]},
        {"volumes": [TEMPLATE["volumes"][0], {**TEMPLATE["volumes"][1], "mountPath": "/other"}]},
    ],
)
def test_another_reference_is_another_digest(change: dict[str, Any]) -> None:
    assert body_digest(spec(**change)) != DIGEST


def test_a_literal_that_is_spelled_like_a_reference_has_another_digest() -> None:
    ref = {"secretKeyRef": {"name": "db", "key": "password", "optional": False}}
    spelled = [json.dumps(ref), json.dumps(ref, sort_keys=True, separators=(",", ":"))]
    refers = DispersedJobSpec.from_api(
        {**BATCH, "template": {**BATCH["template"], "env": [{"name": "A", "valueFrom": ref}]}}
    )
    for text in spelled:
        literal = {**BATCH["template"], "env": [{"name": "A", "value": text}]}
        assert body_digest(DispersedJobSpec.from_api({**BATCH, "template": literal})) != body_digest(refers)
