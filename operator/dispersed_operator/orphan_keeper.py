"""DispersedOrphans kept in step with what the sweep finds: made, refreshed, refused, closed.

An orphan object is what a person sees and answers. Its life follows the job: made at the second sighting, its rate and
cost written every few minutes, closed when the job has ended or is owned again.

Invariant: nothing here touches a remote job. A decision on an object whose job is not an orphan of this cluster is
answered with an Event and a condition, and changes nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dispersed_operator.accounts import AccountSession
from dispersed_operator.errors import (
    KubernetesConflict,
    KubernetesError,
    KubernetesNotFound,
    RemoteError,
    RemoteNotFound,
)
from dispersed_operator.kube.events import EventRecorder
from dispersed_operator.model import naming
from dispersed_operator.model.account_names import full_name
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.observed import epoch
from dispersed_operator.model.orphan import TOKEN_PREFIX, OrphanDecision, orphan_name
from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.orphans import Orphan, Orphans
from dispersed_operator.planning.account import key_fingerprint
from dispersed_operator.planning.orphans import closed_status, is_worth_writing, refused_status, seen_status
from dispersed_operator.planning.sweep import Standing, SweepPlan, Verdict, refusal

UNCLAIMED_SECONDS = 3600
_OTHER_KEY = "the account {} does not know this remote job, but nothing shows that it has the same key as before;"
_DELETE_IT = "delete this object if the job is certainly over"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep of an account saw. `history`: every row there is, None if only live ones were listed. `accounts`:
    all accounts (namespace/name) with the same key. `swept`: the accounts that are swept, one for each key, or all that
    there are if other shards sweep some of them; `existing`: all that there are, whether they work or not."""

    session: AccountSession
    plan: SweepPlan
    objects: Mapping[str, Orphan]
    accounts: Collection[str]
    swept: Collection[str]
    existing: Collection[str]
    server_date: int
    history: tuple[RemoteJob, ...] | None

    @property
    def account(self) -> str:
        return full_name(self.session.key)

    @property
    def key_fingerprint(self) -> str:
        return key_fingerprint(self.session.client.public_key)


class OrphanKeeper:
    """Keeps the objects of one installation with cluster-wide rights. `wall` is in epoch seconds."""

    def __init__(
        self, orphans: Orphans, recorder: EventRecorder, *, wall: Callable[[], float], second_sighting: float
    ) -> None:
        self._orphans = orphans
        self._recorder = recorder
        self._wall = wall
        self._second_sighting = second_sighting
        self._missing: dict[str, int] = {}
        self._unknown_to: dict[str, set[str]] = {}

    async def report(self, sweep: Sweep) -> list[KubernetesError]:
        """Bring the objects of this account in line; gives the troubles on the way. One object that cannot be written
        holds up no other one, and a conflict only leaves it for the next sweep."""
        verdicts = {orphan_name(uuid=verdict.job.uuid, token=None): verdict for verdict in sweep.plan.verdicts}
        troubles: list[KubernetesError] = []
        self._unknown_to = {name: found for name, found in self._unknown_to.items() if name in sweep.objects}
        for name, verdict in verdicts.items():
            if verdict.standing is Standing.ORPHAN and verdict.confirmed:
                troubles += await self._each(self._keep(sweep, name, verdict))
        for name, orphan in sweep.objects.items():
            verdict_of = verdicts.get(name)
            if verdict_of is not None:
                self._unknown_to.pop(name, None)
                troubles += await self._each(self._answer(sweep, orphan, verdict_of))
            elif not orphan.closed and orphan.status.get("account") in sweep.accounts:
                troubles += await self._each(self._look_for_end(sweep, orphan))
            elif not orphan.closed and orphan.status.get("account") not in sweep.existing:
                troubles += await self._each(self._search(sweep, orphan))
        return troubles

    async def cancelled(self, session: AccountSession, orphan: Orphan, job: RemoteJob, now: float) -> None:
        """The sweep cancelled the job, which was then read as `job`."""
        text = f"remote job {job.uuid}, which no resource owns, was cancelled; it is {job.status}"
        await self.tell(orphan.body, EventReason.ORPHAN_CANCELLED, text)
        if job.terminal:
            await self._each(self._close(session, orphan, job, now))

    async def tell(self, regarding: Mapping[str, Any], reason: EventReason, text: str) -> None:
        """An Event that somebody should read."""
        await self._recorder.record(
            regarding=regarding, type_="Warning", reason=reason.value, message=text, action="Sweep"
        )

    async def _each(self, work: Awaitable[None]) -> list[KubernetesError]:
        """One object at a time: who loses a race over one, or finds it deleted, goes on with the others."""
        try:
            await work
        except (KubernetesConflict, KubernetesNotFound) as error:
            _log.info("a DispersedOrphan changed meanwhile, the next sweep looks at it again: %s", error)
        except KubernetesError as error:
            _log.warning("a DispersedOrphan cannot be brought in line now: %s", error)
            return [error]
        return []

    async def _keep(self, sweep: Sweep, name: str, verdict: Verdict) -> None:
        known, job, now = sweep.objects.get(name), verdict.job, sweep.server_date
        if known is not None and not is_worth_writing(known.status, job, now):
            return
        orphan = known or await self._orphans.open(name, verdict.decision)
        runs = await _runs_of(sweep.session, job)
        status = seen_status(
            orphan.status, job, runs, account=sweep.account, key_fingerprint=sweep.key_fingerprint, now=now
        )
        written = await self._orphans.write(orphan, status)
        if known is None or known.closed or not known.status.get("phase"):
            text = f"remote job {job.uuid} lives and {verdict.reason}; decide in spec.decision: Cancel, Keep or Adopt"
            await self.tell(written.body, EventReason.ORPHAN_FOUND, text)
            _log.warning("account %s: remote job %s lives and %s", sweep.account, job.uuid, verdict.reason)

    async def _answer(self, sweep: Sweep, orphan: Orphan, verdict: Verdict) -> None:
        """An object whose job lives, but is no orphan now."""
        refused = refusal(verdict) if orphan.decision is OrphanDecision.CANCEL else None
        if refused is not None:
            await self._refuse(orphan, f"remote job {verdict.job.uuid}: {refused}")
        elif verdict.standing is Standing.OWNED and not orphan.closed:
            await self._orphans.write(orphan, closed_status(orphan.status, verdict.job, now=sweep.server_date))
            await self.tell(orphan.body, EventReason.ORPHAN_CLOSED, f"remote job {verdict.job.uuid}: {verdict.reason}")
        elif orphan.status.get("conditions"):
            settled = {name: value for name, value in orphan.status.items() if name != "conditions"}
            await self._orphans.write(orphan, settled)

    async def _refuse(self, orphan: Orphan, message: str) -> None:
        conditions = orphan.status.get("conditions") or ()
        if any(item.get("message") == message for item in conditions):
            return
        generation = int(orphan.body["metadata"].get("generation") or 0)
        status = refused_status(orphan.status, message, now=self._wall(), generation=generation)
        written = await self._orphans.write(orphan, status)
        if orphan.decision is OrphanDecision.CANCEL:
            await self.tell(written.body, EventReason.DECISION_REFUSED, message)

    async def _look_for_end(self, sweep: Sweep, orphan: Orphan) -> None:
        """An open object whose job is not among the live ones: it is read before anything is concluded."""
        uuid = orphan.status.get("uuid")
        if not isinstance(uuid, str) or not uuid:
            await self._close_unclaimed(sweep, orphan)
            return
        try:
            job = await sweep.session.client.get_job(uuid)
        except RemoteNotFound:
            if orphan.status.get("keyFingerprint") != sweep.key_fingerprint:
                await self._refuse(orphan, f"{_OTHER_KEY.format(sweep.account)} {_DELETE_IT}")
                return
            first = self._missing.setdefault(uuid, sweep.server_date)
            if sweep.server_date - first >= self._second_sighting:
                await self._close(sweep.session, orphan, None, sweep.server_date)
            return
        except RemoteError as error:
            _log.warning("remote job %s of a DispersedOrphan cannot be read: %s", uuid, error)
            return
        self._missing.pop(uuid, None)
        if job.terminal:
            await self._close(sweep.session, orphan, job, sweep.server_date)

    async def _search(self, sweep: Sweep, orphan: Orphan) -> None:
        """An object of no account that there is: made by hand, or left over from an account that was deleted. It is
        answered once every account was asked."""
        if orphan.name.startswith(TOKEN_PREFIX):
            return  # speaks of a job that may show up yet
        try:
            job = await sweep.session.client.get_job(str(orphan.status.get("uuid") or orphan.name))
        except RemoteNotFound:
            unknown_to = self._unknown_to.setdefault(orphan.name, set())
            unknown_to.add(sweep.account)
            if unknown_to >= set(sweep.swept):
                await self._refuse(orphan, f"no account of this installation knows this remote job; {_DELETE_IT}")
            return
        except RemoteError as error:
            _log.warning("the remote job of a DispersedOrphan cannot be read: %s", error)
            return
        if job.terminal:
            await self._close(sweep.session, orphan, job, sweep.server_date)

    async def _close_unclaimed(self, sweep: Sweep, orphan: Orphan) -> None:
        """A create of which only the token is known: found, ended, or provably without a job."""
        token = orphan.status.get("token")
        found = [verdict.job for verdict in sweep.plan.verdicts if _token_of(verdict.job) == token]
        if found:
            return  # alive: its own object carries on once it is an orphan
        if sweep.history is None:
            return
        ended = next((row for row in sweep.history if _token_of(row) == token), None)
        made = epoch(orphan.body["metadata"].get("creationTimestamp")) or 0
        absent = self._wall() - made > UNCLAIMED_SECONDS
        if ended is None and absent and orphan.status.get("keyFingerprint") != sweep.key_fingerprint:
            await self._refuse(orphan, f"{_OTHER_KEY.format(sweep.account)} {_DELETE_IT}")
        elif ended is not None or absent:
            await self._close(sweep.session, orphan, ended, sweep.server_date)

    async def _close(self, session: AccountSession, orphan: Orphan, job: RemoteJob | None, now: float) -> None:
        runs = await _runs_of(session, job) if job is not None else ()
        written = await self._orphans.write(orphan, closed_status(orphan.status, job, runs, now=now))
        text = f"remote job {job.uuid} is {job.status}" if job is not None else "the service knows no such job any more"
        await self._recorder.record(
            regarding=written.body, type_="Normal", reason=EventReason.ORPHAN_CLOSED.value, message=text, action="Sweep"
        )


def account_names(keys: Iterable[ResourceKey]) -> frozenset[str]:
    """Accounts as a DispersedOrphan names them."""
    return frozenset(full_name(key) for key in keys)


async def _runs_of(session: AccountSession, job: RemoteJob) -> tuple[RemoteRun, ...]:
    """Rate and cost are worth having, but nothing waits for them."""
    try:
        return await session.client.list_runs(job.uuid)
    except RemoteError as error:
        _log.info("the runs of remote job %s cannot be read: %s", job.uuid, error)
        return ()


def _token_of(job: RemoteJob) -> str | None:
    title = naming.parse_title(job.title)
    return title.token if title is not None else None
