"""Everything around a sweeper: a real simulator, an API server in the process, and what the composition root builds."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from dispersed_operator.accounts import AccountBook, AccountSession
from dispersed_operator.composition import build_sweeper
from dispersed_operator.config import Settings
from dispersed_operator.kube.events import EventRecorder
from dispersed_operator.kube.resources import DISPERSED_JOBS, DISPERSED_ORPHANS
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.naming import Identity, create_token, remote_title
from dispersed_operator.model.observed import PendingCreate
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.orphans import Orphans
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.clock import ServerClock
from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.remote.listing import ListingService
from dispersed_operator.remote.poller import AccountPoller
from dispersed_operator.remote.signing import Credentials
from dispersed_operator.remote.view import RemoteView
from dispersed_operator.statuses import StatusWriter
from dispersed_operator.store import ResourceStore
from dispersed_operator.sweeper import Sweeper
from dispersed_operator.telemetry.metrics import Metrics
from tests.simulation.apiserver import ApiServer, Gate, Reply, Sent, client_over, failure
from tests.support.builders import BATCH, CLUSTER
from tests.support.sessions import ACCOUNT, PROBES
from tests.support.simulator import PUBLIC_KEY, SECRET_KEY, SimulatorProcess

Body = dict[str, Any]


@dataclass
class Listener(Gate):
    """Remembers what was asked of the API server, and with which query; `act` is called after each answer, `refuse`
    names a path to fail."""

    asked: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    act: Callable[[str], None] = lambda _: None
    refuse: str = "nothing"

    async def before(self, sent: Sent) -> Reply | None:
        return failure(403) if self.refuse in f"{sent.method} {sent.path}" else None

    async def after(self, sent: Sent, reply: Reply) -> Reply:
        self.asked.append(f"{sent.method} {sent.path}")
        self.queries.append(sent.query)
        self.act(self.asked[-1])
        return reply


@dataclass
class Bench:
    """Everything around a sweeper."""

    simulator: SimulatorProcess
    http: httpx.AsyncClient
    api: ApiServer = field(default_factory=lambda: ApiServer(now=time.time, rng=random.Random(1)))
    gate: Listener = field(default_factory=Listener)
    book: AccountBook = field(default_factory=lambda: AccountBook(windows_for=lambda _: ProofWindows()))
    store: ResourceStore = field(default_factory=ResourceStore)
    metrics: Metrics = field(default_factory=Metrics)
    looked_for: list[tuple[ResourceKey, str, PendingCreate]] = field(default_factory=list)
    leads: bool = True
    asked_for_leader: int = 0

    def leading(self) -> bool:
        self.asked_for_leader += 1
        return self.leads

    def sweeper(self, **settings: Any) -> Sweeper:
        """A sweeper as the composition root makes it."""
        self.api.add_namespace("team-a")
        kube = client_over(self.api, random=lambda: 0.0, gate=self.gate)
        recorder = EventRecorder(kube, instance="test", clock=time.time)
        given = Settings(orphan_policy="cancel", **settings)
        return build_sweeper(
            given,
            cluster_id=CLUSTER,
            book=self.book,
            kube=kube,
            store=self.store,
            orphans=Orphans(kube, cluster_wide=not given.namespaces, metrics=self.metrics, wall=time.time),
            recorder=recorder,
            statuses=StatusWriter(
                store=self.store, kube=kube, recorder=recorder, redactor=Redactor(), metrics=self.metrics,
                monotonic=time.monotonic, wall=time.time,
            ),
            metrics=self.metrics,
            leading=self.leading,
            look_for=lambda *seen: self.looked_for.append(seen),
        )  # fmt: skip

    def open(self, key: ResourceKey = ACCOUNT, *, base_url: str = "", public_key: str = PUBLIC_KEY) -> AccountSession:
        """An accepted account."""
        clock, limiter = ServerClock(), Limiter()
        credentials = Credentials(public_key, SECRET_KEY)
        client = DispersedClient(
            self.http, base_url=base_url or self.simulator.base_url, credentials=credentials, clock=clock,
            limiter=limiter,
        )  # fmt: skip
        view = RemoteView()
        poller = AccountPoller(
            client, view, interval=lambda: 60.0, tracked=frozenset, on_change=lambda _: None, on_error=lambda _: None,
            on_success=lambda _: None,
        )  # fmt: skip
        session = AccountSession(
            key=key, client=client, listings=ListingService(client), view=view, poller=poller, windows=ProofWindows(),
            max_clock_offset=60.0, secret_name="key", problem=None, probes=PROBES,
        )  # fmt: skip
        self.book.open(session)
        return session

    def add_resource(self, name: str = "train", *, uuid: str | None = None) -> Identity:
        """A resource, and what it records as the job of its first attempt."""
        body = {"apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedJob", "metadata": {"name": name}}
        made = self.api.create(DISPERSED_JOBS, "team-a", body | {"spec": dict(BATCH)})
        identity = Identity(CLUSTER, "team-a", name, made["metadata"]["uid"])
        if uuid is not None:
            self.record(identity, uuid)
        return identity

    def record(self, identity: Identity, uuid: str) -> None:
        """Write the record of the first attempt."""
        create = {"token": create_token(identity, 1), "attempt": 1, "uuid": uuid, "state": "Accepted"}
        status = {"status": {"create": create, "jobUUID": uuid}}
        self.api.patch(DISPERSED_JOBS, "team-a", identity.name, status, subresource="status")

    def insert(self, identity: Identity, *, age: int = 0, **values: Any) -> str:
        """A live job that the request of its title made."""
        signed_at = int(self.simulator.control.clock()["now_ms"]) // 1000 - age
        title = remote_title(identity, attempt=1, signed_at=signed_at, expiry=0, user_title="")
        created = datetime.fromtimestamp(signed_at, UTC).isoformat()
        fields = {"task": "PERSISTENT", "status": "RUNNING", "created_at": created} | values
        return str(self.simulator.control.insert_job(title, **fields)["uuid"])

    def status(self, uuid: str) -> str:
        return str(self.simulator.control.job(uuid)["status"])

    def orphan(self, uuid: str) -> Body | None:
        return self.api.find(DISPERSED_ORPHANS, None, uuid)

    def hold(self, name: str = "train") -> None:
        """The store learns of the resource as it is."""
        self.store.put(ResourceKey(Kind.JOB, "team-a", name), self.api.get(DISPERSED_JOBS, "team-a", name))

    def listed(self) -> list[str]:
        """The queries of the LISTs of resources since the last call."""
        asked = [
            query
            for path, query in zip(self.gate.asked, self.gate.queries, strict=True)
            if path == f"GET {DISPERSED_JOBS.path()}"
        ]
        self.gate.asked.clear()
        self.gate.queries.clear()
        return asked

    def make_orphan(self, name: str, *, decision: str = "Report", **status: Any) -> None:
        """A DispersedOrphan, as a person makes one or an earlier sweep left it."""
        body = {"apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedOrphan", "metadata": {"name": name}}
        self.api.create(DISPERSED_ORPHANS, None, body | {"spec": {"decision": decision}})
        if status:
            self.api.patch(DISPERSED_ORPHANS, None, name, {"status": status}, subresource="status")

    def cancels(self) -> list[Body]:
        return self.simulator.control.requests(method="PUT")


def gone(number: int = 0) -> Identity:
    """A resource that does not exist."""
    return Identity(CLUSTER, "team-a", f"gone-{number}", f"{number:08d}-0000-4000-8000-00000000dead")


async def sweep_twice(bench: Bench, sweeper: Sweeper, session: AccountSession) -> None:
    await sweeper.sweep(session)
    bench.simulator.control.advance(31)
    await sweeper.sweep(session)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)
