"""Asking for a namespace: only where its labels can matter, by a read that begins now, and never for somebody's own."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.admissions import Admissions
from dispersed_operator.errors import KubernetesForbidden
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.reasons import Reason
from dispersed_operator.store import ResourceStore
from tests.support.builders import a_job
from tests.unit.kube.scripted import client_of, failure, ok

SHARED = ResourceKey(Kind.CLUSTER_ACCOUNT, "", "shared")
OWN = ResourceKey(Kind.ACCOUNT, "team-a", "default")
LABELLED = ok({"metadata": {"name": "team-a", "labels": {"gpu": "yes"}}})
BARE = ok({"metadata": {"name": "team-a"}})
GONE = failure(404, "NotFound", name="team-a", kind="namespaces")
BY_LABEL = {"selector": {"matchLabels": {"gpu": "yes"}}}


def a_store(allowed: dict[str, Any], *, adoption: bool = False) -> ResourceStore:
    store = ResourceStore()
    spec = {"credentialsSecretRef": {"name": "key"}, "allowedNamespaces": allowed, "allowAdoption": adoption}
    for key in (SHARED, OWN):
        store.put(key, {"metadata": {"name": key.name, "uid": key.name, "resourceVersion": "1"}, "spec": spec})
    return store


@pytest.mark.parametrize(
    ("allowed", "answer", "admitted", "reads", "because"),
    [
        ({"names": ["team-a"]}, GONE, True, 0, "a name needs no labels"),
        ({"names": ["team-b"]}, GONE, False, 0, "without a selector labels say nothing"),
        (BY_LABEL, LABELLED, True, 1, "the labels match"),
        (BY_LABEL, BARE, False, 1, "it has no labels"),
        (BY_LABEL, GONE, False, 1, "it is gone"),
        ({**BY_LABEL, "names": ["team-a"]}, GONE, True, 0, "named, so its labels do not matter"),
    ],
)
async def test_labels_are_read_only_where_they_can_matter(
    allowed: dict[str, Any], answer: Any, admitted: bool, reads: int, because: str
) -> None:
    async with client_of(answer) as (kube, script):
        problem = await Admissions(a_store(allowed), kube).problem(SHARED, "team-a")
    assert (problem is None) is admitted, because
    assert problem is None or problem.reason is Reason.NAMESPACE_NOT_ALLOWED
    assert script.requests == ["GET /api/v1/namespaces/team-a"] * reads


async def test_an_account_of_the_namespace_and_one_that_is_gone_ask_for_nothing() -> None:
    async with client_of(GONE) as (kube, script):
        admissions = Admissions(a_store({}), kube)
        assert await admissions.problem(OWN, "team-a") is None
        missing = await admissions.problem(ResourceKey(Kind.CLUSTER_ACCOUNT, "", "missing"), "team-a")
    assert missing is not None
    assert missing.reason is Reason.INVALID_REFERENCE
    assert script.requests == []


async def test_without_an_answer_nothing_is_concluded() -> None:
    async with client_of(failure(403, "Forbidden", name="team-a", kind="namespaces")) as (kube, _):
        with pytest.raises(KubernetesForbidden):
            await Admissions(a_store(BY_LABEL), kube).problem(SHARED, "team-a")


@pytest.mark.failure_mode(52)
@pytest.mark.parametrize(
    ("account", "adoption", "names", "expected", "because"),
    [
        (SHARED, True, ["team-a"], True, "adoption and namespace are allowed"),
        (SHARED, True, ["team-b"], False, "the namespace is not allowed"),
        (SHARED, False, ["team-a"], False, "adoption is not allowed"),
        (OWN, True, [], True, "an account of the namespace asks for no more than adoption"),
        (None, True, ["team-a"], False, "nobody can tell which account it is"),
    ],
)
async def test_to_adopt_both_the_account_and_its_namespaces_must_allow_it(
    account: ResourceKey | None, adoption: bool, names: list[str], expected: bool, because: str
) -> None:
    async with client_of(GONE) as (kube, _):
        admissions = Admissions(a_store({"names": names}, adoption=adoption), kube)
        assert await admissions.may_adopt(account, a_job().resource) is expected, because
