"""The client against a real API server: the promises that the create protocol stands on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator import errors
from dispersed_operator.kube.client import DISPERSED_JOBS, SECRETS, KubeClient, NotConnected, Resource
from dispersed_operator.kube.merge import merge_patch
from dispersed_operator.model.naming import INTENT_ANNOTATION, JOB_FINALIZER
from dispersed_operator.model.status import UNSEEN
from tests.integration.crds.objects import job
from tests.integration.kube.harness import client_for, create_job

ENV_VALUE = "hf_this_is_a_secret"


async def patch(client: KubeClient, namespace: str, body: dict[str, Any], *, status: bool = False) -> dict[str, Any]:
    subresource = "status" if status else None
    return await client.patch(DISPERSED_JOBS, namespace=namespace, name="train", body=body, subresource=subresource)


def at(version: str, **rest: Any) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version, **rest}}


@pytest.mark.parametrize("status", [False, True], ids=["resource", "status"])
async def test_a_patch_of_an_old_version_is_refused_and_changes_nothing(
    client: KubeClient, namespace: str, status: bool
) -> None:
    first = await create_job(client, namespace)
    newer = await patch(client, namespace, {"metadata": {"labels": {"a": "b"}}})
    stale = at(first["metadata"]["resourceVersion"], annotations={INTENT_ANNOTATION: "x"}) | {
        "status": {"phase": "Running"}
    }
    with pytest.raises(errors.KubernetesConflict) as caught:
        await patch(client, namespace, stale, status=status)
    assert caught.value.reason == "Conflict"
    assert await client.get(DISPERSED_JOBS, namespace=namespace, name="train") == newer


async def test_of_two_intents_on_one_version_exactly_one_is_written(client: KubeClient, namespace: str) -> None:
    version = (await create_job(client, namespace))["metadata"]["resourceVersion"]

    def claim(nonce: str) -> dict[str, Any]:
        return at(version, finalizers=[JOB_FINALIZER], annotations={INTENT_ANNOTATION: nonce})

    won = await patch(client, namespace, claim("first"))
    with pytest.raises(errors.KubernetesConflict):
        await patch(client, namespace, claim("second"))
    assert won["metadata"]["annotations"][INTENT_ANNOTATION] == "first"
    assert won["metadata"]["finalizers"] == [JOB_FINALIZER]


async def test_a_finalizer_cannot_be_added_to_a_deleting_object(client: KubeClient, namespace: str) -> None:
    await create_job(client, namespace, finalizers=["example.com/other"])
    await client.delete(DISPERSED_JOBS, namespace=namespace, name="train")
    deleting = await client.get(DISPERSED_JOBS, namespace=namespace, name="train")
    body = at(deleting["metadata"]["resourceVersion"], finalizers=["example.com/other", JOB_FINALIZER])
    with pytest.raises(errors.KubernetesInvalid) as caught:
        await patch(client, namespace, body)
    assert (caught.value.status, caught.value.reason) == (422, "Invalid")
    await patch(client, namespace, {"metadata": {"finalizers": None}})


async def test_spec_and_status_are_written_apart(client: KubeClient, namespace: str) -> None:
    created = await create_job(client, namespace)
    both = {"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Running"}}
    assert (await patch(client, namespace, both))["status"] == UNSEEN
    after = await patch(client, namespace, {"spec": {"suspend": True}, "status": {"phase": "Running"}}, status=True)
    assert after["status"] == UNSEEN | {"phase": "Running"}
    assert after["spec"] == created["spec"]


async def test_a_status_becomes_exactly_what_the_difference_says(client: KubeClient, namespace: str) -> None:
    await create_job(client, namespace)
    old = {"phase": "Queued", "jobUUID": "0b5f2c1e-7d1c-4a53-9a39-0f3b1d0c8a11", "observedGeneration": 1}
    held = await patch(client, namespace, {"status": old}, status=True)
    new = {"phase": "Running", "observedGeneration": 2}
    difference = {"status": merge_patch(held["status"], new)}
    after = await patch(client, namespace, at(held["metadata"]["resourceVersion"]) | difference, status=True)
    assert after["status"] == new


async def test_a_patch_that_changes_nothing_makes_no_new_version(client: KubeClient, namespace: str) -> None:
    created = await create_job(client, namespace)
    written = await patch(client, namespace, {"spec": created["spec"]})  # the first update stores the default status
    same = await patch(client, namespace, {"spec": created["spec"]})
    assert same["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]


async def test_a_bad_token_is_refused_and_a_good_one_is_sent(
    control_plane: ControlPlane, client: KubeClient, namespace: str, tmp_path: Path
) -> None:
    await create_job(client, namespace)
    bad = control_plane.write_kubeconfig(tmp_path / "bad", token="not-a-token")
    async with client_for(bad) as stranger:
        with pytest.raises(errors.KubernetesForbidden) as caught:
            await stranger.get(DISPERSED_JOBS, namespace=namespace, name="train")
    assert caught.value.status == 401


async def test_a_right_that_is_missing_is_told_apart_from_a_bad_token(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    control_plane.kubectl("create", "serviceaccount", "nobody", "-n", namespace)
    token = control_plane.service_account_token(namespace, "nobody")
    async with client_for(control_plane.write_kubeconfig(tmp_path / "nobody", token=token)) as nobody:
        with pytest.raises(errors.KubernetesForbidden) as caught:
            await nobody.get(SECRETS, namespace=namespace, name="x")
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")


async def test_a_listing_in_chunks_is_complete_and_at_one_version(client: KubeClient, namespace: str) -> None:
    created = [await create_job(client, namespace, f"train-{number}") for number in range(7)]
    items, version = await client.list_all(DISPERSED_JOBS, namespace=namespace, chunk=2)
    assert sorted(item["metadata"]["name"] for item in items) == [f"train-{number}" for number in range(7)]
    assert {item["kind"] for item in items} == {"DispersedJob"}
    assert int(version) >= int(created[-1]["metadata"]["resourceVersion"])
    page, _, token = await client.list_page(DISPERSED_JOBS, namespace=namespace, chunk=2)
    assert (len(page), bool(token)) == (2, True)


@pytest.mark.parametrize(
    "env",
    [
        [{"name": "not a name", "value": ENV_VALUE}],
        [{"name": "A", "value": {"x": ENV_VALUE}}],
        ENV_VALUE,
        [{"name": ENV_VALUE + " ", "value": "v"}],
    ],
    ids=["rule", "type", "shape", "name"],
)
async def test_the_error_of_a_refused_object_repeats_nothing_of_it(
    client: KubeClient, namespace: str, env: object
) -> None:
    body = job("train", template={"env": env})
    with pytest.raises(errors.KubernetesInvalid) as caught:
        await client.create(DISPERSED_JOBS, namespace=namespace, body=body)
    chain = f"{caught.value!r} {caught.value.reason} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert ENV_VALUE not in chain


async def test_an_absent_object_and_an_absent_kind_are_told_apart(client: KubeClient, namespace: str) -> None:
    with pytest.raises(errors.KubernetesNotFound):
        await client.get(DISPERSED_JOBS, namespace=namespace, name="absent")
    unserved = Resource("dispersed.dev", "v1alpha1", "dispersedwidgets")
    with pytest.raises(errors.KubernetesServerError) as caught:
        await client.get(unserved, namespace=namespace, name="absent")
    assert caught.value.status == 404
    with pytest.raises(errors.KubernetesServerError):
        await client.list_all(unserved)


async def test_a_name_that_is_taken_is_a_conflict(client: KubeClient, namespace: str) -> None:
    await create_job(client, namespace)
    with pytest.raises(errors.KubernetesConflict) as caught:
        await create_job(client, namespace)
    assert caught.value.reason == "AlreadyExists"


async def test_a_deletion_meant_for_another_object_of_that_name_does_nothing(
    client: KubeClient, namespace: str
) -> None:
    created = await create_job(client, namespace)
    uid = created["metadata"]["uid"]
    with pytest.raises(errors.KubernetesConflict):
        await client.delete(DISPERSED_JOBS, namespace=namespace, name="train", uid="another")
    with pytest.raises(errors.KubernetesConflict):
        await client.delete(DISPERSED_JOBS, namespace=namespace, name="train", resource_version="1")
    await client.delete(DISPERSED_JOBS, namespace=namespace, name="train", uid=uid)
    with pytest.raises(errors.KubernetesNotFound):
        await client.get(DISPERSED_JOBS, namespace=namespace, name="train")


async def test_a_server_that_is_not_there_was_certainly_not_reached(
    control_plane: ControlPlane, tmp_path: Path, unused_tcp_port: int
) -> None:
    text = control_plane.kubeconfig.read_text()
    closed = tmp_path / "closed"
    closed.write_text(text.replace(control_plane.base_url, f"https://127.0.0.1:{unused_tcp_port}"))
    async with client_for(closed) as client:
        with pytest.raises(NotConnected):
            await client.patch(DISPERSED_JOBS, namespace="x", name="y", body={"a": 1}, deadline=0.5)


async def test_our_writes_are_recorded_under_our_name(client: KubeClient, namespace: str) -> None:
    created = await create_job(client, namespace)
    assert {entry["manager"] for entry in created["metadata"]["managedFields"]} == {"dispersed-operator"}


async def test_the_answer_to_the_last_finalizers_removal_is_no_newer_than_the_deletion(
    client: KubeClient, namespace: str
) -> None:
    created = await create_job(client, namespace, finalizers=[JOB_FINALIZER])
    await client.delete(DISPERSED_JOBS, namespace=namespace, name="train")
    answer = await patch(client, namespace, {"metadata": {"finalizers": None}})
    again = await create_job(client, namespace)
    versions = [int(body["metadata"]["resourceVersion"]) for body in (created, answer, again)]
    assert versions == sorted(versions)
    assert copy.deepcopy(answer)["metadata"]["uid"] == created["metadata"]["uid"]
