"""What a resource needs and does not find is named; nothing is created meanwhile, and one job once it is there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dispersed_devenv.controlplane import KubectlError
from dispersed_devenv.services import PUBLIC_KEY
from tests.support.world import SECRET, World, wait_for


@pytest.mark.reason("InvalidReference")
def test_a_missing_account_a_missing_secret_and_a_missing_key_are_named_and_mended_without_a_restart(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    world.start_operator()
    world.add_batch()
    world.wait_blocked("batch", "InvalidReference", names=f"{world.namespace}/default does not exist")

    world.add_account(with_secret=False)
    blocked(world, f"Secret {world.namespace}/{SECRET} does not exist")
    half = {"metadata": {"name": SECRET}, "stringData": {"publicKey": PUBLIC_KEY}}
    world.apply({"apiVersion": "v1", "kind": "Secret", **half})
    world.nudge_account()
    blocked(world, "has no key secretKey")
    assert world.posts() == []
    assert (world.get("batch") or {})["metadata"].get("finalizers") is None

    world.add_secret()
    world.nudge_account()
    world.wait_condition("batch", "Complete")
    assert world.condition("batch", "AccountReady")["status"] == "True"
    assert len(world.posts()) == 1
    world.check_truth()


@pytest.mark.reason("InvalidReference")
def test_an_account_never_takes_the_secret_of_another_namespace_whatever_its_manifest_says(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    other = world.neighbour()
    other.add_secret()
    reference = {"name": SECRET, "namespace": other.namespace}
    account = {
        "apiVersion": "dispersed.dev/v1alpha1",
        "kind": "DispersedAccount",
        "metadata": {"name": "default"},
        "spec": {"baseURL": world.simulator.base_url, "credentialsSecretRef": reference},
    }
    with pytest.raises(KubectlError, match=r'unknown field "spec\.credentialsSecretRef\.namespace"'):
        world.apply(account)
    world.kubectl("apply", "--validate=false", "-f", "-", body=account)
    world.start_operator()
    world.add_batch()
    world.wait_blocked("batch", "InvalidReference", names=f"Secret {world.namespace}/{SECRET} does not exist")
    assert (world.get("batch") or {})["metadata"].get("finalizers") is None
    assert world.control.requests() == []
    assert (other.get(SECRET, "secret") or {})["metadata"].get("finalizers") is None
    world.add_secret()
    world.nudge_account()
    world.wait_condition("batch", "Complete")
    assert len(world.posts()) == 1
    world.check_truth()


@pytest.mark.reason("Paused")
def test_a_paused_resource_creates_nothing_until_the_annotation_goes(world: World) -> None:
    world.apply(
        {
            "apiVersion": "dispersed.dev/v1alpha1",
            "kind": "DispersedJob",
            "metadata": {"name": "batch", "annotations": {"dispersed.dev/paused": "true"}},
            "spec": {
                "task": "Batch",
                "deadlines": {"runSeconds": 900},
                "template": {"title": "batch", "image": "registry.example.com/team/worker"},
            },
        }
    )
    world.wait_blocked("batch", "Paused", names="dispersed.dev/paused")
    world.nudge("batch")
    wait_for(lambda: world.status("batch").get("lastHandledReconcileAt"), what="the request for a look is answered")
    assert world.posts() == []
    world.kubectl("annotate", "dispersedjob", "batch", "dispersed.dev/paused-")
    world.wait_condition("batch", "Complete")
    assert len(world.posts()) == 1
    world.check_truth()


def blocked(world: World, names: str) -> None:
    """The account says so, and with it the job, in its conditions Ready and AccountReady."""

    def account_says_so() -> bool:
        found = world.condition("default", "Ready", "dispersedaccount")
        return (found.get("status"), found.get("reason")) == ("False", "InvalidReference") and names in found["message"]

    wait_for(account_says_so, what=f"the account says {names}")
    world.nudge("batch")
    wait_for(lambda: names in world.condition("batch", "AccountReady")["message"], what=f"the job says {names}")
    world.wait_blocked("batch", "InvalidReference", names=names)
