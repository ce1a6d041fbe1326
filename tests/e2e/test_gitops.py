"""What GitOps tools rely on: health as Argo CD computes it, and objects that do not drift from what was applied."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dispersed_devenv.tools import Tools
from tests.support.argocd import health
from tests.support.rendering import HelmError, run_helm
from tests.support.world import World, wait_for


def wait_healthy(world: World, name: str, status: str, kind: str = "dispersedjob") -> None:
    wait_for(lambda: health(world.get(name, kind)) == status, what=f"{kind} {name} is {status} for Argo CD")


def manifest(name: str) -> str:
    template = {"title": name, "image": "registry.example.com/team/worker", "tag": "v7"}
    spec = {"task": "Batch", "deadlines": {"runSeconds": 900}, "template": template}
    body = {"apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedJob", "metadata": {"name": name}}
    return yaml.safe_dump(body | {"spec": spec})


def test_argo_cd_sees_the_health_of_living_objects(world: World) -> None:
    world.control.add_fate(" bad", exit_code=2)
    world.control.add_fate("long", run_seconds=100_000)
    world.add_persistent()
    world.add_batch("good")
    world.add_batch("bad")
    world.add_batch("long")
    world.add_batch("early", accountRef={"name": "later"})
    wait_healthy(world, "default", "Healthy", "dispersedaccount")
    for name, status in (("server", "Healthy"), ("good", "Healthy"), ("bad", "Degraded")):
        wait_healthy(world, name, status)
    world.wait_phase("long", "Running")
    assert health(world.get("long")) == "Progressing"
    world.wait_blocked("early", "InvalidReference")
    assert health(world.get("early")) == "Progressing", "its account may come with the next sync"
    world.kubectl("patch", "djob", "long", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    wait_healthy(world, "long", "Suspended")
    world.check_truth()


def test_what_was_applied_does_not_drift_while_the_operator_works(world: World) -> None:
    path = world.folder / "job.yaml"
    path.write_text(manifest("job"))
    apply = ("apply", "--server-side", "--field-manager=flux", "-f", str(path))
    world.kubectl(*apply)
    world.wait_condition("job", "Complete")
    world.annotate("job", reconcile_requested_at="now")
    wait_for(lambda: world.status("job").get("lastHandledReconcileAt") == "now", what="the operator looked again")
    before = world.get("job")
    assert world.kubectl("diff", "--server-side", "--field-manager=flux", "-f", str(path)) == ""
    world.kubectl(*apply)
    assert before is not None
    assert world.get("job") == before, "a second apply writes nothing"
    assert len(world.posts()) == 1
    world.check_truth()


def a_chart(folder: Path, name: str) -> Path:
    """A chart with one DispersedJob."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": name, "version": "0.1.0"}))
    (folder / "templates" / "job.yaml").write_text(manifest(name))
    return folder


def test_helm_waits_for_the_end_of_a_job_and_fails_at_once_with_one_that_failed(
    world: World, tools: Tools, tmp_path: Path
) -> None:
    world.control.add_fate(" bad", exit_code=2)

    def install(name: str) -> None:
        chart = a_chart(tmp_path / name, name)
        flags = ("--namespace", world.namespace, "--wait", "--timeout", "5m")
        run_helm(tools, "install", name, str(chart), *flags, kubeconfig=world.plane.kubeconfig)

    install("good")
    assert world.condition("good", "Complete")["status"] == "True"
    with pytest.raises(HelmError) as refused:
        install("bad")
    assert "bad" in str(refused.value)
    assert "deadline" not in str(refused.value), "kstatus sees that it failed, and waits no longer"
    assert world.condition("bad", "Failed")["status"] == "True"
    assert len(world.posts()) == 2
    world.check_truth()
