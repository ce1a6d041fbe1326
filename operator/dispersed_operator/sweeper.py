"""The sweep: what lives remotely is compared with what the resources want, account by account, again and again.

It finds what no event ever will: a job whose resource vanished with its finalizer stripped, a request that was carried
out after its absence was proven, a copy that a proxy made. The order is the argument: the remote listing first, then a
LIST of the resources by quorum, never the store; without both there is no verdict. Verdicts are made in
`planning/sweep.py`.

Invariants: a failed read ends the sweep of that account without a verdict; each cancel is confirmed by fresh reads
(`sweep_cancels.py`); the API server going back in time ends the process.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dispersed_operator.accounts import AccountBook, AccountSession
from dispersed_operator.errors import KubernetesError, RemoteError, StateLost
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model import naming
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.intent import parse_intent
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.observed import PendingCreate, parse_job
from dispersed_operator.model.orphan import OrphanDecision, OrphanPolicy
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.orphan_keeper import OrphanKeeper, Sweep
from dispersed_operator.orphans import Orphan, Orphans, parse_orphan
from dispersed_operator.planning.sweep import (
    FirstSight,
    Standing,
    SweepPlan,
    SweepRules,
    SweepView,
    plan_sweep,
)
from dispersed_operator.remote.listing import dated_live_jobs
from dispersed_operator.store import ResourceStore, parse_version
from dispersed_operator.sweep_cancels import SweepCancels
from dispersed_operator.telemetry.metrics import Metrics
from dispersed_operator.telemetry.vocabulary import SweepResult

FULL_SECONDS = 24 * 3600.0
SHORTEST_GAP = 5.0
DEADLINE = 900.0

Body = Mapping[str, Any]
LookFor = Callable[[ResourceKey, str, PendingCreate], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """What a person set. `namespaces` None: the whole cluster. `interval`: shortest seconds between two sweeps."""

    cluster_id: str
    policy: OrphanPolicy
    namespaces: tuple[str, ...] | None
    interval: float


@dataclass(slots=True)
class _Account:
    """What is remembered of one account. Times are monotonic; losing it costs one more sweep."""

    due: float
    begun: float = float("-inf")
    full: float = float("-inf")
    done: float | None = None
    sightings: Mapping[str, FirstSight] = field(default_factory=dict)


class Sweeper:
    """Sweeps every open account while this process leads.

    `look_for` is called with a resource's key and uid, and a create of it of which a live job was seen that the
    resource does not record (rule 2). `run` ends only with StateLost, or with an error that nobody expected.
    """

    def __init__(
        self,
        settings: SweepSettings,
        *,
        book: AccountBook,
        kube: KubeClient,
        store: ResourceStore,
        orphans: Orphans,
        keeper: OrphanKeeper,
        cancels: SweepCancels,
        metrics: Metrics,
        leading: Callable[[], bool],
        look_for: LookFor,
        monotonic: Callable[[], float],
        random: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._book = book
        self._kube = kube
        self._store = store
        self._orphans = orphans
        self._keeper = keeper
        self._cancels = cancels
        self._metrics = metrics
        self._leading = leading
        self._look_for = look_for
        self._monotonic = monotonic
        self._random = random
        self._sleep = sleep
        self._accounts: dict[ResourceKey, _Account] = {}
        self._decisions: dict[str, OrphanDecision] = {}
        self._woken = asyncio.Event()
        self._hurried = False

    # --- when ---

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            sessions = self._distinct()
            self._accounts = {key: self._account(key) for key in sessions}
            self._hurried = self._hurried and not sessions
            for key, session in sessions.items():
                if self._accounts[key].due <= self._monotonic():
                    await self._sweep_in_time(session)
            await self._rest()

    def notice(self, body: Body) -> None:
        """A DispersedOrphan was made or changed: a decision to cancel is acted on at once, by all the usual rules."""
        orphan = parse_orphan(body)
        before = self._decisions.get(orphan.name)
        self._decisions[orphan.name] = orphan.decision
        if orphan.decision is OrphanDecision.CANCEL and before is not OrphanDecision.CANCEL:
            self.wake()

    def wake(self) -> None:
        """Sweep every account soon."""
        self._hurried = not self._accounts  # whatever account is opened next
        for account in self._accounts.values():
            account.due = min(account.due, account.begun + SHORTEST_GAP)
        self._woken.set()

    def age(self, key: ResourceKey) -> float | None:
        """Seconds since the last complete sweep of an account; None before the first."""
        account = self._accounts.get(key)
        return None if account is None or account.done is None else self._monotonic() - account.done

    def _account(self, key: ResourceKey) -> _Account:
        return self._accounts.get(key) or _Account(due=self._monotonic() + (0.0 if self._hurried else self._interval()))

    def _interval(self) -> float:
        return self._settings.interval * (1.0 + self._random())

    def _distinct(self) -> dict[ResourceKey, AccountSession]:
        """One session for each key pair that is accepted: two of them would only see the same jobs twice."""
        found: dict[tuple[str, str], AccountSession] = {}
        for session in sorted(self._book.sessions(), key=lambda item: item.key):
            if session.probes is not None:
                found.setdefault((session.client.host, session.client.public_key), session)
        return {session.key: session for session in found.values()}

    async def _rest(self) -> None:
        """Sleep until the next account is due, until woken, or a little while if there is none yet."""
        dues = [account.due for account in self._accounts.values()]
        now = self._monotonic()
        seconds = min((max(0.0, due - now) for due in dues), default=SHORTEST_GAP)
        self._woken.clear()
        timer = asyncio.ensure_future(self._sleep(min(seconds, SHORTEST_GAP)))
        woken = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait({timer, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            woken.cancel()

    async def _sweep_in_time(self, session: AccountSession) -> None:
        account, name = self._accounts[session.key], (session.key.namespace, session.key.name)
        account.begun = self._monotonic()
        account.due = account.begun + self._interval()
        if not self._leading():
            return
        if session.hands_off is not None or session.awaits_poll:
            # Cluster or account may be another one: what is missing here says nothing (failure modes 28 and 70).
            doubt = session.hands_off.message if session.hands_off is not None else "the known jobs are not found yet"
            _log.warning("account %s/%s: no sweep: %s", *name, doubt)
            self._metrics.swept(*name, SweepResult.WITHHELD)
            return
        try:
            async with asyncio.timeout(DEADLINE):
                plan = await self.sweep(session)
        except (RemoteError, KubernetesError, TimeoutError) as error:
            _log.warning("account %s/%s: no sweep: %s", *name, str(error) or type(error).__name__)
            self._metrics.swept(*name, SweepResult.FAILED)
            return
        account.done = self._monotonic()
        self._metrics.swept(*name, SweepResult.DONE)
        if plan.waiting:
            account.due = min(account.due, account.done + session.windows.second_sighting + 1.0)

    # --- what ---

    async def sweep(self, session: AccountSession) -> SweepPlan:
        """One sweep of one account. Raises RemoteError or KubernetesError: then nothing was concluded."""
        begun, account = self._monotonic(), self._accounts.setdefault(session.key, self._account(session.key))
        rows, server_date, history = await self._list(session, account)
        objects = await self._objects()
        bodies = await self._resources()
        rules = self._rules(session)
        plan = plan_sweep(self._view(rows, server_date, bodies, objects, account), rules)
        account.sightings = plan.sightings
        self._hand_over(session, plan)
        sweep = Sweep(session, plan, objects, self._accounts_of(session), server_date, history)
        if self._orphans.cluster_wide:
            await self._keeper.report(sweep)
        else:
            await self._report_here(session, plan)
        for verdict in plan.cancels:
            try:
                await self._cancels.end(session, verdict, rules)
            except RemoteError as error:
                _log.warning("remote job %s cannot be ended now: %s", verdict.job.uuid, error)
        await self._tell(session, plan)
        if history is not None:
            account.full = begun
        return plan

    async def _list(
        self, session: AccountSession, account: _Account
    ) -> tuple[tuple[RemoteJob, ...], int, tuple[RemoteJob, ...] | None]:
        """The live jobs and the service's time; once a day from a listing without a filter, for a status that is not
        known may be alive (failure mode 47). Then all rows are given as well."""
        now = self._monotonic()
        if now - account.full < FULL_SECONDS:
            rows, server_date = await dated_live_jobs(session.client)
            return rows, server_date, None
        listing = await session.listings.get(since=0, begun_after=now)
        return listing.rows, listing.server_date, listing.rows

    async def _objects(self) -> Mapping[str, Orphan]:
        if not self._orphans.cluster_wide:
            return {}
        objects, _ = await self._orphans.list()
        self._decisions = {name: orphan.decision for name, orphan in objects.items()}
        return objects

    async def _resources(self) -> list[Body]:
        """Every resource by quorum. Raises StateLost if the API server is behind what it has shown before."""
        found: list[Body] = []
        for namespace in self._settings.namespaces or (None,):
            floor = self._store.highest_version(Kind.JOB)
            items, version = await self._kube.list_all(DISPERSED_JOBS, namespace=namespace)
            if parse_version(version) < floor:
                raise StateLost("the API server listed DispersedJob at a version older than one it had shown before")
            found += items
        return found

    def _view(
        self,
        rows: Collection[RemoteJob],
        server_date: int,
        bodies: Collection[Body],
        objects: Mapping[str, Orphan],
        account: _Account,
    ) -> SweepView:
        recorded = {uuid: key for body in bodies for uuid, key in _records(body)}
        titles = (naming.parse_title(row.title) for row in rows if row.uuid not in recorded)
        marks = {title.uid for title in titles if title is not None}
        return SweepView(
            rows=tuple(rows),
            server_date=server_date,
            recorded=recorded,
            resources=tuple(parse_job(body) for body in bodies if marks & _marks(body)),
            decisions={name: orphan.decision for name, orphan in objects.items()},
            sightings=account.sightings,
        )

    def _rules(self, session: AccountSession) -> SweepRules:
        windows = session.effective_windows()
        return SweepRules(
            cluster_id=self._settings.cluster_id,
            policy=self._settings.policy,
            cluster_wide=self._settings.namespaces is None,
            signature_window=windows.signature_window,
            second_sighting=windows.second_sighting,
        )

    def _hand_over(self, session: AccountSession, plan: SweepPlan) -> None:
        """Rule 2: the owner's next pass looks this create up."""
        for verdict in plan.verdicts:
            owner, title = verdict.owner, verdict.title
            if verdict.standing is not Standing.LOOKUP or owner is None or title is None:
                continue
            create = PendingCreate(
                attempt=title.attempt,
                token=title.token,
                signed_at=title.signed_at,
                nonce=None,
                body_sha256=None,
                account=session.mark,
            )
            self._look_for(owner.key, owner.uid, create)

    def _accounts_of(self, session: AccountSession) -> frozenset[str]:
        pair = (session.client.host, session.client.public_key)
        same = (item for item in self._book.sessions() if (item.client.host, item.client.public_key) == pair)
        return frozenset(f"{item.key.namespace}/{item.key.name}" for item in same)

    # --- words ---

    async def _report_here(self, session: AccountSession, plan: SweepPlan) -> None:
        """Without rights on DispersedOrphans: an Event on the account."""
        for verdict in plan.verdicts:
            if verdict.standing is Standing.ORPHAN and verdict.confirmed:
                text = f"remote job {verdict.job.uuid} lives and {verdict.reason}"
                await self._tell_account(session, EventReason.ORPHAN_FOUND, text)

    async def _tell(self, session: AccountSession, plan: SweepPlan) -> None:
        counts = Counter(verdict.standing for verdict in plan.verdicts)
        name = (session.key.namespace, session.key.name)
        self._metrics.sweep_found(*name, counts, held_back=plan.held_back)
        if plan.held_back:
            text = f"the sweep cancelled {len(plan.cancels)} jobs, the most that one may; {plan.held_back} more wait"
            await self._tell_account(session, EventReason.SWEEP_CAP_REACHED, text)

    async def _tell_account(self, session: AccountSession, reason: EventReason, text: str) -> None:
        _log.warning("account %s/%s: %s", session.key.namespace, session.key.name, text)
        body = self._store.get(session.key)
        if body is not None:
            await self._keeper.tell(body, reason, text)


def _records(body: Body) -> list[tuple[str, ResourceKey]]:
    """(uuid, key) of what a resource names as its own, read without parsing all of it."""
    found = body.get("status")
    status: Body = found if isinstance(found, Mapping) else {}
    create = status.get("create")
    named = {status.get("jobUUID"), create.get("uuid") if isinstance(create, Mapping) else None}
    metadata = body["metadata"]
    key = ResourceKey(Kind.JOB, metadata["namespace"], metadata["name"])
    return [(uuid, key) for uuid in named if isinstance(uuid, str) and uuid]


def _marks(body: Body) -> set[str]:
    """The uid marks of the titles that may belong to a resource: its own, and its origin's."""
    metadata = body["metadata"]
    intent = parse_intent((metadata.get("annotations") or {}).get(naming.INTENT_ANNOTATION) or "")
    uids = [metadata["uid"], *([intent.origin.uid] if intent is not None else [])]
    return {naming.uid_mark(uid) for uid in uids}
