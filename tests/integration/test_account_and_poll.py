"""What an account and the poll of its jobs tell each other: that the first is to come, and that the service is back."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.account_reconciler import AccountReconciler
from dispersed_operator.accounts import AWAITS_POLL, AccountBook, AccountSession
from dispersed_operator.errors import RemoteError
from dispersed_operator.kube.client import DISPERSED_ACCOUNTS, SECRETS
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.clock import ServerClock
from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.remote.listing import ListingService
from dispersed_operator.remote.poller import AccountPoller
from dispersed_operator.remote.signing import Credentials
from dispersed_operator.remote.transport import build_http_client
from dispersed_operator.remote.view import RemoteView
from dispersed_operator.store import ResourceStore
from dispersed_operator.telemetry.metrics import Metrics
from tests.integration.crds.objects import account
from tests.integration.kube.harness import client_for, new_namespace, until
from tests.support.simulator import PUBLIC_KEY, SECRET_KEY, SimulatorProcess

INTERVAL = 3600.0
"""Seconds between two polls, far beyond what a test waits for."""


@dataclass
class Stage:
    """A reconciler with one account, the job that it polls for, and what was told: failed and successful polls, and
    how often the account said that its jobs may be listed, and that it means something new for them."""

    accounts: AccountReconciler
    key: ResourceKey
    book: AccountBook
    errors: list[RemoteError]
    polls: list[float]
    listable: list[ResourceKey]
    changed: list[ResourceKey]

    @property
    def session(self) -> AccountSession:
        session = self.book.get(self.key)
        assert session is not None
        return session


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(tmp_path_factory.mktemp("simulator"), options=("--no-endpoints",)) as simulator:
        yield simulator


@pytest.fixture
async def stage(control_plane: ControlPlane, process: SimulatorProcess) -> AsyncIterator[Stage]:
    job = str(process.control.insert_job("p", fate={"run_seconds": 100_000}, task="PERSISTENT")["uuid"])
    errors: list[RemoteError] = []
    polls: list[float] = []
    listable: list[ResourceKey] = []
    changed: list[ResourceKey] = []

    async with client_for(control_plane.kubeconfig) as kube, build_http_client() as http:

        def open_session(key: ResourceKey, _: object, credentials: Credentials) -> AccountSession:
            client = DispersedClient(
                http, base_url=process.base_url, credentials=credentials, clock=ServerClock(), limiter=Limiter(),
                attempts=1,
            )  # fmt: skip
            view = RemoteView()
            poller = AccountPoller(
                client, view, interval=lambda: INTERVAL, tracked=lambda: {job}, on_change=lambda _: None,
                on_error=errors.append, on_success=polls.append,
            )  # fmt: skip
            return AccountSession(
                key=key, client=client, listings=ListingService(client), view=view, poller=poller,
                windows=ProofWindows(), max_clock_offset=1e9, secret_name="key", problem=None, awaits_poll=True,
            )  # fmt: skip

        namespace, store = new_namespace(control_plane), ResourceStore()
        key = ResourceKey(Kind.ACCOUNT, namespace, "case")
        book = AccountBook(windows_for=lambda _: ProofWindows(), exists=store.holds)
        accounts = AccountReconciler(
            store=store, kube=kube, book=book, open_session=open_session, redactor=Redactor(), metrics=Metrics(),
            wall=time.time, monotonic=time.monotonic, on_change=changed.append, on_listable=listable.append,
            operator_namespace="operators",
        )  # fmt: skip
        words = {"publicKey": PUBLIC_KEY, "secretKey": SECRET_KEY}
        secret = {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"},
            "data": {name: base64.b64encode(word.encode()).decode() for name, word in words.items()},
        }  # fmt: skip
        await kube.create(SECRETS, namespace=namespace, body=secret)
        body = account("case", baseURL=process.base_url)
        store.put(key, await kube.create(DISPERSED_ACCOUNTS, namespace=namespace, body=body))
        await accounts.reconcile(key)
        yield Stage(accounts, key, book, errors, polls, listable, changed)


async def test_an_account_that_only_waits_for_its_first_poll_says_once_that_it_may_be_listed(
    stage: Stage, process: SimulatorProcess
) -> None:
    """At a start the listing that a create needs is read beside the first poll."""
    assert stage.session.blocker() == AWAITS_POLL
    assert stage.book.facts(stage.key).awaits_poll
    process.control.clear_requests()
    await stage.accounts.reconcile(stage.key)
    assert stage.listable == [stage.key]
    assert stage.changed == []
    stage.session.awaits_poll = False  # the poll has come
    await stage.accounts.reconcile(stage.key)
    assert stage.session.blocker() is None
    assert stage.changed == stage.listable == [stage.key]
    assert process.control.requests() == [], "what was asked a moment ago is not asked again for a poll's sake"


async def test_once_the_account_has_its_answer_the_jobs_are_polled(stage: Stage, process: SimulatorProcess) -> None:
    """After an outage the account is the first to know; its jobs do not wait for the end of a back-off."""
    accounts, key, session = stage.accounts, stage.key, stage.session
    session.awaits_poll = False
    outage = process.control.add_fault("server_error", path="^/v1/", times=None)
    polling = asyncio.create_task(session.poller.run())
    try:
        await until(lambda: len(stage.errors) == 1)
        session.last_answer = float("-inf")  # as whoever hears of a failed poll has it
        await accounts.reconcile(key)
        assert session.blocker() is not None
        assert stage.polls == []
        process.control.remove_fault(outage)
        await accounts.reconcile(key)
        assert session.blocker() is None
        await until(lambda: len(stage.polls) == 1)
    finally:
        polling.cancel()
        await asyncio.wait({polling})
    assert len(stage.errors) == 1
