"""Opening an account: the client, its clock and limiter, the listings, and the poller that feeds the queue."""

from __future__ import annotations

import asyncio
import functools
import logging
import random as random_module
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import httpx

from dispersed_operator.accounts import AccountBook, AccountSession
from dispersed_operator.config import Settings
from dispersed_operator.errors import RateLimited, RemoteError
from dispersed_operator.model.account import AccountSpec
from dispersed_operator.model.account_names import full_name
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.reading import JobOutline
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.planning.breaker import LEAST_JOBS, after_poll
from dispersed_operator.remote.client import DispersedClient, fresh_nonce
from dispersed_operator.remote.clock import ServerClock
from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.remote.listing import ListingService
from dispersed_operator.remote.poller import MANY_ENDED, AccountPoller
from dispersed_operator.remote.signing import Credentials
from dispersed_operator.remote.view import RemoteView
from dispersed_operator.store import ResourceStore
from dispersed_operator.telemetry.metrics import Metrics
from dispersed_operator.workqueue import Lane, WorkQueue

_log = logging.getLogger(__name__)

TERMINAL_PHASES = frozenset({"Succeeded", "Failed", "Stopped"})
UNSETTLED_PHASES = frozenset({"Queued", "Starting", "Stopping"})
IN_QUESTION = frozenset({Reason.REMOTE_VANISHED.value, Reason.OWNERSHIP_AMBIGUOUS.value})


class KnownJobs:
    """The remote jobs of one account's resources, as their statuses say."""

    def __init__(self, store: ResourceStore, account: ResourceKey) -> None:
        self._store = store
        self._account = account
        self._seen_at = -1
        self._tracked: frozenset[str] = frozenset()
        self._hurried: frozenset[str] = frozenset()
        self._certain: frozenset[str] = frozenset()

    def tracked(self) -> frozenset[str]:
        """Those that are not over."""
        self._look()
        return self._tracked

    def hurried(self) -> frozenset[str]:
        """Those that start or stop, which are watched more closely."""
        self._look()
        return self._hurried

    def certain(self) -> frozenset[str]:
        """Those that are not over and not in question for themselves."""
        self._look()
        return self._certain

    def _look(self) -> None:
        """Read the store again if it has changed: the poller asks at every look at the service, and there may be
        thousands."""
        if self._seen_at == self._store.changes:
            return
        self._seen_at = self._store.changes
        alive = [(uuid, job) for uuid, job in self._jobs() if job.phase not in TERMINAL_PHASES]
        self._tracked = frozenset(uuid for uuid, _ in alive)
        self._hurried = frozenset(uuid for uuid, job in alive if job.phase in UNSETTLED_PHASES)
        self._certain = frozenset(uuid for uuid, job in alive if IN_QUESTION.isdisjoint(job.stalled))

    def _jobs(self) -> Iterator[tuple[str, JobOutline]]:
        """Remote uuid and outline of each resource that has a remote job. One that was suspended and is verified to be
        over is left out: that no listing shows it is no news."""
        for job in self._store.outlines_of_account(self._account):
            if job.job_uuid and not job.ended:
                yield job.job_uuid, job


class SessionFactory:
    """Makes sessions whose poller reports to the queue. `many_ended`: as the poller has it."""

    def __init__(
        self,
        *,
        settings: Settings,
        http: httpx.AsyncClient,
        book: AccountBook,
        store: ResourceStore,
        queue: WorkQueue[ResourceKey],
        metrics: Metrics,
        redactor: Redactor,
        fatal: Callable[[BaseException], None],
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        random: Callable[[], float] = random_module.random,
        nonces: Callable[[], str] = fresh_nonce,
        many_ended: int = MANY_ENDED,
    ) -> None:
        self._settings = settings
        self._http = http
        self._book = book
        self._store = store
        self._queue = queue
        self._metrics = metrics
        self._redactor = redactor
        self._fatal = fatal
        self._monotonic = monotonic
        self._wall = wall
        self._random = random
        self._nonces = nonces
        self._many_ended = many_ended

    def open(self, key: ResourceKey, body: Mapping[str, Any], credentials: Credentials) -> AccountSession:
        """Open the account with this key pair and start polling. Raises SettingsError for a base URL that must not be
        used."""
        spec = AccountSpec.from_api(body["spec"])
        client = DispersedClient(
            self._http,
            base_url=spec.base_url,
            credentials=credentials,
            clock=ServerClock(monotonic=self._monotonic, wall=self._wall),
            limiter=Limiter(spec.requests_per_minute, self._settings.remote_concurrency, monotonic=self._monotonic),
            nonces=self._nonces,
            outside=self._redactor.outside(str(key)),
            random=self._random,
            monotonic=self._monotonic,
            on_response=self._metrics.remote_request,
        )
        view, known = RemoteView(), KnownJobs(self._store, key)
        poller = AccountPoller(
            client,
            view,
            interval=lambda: float(spec.polling.interval_seconds),
            tracked=known.tracked,
            hurried=known.hurried,
            on_change=self._changed,
            on_error=functools.partial(self._poll_failed, key),
            jitter=self._settings.poll_jitter_ratio,
            on_success=functools.partial(self._polled, key, known),
            random=self._random,
            monotonic=self._monotonic,
            many_ended=self._many_ended,
        )
        session = AccountSession(
            key=key,
            client=client,
            listings=ListingService(client, monotonic=self._monotonic),
            view=view,
            poller=poller,
            windows=self._book.windows_for(spec.base_url),
            max_clock_offset=self._settings.max_clock_offset_seconds,
            secret_name=spec.credentials_secret_ref.name,
            problem=None,
            awaits_poll=len(known.certain()) >= LEAST_JOBS,
            monotonic=self._monotonic,
            on_doubt=functools.partial(self._queue.add, key, Lane.LIFECYCLE),
        )
        session.poll_task = asyncio.create_task(poller.run(), name=f"poller-{full_name(key)}")
        session.poll_task.add_done_callback(self._poller_ended)
        return session

    def _poller_ended(self, task: asyncio.Task[None]) -> None:
        """A poller ends only when its session is closed; otherwise nobody would notice that statuses stand still."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal(error)

    def _changed(self, uuids: Collection[str]) -> None:
        for uuid in uuids:
            for job in self._store.by_uuid(uuid):
                self._queue.add(job, Lane.POLLING)

    def _poll_failed(self, key: ResourceKey, error: RemoteError) -> None:
        """The account asks for itself what is wrong, and tells its jobs. A rate limit is only waited for."""
        session = self._book.get(key)
        if session is not None:
            session.poll_failed = True
        _log.warning("account %s: the poll failed: %s", full_name(key), error)
        if isinstance(error, RateLimited):
            return
        if session is not None:
            session.last_answer = float("-inf")
        self._queue.add(key, Lane.LIFECYCLE)

    def _polled(self, key: ResourceKey, known: KnownJobs, seconds: float) -> None:
        self._metrics.polled(key.namespace, key.name, seconds)
        session = self._book.get(key)
        if session is not None:
            session.last_answer = self._monotonic()
            session.poll_failed = False
            self._judge(session, known.certain())

    def _judge(self, session: AccountSession, known: Collection[str]) -> None:
        """Whether this poll lacks so many of the known jobs that the account itself is in question."""
        session.judge(after_poll(session.breaker, known, session.view.vanished(known)))
        if session.awaits_poll:
            session.awaits_poll = False
            session.on_doubt()
