"""The edge on a real API server: what it brings, what it must not write, with which rights, and how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
from pathlib import Path

import pytest

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.edge import Edge
from dispersed_operator.errors import StateLost
from dispersed_operator.kube.client import DISPERSED_ACCOUNTS, DISPERSED_JOBS, KubeClient
from tests.integration.crds.objects import account
from tests.integration.kube.harness import Json, create_job, credentials_for, new_namespace, until, watching

KOPF_STATE = "kopf.zalando.org/last-handled-configuration"


async def touch(client: KubeClient, namespace: str, label: str, name: str = "train") -> Json:
    body = {"metadata": {"labels": {"touched": label}}}
    return await client.patch(DISPERSED_JOBS, namespace=namespace, name=name, body=body)


def kopf_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "kopf"]


async def test_creation_change_and_deletion_arrive_with_whole_bodies(
    control_plane: ControlPlane, client: KubeClient, namespace: str
) -> None:
    async with watching(control_plane.kubeconfig, namespace) as watcher:
        await until(lambda: watcher.edge.ready)
        created = await create_job(client, namespace)
        await until(lambda: watcher.saw("train"))
        assert watcher.newest("train")["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]
        assert watcher.newest("train") == created
        changed = await touch(client, namespace, "x")
        await until(lambda: watcher.saw("train", "MODIFIED"))
        assert watcher.newest("train") == changed
        await client.delete(DISPERSED_JOBS, namespace=namespace, name="train")
        await until(lambda: watcher.saw("train", "DELETED"))


async def test_both_kinds_are_watched(control_plane: ControlPlane, client: KubeClient, namespace: str) -> None:
    async with watching(control_plane.kubeconfig, namespace) as watcher:
        await client.create(DISPERSED_ACCOUNTS, namespace=namespace, body=account("default"))
        await create_job(client, namespace)
        await until(lambda: watcher.saw("default") and watcher.saw("train"))
        assert {body["kind"] for body in watcher.bodies} == {"DispersedAccount", "DispersedJob"}


async def test_objects_that_exist_at_the_start_arrive_without_a_type(
    control_plane: ControlPlane, client: KubeClient, namespace: str
) -> None:
    created = await create_job(client, namespace)
    async with watching(control_plane.kubeconfig, namespace) as watcher:
        await until(lambda: watcher.saw("train"))
        assert watcher.events == [(None, "train")]
        assert watcher.newest("train") == created


@pytest.mark.parametrize("state", ["{", "", "null", '"text"', "[1]"])
async def test_no_content_of_kopfs_annotation_hides_an_object(
    control_plane: ControlPlane, client: KubeClient, namespace: str, state: str
) -> None:
    garbled = {KOPF_STATE: state, "kopf.zalando.org/train": state, "kopf.dev/last-handled-configuration": state}
    async with watching(control_plane.kubeconfig, namespace) as watcher:
        await create_job(client, namespace, annotations=garbled)
        await until(lambda: watcher.saw("train"))
        await touch(client, namespace, "x")
        await until(lambda: watcher.saw("train", "MODIFIED"))


async def test_kopf_writes_nothing(control_plane: ControlPlane, client: KubeClient, namespace: str) -> None:
    created = await create_job(client, namespace, finalizers=["kopf.zalando.org/KopfFinalizerMarker"])
    async with watching(control_plane.kubeconfig, namespace) as watcher:
        await until(lambda: watcher.saw("train"))
        touched = await touch(client, namespace, "x")
        await create_job(client, namespace, "later")
        await until(lambda: watcher.saw("train", "MODIFIED") and watcher.saw("later"))
    after = await client.get(DISPERSED_JOBS, namespace=namespace, name="train")
    assert after == touched
    assert after["metadata"]["finalizers"] == created["metadata"]["finalizers"]
    assert [entry["manager"] for entry in after["metadata"]["managedFields"]] == ["dispersed-operator"]
    assert json.loads(control_plane.kubectl("get", "events", "-n", namespace, "-o", "json"))["items"] == []
    await client.patch(DISPERSED_JOBS, namespace=namespace, name="train", body={"metadata": {"finalizers": None}})


async def test_after_the_stop_no_thread_is_left_and_no_event_comes(
    control_plane: ControlPlane, client: KubeClient, namespace: str
) -> None:
    async with watching(control_plane.kubeconfig, namespace) as watcher:
        await create_job(client, namespace)
        await until(lambda: watcher.saw("train"))
    await until(lambda: not kopf_threads())
    assert watcher.edge.failed.exception() is None
    assert not watcher.edge.ready
    seen = len(watcher.events)
    await touch(client, namespace, "x")
    await asyncio.sleep(0)
    assert len(watcher.events) == seen
    await watcher.edge.stop()


async def test_an_edge_can_be_stopped_before_it_is_ready(control_plane: ControlPlane, namespace: str) -> None:
    async with watching(control_plane.kubeconfig, namespace):
        pass
    await until(lambda: not kopf_threads())


async def test_a_sink_that_finds_the_state_lost_ends_the_edge(
    control_plane: ControlPlane, client: KubeClient, namespace: str
) -> None:
    def sink(_type: str | None, body: Json) -> None:
        if body["metadata"]["namespace"] == namespace:
            raise StateLost("as a test wants it")

    edge = Edge(credentials_for(control_plane.kubeconfig), sink, random=random.random)
    edge.start()
    await create_job(client, namespace)
    with pytest.raises(StateLost):
        await edge.failed
    await edge.stop()
    await until(lambda: not kopf_threads())


def give_rights(plane: ControlPlane, namespace: str, *, cluster_wide: bool) -> str:
    """A service account that may list and watch our kinds (and CRDs, cluster-wide), and nothing else; its token."""
    kind, scope = ("clusterrole", []) if cluster_wide else ("role", ["-n", namespace])
    name = f"watcher-{namespace}"
    resources = ["dispersedjobs.dispersed.dev", "dispersedaccounts.dispersed.dev"]
    resources += ["customresourcedefinitions.apiextensions.k8s.io"] if cluster_wide else []
    plane.kubectl("create", "serviceaccount", "watcher", "-n", namespace)
    plane.kubectl("create", kind, name, "--verb=list,watch", f"--resource={','.join(resources)}", *scope)
    plane.kubectl("create", f"{kind}binding", name, f"--{kind}={name}", f"--serviceaccount={namespace}:watcher", *scope)
    return plane.service_account_token(namespace, "watcher")


async def test_list_and_watch_on_our_kinds_and_on_crds_are_all_the_rights_it_needs(
    control_plane: ControlPlane, client: KubeClient, namespace: str, tmp_path: Path
) -> None:
    token = give_rights(control_plane, namespace, cluster_wide=True)
    kubeconfig = control_plane.write_kubeconfig(tmp_path / "watcher", token=token)
    async with watching(kubeconfig, namespace) as watcher:
        await create_job(client, namespace)
        await until(lambda: watcher.saw("train"))
        await touch(client, namespace, "x")
        await until(lambda: watcher.saw("train", "MODIFIED"))


async def test_in_one_namespace_it_needs_rights_in_that_namespace_only_and_sees_no_other(
    control_plane: ControlPlane, client: KubeClient, namespace: str, tmp_path: Path
) -> None:
    token = give_rights(control_plane, namespace, cluster_wide=False)
    kubeconfig = control_plane.write_kubeconfig(tmp_path / "watcher", token=token)
    elsewhere = new_namespace(control_plane)
    everything: list[str] = []
    edge = Edge(
        credentials_for(kubeconfig),
        lambda _type, body: everything.append(body["metadata"]["namespace"]),
        namespaces=[namespace],
        random=random.random,
    )
    edge.start()
    try:
        await create_job(client, elsewhere)
        await create_job(client, namespace)
        await until(lambda: bool(everything))
    finally:
        await edge.stop()
    assert edge.failed.exception() is None
    assert set(everything) == {namespace}


async def test_a_token_that_is_refused_is_read_again_until_it_is_accepted(
    control_plane: ControlPlane,
    client: KubeClient,
    namespace: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    token = tmp_path / "token"
    token.write_text("not-a-token\n")
    good = control_plane.write_kubeconfig(tmp_path / "good")
    text = good.read_text()
    assert control_plane.admin_token in text
    rotating = tmp_path / "rotating"
    line = next(line for line in text.splitlines() if control_plane.admin_token in line)
    rotating.write_text(text.replace(line, f'{line.split("token")[0]}tokenFile: "{token}"'))
    async with watching(rotating, namespace) as watcher:
        await until(lambda: "Re-authentication has been initiated" in caplog.text)
        await create_job(client, namespace)
        assert not watcher.edge.ready
        assert not watcher.saw("train")
        token.write_text(f"{control_plane.admin_token}\n")
        await until(lambda: watcher.saw("train"))
