"""Secrets and ConfigMaps into jobs: sent as they are, only with consent, named where they lack, and mended in place."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.support.builders import SSH_KEY
from tests.support.world import World, wait_for

Body = dict[str, Any]
REGISTRY = "registry.example.com"
OPEN = {"dispersed.dev/egress": "allowed"}


def add_secret(
    world: World,
    name: str,
    keys: dict[str, str] | None = None,
    *,
    allowed: bool = True,
    type_: str = "Opaque",
    **more: str,
) -> None:
    """A Secret, with the consent that it may leave the cluster unless `allowed` is False."""
    metadata: Body = {"name": name} | ({"labels": OPEN} if allowed else {})
    head = {"apiVersion": "v1", "kind": "Secret", "type": type_, "metadata": metadata}
    world.apply(head | {"stringData": {**(keys or {}), **more}})


def add_config_map(world: World, name: str, data: dict[str, str]) -> None:
    world.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


def docker_config(host: str, user: str, password: str) -> str:
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    return json.dumps({"auths": {f"https://{host}": {"auth": auth}}})


def from_secret(variable: str, name: str, key: str, **more: object) -> Body:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key, **more}}}


def container(world: World, name: str) -> Body:
    """What the service holds of the job that a resource records; the registry's password is masked there."""
    found: Body = world.remote(name)["parameters"]["parameters"]
    return found


def stalled(world: World, name: str, reason: str, names: str) -> None:
    """The job says why, and nothing was sent or claimed."""
    assert names in world.wait_blocked(name, reason)["message"]
    assert world.condition(name, "Stalled")["status"] == "True"
    assert world.posts() == []
    assert world.intent(name) is None
    assert (world.get(name) or {})["metadata"].get("finalizers") is None


def test_every_kind_of_reference_reaches_the_service_with_the_precedence_of_core_v1(calm_world: World) -> None:
    world = calm_world
    world.control.switch(private_registry=f"{REGISTRY} puller right-password", unknown_fields="refuse")
    add_secret(world, "pull", type_="kubernetes.io/dockerconfigjson",
               keys={".dockerconfigjson": docker_config(REGISTRY, "puller", "right-password")})  # fmt: skip
    add_secret(world, "data", host=REGISTRY, user="puller", secret="right-password")
    add_secret(world, "db", password="from-secret", user="db-user")
    add_secret(world, "keys", {"ssh-publickey": f"{SSH_KEY}\n"})
    data = {"region": "eu", "password": "from-map", "not-a-name": "x", "LITERAL": "from-map"}
    add_config_map(world, "site", data)
    world.add_persistent(
        template={
            "env": [
                {"name": "LITERAL", "value": "literal"},
                from_secret("PASSWORD", "db", "password"),
                {"name": "REGION", "valueFrom": {"configMapKeyRef": {"name": "site", "key": "region"}}},
                from_secret("NOT_THERE", "db", "other", optional=True),
            ],
            "envFrom": [
                {"configMapRef": {"name": "site"}},
                {"secretRef": {"name": "db"}},
                {"prefix": "DB_", "secretRef": {"name": "db"}},
                {"secretRef": {"name": "nowhere", "optional": True}},
            ],
            "ssh": {"publicKeySecretRef": {"name": "keys"}},
            "image": f"{REGISTRY}/team/worker",
            "imagePullSecretRef": {"name": "pull"},
            "volumes": [
                {"image": "public/data", "tag": "3", "mountPath": "/open"},
                {"image": "team/data", "registry": REGISTRY, "mountPath": "/data", "pullSecretRef": {"name": "data"}},
            ],
        }
    )
    world.wait_condition("server", "Ready")
    found = container(world, "server")
    token = found["env"].pop("DISPERSED_K8S_TOKEN")
    assert token == world.status("server")["create"]["token"]
    assert found["env"] == {
        "LITERAL": "literal",
        "PASSWORD": "from-secret",
        "REGION": "eu",
        "region": "eu",
        "password": "from-secret",
        "user": "db-user",
        "DB_password": "from-secret",
        "DB_user": "db-user",
    }
    assert found["sshkey"] == SSH_KEY
    assert (found["image"], found["host"], found["user"]) == ("team/worker", REGISTRY, "puller")
    public, private = found["volumes"]
    assert public == {"image": "public/data", "tag": "3", "mount": "/open", "registry": "", "user": "", "secret": ""}
    assert (private["image"], private["registry"], private["user"]) == ("team/data", REGISTRY, "puller")
    assert world.events("server").count("InvalidEnvironmentVariableNames") == 1

    for name in ("pull", "data", "db", "keys"):
        world.delete(name, "secret")
    world.delete("site", "configmap")
    world.operators[0].kill()
    world.operators[0].start()
    world.nudge("server")
    wait_for(lambda: world.status("server").get("lastHandledReconcileAt"), what="the job was looked at")
    assert world.condition("server", "Ready")["status"] == "True"
    world.remove_jobs("server")
    assert len(world.posts()) == 1
    world.check_truth()


@pytest.mark.reason("SecretNotOptedIn")
def test_a_secret_that_nobody_allowed_is_not_sent_until_the_command_of_the_message_was_run(calm_world: World) -> None:
    world = calm_world
    add_secret(world, "db", allowed=False, password="from-secret")
    world.add_batch(template={"env": [from_secret("PASSWORD", "db", "password")]})
    command = f"kubectl label secret -n {world.namespace} db dispersed.dev/egress=allowed"
    stalled(world, "batch", "SecretNotOptedIn", command)
    world.kubectl(*command.split()[1:], namespaced=False)
    world.nudge("batch")
    world.wait_condition("batch", "Complete")
    assert container(world, "batch")["env"]["PASSWORD"] == "from-secret"
    assert world.condition("batch", "Stalled")["status"] == "False"
    assert len(world.posts()) == 1
    world.check_truth()


@pytest.mark.reason("InvalidReference")
def test_a_missing_secret_and_a_missing_key_are_named_and_the_job_is_created_by_itself_when_they_are_there(
    calm_world: World,
) -> None:
    world = calm_world
    world.add_batch(template={"env": [from_secret("PASSWORD", "late", "password")]})
    stalled(world, "batch", "InvalidReference", f"the Secret {world.namespace}/late does not exist")
    add_secret(world, "late", other="x")
    world.nudge("batch")
    wait_for(lambda: "has no key password" in world.condition("batch", "Ready")["message"], what="the key is named")
    stalled(world, "batch", "InvalidReference", "has no key password")
    add_secret(world, "late", password="from-secret")
    world.wait_condition("batch", "Complete")  # nobody asks for it
    assert len(world.posts()) == 1
    world.check_truth()


@pytest.mark.reason("InvalidReference")
def test_a_missing_config_map_is_named_and_mended_by_an_edit_of_the_template(calm_world: World) -> None:
    world = calm_world
    world.add_batch(template={"envFrom": [{"configMapRef": {"name": "lacking"}}]})
    stalled(world, "batch", "InvalidReference", f"the ConfigMap {world.namespace}/lacking does not exist")
    world.add_batch(template={"envFrom": [{"configMapRef": {"name": "lacking", "optional": True}}]})
    world.wait_condition("batch", "Complete")
    assert len(world.posts()) == 1
    world.check_truth()


@pytest.mark.reason("InvalidReference")
def test_a_variable_from_a_missing_config_map_is_named_and_mended_by_the_config_map(calm_world: World) -> None:
    world = calm_world
    variable = {"name": "REGION", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "region"}}}
    world.add_batch(template={"env": [variable]})
    stalled(world, "batch", "InvalidReference", f"the ConfigMap {world.namespace}/late does not exist")
    add_config_map(world, "late", {"region": "eu"})
    world.wait_condition("batch", "Complete")  # nobody asks for it
    assert container(world, "batch")["env"]["REGION"] == "eu"
    assert len(world.posts()) == 1
    world.check_truth()


@pytest.mark.reason("InvalidReference")
def test_a_pull_secret_of_the_wrong_type_or_for_another_registry_is_named_and_mended(calm_world: World) -> None:
    world = calm_world
    add_secret(world, "login", type_="kubernetes.io/basic-auth", username="u", password="p")
    world.add_batch(template={"imagePullSecretRef": {"name": "login"}})
    stalled(world, "batch", "InvalidReference", "is of type kubernetes.io/basic-auth")
    world.delete("login", "secret")
    world.wait_gone("login", "secret")
    type_ = "kubernetes.io/dockerconfigjson"
    add_secret(world, "login", type_=type_, keys={".dockerconfigjson": docker_config("other.example.com", "u", "p")})
    world.nudge("batch")
    wait_for(lambda: "no entry" in world.condition("batch", "Ready")["message"], what="the registry is named")
    stalled(world, "batch", "InvalidReference", f"has no entry for the registry {REGISTRY}")
    add_secret(world, "login", type_=type_, keys={".dockerconfigjson": docker_config(REGISTRY, "u", "p")})
    world.nudge("batch")
    world.wait_condition("batch", "Complete")
    assert len(world.posts()) == 1
    world.check_truth()


@pytest.mark.reason("RemoteValidationFailed")
def test_a_login_that_the_registry_refuses_is_mended_in_the_secret_alone(calm_world: World) -> None:
    world = calm_world
    world.control.switch(private_registry=f"{REGISTRY} puller right-password")
    add_secret(world, "opaque-login", host=REGISTRY, user="puller", secret="wrong-password")
    world.add_batch(template={"imagePullSecretRef": {"name": "opaque-login"}})
    world.wait_blocked("batch", "RemoteValidationFailed")
    assert world.condition("batch", "Stalled")["status"] == "True"
    add_secret(world, "opaque-login", host=REGISTRY, user="puller", secret="right-password")
    world.nudge("batch")
    world.wait_condition("batch", "Complete")
    assert len(world.posts()) == 2
    assert len(world.jobs()) == 1
    world.check_truth()
