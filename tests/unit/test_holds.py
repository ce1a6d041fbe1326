"""May the Secret of an account go? Asked afresh: of two that go at the same time one at least must see the other go."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.holds import Holds
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.store import ResourceStore
from tests.support.builders import BATCH, JobBuilder, a_job
from tests.unit.kube.scripted import client_of, failure, ok

OWN = ResourceKey(Kind.ACCOUNT, "team-a", "default")
OTHER = ResourceKey(Kind.ACCOUNT, "team-a", "other")
MOVED = {**BATCH, "accountRef": {"name": "other"}}


def account_body(key: ResourceKey, **metadata: Any) -> dict[str, Any]:
    fields = {"namespace": key.namespace, "name": key.name, "uid": key.name, "resourceVersion": "3", **metadata}
    return {"kind": key.kind.value, "metadata": fields, "spec": {"credentialsSecretRef": {"name": "key"}}}


def listing(*jobs: JobBuilder) -> Any:
    return ok({"items": [job.body for job in jobs], "metadata": {"resourceVersion": "50"}})


GOING = account_body(OTHER, deletionTimestamp="2026-11-18T00:00:00Z")


@pytest.mark.failure_mode(29)
@pytest.mark.parametrize(
    ("answers", "free", "because"),
    [
        ([ok(account_body(OTHER))], False, "another account stays"),
        ([ok(GOING), listing()], True, "it goes as well, and has no jobs"),
        (
            [ok(GOING), listing(a_job().spec(MOVED).created())],
            False,
            "it goes as well, but not before its job; then it releases the Secret",
        ),
        ([failure(404, "NotFound", name="other", kind="dispersedaccounts"), listing()], True, "it is gone already"),
    ],
)
async def test_of_two_accounts_with_one_secret_the_last_releases_it(
    answers: list[Any], free: bool, because: str
) -> None:
    """What the store says of the other one is old: its shard may be another process."""
    async with client_of(*answers) as (kube, _):
        store = ResourceStore()
        for account in (OWN, OTHER):
            store.put(account, account_body(account))
        holds = Holds(store, kube, operator_namespace="operators")
        assert await holds.secret_is_free(OWN, "key") is free, because
