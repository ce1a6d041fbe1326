"""The accounts that this process has opened: client, clock, listings, view and poller of each.

A job asks here what may be done with its account at this moment; the answer is computed each time and never stored.
Sessions are opened and closed by `account_reconciler` alone; what is learnt of an account on the way (its identity, a
refused key, a failed poll) is noted here by whoever learns it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from dispersed_operator.model.account_names import described, spelled
from dispersed_operator.model.intent import AccountMark
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import Listing
from dispersed_operator.model.shard import Shard
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
AWAITS_POLL = Problem(Reason.ACCOUNT_PROBING, "the known jobs of the account are being looked for")


@dataclass(slots=True, eq=False)
class AccountSession:
    """One opened account. `problem` is why nothing may be created with it (None: ready). Times are monotonic
    seconds. `awaits_poll`: several jobs are known to live, and no poll has shown yet whether this key knows them.
    `on_doubt` has the account looked at at once: the breaker opened or closed, or the key is in question. `frozen`: the
    cluster may be a copy of another one, so nothing may be cancelled either. `expected_identity`: uuid of the account
    that has the live jobs, where it is known. `silent`: the account's own last question was not answered well.
    `believed_since`: when the last doubt of the breaker ended; what was read before may come from a service that was
    blind.
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
    silent: bool = False
    believed_since: float = float("-inf")
    monotonic: Callable[[], float] = time.monotonic

    @property
    def mark(self) -> AccountMark:
        return AccountMark(self.client.host, self.client.public_key, self.identity)

    def blocker(self) -> Problem | None:
        """Why nothing may be created now, None if creating is allowed."""
        if self.problem is not None:
            return self.problem
        if self.hands_off is not None:
            return self.hands_off
        if self.probes is None:
            return Problem(Reason.ACCOUNT_PROBING, "the account is being checked")
        skew = clock_problem(self.client.clock.offset(), self.max_clock_offset)
        return skew or (AWAITS_POLL if self.awaits_poll else None)

    def stop(self, problem: Problem) -> None:
        """The key was refused, or is another one by now: nobody creates with it until the account has looked for
        itself, which it does at once. What is stopped already is being looked after."""
        first = self.problem is None
        self.problem = problem
        if first:
            self.on_doubt()

    def judge(self, breaker: Breaker) -> None:
        """Take a new judgement of what vanished; a change is told, so that the account shows it and wakes its jobs."""
        before = self.doubt
        self.breaker = breaker
        if (before and before.reason) != (self.doubt and self.doubt.reason):
            if self.doubt is None:
                self.believed_since = self.monotonic()
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
                f"the key belongs to the account {self.identity}, but live jobs of this {self.key.kind} belong to "
                f"{self.expected_identity}; nothing is created or given up until the right key is back",
            )
        return doubt(self.breaker, self.key)

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
    """The open sessions by account, and what they mean for jobs. `exists` tells whether there is such an account;
    `cluster_wide` whether ClusterDispersedAccounts are known at all; `shard` which accounts are this process's."""

    def __init__(
        self,
        *,
        windows_for: Callable[[str], ProofWindows],
        exists: Callable[[ResourceKey], bool] = lambda _: False,
        cluster_wide: bool = True,
        shard: Shard | None = None,
    ) -> None:
        self._sessions: dict[ResourceKey, AccountSession] = {}
        self._problems: dict[ResourceKey, Problem] = {}
        self.windows_for = windows_for
        self._exists = exists
        self._cluster_wide = cluster_wide
        self.shard = shard if shard is not None else Shard()

    def account_of(self, resource: JobResource) -> ResourceKey | None:
        """The account of a job as things stand; None if there are two that may have its job.

        Where all records of a create are lost, our finalizer still says that there was one. With two defaults nothing
        tells for which of them it was signed, and the other one's listing would prove an absence that is none.
        """
        there = [account for account in resource.accounts if self._exists(account)]
        if len(there) > 1 and resource.has_trace and resource.intent is None:
            return None
        return there[0] if there else resource.accounts[0]

    def owns_job(self, accounts: Sequence[ResourceKey]) -> bool:
        """Whether this shard works for a job that can mean these accounts: by the first that exists, and if none does
        by the first, so that somebody says what is missing."""
        return self.shard.owns(next((account for account in accounts if self._exists(account)), accounts[0]))

    def session_of(self, resource: JobResource) -> AccountSession | None:
        """The session of a job's account, None if none is open."""
        account = self.account_of(resource)
        return self._sessions.get(account) if account is not None else None

    def facts_for(self, resource: JobResource) -> AccountFacts:
        """The account of a job as the job sees it now."""
        account = self.account_of(resource)
        return self.facts(account) if account is not None else _closed(resource.accounts[0], _TWO_DEFAULTS)

    def get(self, account: ResourceKey) -> AccountSession | None:
        """The session of an account, None if none is open."""
        return self._sessions.get(account)

    def sessions(self) -> Iterable[AccountSession]:
        return tuple(self._sessions.values())

    @property
    def live_jobs(self) -> int:
        """How many remote jobs this process watches."""
        return sum(session.view.watched for session in self._sessions.values())

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

    def facts(self, key: ResourceKey) -> AccountFacts:
        """The account as a job sees it now."""
        session = self._sessions.get(key)
        if session is None:
            return _closed(key, self._problems.get(key) or self._missing(key))
        clock, blocker = session.client.clock, session.blocker()
        return AccountFacts(
            name=spelled(key),
            mark=session.mark,
            blocker=blocker,
            reachable=True,
            expiry_enforced=session.probes.expiry_enforced if session.probes is not None else None,
            windows=session.effective_windows(),
            server_time=clock.now(),
            server_date_age=clock.age(),
            continuous_keys=frozenset(session.continuous_keys),
            doubt=session.doubt,
            frozen=session.frozen,
            shared=key.kind is Kind.CLUSTER_ACCOUNT,
            awaits_poll=blocker == AWAITS_POLL and session.hands_off is None,
            believed_since=session.believed_since,
        )

    def _missing(self, key: ResourceKey) -> Problem:
        if self._exists(key):
            return Problem(Reason.ACCOUNT_PROBING, "the account is being checked")
        text = f"the {described(key)} does not exist"
        if key.kind is Kind.CLUSTER_ACCOUNT and not self._cluster_wide:
            text = f"the {described(key)} is of no use here: this operator serves some namespaces only"
        return Problem(Reason.INVALID_REFERENCE, text)


_TWO_DEFAULTS = Problem(
    Reason.ACCOUNT_MISMATCH,
    "the records of a create are lost, and it may have been signed for the DispersedAccount default or for the "
    "ClusterDispersedAccount default; set spec.accountRef to the one that has the job",
)


def _closed(key: ResourceKey, problem: Problem) -> AccountFacts:
    """An account that cannot be asked anything."""
    return AccountFacts(
        name=spelled(key),
        mark=None,
        blocker=problem,
        reachable=False,
        expiry_enforced=None,
        windows=NOWHERE,
        server_time=None,
        server_date_age=None,
        shared=key.kind is Kind.CLUSTER_ACCOUNT,
    )


def total_rate(rates: Iterable[Decimal | None]) -> Decimal:
    """The sum of the rates that are known."""
    return sum((rate for rate in rates if rate is not None), Decimal(0))
