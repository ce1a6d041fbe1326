"""What the protocol expects of creates and updates, of the real API server and of the simulation's."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator import errors
from dispersed_operator.kube.client import DISPERSED_JOBS, EVENTS, NAMESPACES, SECRETS, Resource
from dispersed_operator.kube.resources import DISPERSED_ORPHANS
from dispersed_operator.model.naming import INTENT_ANNOTATION, JOB_FINALIZER
from dispersed_operator.model.status import UNSEEN
from tests.contract.clusters import MERGE_PATCH, Cluster, Json, add_job, change, path_of, read, version
from tests.integration.crds.objects import job


def at(expected: str, **metadata: Any) -> Json:
    return {"metadata": {"resourceVersion": expected, **metadata}}


# Creates.


async def test_a_new_object_has_what_the_server_gives_it_and_no_status_of_the_request(cluster: Cluster) -> None:
    body = job("train") | {"status": {"phase": "Running"}, "unknown": 1}
    body["metadata"] |= {
        "uid": "mine",
        "generation": 7,
        "creationTimestamp": "2020-01-01T00:00:00Z",
        "deletionTimestamp": "2020-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": 0,
        "finalizers": [JOB_FINALIZER],
        "labels": {},
        "unknown": 1,
    }
    created = (await cluster.ask("POST", path_of(cluster), body))[1]
    metadata = created["metadata"]
    given = ["creationTimestamp", "finalizers", "generation", "name", "namespace", "resourceVersion", "uid"]
    assert sorted(metadata) == given
    assert (metadata["generation"], metadata["finalizers"]) == (1, [JOB_FINALIZER])
    assert metadata["uid"] != "mine"
    assert not metadata["creationTimestamp"].startswith("2020")
    assert sorted(created) == ["apiVersion", "kind", "metadata", "spec", "status"]
    assert created["status"] == UNSEEN


async def test_a_name_that_is_taken_is_a_conflict(cluster: Cluster) -> None:
    first = await add_job(cluster)
    with pytest.raises(errors.KubernetesConflict) as caught:
        await add_job(cluster)
    assert (caught.value.status, caught.value.reason) == (409, "AlreadyExists")
    assert await read(cluster) == first


async def test_a_body_with_a_version_is_not_created(cluster: Cluster) -> None:
    body = job("train")
    body["metadata"]["resourceVersion"] = "1"
    status, answer = await cluster.ask("POST", path_of(cluster), body)
    assert (status, answer.get("reason"), answer["code"]) == (500, None, 500)


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"metadata": {"name": "Not_A_Name"}}, 422, "Invalid"),
        ({"metadata": {}}, 422, "Invalid"),
        ({"metadata": {"name": "a", "namespace": "another"}}, 400, "BadRequest"),
        ({"metadata": {"name": "a", "labels": {"x": 3}}}, 400, "BadRequest"),
        ({"metadata": {"name": "a", "labels": {"not a key": "x"}}}, 422, "Invalid"),
        ({"metadata": {"name": "a", "ownerReferences": [{"kind": "Secret"}]}}, 422, "Invalid"),
        ({"kind": "DispersedAccount"}, 422, "Invalid"),
        ({"kind": ""}, 400, "BadRequest"),
        ({"spec": None}, 422, "Invalid"),
    ],
    ids=str,
)
async def test_a_body_that_does_not_fit_is_not_created(
    cluster: Cluster, changes: Json, status: int, reason: str
) -> None:
    answer = await cluster.ask("POST", path_of(cluster), job("a") | changes)
    assert (answer[0], answer[1]["reason"]) == (status, reason)
    assert (await cluster.ask("GET", path_of(cluster)))[1]["items"] == []


async def test_nothing_is_created_in_a_namespace_that_is_not_there(cluster: Cluster) -> None:
    with pytest.raises(errors.KubernetesNotFound):
        await cluster.kube.create(DISPERSED_JOBS, namespace="absent", body=job("train"))


async def test_a_generated_name_begins_as_asked(cluster: Cluster) -> None:
    event = {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"generateName": "train."},
        "involvedObject": {"kind": "DispersedJob", "name": "train", "namespace": cluster.namespace},
        "reason": "Created",
        "message": "m",
        "type": "Normal",
        "count": 1,
    }
    first = await cluster.kube.create(EVENTS, namespace=cluster.namespace, body=event)
    second = await cluster.kube.create(EVENTS, namespace=cluster.namespace, body=event)
    names = {body["metadata"]["name"] for body in (first, second)}
    assert len(names) == 2
    assert all(name.startswith("train.") and len(name) == len("train.") + 5 for name in names)
    counted = await change(cluster, {"count": 2}, name=first["metadata"]["name"], res=EVENTS)
    assert (counted["count"], counted["reason"]) == (2, "Created")


# Absence.


async def test_an_absent_object_and_a_path_that_is_not_served_are_told_apart(cluster: Cluster) -> None:
    for name in ("absent", "train"):
        with pytest.raises(errors.KubernetesNotFound) as caught:
            await read(cluster, name)
        assert caught.value.status == 404
    unserved = Resource("dispersed.dev", "v1alpha1", "dispersedwidgets")
    with pytest.raises(errors.KubernetesServerError) as refused:
        await cluster.kube.get(unserved, namespace=cluster.namespace, name="absent")
    assert refused.value.status == 404


@pytest.mark.parametrize(("method", "sub"), [("PATCH", None), ("PATCH", "status"), ("DELETE", None), ("PUT", None)])
async def test_what_is_absent_is_not_written(cluster: Cluster, method: str, sub: str | None) -> None:
    body = {} if method == "PATCH" else job("absent") if method == "PUT" else None
    kind = MERGE_PATCH if method == "PATCH" else "application/json"
    status, answer = await cluster.ask(method, path_of(cluster, name="absent", sub=sub), body, content_type=kind)
    assert (status, answer["reason"]) == (404, "NotFound")
    assert answer["details"] == {"group": "dispersed.dev", "kind": "dispersedjobs", "name": "absent"}


# Versions.


@pytest.mark.parametrize("status", [False, True], ids=["resource", "status"])
@pytest.mark.parametrize("wrong", ["stale", "future"])
async def test_a_patch_of_another_version_is_refused_and_changes_nothing(
    cluster: Cluster, status: bool, wrong: str
) -> None:
    first = await add_job(cluster)
    newer = await change(cluster, {"metadata": {"labels": {"a": "b"}}})
    expected = version(first) if wrong == "stale" else str(int(version(newer)) + 10_000_000)
    body = at(expected, annotations={INTENT_ANNOTATION: "x"}) | {"status": {"phase": "Running"}}
    with pytest.raises(errors.KubernetesConflict) as caught:
        await change(cluster, body, status=status)
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    assert await read(cluster) == newer


async def test_of_two_identical_patches_on_one_version_one_is_refused(cluster: Cluster) -> None:
    body = at(version(await add_job(cluster)), finalizers=[JOB_FINALIZER], annotations={INTENT_ANNOTATION: "same"})
    won = await change(cluster, body)
    with pytest.raises(errors.KubernetesConflict):
        await change(cluster, body)
    assert await read(cluster) == won


async def test_a_stale_patch_is_refused_even_if_it_would_change_nothing(cluster: Cluster) -> None:
    first = await add_job(cluster)
    await change(cluster, {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(errors.KubernetesConflict):
        await change(cluster, at(version(first), labels={"a": "b"}))


async def test_a_patch_without_a_version_applies_to_whatever_there_is(cluster: Cluster) -> None:
    await add_job(cluster)
    await change(cluster, {"metadata": {"labels": {"a": "b"}}})
    both = await change(cluster, {"metadata": {"annotations": {"c": "d"}}})
    assert (both["metadata"]["labels"], both["metadata"]["annotations"]) == ({"a": "b"}, {"c": "d"})


@pytest.mark.parametrize(("given", "status"), [(None, 422), ("", 422), ("0", 422), ("abc", 500)], ids=str)
@pytest.mark.parametrize("sub", [None, "status"])
async def test_a_version_that_is_none_is_an_error(
    cluster: Cluster, given: object, status: int, sub: str | None
) -> None:
    created = await add_job(cluster)
    body = {"metadata": {"resourceVersion": given, "labels": {"a": "b"}}, "status": {"phase": "Running"}}
    answer = await cluster.ask("PATCH", path_of(cluster, name="train", sub=sub), body, content_type=MERGE_PATCH)
    assert answer[0] == status
    assert await read(cluster) == created


@pytest.mark.parametrize("status", [False, True], ids=["resource", "status"])
async def test_a_patch_that_changes_nothing_makes_no_new_version(cluster: Cluster, status: bool) -> None:
    created = await add_job(cluster)
    held = await change(cluster, {"status": {"phase": "Running"}}, status=True)
    assert int(version(held)) > int(version(created))
    same = {"spec": created["spec"], "status": {"phase": "Running"}}
    assert await change(cluster, at(version(held)) | same, status=status) == held
    assert await read(cluster) == held


async def test_every_write_has_a_higher_version_than_all_before_it_of_any_kind(cluster: Cluster) -> None:
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "data": {"k": "eA=="}}
    created = await add_job(cluster)
    stored = await cluster.kube.create(SECRETS, namespace=cluster.namespace, body=secret)
    labelled = await change(cluster, {"metadata": {"labels": {"a": "b"}}})
    versions = [int(version(body)) for body in (created, stored, labelled)]
    assert versions == sorted(set(versions))


# What a patch can and can not change.


async def test_spec_and_status_are_written_apart(cluster: Cluster) -> None:
    created = await add_job(cluster)
    both = {"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Running"}}
    labelled = await change(cluster, both)
    assert labelled["status"] == UNSEEN
    everything = {
        "metadata": {"labels": {"c": "d"}, "annotations": {"e": "f"}, "finalizers": [JOB_FINALIZER], "uid": "x"},
        "spec": {"deadlines": {"runSeconds": 999}},
        "status": {"phase": "Running"},
    }
    after = await change(cluster, everything, status=True)
    assert after["status"] == UNSEEN | {"phase": "Running"}
    assert after["spec"] == created["spec"]
    assert after["metadata"] == labelled["metadata"] | {"resourceVersion": version(after)}


async def test_the_generation_counts_changes_of_the_spec_alone(cluster: Cluster) -> None:
    await add_job(cluster)
    assert (await change(cluster, {"metadata": {"labels": {"a": "b"}}}))["metadata"]["generation"] == 1
    assert (await change(cluster, {"status": {"phase": "Running"}}, status=True))["metadata"]["generation"] == 1
    assert (await change(cluster, {"spec": {"deadlines": {"runSeconds": 120}}}))["metadata"]["generation"] == 2
    assert (await change(cluster, {"metadata": {"generation": 9}}))["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"metadata": {"uid": "another"}}, 422),
        ({"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z"}}, 422),
        ({"metadata": {"name": "another"}}, 400),
        ({"metadata": {"namespace": "another"}}, 400),
        ({"metadata": {"annotations": {"a": 3}}}, 422),
        ({"metadata": {"finalizers": "text"}}, 422),
        ({"kind": "DispersedAccount"}, 422),
        ({"spec": None}, 422),
        ([1], 400),
    ],
    ids=str,
)
async def test_a_patch_of_what_is_fixed_is_refused(cluster: Cluster, body: object, status: int) -> None:
    created = await add_job(cluster)
    answer = await cluster.ask("PATCH", path_of(cluster, name="train"), body, content_type=MERGE_PATCH)
    assert answer[0] == status
    assert await read(cluster) == created


async def test_fields_that_are_the_servers_are_left_out_of_a_patch(cluster: Cluster) -> None:
    created = await add_job(cluster)
    created = await change(cluster, {"status": created["status"]}, status=True)
    servers = {"uid": None, "creationTimestamp": "2020-01-01T00:00:00Z", "managedFields": None, "unknown": 1}
    assert await change(cluster, {"metadata": servers, "unknown": 1}) == created


async def test_a_null_in_a_patch_removes_a_field_and_what_is_empty_goes(cluster: Cluster) -> None:
    await add_job(cluster, labels={"a": "b"}, annotations={"x": "1", "y": "2"}, finalizers=[JOB_FINALIZER])
    removal: Json = {"labels": None, "annotations": {"x": None, "absent": None}, "finalizers": []}
    metadata = (await change(cluster, {"metadata": removal}))["metadata"]
    assert metadata["annotations"] == {"y": "2"}
    assert not {"labels", "finalizers"} & metadata.keys()
    assert "annotations" not in (await change(cluster, {"metadata": {"annotations": {"y": None}}}))["metadata"]


async def test_a_status_can_be_taken_away_as_a_whole(cluster: Cluster) -> None:
    await add_job(cluster)
    await change(cluster, {"status": {"phase": "Running", "create": {"token": "t"}}}, status=True)
    after = await change(cluster, {"status": {"create": None, "observedGeneration": None}}, status=True)
    assert after["status"] == {"phase": "Running"}
    assert (await change(cluster, {"status": {"phase": None}}, status=True))["status"] == {}
    assert (await change(cluster, {"status": None}, status=True))["status"] == UNSEEN
    assert (await read(cluster))["status"] == UNSEEN


async def test_only_a_merge_patch_is_taken_for_one(cluster: Cluster) -> None:
    await add_job(cluster)
    kind = "application/strategic-merge-patch+json"
    status, answer = await cluster.ask("PATCH", path_of(cluster, name="train"), {}, content_type=kind)
    assert (status, answer["reason"]) == (415, "UnsupportedMediaType")


# Replacing.


async def test_a_replacement_takes_the_spec_and_leaves_the_status(cluster: Cluster) -> None:
    await add_job(cluster, labels={"a": "b"}, finalizers=[JOB_FINALIZER])
    held = await change(cluster, {"status": {"phase": "Running"}}, status=True)
    body = job("train", deadlines={"runSeconds": 120}) | {"status": {"phase": "Stopped"}}
    body["metadata"]["resourceVersion"] = version(held)
    status, replaced = await cluster.ask("PUT", path_of(cluster, name="train"), body)
    assert status == 200
    assert replaced["status"] == UNSEEN | {"phase": "Running"}
    assert replaced["metadata"]["generation"] == 2
    assert replaced["metadata"]["uid"] == held["metadata"]["uid"]
    assert not {"labels", "finalizers"} & replaced["metadata"].keys()
    status, answer = await cluster.ask("PUT", path_of(cluster, name="train"), body)
    assert (status, answer["reason"]) == (409, "Conflict")


@pytest.mark.parametrize(
    ("metadata", "status"), [({}, 422), ({"uid": "another"}, 409), ({"name": "another"}, 400)], ids=str
)
async def test_a_replacement_of_something_else_is_refused(cluster: Cluster, metadata: Json, status: int) -> None:
    created = await add_job(cluster)
    body = job("train")
    body["metadata"] |= metadata
    assert (await cluster.ask("PUT", path_of(cluster, name="train"), body))[0] == status
    assert await read(cluster) == created


# Other kinds.


async def test_a_secret_has_no_generation_no_status_and_a_type_that_stays(cluster: Cluster) -> None:
    body = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "data": {"a": "eA=="}, "unknown": 1}
    created = await cluster.kube.create(SECRETS, namespace=cluster.namespace, body=body)
    assert "generation" not in created["metadata"]
    assert sorted(created) == ["apiVersion", "data", "kind", "metadata", "type"]
    assert created["type"] == "Opaque"
    changed = await change(cluster, {"data": {"a": None, "b": "eQ=="}}, name="s", res=SECRETS)
    assert changed["data"] == {"b": "eQ=="}
    assert "data" not in await change(cluster, {"data": None}, name="s", res=SECRETS)
    with pytest.raises(errors.KubernetesInvalid):
        await change(cluster, {"type": "another"}, name="s", res=SECRETS)
    with pytest.raises(errors.KubernetesConflict):
        await change(cluster, at(version(created), labels={"a": "b"}), name="s", res=SECRETS)
    assert (
        await change(cluster, {"metadata": {"resourceVersion": None, "labels": {"a": "b"}}}, name="s", res=SECRETS)
    )["metadata"]["labels"] == {"a": "b"}
    with pytest.raises(errors.KubernetesServerError) as caught:
        await change(cluster, {}, name="s", status=True, res=SECRETS)
    assert caught.value.status == 404


async def test_a_kind_without_namespaces_behaves_like_the_others(cluster: Cluster) -> None:
    name = f"orphan-{cluster.namespace}"
    body = {"kind": "DispersedOrphan", "apiVersion": "dispersed.dev/v1alpha1", "metadata": {"name": name}, "spec": {}}
    created = await cluster.kube.create(DISPERSED_ORPHANS, namespace=None, body=body)
    assert "namespace" not in created["metadata"]
    assert created["spec"] == {"decision": "Report"}
    with pytest.raises(errors.KubernetesConflict):
        await cluster.kube.create(DISPERSED_ORPHANS, namespace=None, body=body)
    kept = await change(cluster, {"spec": {"decision": "Keep"}}, name=name, res=DISPERSED_ORPHANS)
    assert (kept["spec"]["decision"], kept["metadata"]["generation"]) == ("Keep", 2)
    items, listed = await cluster.kube.list_all(DISPERSED_ORPHANS)
    assert name in {item["metadata"]["name"] for item in items}
    assert int(listed) >= int(version(kept))
    await cluster.kube.delete(DISPERSED_ORPHANS, namespace=None, name=name, uid=created["metadata"]["uid"])
    with pytest.raises(errors.KubernetesNotFound):
        await read(cluster, name, res=DISPERSED_ORPHANS)


async def test_the_cluster_is_known_by_the_uid_of_its_first_namespace(cluster: Cluster) -> None:
    first = await cluster.kube.get(NAMESPACES, namespace=None, name="kube-system")
    again = await cluster.kube.get(NAMESPACES, namespace=None, name="kube-system")
    assert first["metadata"]["uid"] == again["metadata"]["uid"] != ""
