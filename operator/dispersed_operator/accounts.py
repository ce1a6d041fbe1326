"""The accounts that this process has opened: client, clock, listings, view and poller of each.

A job asks here what may be done with its account at this moment; the answer is computed each time and never stored.
Sessions are opened and closed by `account_reconciler` alone; what is learnt of an account on the way (its identity, a
refused key, a failed poll) is noted here by whoever learns it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from dispersed_operator.model.intent import AccountMark
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import Listing
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.planning.account import clock_problem
from dispersed_operator.planning.breaker import CLOSED, Breaker, after_poll, doubt
from dispersed_operator.planning.matching import ListingIndex, index_listing
from dispersed_operator.planning.vocabulary import AccountFacts, Problem
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.listing import ListingService
from dispersed_operator.remote.poller import AccountPoller
from dispersed_operator.remote.probes import Probes
from dispersed_operator.remote.view import RemoteView

NOWHERE = ProofWindows()


@dataclass(slots=True, eq=False)
class AccountSession:
    """One opened account. `problem` is why nothing may be created with it (None: ready). Times are monotonic
    seconds. `awaits_poll`: several jobs are known to live, and no poll has shown yet whether this key knows them.
    `on_doubt` is called when the breaker opens or closes. `frozen`: the cluster may be a copy of another one, so
    nothing may be cancelled either. `expected_identity`: uuid of the account that has the live jobs, where it is known.
    """

    key: ResourceKey
    client: DispersedClient
    listings: ListingService
    view: RemoteView
    poller: AccountPoller
    windows: ProofWindows
    max_clock_offset: float
    secret_name: str
    problem: Problem | None
    probes: Probes | None = None
    identity: str | None = None
    continuous_keys: set[str] = field(default_factory=set)
    last_answer: float = float("-inf")
    poll_failed: bool = False
    poll_task: asyncio.Task[None] | None = None
    newest_index: ListingIndex | None = None
    breaker: Breaker = CLOSED
    awaits_poll: bool = False
    on_doubt: Callable[[], object] = lambda: None
    frozen: Problem | None = None
    expected_identity: str | None = None

    @property
    def mark(self) -> AccountMark:
        return AccountMark(self.client.host, self.client.public_key, self.identity)

    def blocker(self) -> Problem | None:
        """Why nothing may be created now, None if creating is allowed."""
        if self.problem is not None:
            return self.problem
        if self.hands_off is not None:
            return self.hands_off
        if self.awaits_poll:
            return Problem(Reason.ACCOUNT_PROBING, "the known jobs of the account are being looked for")
        if self.probes is None:
            return Problem(Reason.ACCOUNT_PROBING, "the account is being checked")
        return clock_problem(self.client.clock.offset(), self.max_clock_offset)

    def judge(self, breaker: Breaker) -> None:
        """Take a new judgement of what vanished; a change is told, so that the account shows it and wakes its jobs."""
        before = self.doubt
        self.breaker = breaker
        if (before and before.reason) != (self.doubt and self.doubt.reason):
            self.on_doubt()

    def forget_jobs_if_idle(self) -> None:
        """Without a job to poll for no poll comes, so nothing may wait for one, and nobody is left to be missed."""
        if self.poller.idle:
            self.awaits_poll = False
            self.judge(after_poll(self.breaker, (), ()))

    @property
    def doubt(self) -> Problem | None:
        """The key is another account's, or so many jobs vanished at once that it may be: no job is believed to be gone
        (failure mode 28)."""
        if self.expected_identity and self.identity and self.identity != self.expected_identity:
            return Problem(
                Reason.ACCOUNT_MISMATCH,
                f"the key belongs to the account {self.identity}, but live jobs of this DispersedAccount belong to "
                f"{self.expected_identity}; nothing is created or given up until the right key is back",
            )
        return doubt(self.breaker, namespace=self.key.namespace, name=self.key.name)

    @property
    def hands_off(self) -> Problem | None:
        """Why no remote job may be judged by what is not there: the cluster, or the account, may be another one."""
        return self.frozen or self.doubt

    def effective_windows(self) -> ProofWindows:
        """The proof windows with the signature window that the probes found (protocol, "checked per account")."""
        found = self.probes.window_seconds if self.probes is not None else None
        if found is None or found <= self.windows.signature_window:
            return self.windows
        return replace(self.windows, signature_window=float(found))

    def index(self, listing: Listing) -> ListingIndex:
        """The index of a listing, made once per listing."""
        if self.newest_index is None or self.newest_index.listing is not listing:
            self.newest_index = index_listing(listing)
        if listing.account_identity is not None:
            self.identity = listing.account_identity
        return self.newest_index

    async def close(self) -> None:
        """Stop polling and listing."""
        if self.poll_task is not None:
            self.poll_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.poll_task
        await self.listings.aclose()


class AccountBook:
    """The open sessions by account, and what they mean for jobs. `exists` tells whether there is such an account."""

    def __init__(
        self, *, windows_for: Callable[[str], ProofWindows], exists: Callable[[ResourceKey], bool] = lambda _: False
    ) -> None:
        self._sessions: dict[ResourceKey, AccountSession] = {}
        self._problems: dict[ResourceKey, Problem] = {}
        self.windows_for = windows_for
        self._exists = exists

    def get(self, namespace: str, name: str) -> AccountSession | None:
        """The session of an account, None if none is open."""
        return self._sessions.get(ResourceKey(Kind.ACCOUNT, namespace, name))

    def sessions(self) -> Iterable[AccountSession]:
        return tuple(self._sessions.values())

    def open(self, session: AccountSession) -> None:
        """Register a session; the caller closed the one before it."""
        self._sessions[session.key] = session

    def take(self, key: ResourceKey) -> AccountSession | None:
        """Remove and return a session, so that nobody starts anything new with it."""
        return self._sessions.pop(key, None)

    def set_problem(self, key: ResourceKey, problem: Problem | None) -> None:
        """Note why an account is not ready; it also blocks an open session."""
        if problem is None:
            self._problems.pop(key, None)
        else:
            self._problems[key] = problem
        session = self._sessions.get(key)
        if session is not None:
            session.problem = problem

    def facts(self, namespace: str, name: str) -> AccountFacts:
        """The account as a job sees it now."""
        key = ResourceKey(Kind.ACCOUNT, namespace, name)
        session = self._sessions.get(key)
        if session is None:
            if self._exists(key):
                missing = Problem(Reason.ACCOUNT_PROBING, "the account is being checked")
            else:
                missing = Problem(Reason.INVALID_REFERENCE, f"the DispersedAccount {namespace}/{name} does not exist")
            return AccountFacts(
                name=name,
                mark=None,
                blocker=self._problems.get(key, missing),
                reachable=False,
                expiry_enforced=None,
                windows=NOWHERE,
                server_time=None,
                server_date_age=None,
            )
        clock = session.client.clock
        return AccountFacts(
            name=name,
            mark=session.mark,
            blocker=session.blocker(),
            reachable=True,
            expiry_enforced=session.probes.expiry_enforced if session.probes is not None else None,
            windows=session.effective_windows(),
            server_time=clock.now(),
            server_date_age=clock.age(),
            continuous_keys=frozenset(session.continuous_keys),
            doubt=session.doubt,
            frozen=session.frozen,
        )


def total_rate(rates: Iterable[Decimal | None]) -> Decimal:
    """The sum of the rates that are known."""
    return sum((rate for rate in rates if rate is not None), Decimal(0))
