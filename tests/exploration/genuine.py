"""The genuine counterpart of the twin: real effects on the in-process API server and the simulator's own engine.

One process, one resource, and a clock that stands still unless a story moves it. The frame of a pass is told here as in
`reconciler.py`; everything that it calls is real.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import httpx

from dispersed_operator.accounts import AccountSession
from dispersed_operator.errors import KubernetesConflict, KubernetesError, KubernetesNotFound
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.observed import parse_job
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.passes import Pass, facts_of, remembered
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import Memory, Rest
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.clock import ServerClock
from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.remote.listing import ListingService
from dispersed_operator.remote.poller import AccountPoller
from dispersed_operator.remote.signing import Credentials
from dispersed_operator.remote.view import RemoteView
from dispersed_operator.store import ResourceStore
from dispersed_simulator.auth import SignedRequest
from dispersed_simulator.records import Timing
from tests.simulation.apiserver import ApiServer
from tests.simulation.cluster.link import Gate, Reply, Sent, client_over, cut
from tests.simulation.plan import PLAIN
from tests.simulation.remote_side import BASE_URL, EPOCH, KEYS, RemoteSide
from tests.support.builders import CLUSTER, a_job, an_account
from tests.support.effects import effects_on, statuses_on

KEY = a_job().resource.key
SLOW = Timing(assign_seconds=100_000.0, cancel_seconds=0.0)
STEPS = 40
SILENT = {"Rest", "RememberSighting", "RememberMissing"}  # they ask for nothing; what they leave behind is compared
Document = dict[str, Any]


class LossyGate(Gate):
    """Loses the next patch of the object, or of its status, before or after it is done; `lose` says which."""

    def __init__(self) -> None:
        self.lose: tuple[str, str] | None = None

    def _meets(self, sent: Sent, when: str) -> bool:
        if sent.method != "PATCH" or "/dispersedjobs/" not in sent.path:
            return False
        part = "status" if sent.path.endswith("/status") else "object"
        if self.lose != (part, when):
            return False
        self.lose = None
        return True

    async def before(self, sent: Sent) -> Reply | None:
        if self._meets(sent, "before"):
            raise cut()
        return None

    async def after(self, sent: Sent, reply: Reply) -> Reply:
        if self._meets(sent, "after"):
            raise cut()
        return reply


class Direct(httpx.AsyncBaseTransport):
    """The simulator's engine at the other end of the real client's line; an answer that a fault cuts never comes."""

    def __init__(self, remote: RemoteSide) -> None:
        self._remote = remote

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = self._remote.service.handle(SignedRequest(request.method, path, query, headers, request.content))
        if reply.cut_after is not None:
            raise httpx.RemoteProtocolError("the connection was closed without an answer", request=request)
        told = [*reply.headers, ("content-type", reply.content_type)]
        return httpx.Response(reply.status, headers=told, content=reply.body, request=request)


class Genuine:
    """Real parts in a world of one resource. `actions`: what was planned, in order, repetitions left out."""

    def __init__(self) -> None:
        rng = random.Random(1)
        self.gate = LossyGate()
        self.clock = 0.0
        self._ticks = 0
        self.actions: list[str] = []
        self.failures: list[str] = []
        self.memory = Memory()
        self.remote = RemoteSide(rng, lambda: self.clock, SLOW, page_rows=PLAIN.page_rows)
        self.server = ApiServer(now=lambda: EPOCH + self.clock, rng=rng)
        self.server.add_namespace(KEY.namespace)
        body = {name: a_job().body[name] for name in ("apiVersion", "kind", "spec")}
        self.server.create(DISPERSED_JOBS, KEY.namespace, body | {"metadata": {"name": KEY.name}})
        self.store = ResourceStore()
        self.kube = client_over(self.server, random=rng.random, gate=self.gate)
        self.effects = effects_on(self.kube, self.store, monotonic=self.monotonic, wall=self._wall)
        self.statuses = statuses_on(self.kube, self.store, monotonic=self.monotonic, wall=self._wall)
        self.session = self._session(httpx.AsyncClient(transport=Direct(self.remote)))
        self.deliver()

    def monotonic(self) -> float:
        """The process's clock: it moves a little with every look, so that what comes later is later."""
        self._ticks += 1
        return self.clock + self._ticks * 1e-5

    def _wall(self) -> float:
        return EPOCH + self.clock

    def _session(self, http: httpx.AsyncClient) -> AccountSession:
        public, secret = KEYS[0]
        client = DispersedClient(
            http,
            base_url=BASE_URL,
            credentials=Credentials(public, secret),
            clock=ServerClock(monotonic=self.monotonic, wall=self._wall),
            limiter=Limiter(),
            monotonic=self.monotonic,
            attempts=1,
        )
        view = RemoteView()
        poller = AccountPoller(
            client,
            view,
            interval=lambda: 60.0,
            tracked=frozenset,
            on_change=lambda _: None,
            on_error=lambda _: None,
            on_success=lambda _: None,
        )
        return AccountSession(
            key=ResourceKey(Kind.ACCOUNT, KEY.namespace, "default"),
            client=client,
            listings=ListingService(client, monotonic=self.monotonic),
            view=view,
            poller=poller,
            windows=ProofWindows(),
            max_clock_offset=60.0,
            secret_name="key",
            problem=None,
        )

    # --- the story ---

    @property
    def body(self) -> Document | None:
        """The object as it is."""
        return self.server.find(DISPERSED_JOBS, KEY.namespace, KEY.name)

    def deliver(self) -> None:
        """The watch tells the process of the object."""
        body = self.body
        if body is not None:
            self.store.put(KEY, body)

    async def look(self) -> None:
        """One pass, as `JobReconciler.reconcile` does it."""
        body = self.store.get(KEY)
        assert body is not None
        if self.session.client.clock.now() is None:
            await self.session.client.page_jobs(page=1, limit=1)
        work = Pass(resource=parse_job(body), memory=self.memory, session=self.session, forced=False)
        try:
            await self._run(work)
        except (KubernetesConflict, KubernetesNotFound):
            await self.effects.refresh(KEY)
        except KubernetesError as error:
            self.failures.append(str(error))  # tried again with back-off
        finally:
            self.memory = work.memory

    async def _run(self, work: Pass) -> None:
        for _ in range(STEPS):
            now = self.session.client.clock.now()
            assert now is not None
            work.memory = remembered(work.memory, work.resource, now, CLUSTER)
            facts = facts_of(
                work,
                account=an_account(mark=self.session.mark, server_time=now),
                cluster_id=CLUSTER,
                now=self.monotonic(),
                wall=self._wall(),
                leading_since=-1.0,
                snapshot=None,
            )
            facts = replace(facts, polled=True, listed=True)  # the poller is left out on both sides
            action = plan_job(work.resource, facts)
            self._note(type(action).__name__)
            if isinstance(action, Rest):
                if action.situation is not None:
                    work.resource = await self.statuses.write(work.resource, action.situation, now)
                return
            await self.effects.carry_out(work, action)
        raise AssertionError("a pass that does not end")

    def _note(self, name: str) -> None:
        if name not in SILENT and self.actions[-1:] != [name]:
            self.actions.append(name)
