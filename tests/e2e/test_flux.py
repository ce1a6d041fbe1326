"""A tree of ours under Flux: its real kustomize-controller applies it, waits for its health, and prunes it.

The source is a stand-in (tests/support/flux.py): no Git and no source-controller take part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from dispersed_devenv.flux import Flux
from tests.support.flux import KUSTOMIZATION, KustomizeController, Source, folder_tree
from tests.support.rendering import ROOT
from tests.support.transcripts import fenced_blocks
from tests.support.world import Body, World

SAMPLES = ROOT / "manifests" / "samples"
BATCH, PERSISTENT = "render-frames", "workbench"


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A namespace with a Secret and nothing else, and an operator that serves it."""
    made = make_world()
    made.add_secret()
    made.start_operator(flags=("--namespaces", made.namespace))
    return made


@pytest.fixture
def controller(world: World, flux: Flux) -> Iterator[KustomizeController]:
    with KustomizeController(world, flux) as running:
        yield running


@pytest.fixture
def source(world: World, controller: KustomizeController) -> Iterator[Source]:
    del controller  # it brings the definitions
    with Source(world, "platform") as served:
        yield served


def kustomization(world: World, **changes: Any) -> Body:
    """The example of docs/gitops.md, in the test's namespace and against the test's service."""
    example, _ = examples()
    service = [{"op": "replace", "path": "/spec/baseURL", "value": world.simulator.base_url}]
    patches = [{"target": {"kind": "DispersedAccount"}, "patch": json.dumps(service)}]
    spec = example["spec"] | {"targetNamespace": world.namespace, "patches": patches} | changes
    body: Body = example | {"metadata": {"name": example["metadata"]["name"]}, "spec": spec}
    return body


def examples() -> list[Body]:
    """The Kustomization of docs/gitops.md, and the part with which one does not wait for the end of Batch jobs."""
    return [yaml.safe_load(block) for block in fenced_blocks(ROOT / "docs" / "gitops.md", "yaml")]


def test_flux_waits_until_a_tree_is_healthy_and_cancels_what_the_tree_loses(
    world: World, controller: KustomizeController, source: Source
) -> None:
    world.control.add_fate("Render frames", run_seconds=100_000)
    tree = folder_tree(SAMPLES, "jobs")
    wanted = kustomization(world)
    name = wanted["metadata"]["name"]
    first = source.publish(tree)
    world.apply(wanted)

    world.wait_phase(BATCH, "Running")
    world.wait_condition(PERSISTENT, "Ready")
    healthy = world.wait_condition(name, "Healthy", "Unknown", kind=KUSTOMIZATION)
    assert healthy["message"].startswith("Running health checks")
    world.control.force_status(world.status(BATCH)["jobUUID"], "COMPLETED")
    ready = controller.wait_verdict(name, first, "ReconciliationSucceeded")
    assert ready["lastTransitionTime"] >= world.condition(BATCH, "Complete")["lastTransitionTime"]
    assert [job["status"] for job in world.live_jobs()] == ["RUNNING"]
    workbench = world.status(PERSISTENT)["jobUUID"]

    resources = yaml.safe_load(tree["jobs/kustomization.yaml"])
    resources["resources"].remove("persistent-ssh.yaml")
    second = source.publish(tree | {"jobs/kustomization.yaml": yaml.safe_dump(resources)})
    controller.wait_verdict(name, second, "ReconciliationSucceeded")
    world.wait_gone(PERSISTENT)
    assert world.control.job(workbench)["status"] == "CANCELLED"
    assert world.live_jobs() == []
    assert world.condition(BATCH, "Complete")["status"] == "True", "what the tree still has stays"
    assert len(world.posts()) == 2
    world.check_truth()

    world.delete(name, KUSTOMIZATION)
    world.wait_gone(name, KUSTOMIZATION)
    world.wait_gone(BATCH)
    world.wait_gone("default", "dispersedaccount")
    assert len(world.posts()) == 2


def test_flux_reports_a_job_that_failed_without_waiting_for_its_timeout(
    world: World, controller: KustomizeController, source: Source
) -> None:
    world.control.add_fate("Render frames", exit_code=2)
    wanted = kustomization(world)
    revision = source.publish(folder_tree(SAMPLES, "jobs"))
    world.apply(wanted)
    refused = controller.wait_verdict(wanted["metadata"]["name"], revision, "HealthCheckFailed")
    assert refused["status"] == "False"
    assert f"DispersedJob/{world.namespace}/{BATCH}" in refused["message"]
    assert PERSISTENT not in refused["message"]
    assert world.condition(BATCH, "Failed")["status"] == "True"
    world.check_truth()


def test_flux_waits_no_longer_than_the_expressions_of_a_kustomization_say(
    world: World, controller: KustomizeController, source: Source
) -> None:
    world.control.add_fate("Render frames", run_seconds=100_000)
    _, running_is_enough = examples()
    wanted = kustomization(world, **running_is_enough["spec"])
    revision = source.publish(folder_tree(SAMPLES, "jobs"))
    world.apply(wanted)
    controller.wait_verdict(wanted["metadata"]["name"], revision, "ReconciliationSucceeded")
    assert world.status(BATCH)["phase"] == "Running"
    assert len(world.live_jobs()) == 2
    world.check_truth()
