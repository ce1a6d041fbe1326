"""One list poller per account: two list calls instead of two reads per job (architecture, "Queue and poller").

Why it exists: freshness for any number of jobs at a cost that does not grow with each of them. Invariants: a poll
that fails in any page changes nothing; an account without tracked jobs is not asked at all; `Retry-After` outranks
every wish to poll soon.
"""

from __future__ import annotations

import asyncio
import random as random_module
import time
from collections.abc import Awaitable, Callable, Collection

from dispersed_operator.errors import RemoteError, RemoteStatusError
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.listing import live_jobs, live_runs
from dispersed_operator.remote.view import RemoteView

_LONGEST_BACKOFF = 300.0


class AccountPoller:
    """Keeps a `RemoteView` fresh and names the jobs that deserve a reconcile.

    `interval` tells the seconds between polls, asked each time and varied by the share `jitter`; `shortest_gap` is the
    least time between the beginnings of two polls, however often `wake` is called. `tracked` is asked at each poll.
    `on_change` gets the uuids that changed and those that vanished from the live listing; it is not called with none.
    `on_success` gets the seconds that a poll took.
    """

    def __init__(
        self,
        client: DispersedClient,
        view: RemoteView,
        *,
        interval: Callable[[], float],
        tracked: Callable[[], Collection[str]],
        on_change: Callable[[Collection[str]], None],
        on_error: Callable[[RemoteError], None],
        on_success: Callable[[float], None],
        random: Callable[[], float] = random_module.random,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        shortest_gap: float = 2.0,
        jitter: float = 0.1,
    ) -> None:
        self._client = client
        self._view = view
        self._interval = interval
        self._tracked = tracked
        self._on_change = on_change
        self._on_error = on_error
        self._on_success = on_success
        self._random = random
        self._monotonic = monotonic
        self._sleep = sleep
        self._shortest_gap = shortest_gap
        self._jitter = jitter
        self._woken = asyncio.Event()
        self._failures = 0
        self._vanished: frozenset[str] = frozenset()

    def wake(self) -> None:
        """Poll soon: a job was created."""
        self._woken.set()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to poll for."""
        return not self._tracked()

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            self._woken.clear()
            begun = self._monotonic()
            rest = await self._poll_unless_idle()
            if rest is None:
                await self._rest(self._jittered(self._interval()), begun)
            else:
                await self._sleep(rest)

    async def poll(self) -> None:
        """One poll: list the live jobs, then the live runs, and report. Raises RemoteError and changes nothing then."""
        seen = self._monotonic()
        tracked = frozenset(self._tracked())
        jobs = await live_jobs(self._client)
        runs = await live_runs(self._client)
        changed = self._view.update_jobs(jobs, runs, tracked=tracked, seen=seen)
        vanished = self._view.vanished(tracked)
        changed |= vanished - self._vanished  # once: whoever reads such a job decides when to read it again
        self._vanished = vanished
        if changed:
            self._on_change(changed)

    async def _poll_unless_idle(self) -> float | None:
        """Seconds that must pass before the next poll after a failure; None if all is well."""
        if not self._tracked():
            return None
        begun = self._monotonic()
        try:
            await self.poll()
        except RemoteError as error:
            self._failures += 1
            self._on_error(error)
            return self._backoff(error)
        self._failures = 0
        self._on_success(self._monotonic() - begun)
        return None

    def _backoff(self, error: RemoteError) -> float:
        backoff = self._jittered(min(self._interval() * 2 ** min(self._failures - 1, 16), _LONGEST_BACKOFF))
        asked = error.retry_after if isinstance(error, RemoteStatusError) else None
        return max(backoff, asked or 0.0, self._client.limiter.paused_for)

    async def _rest(self, seconds: float, begun: float) -> None:
        """Sleep for `seconds` or until woken, but never less than the shortest gap."""
        timer = asyncio.ensure_future(self._sleep(seconds))
        woken = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait({timer, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            woken.cancel()
        gap = begun + self._shortest_gap - self._monotonic()
        if gap > 0:
            await self._sleep(gap)

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 + self._jitter * (2 * self._random() - 1))
