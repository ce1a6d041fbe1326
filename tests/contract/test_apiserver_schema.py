"""Defaults, pruning, nulls and refusals by the schema: on the real API server and the simulation's."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator import errors
from dispersed_operator.kube.client import DISPERSED_ACCOUNTS, DISPERSED_JOBS
from dispersed_operator.model.status import UNSEEN
from tests.contract.clusters import MERGE_PATCH, Cluster, Json, add_job, change, path_of, read, version
from tests.integration.crds.objects import account, job


async def stored(cluster: Cluster, body: Json) -> Json:
    status, answer = await cluster.ask("POST", path_of(cluster), body)
    assert status == 201, answer
    return answer


async def test_defaults_are_filled_in_at_every_depth(cluster: Cluster) -> None:
    template = {
        "ports": [{"name": "web", "containerPort": 80}],
        "allowedCIDRs": ["10.0.0.0/8"],
        "resources": {"gpu": {}},
    }
    spec = (await stored(cluster, job("train", template=template)))["spec"]
    assert spec["deadlines"] == {"assignSeconds": 300, "startSeconds": 300, "runSeconds": 60}
    assert spec["retry"]["remoteRetries"] == 0
    assert spec["template"]["tag"] == "latest"
    assert spec["template"]["ports"] == [{"name": "web", "containerPort": 80, "protocol": "http"}]
    assert spec["template"]["resources"]["gpu"]["count"] == 1
    assert "accountRef" not in spec


async def test_a_default_that_is_removed_comes_back(cluster: Cluster) -> None:
    await add_job(cluster)
    created = await change(cluster, {"metadata": {"labels": {"a": "b"}}})
    body = {"spec": {"retry": None, "deadlines": {"startSeconds": None}, "template": {"tag": None}}}
    assert await change(cluster, body) == created


async def test_an_account_gets_its_defaults(cluster: Cluster) -> None:
    body = account("default")
    created = await cluster.kube.create(DISPERSED_ACCOUNTS, namespace=cluster.namespace, body=body)
    assert created["spec"]["baseURL"] == "https://api.dispersed.com"
    assert created["spec"]["polling"] == {"intervalSeconds": 15}


async def test_unknown_fields_are_pruned_and_nulls_give_way_to_defaults(cluster: Cluster) -> None:
    template = {"unknown": 1, "tag": None, "resources": {"gpu": None, "cpuCount": None, "unknown": {"a": 1}}}
    body = job("train", template=template, unknown={"a": 1})
    body["spec"]["template"] |= template
    body["spec"] |= {"accountRef": {"name": "x", "kind": None}, "retry": None, "null": None}
    spec = (await stored(cluster, body))["spec"]
    assert spec["template"] == {"title": "t", "image": "team/worker", "tag": "latest", "resources": {}}
    assert spec["accountRef"] == {"name": "x", "kind": "DispersedAccount"}
    assert spec["retry"]["remoteRetries"] == 0
    assert not {"unknown", "null"} & spec.keys()


async def test_a_patch_of_unknown_fields_changes_nothing(cluster: Cluster) -> None:
    await add_job(cluster)
    created = await change(cluster, {"metadata": {"labels": {"a": "b"}}})
    assert await change(cluster, {"spec": {"unknown": 1, "template": {"unknown": 1}}}) == created
    assert await change(cluster, {"status": {"phase": "Running", "unknown": 1}}, status=True) == await read(cluster)
    assert (await read(cluster))["status"] == UNSEEN | {"phase": "Running"}


async def test_a_status_that_is_written_as_a_whole_has_no_default_in_it(cluster: Cluster) -> None:
    created = await add_job(cluster)
    path = path_of(cluster, name="train", sub="status")
    assert (await cluster.ask("PUT", path, created | {"status": {"phase": "Running"}}))[0] == 200
    whole = await read(cluster)
    assert whole["status"] == {"phase": "Running"}
    assert (await cluster.ask("PUT", path, {name: whole[name] for name in whole if name != "status"}))[0] == 200
    assert (await read(cluster))["status"] == UNSEEN


async def test_the_default_status_is_stored_with_the_first_update_and_makes_a_version_then(cluster: Cluster) -> None:
    created = await add_job(cluster)
    assert await read(cluster) == created
    stored = await change(cluster, {})
    assert int(version(stored)) > int(version(created))
    assert stored | {"metadata": created["metadata"]} == created
    assert stored["metadata"] | {"resourceVersion": version(created)} == created["metadata"]
    assert await change(cluster, {}) == stored
    assert await change(cluster, {"status": UNSEEN}, status=True) == stored
    (event,) = await cluster.watch(DISPERSED_JOBS, after=version(created), until=version(stored))
    assert (event.type, event.body) == ("MODIFIED", stored)


async def test_what_is_unknown_within_a_list_of_the_status_is_pruned(cluster: Cluster) -> None:
    await add_job(cluster)
    condition = {"type": "Ready", "status": "True", "reason": "Running", "message": "m"}
    condition |= {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}  # type: ignore[dict-item]
    after = await change(cluster, {"status": {"conditions": [condition | {"unknown": "x"}]}}, status=True)
    assert after["status"] == UNSEEN | {"conditions": [condition]}


@pytest.mark.parametrize(
    "spec",
    [
        {"task": "Neither"},
        {"task": None},
        {"deadlines": {"runSeconds": 1}},
        {"deadlines": {"runSeconds": "60"}},
        {"deadlines": {"runSeconds": 60.5}},
        {"deadlines": {"runSeconds": True}},
        {"template": {"title": ""}},
        {"template": {"title": "x" * 201}},
        {"template": {"image": None}},
        {"template": {"env": {"a": "b"}}},
        {"template": {"env": [{"name": "A"}]}},
        {"template": {"env": [{"name": "A", "value": 1}]}},
        {"template": "text"},
    ],
    ids=str,
)
async def test_an_edit_that_the_schema_forbids_is_refused(cluster: Cluster, spec: Json) -> None:
    created = await add_job(cluster)
    status, answer = await cluster.ask(
        "PATCH", path_of(cluster, name="train"), {"spec": spec}, content_type=MERGE_PATCH
    )
    assert (status, answer["reason"], answer["details"]["kind"]) == (422, "Invalid", "DispersedJob")
    assert await read(cluster) == created


@pytest.mark.parametrize(
    "status",
    [{"phase": 3}, {"conditions": {}}, {"conditions": ["x"]}, {"create": "x"}, {"runCount": "x"}, "text", [1]],
    ids=str,
)
async def test_a_status_of_another_shape_is_refused(cluster: Cluster, status: Any) -> None:
    await add_job(cluster)
    held = await change(cluster, {"status": {"phase": "Running"}}, status=True)
    with pytest.raises(errors.KubernetesInvalid) as caught:
        await change(cluster, {"status": status}, status=True)
    assert caught.value.status == 422
    assert await read(cluster) == held


EDITS: list[Json] = [
    {"template": {"title": "another"}},
    {"deadlines": {"runSeconds": 120}},
    {"accountRef": {"name": "another"}},
    {"retry": {"remoteRetries": 1}},
]


@pytest.mark.parametrize("edit", EDITS, ids=str)
async def test_what_shapes_the_post_is_closed_while_the_status_says_locked(cluster: Cluster, edit: Json) -> None:
    await add_job(cluster)
    await change(cluster, {"status": {"create": {"locked": True}}}, status=True)
    locked = await read(cluster)
    with pytest.raises(errors.KubernetesInvalid):
        await change(cluster, {"spec": edit})
    assert await read(cluster) == locked
    await change(cluster, {"status": {"create": {"locked": False}}}, status=True)
    assert (await change(cluster, {"spec": edit}))["metadata"]["generation"] == 2


async def test_a_locked_object_takes_everything_else(cluster: Cluster) -> None:
    await add_job(cluster, finalizers=["example.com/other"])
    await change(cluster, {"status": {"create": {"locked": True}}}, status=True)
    await change(cluster, {"metadata": {"labels": {"a": "b"}, "finalizers": None}})
    await change(cluster, {"status": None}, status=True)
    await change(cluster, {"spec": EDITS[0]})


async def test_the_task_never_changes(cluster: Cluster) -> None:
    created = await add_job(cluster)
    edit = {"task": "Persistent", "deadlines": {"runSeconds": None}, "template": {"allowedCIDRs": ["10.0.0.0/8"]}}
    with pytest.raises(errors.KubernetesInvalid):
        await change(cluster, {"spec": edit})
    assert await read(cluster) == created


async def test_the_host_and_the_secret_of_an_account_never_change(cluster: Cluster) -> None:
    body = account("default")
    await cluster.kube.create(DISPERSED_ACCOUNTS, namespace=cluster.namespace, body=body)
    edits: list[Json] = [{"baseURL": "https://other.example.com"}, {"credentialsSecretRef": {"name": "another"}}]
    for edit in edits:
        with pytest.raises(errors.KubernetesInvalid):
            await change(cluster, {"spec": edit}, name="default", res=DISPERSED_ACCOUNTS)
    polling = {"spec": {"polling": {"intervalSeconds": 30}}}
    assert (await change(cluster, polling, name="default", res=DISPERSED_ACCOUNTS))["metadata"]["generation"] == 2


async def test_a_refused_create_leaves_the_name_free(cluster: Cluster) -> None:
    status, _ = await cluster.ask("POST", path_of(cluster), job("train", deadlines={"runSeconds": 1}))
    assert status == 422
    await cluster.kube.create(DISPERSED_JOBS, namespace=cluster.namespace, body=job("train"))
