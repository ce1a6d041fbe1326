"""Listings: order, chunks, versions. On the real API server and the simulation's."""

from __future__ import annotations

import pytest

from dispersed_operator import errors
from dispersed_operator.kube.client import DISPERSED_JOBS, SECRETS
from tests.contract.clusters import Cluster, add_job, path_of, version, without_managed_fields


async def names(cluster: Cluster, count: int) -> list[str]:
    """Create that many objects, not in the order of their names."""
    made = [f"job-{number}" for number in range(count)]
    for name in reversed(made):
        await add_job(cluster, name)
    return made


async def test_a_listing_is_in_the_order_of_names_with_kind_and_version(cluster: Cluster) -> None:
    made = await names(cluster, 5)
    items, listed = await cluster.kube.list_all(DISPERSED_JOBS, namespace=cluster.namespace)
    assert [item["metadata"]["name"] for item in items] == made
    assert {item["kind"] for item in items} == {"DispersedJob"}
    for item in items:
        got = await cluster.kube.get(DISPERSED_JOBS, namespace=cluster.namespace, name=item["metadata"]["name"])
        assert without_managed_fields(got) == without_managed_fields(item)
        assert int(version(item)) <= int(listed)


async def test_an_empty_listing_has_a_version_too(cluster: Cluster) -> None:
    created = await add_job(cluster)
    items, listed = await cluster.kube.list_all(DISPERSED_JOBS, namespace="absent")
    assert items == []
    assert int(listed) >= int(version(created))


async def test_a_listing_is_as_new_as_the_newest_write_to_anything(cluster: Cluster) -> None:
    await add_job(cluster)
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "data": {"k": "eA=="}}
    stored = await cluster.kube.create(SECRETS, namespace=cluster.namespace, body=secret)
    _, listed = await cluster.kube.list_all(DISPERSED_JOBS, namespace=cluster.namespace)
    assert int(listed) >= int(version(stored))


async def test_all_pages_show_the_moment_of_the_first(cluster: Cluster) -> None:
    made = await names(cluster, 5)
    page, listed, token = await cluster.kube.list_page(DISPERSED_JOBS, namespace=cluster.namespace, chunk=2)
    seen = list(page)
    await add_job(cluster, "job-00")
    await add_job(cluster, "job-9")
    await cluster.kube.delete(DISPERSED_JOBS, namespace=cluster.namespace, name="job-4")
    while token:
        page, later, token = await cluster.kube.list_page(
            DISPERSED_JOBS, namespace=cluster.namespace, chunk=2, token=token
        )
        assert later == listed
        seen += page
    assert [item["metadata"]["name"] for item in seen] == made


async def test_a_page_tells_how_many_remain(cluster: Cluster) -> None:
    await names(cluster, 5)
    _, answer = await cluster.ask("GET", path_of(cluster), query={"limit": "2"})
    assert (len(answer["items"]), answer["metadata"]["remainingItemCount"]) == (2, 3)
    assert answer["kind"] == "DispersedJobList"
    query = {"limit": "10", "continue": answer["metadata"]["continue"]}
    _, rest = await cluster.ask("GET", path_of(cluster), query=query)
    assert (len(rest["items"]), rest["metadata"].get("continue", "")) == (3, "")


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_objects_are_counted(cluster: Cluster, count: int) -> None:
    await names(cluster, count)
    counted, listed = await cluster.kube.count(DISPERSED_JOBS, namespace=cluster.namespace)
    items, later = await cluster.kube.list_all(DISPERSED_JOBS, namespace=cluster.namespace)
    assert counted == count == len(items)
    assert int(listed) <= int(later)


async def test_a_continue_token_that_is_none_is_an_error(cluster: Cluster) -> None:
    with pytest.raises(errors.KubernetesInvalid) as caught:
        await cluster.kube.list_page(DISPERSED_JOBS, namespace=cluster.namespace, token="none")
    assert caught.value.status == 400


async def test_a_listing_of_all_namespaces_holds_those_of_each(cluster: Cluster) -> None:
    await add_job(cluster)
    items, _ = await cluster.kube.list_all(DISPERSED_JOBS)
    assert (cluster.namespace, "train") in {(i["metadata"]["namespace"], i["metadata"]["name"]) for i in items}
    status, answer = await cluster.ask("POST", DISPERSED_JOBS.path(), {"kind": "DispersedJob"})
    assert (status, answer) == (404, {})


async def test_items_of_built_in_kinds_come_without_their_kind(cluster: Cluster) -> None:
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "data": {"k": "eA=="}}
    created = await cluster.kube.create(SECRETS, namespace=cluster.namespace, body=secret)
    _, answer = await cluster.ask("GET", path_of(cluster, SECRETS))
    (item,) = [item for item in answer["items"] if item["metadata"]["name"] == "s"]
    assert sorted(item) == ["data", "metadata", "type"]
    items, _ = await cluster.kube.list_all(SECRETS, namespace=cluster.namespace)
    assert without_managed_fields(created) in [without_managed_fields(item) for item in items]
