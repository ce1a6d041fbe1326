"""The sweep: what lives remotely is compared with what the resources want, account by account, again and again.

It finds what no event ever will: a job whose resource vanished with its finalizer stripped, a request that was carried
out after its absence was proven, a copy that a proxy made. The order is the argument: the remote listing first, then
the resources (`sweep_reads.py`); without both there is no verdict. Verdicts are made in `planning/sweep.py`.

Invariants: a failed read ends the sweep of that account without a verdict; each cancel is confirmed by fresh reads
(`sweep_cancels.py`); an account that is slow or fails delays no other one; the API server going back in time ends the
process.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dispersed_operator.accounts import AccountBook, AccountSession
from dispersed_operator.errors import KubernetesError, RemoteError
from dispersed_operator.model.account_names import full_name
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.observed import PendingCreate
from dispersed_operator.model.orphan import OrphanDecision, OrphanPolicy
from dispersed_operator.model.reading import Reading
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.orphan_keeper import OrphanKeeper, Sweep, account_names
from dispersed_operator.orphans import Orphan, parse_orphan
from dispersed_operator.planning.sweep import FirstSight, Standing, SweepPlan, SweepRules, SweepView, plan_sweep
from dispersed_operator.planning.sweep_bodies import possible_owners, recorded_jobs
from dispersed_operator.store import ResourceStore
from dispersed_operator.sweep_cancels import SweepCancels
from dispersed_operator.sweep_reads import SweepReads
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
    """What is remembered of one account. Times are monotonic; losing it costs one more sweep. `cancels`: when the last
    ones were begun."""

    due: float
    begun: float = float("-inf")
    full: float = float("-inf")
    done: float | None = None
    sightings: Mapping[str, FirstSight] = field(default_factory=dict)
    cancels: list[float] = field(default_factory=list)


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
        reads: SweepReads,
        store: ResourceStore,
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
        self._reads = reads
        self._store = store
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
        self._under_way: dict[ResourceKey, asyncio.Task[None]] = {}

    # --- when ---

    async def run(self) -> None:
        """Sweep until cancelled, each account in its own time."""
        try:
            while True:
                sessions = self._distinct()
                self._accounts = {key: self._account(key) for key in sessions}
                self._hurried = self._hurried and not sessions
                for key, session in sessions.items():
                    if key not in self._under_way and self._accounts[key].due <= self._monotonic():
                        self._begin(key, session)
                await self._rest()
                for key in [key for key, task in self._under_way.items() if task.done()]:
                    self._under_way.pop(key).result()
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _begin(self, key: ResourceKey, session: AccountSession) -> None:
        sweeping = asyncio.create_task(
            self._sweep_in_time(session, self._accounts[key]), name=f"sweep-{full_name(key)}"
        )
        sweeping.add_done_callback(lambda _: self._woken.set())
        self._under_way[key] = sweeping

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
        dues = [account.due for key, account in self._accounts.items() if key not in self._under_way]
        now = self._monotonic()
        seconds = min((max(0.0, due - now) for due in dues), default=SHORTEST_GAP)
        timer = asyncio.ensure_future(self._sleep(min(seconds, SHORTEST_GAP)))
        woken = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait({timer, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            woken.cancel()
            self._woken.clear()

    async def _sweep_in_time(self, session: AccountSession, account: _Account) -> None:
        name, said = (session.key.namespace, session.key.name), full_name(session.key)
        account.begun = self._monotonic()
        account.due = account.begun + self._interval()
        if not self._leading():
            return
        doubt = self._doubt(session)
        if doubt is not None:
            _log.warning("account %s: no sweep: %s", said, doubt)
            self._metrics.swept(*name, SweepResult.WITHHELD)
            return
        try:
            async with asyncio.timeout(DEADLINE):
                plan = await self.sweep(session)
        except (RemoteError, KubernetesError, TimeoutError) as error:
            _log.warning("account %s: no sweep: %s", said, str(error) or type(error).__name__)
            self._metrics.swept(*name, SweepResult.FAILED)
            return
        account.done = self._monotonic()
        self._metrics.swept(*name, SweepResult.DONE)
        if plan.waiting:
            account.due = min(account.due, account.done + session.windows.second_sighting + 1.0)

    # --- what ---

    async def sweep(self, session: AccountSession) -> SweepPlan:
        """One sweep of one account. Raises RemoteError or KubernetesError if a read failed, and nothing was concluded;
        or, after all else was done, if an object could not be written."""
        begun, account = self._monotonic(), self._accounts.setdefault(session.key, self._account(session.key))
        account.cancels = [at for at in account.cancels if begun - at < self._settings.interval]
        rows, server_date, history = await self._list(session, account)
        objects = await self._reads.objects()
        self._decisions = {name: orphan.decision for name, orphan in objects.items()}
        rules = self._rules(session)
        thorough = history is not None or any(not orphan.closed for orphan in objects.values())
        resources = await self._reads.resources(rows, thorough=thorough)
        plan = plan_sweep(self._view(rows, server_date, resources, objects, account), rules)
        account.sightings = plan.sightings
        self._hand_over(session, plan)
        troubles: list[KubernetesError] = []
        if rules.cluster_wide:
            existing = account_names((*self._accounts, *self._store.accounts()))
            sweep = Sweep(
                session=session,
                plan=plan,
                objects=objects,
                accounts=account_names(item.key for item in self._with_same_key(session)),
                swept=account_names(self._accounts) if self._book.shard.alone else existing,
                existing=existing,
                server_date=server_date,
                history=history,
            )
            troubles += await self._keeper.report(sweep)
        else:
            await self._report_here(session, plan)
        if any(verdict.standing is Standing.ORPHAN for verdict in plan.cancels):
            # Telling of them took its time; whoever took one over meanwhile shall keep it.
            resources = await self._reads.resources(rows, thorough=True)
            again = plan_sweep(self._view(rows, server_date, resources, objects, account), rules)
            still = {(verdict.job.uuid, verdict.standing) for verdict in again.cancels}
            plan = replace(plan, cancels=tuple(v for v in plan.cancels if (v.job.uuid, v.standing) in still))
        troubles += await self._cancel(session, account, plan, rules)
        await self._tell(session, plan)
        account.full = begun if history is not None else account.full
        if troubles:
            raise troubles[0]
        return plan

    async def _cancel(
        self, session: AccountSession, account: _Account, plan: SweepPlan, rules: SweepRules
    ) -> list[KubernetesError]:
        """The cancels of a plan, one after the other; one that fails holds no other one up."""
        troubles: list[KubernetesError] = []
        for verdict in plan.cancels:
            if not self._leading():
                break
            account.cancels.append(self._monotonic())
            try:
                await self._cancels.end(session, verdict, rules)
            except RemoteError as error:
                _log.warning("remote job %s cannot be ended now: %s", verdict.job.uuid, error)
            except KubernetesError as error:
                _log.warning("remote job %s cannot be ended now: %s", verdict.job.uuid, error)
                troubles.append(error)
        return troubles

    async def _list(
        self, session: AccountSession, account: _Account
    ) -> tuple[tuple[RemoteJob, ...], int, tuple[RemoteJob, ...] | None]:
        """The live jobs and the service's time; once a day from a listing without a filter. Then all rows are given as
        well."""
        now = self._monotonic()
        if now - account.full < FULL_SECONDS:
            return *(await self._reads.live_jobs(session)), None
        rows, server_date = await self._reads.all_jobs(session, now=now)
        return rows, server_date, rows

    def _view(
        self,
        rows: Collection[RemoteJob],
        server_date: int,
        resources: Collection[Reading],
        objects: Mapping[str, Orphan],
        account: _Account,
    ) -> SweepView:
        recorded = recorded_jobs(resources)
        return SweepView(
            rows=tuple(rows),
            server_date=server_date,
            recorded=recorded,
            resources=possible_owners(resources, [row.title for row in rows if row.uuid not in recorded]),
            decisions={name: orphan.decision for name, orphan in objects.items()},
            sightings=account.sightings,
            spent=len(account.cancels),
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

    def _with_same_key(self, session: AccountSession) -> list[AccountSession]:
        pair = (session.client.host, session.client.public_key)
        return [item for item in self._book.sessions() if (item.client.host, item.client.public_key) == pair]

    def _doubt(self, session: AccountSession) -> str | None:
        """Why nothing may be concluded for any account with this key: cluster or account may be another one, so what is
        missing here says nothing (failure modes 28 and 70)."""
        for same in self._with_same_key(session):
            if same.hands_off is not None:
                return same.hands_off.message
            if same.awaits_poll:
                return "the known jobs are not found yet"
        return None

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
        if plan.held_back and plan.cancels:
            text = f"the sweep cancelled {len(plan.cancels)} jobs, the most that one may; {plan.held_back} more wait"
            await self._tell_account(session, EventReason.SWEEP_CAP_REACHED, text)

    async def _tell_account(self, session: AccountSession, reason: EventReason, text: str) -> None:
        _log.warning("account %s: %s", full_name(session.key), text)
        body = self._store.get(session.key)
        if body is not None:
            await self._keeper.tell(body, reason, text)
