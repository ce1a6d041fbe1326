"""An account that is being deleted stays as long as a job may live in it, whatever the specs name by now."""

from __future__ import annotations

import time
from typing import Any

import pytest
from aiohttp import web

from dispersed_operator.account_reconciler import DELETION_SECONDS, AccountReconciler
from dispersed_operator.accounts import AccountBook
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.model import naming
from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.planning.account import key_fingerprint
from dispersed_operator.store import ResourceStore
from dispersed_operator.telemetry.metrics import Metrics
from tests.support.builders import ACCOUNT, BATCH, NOW, JobBuilder, a_job, an_intent, refused
from tests.unit.kube.scripted import client_of, failure, ok

KEY = ResourceKey(Kind.ACCOUNT, "team-a", "default")
GOING: dict[str, Any] = {
    "metadata": {
        "namespace": "team-a",
        "name": "default",
        "uid": "account-uid",
        "resourceVersion": "5",
        "deletionTimestamp": "2026-11-18T00:00:00Z",
        "finalizers": [naming.HOLD_FINALIZER],
    },
    "spec": {"credentialsSecretRef": {"name": "key"}},
    "status": {"keyFingerprint": key_fingerprint(ACCOUNT.public_key)},
}
SHARED = ResourceKey(Kind.CLUSTER_ACCOUNT, "", "default")
SHARED_GOING: dict[str, Any] = GOING | {
    "metadata": {name: value for name, value in GOING["metadata"].items() if name != "namespace"},
    "status": {"keyFingerprint": "another"},
}
PAYER = "ClusterDispersedAccount/default"
MOVED = a_job().spec({**BATCH, "accountRef": {"name": "other"}})


@pytest.mark.failure_mode(29)
@pytest.mark.failure_mode(55)
@pytest.mark.parametrize(
    ("job", "held", "because"),
    [
        (a_job().created(), True, "its spec names the account"),
        (MOVED.created().status(account="default"), True, "the account accepted the job; the spec was edited since"),
        (MOVED.intent(), True, "a create was signed with its key and may have made a job"),
        (MOVED.intent(refused(Refusal.ABSENT)), False, "that create made nothing"),
        (MOVED.intent(an_intent()).record().status(account="other"), False, "another account has the job"),
    ],
)
async def test_an_account_waits_for_what_it_may_have_to_end(job: JobBuilder, held: bool, because: str) -> None:
    released, after, _ = await let_go(KEY, GOING, job)
    assert after == (DELETION_SECONDS if held else None), because
    assert released is not held, because


@pytest.mark.failure_mode(29)
@pytest.mark.parametrize(
    ("job", "held", "because"),
    [
        (a_job().created().status(account=PAYER), True, "the account has the job"),
        (a_job().intent(an_intent(payer=PAYER)), True, "a create was signed for it"),
        (a_job().held(), True, "the records are lost, and it may have been signed for either default"),
        (a_job().created().status(account="default"), False, "the account of the namespace has the job"),
        (a_job().intent(), False, "the create was signed for the account of the namespace"),
        (a_job().spec({**BATCH, "accountRef": {"name": "default"}}).held(), False, "its spec names another one"),
    ],
)
async def test_a_shared_account_waits_for_the_jobs_of_all_namespaces(job: JobBuilder, held: bool, because: str) -> None:
    released, after, asked = await let_go(SHARED, SHARED_GOING, job)
    assert after == (DELETION_SECONDS if held else None), because
    assert released is not held, because
    assert asked[0].split("?")[0] == "GET /apis/dispersed.dev/v1alpha1/dispersedjobs", "a LIST of every namespace"
    assert asked[1] == "GET /api/v1/namespaces/operators/secrets/key", "its Secret is in the operator's namespace"


@pytest.mark.failure_mode(29)
@pytest.mark.parametrize(
    ("other", "job", "released", "because"),
    [
        ({"deletionTimestamp": "2026-11-18T00:00:00Z"}, None, True, "they go together, and neither leaves it behind"),
        (
            {"deletionTimestamp": "2026-11-18T00:00:00Z"},
            MOVED.created(),
            False,
            "the other one still ends a job with it",
        ),
        ({}, None, False, "the other one stays"),
    ],
)
async def test_a_secret_that_two_accounts_share_is_released_with_the_last_of_them(
    other: dict[str, Any], job: JobBuilder | None, released: bool, because: str
) -> None:
    secret = {"metadata": {**GOING["metadata"], "name": "key"}}
    store = ResourceStore()
    store.put(KEY, GOING)
    metadata = {name: value for name, value in GOING["metadata"].items() if name != "deletionTimestamp"}
    store.put(KEY._replace(name="other"), GOING | {"metadata": {**metadata, "name": "other", **other}})

    async def answer(request: web.Request) -> web.Response:
        if request.method == "PATCH":
            return ok(GOING)
        jobs = {"items": [job.body] if job is not None else [], "metadata": {"resourceVersion": "9"}}
        return ok(secret if "secrets" in request.path else jobs)

    async with client_of(answer) as (kube, script):
        assert await reconciler(store, kube).reconcile(KEY) is None
    written = [request for request in script.requests if request.startswith("PATCH")]
    assert any("/secrets/key" in request for request in written) is released, because
    assert "/dispersedaccounts/default" in written[-1]


async def let_go(key: ResourceKey, going: dict[str, Any], job: JobBuilder) -> tuple[bool, float | None, list[str]]:
    """Reconcile an account that is being deleted, of which `job` is the only one there is: was its hold released, when
    is it looked at again, and what was asked."""
    store = ResourceStore()
    store.put(key, going)
    listed = ok({"items": [job.body], "metadata": {"resourceVersion": "9"}})
    async with client_of(listed, failure(404, "NotFound", name="key", kind="secrets"), ok(going)) as (kube, script):
        after = await reconciler(store, kube).reconcile(key)
    released = [body for body in script.bodies if body and body.get("metadata", {}).get("finalizers") == []]
    return bool(released), after, list(script.requests)


def reconciler(store: ResourceStore, kube: KubeClient) -> AccountReconciler:
    """One that has opened no account."""
    return AccountReconciler(
        store=store,
        kube=kube,
        book=AccountBook(windows_for=lambda _: ProofWindows()),
        open_session=lambda *_: pytest.fail("no account is opened that goes"),
        redactor=Redactor(),
        metrics=Metrics(),
        wall=lambda: float(NOW),
        monotonic=time.monotonic,
        on_change=lambda _: None,
        on_listable=lambda _: None,
        operator_namespace="operators",
    )
