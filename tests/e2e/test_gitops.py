"""What GitOps tools rely on: health as Argo CD computes it, and objects that do not drift from what was applied."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dispersed_devenv.controlplane import KubectlError
from dispersed_devenv.tools import Tools
from tests.support.argocd import health
from tests.support.proofs import look
from tests.support.rendering import ROOT, HelmError, run_helm
from tests.support.world import World, wait_for

SAMPLES = ROOT / "manifests" / "samples"
TREE = ("batch.yaml", "persistent-ssh.yaml")


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


@pytest.mark.parametrize("server_side", [False, True], ids=["client-side", "server-side"])
def test_a_tree_with_both_kinds_of_account_shows_no_difference_after_the_operator_has_worked(
    make_world: Callable[..., World], server_side: bool
) -> None:
    world = make_world()
    bodies = [yaml.safe_load((SAMPLES / name).read_text()) for name in ("account.yaml", *TREE, "cluster-account.yaml")]
    account, *jobs, shared = bodies
    for body in (account, shared):
        body["spec"]["baseURL"] = world.simulator.base_url
    shared["metadata"]["name"] = world.namespace  # of this test alone, like its Secret
    shared["spec"]["credentialsSecretRef"]["name"] = world.shared_secret
    jobs[0]["spec"]["accountRef"] = {"kind": "ClusterDispersedAccount", "name": world.namespace}
    shared["spec"]["allowedNamespaces"] = {"names": [world.namespace]}
    path = world.folder / "tree.yaml"
    path.write_text(yaml.safe_dump_all(bodies))
    flags = ("--server-side", "--field-manager=platform") if server_side else ()
    world.add_secret()
    world.add_shared_secret()
    world.start_operator()

    world.kubectl("apply", *flags, "-f", str(path))
    batch, persistent = (body["metadata"]["name"] for body in jobs)
    world.wait_condition(batch, "Complete")
    world.wait_condition(persistent, "Ready")
    world.wait_condition(world.namespace, "Ready", kind="clusterdispersedaccount")

    assert world.kubectl("diff", *flags, "-f", str(path)) == ""
    specs = [world.get(body["metadata"]["name"], body["kind"]) for body in bodies]
    world.kubectl("apply", *flags, "-f", str(path))
    again = [world.get(body["metadata"]["name"], body["kind"]) for body in bodies]
    assert [(body or {})["metadata"]["generation"] for body in again] == [1] * len(bodies)
    assert [(body or {})["spec"] for body in again] == [(body or {})["spec"] for body in specs]
    assert len(world.posts()) == 2
    world.remove_jobs(batch, persistent)
    world.check_truth()


@pytest.mark.parametrize("restart", [False, True], ids=["same-process", "new-process"])
def test_a_stored_copy_from_an_earlier_attempt_that_is_put_back_does_no_harm(world: World, restart: bool) -> None:
    world.add_persistent("job")
    world.wait_condition("job", "Ready")
    stored = world.get("job")
    assert stored is not None
    for suspend in (True, False):
        world.kubectl("patch", "djob", "job", "--type=merge", "-p", json.dumps({"spec": {"suspend": suspend}}))
        world.wait_condition("job", "Suspended" if suspend else "Ready")
    uuid = world.status("job")["jobUUID"]
    assert uuid != stored["status"]["jobUUID"]
    if restart:
        world.operators[0].stop()
    with pytest.raises(KubectlError, match="the object has been modified"):
        world.kubectl("replace", "-f", "-", body=stored)
    del stored["metadata"]["resourceVersion"]
    world.kubectl("replace", "-f", "-", body=stored)  # with the intent of the first attempt
    if restart:
        world.operators[0].start()
    look(world, "job")
    assert world.wait_condition("job", "Ready")
    assert world.status("job")["jobUUID"] == uuid
    assert [job["uuid"] for job in world.live_jobs()] == [uuid]
    assert len(world.posts()) == 2
    world.check_truth()
    world.remove_jobs("job")
    assert (len(world.posts()), world.live_jobs()) == (2, [])


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
