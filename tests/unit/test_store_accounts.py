"""The store and accounts: those of the cluster have no namespace, and a default that is open belongs to both."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.model.account_names import CLUSTER_DEFAULT
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.store import ResourceStore, key_of
from tests.support.builders import a_job

SHARED: dict[str, Any] = {
    "kind": "ClusterDispersedAccount",
    "metadata": {"name": "default", "uid": "shared-uid", "resourceVersion": "7"},
    "spec": {"credentialsSecretRef": {"name": "key"}},
}
OWN_DEFAULT = ResourceKey(Kind.ACCOUNT, "team-a", "default")


@pytest.fixture
def store() -> ResourceStore:
    made = ResourceStore()
    made.absorb_listing(Kind.CLUSTER_ACCOUNT, [SHARED], 8)
    return made


def test_an_object_of_the_cluster_is_listed_read_and_missed_like_any_other(store: ResourceStore) -> None:
    assert key_of(SHARED) == CLUSTER_DEFAULT
    assert store.get(CLUSTER_DEFAULT) is not None
    assert store.synced(Kind.CLUSTER_ACCOUNT)
    assert store.accounts() == {CLUSTER_DEFAULT}
    assert store.absorb_listing(Kind.CLUSTER_ACCOUNT, [], 9).vanished == {CLUSTER_DEFAULT}
    assert not store.put(CLUSTER_DEFAULT, SHARED), "a late event brings nothing back"


def test_a_job_whose_default_is_open_is_told_of_both_accounts_and_then_of_the_one_that_has_it(
    store: ResourceStore,
) -> None:
    waiting = a_job().metadata(resourceVersion="20").body
    key = key_of(waiting)
    store.put(key, waiting)
    assert store.jobs_of_account(OWN_DEFAULT) == store.jobs_of_account(CLUSTER_DEFAULT) == {key}
    taken = a_job().metadata(resourceVersion="21").status(account="ClusterDispersedAccount/default").body
    store.put(key, taken)
    assert store.jobs_of_account(OWN_DEFAULT) == frozenset()
    assert store.jobs_of_account(CLUSTER_DEFAULT) == {key}
    store.remove(key, a_job().metadata(resourceVersion="22").body)
    assert store.jobs_of_account(CLUSTER_DEFAULT) == frozenset()


def test_a_job_that_went_wakes_the_leaving_accounts_of_its_namespace_and_of_the_cluster(store: ResourceStore) -> None:
    leaving = SHARED["metadata"] | {"deletionTimestamp": "2026-11-18T00:00:00Z", "resourceVersion": "30"}
    store.put(CLUSTER_DEFAULT, SHARED | {"metadata": leaving})
    for namespace in ("team-a", "team-b"):
        metadata = leaving | {"namespace": namespace, "uid": namespace}
        key = ResourceKey(Kind.ACCOUNT, namespace, "default")
        store.put(key, SHARED | {"kind": "DispersedAccount", "metadata": metadata})
    assert store.leaving_accounts("team-a") == {CLUSTER_DEFAULT, OWN_DEFAULT}
