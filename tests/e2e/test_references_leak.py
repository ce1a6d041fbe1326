"""Marked secrets in every input of a template reach the service and nothing that a person can read in the cluster."""

from __future__ import annotations

import json

from dispersed_operator.model.job import DispersedJobSpec
from dispersed_operator.model.naming import INTENT_ANNOTATION
from dispersed_operator.planning.body import body_digest
from tests.e2e.test_references import REGISTRY, add_secret, docker_config, from_secret
from tests.support.marks import find_leaks
from tests.support.world import World, wait_for

MARK = "xmarkedx"
USER_MARK = "yplantedy"  # of its own: what a longer secret begins with would be hidden together with that
SSH = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{MARK}ssh me@{MARK}"


def plant(world: World) -> None:
    """One Secret for each input that a template has."""
    add_secret(world, "env", password=f"{MARK}-env-value")
    add_secret(world, "all", ONE=f"{MARK}-all-one", TWO=f"{MARK} all\n\ttwo")
    add_secret(world, "keys", {"ssh-publickey": SSH})
    config = docker_config(REGISTRY, f"{MARK}-user", f"{MARK}-password")
    add_secret(world, "pull", type_="kubernetes.io/dockerconfigjson", keys={".dockerconfigjson": config})
    add_secret(world, "data", host=REGISTRY, user=f"{USER_MARK}-data-user", secret=f"{MARK}-data-password")
    world.add_persistent(
        template={
            "env": [from_secret("PASSWORD", "env", "password")],
            "envFrom": [{"secretRef": {"name": "all"}}],
            "ssh": {"publicKeySecretRef": {"name": "keys"}},
            "imagePullSecretRef": {"name": "pull"},
            "volumes": [
                {"image": f"{REGISTRY}/team/data", "mountPath": "/data", "pullSecretRef": {"name": "data"}},
            ],
        }
    )


def assert_nowhere(world: World) -> None:
    """Resource, intent, Events, log, metrics and health answers hold no mark, nor any encoding of one."""
    resource = json.dumps(world.get("server"))
    assert INTENT_ANNOTATION in resource
    spec = DispersedJobSpec.from_api((world.get("server") or {})["spec"])
    assert (world.intent("server") or {})["bodySHA256"] == body_digest(spec), "the digest knows no value"
    operator = world.operators[0]
    places = {
        "resource": resource,
        "events": world.kubectl("get", "events", "-o", "json"),
        "log": operator.log.read_text(),
        "metrics": operator.metrics(),
    }
    assert find_leaks(places, {"template": MARK, "registry user": USER_MARK}) == []


def test_no_marked_secret_leaves_by_another_way_than_the_request(world: World) -> None:
    world.operators[0].stop()
    world.start_operator("talkative", flags=("--log-level", "debug"))
    world.operators.pop(0)
    accepted = f"{REGISTRY} {MARK}-user {MARK}-password"
    world.control.switch(private_registry=accepted)
    plant(world)
    refused = world.wait_blocked("server", "RemoteValidationFailed", names="volumes[0]")
    assert "***" in refused["message"], "the service quoted the user, and the quotation was cleaned"
    assert_nowhere(world)

    add_secret(world, "data", host=REGISTRY, user=f"{MARK}-user", secret=f"{MARK}-password")
    world.kubectl("label", "secret", "env", "dispersed.dev/egress-")
    world.nudge("server")
    world.wait_condition("server", "Ready", "False", reason="SecretNotOptedIn")
    assert_nowhere(world)

    add_secret(world, "env", password=f"{MARK}-ünfit")
    world.nudge("server")
    world.wait_condition("server", "Ready", "False", reason="InvalidReference")
    assert_nowhere(world)

    add_secret(world, "env", password=f"{MARK}-env-value")
    world.control.add_fault("drop_after_commit", method="POST", times=1)
    world.nudge("server")
    world.wait_condition("server", "Ready")
    sent = world.remote("server")["parameters"]["parameters"]
    assert sent["env"]["PASSWORD"] == f"{MARK}-env-value"
    assert sent["env"]["TWO"] == f"{MARK} all\n\ttwo"
    assert sent["sshkey"] == SSH
    assert_nowhere(world)
    world.delete("server")
    world.wait_gone("server")
    wait_for(lambda: not world.live_jobs(), what="no job lives")
    world.check_truth()
