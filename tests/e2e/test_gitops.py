"""What GitOps tools rely on: health as Argo CD computes it, and objects that do not drift from what was applied."""

from __future__ import annotations

import yaml

from tests.support.argocd import health
from tests.support.world import World, wait_for


def wait_healthy(world: World, name: str, status: str, kind: str = "dispersedjob") -> None:
    wait_for(lambda: health(world.get(name, kind)) == status, what=f"{kind} {name} is {status} for Argo CD")


def manifest(name: str) -> str:
    template = {"title": name, "image": "registry.example.com/team/worker", "tag": "v7"}
    spec = {"task": "Batch", "deadlines": {"runSeconds": 900}, "template": template}
    body = {"apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedJob", "metadata": {"name": name}}
    return yaml.safe_dump(body | {"spec": spec})


def test_argo_cd_sees_the_health_of_living_objects(world: World) -> None:
    world.control.add_fate("bad", exit_code=2)
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
