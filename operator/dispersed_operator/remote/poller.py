"""One list poller per account: pages of a list instead of reads of each job (architecture, "Queue and poller").

Why it exists: freshness for any number of jobs at a cost that does not grow with each of them (docs/polling.md has the
formula). A whole poll reads every page of the live jobs; the runs are read with it where jobs are on their way, and all
of them once a minute or less often. Between whole polls of a long list, a glance reads the newest pages only: jobs that
start are there, and a total that fell tells of jobs that ended. While it stands still, whole polls are further apart.

Invariants: a poll that fails in any page changes nothing; only a whole poll says that a job is absent; an account
without tracked jobs is not asked at all; `Retry-After` outranks every wish to poll soon; whole polls of a list of any
length take at most half of the time, and at most `CALLS_PER_SECOND` calls on average.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from dispersed_operator.errors import RemoteError, RemoteStatusError
from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.live import Live, ended_jobs, live_jobs, live_runs, side_by_side
from dispersed_operator.remote.rows import job_rows, run_rows
from dispersed_operator.remote.view import RemoteView
from dispersed_operator.workqueue import Lane

PAGES_ABREAST = 4
"""Pages read at once at most; and never more than a quarter of what the limiter lets through, so that creates and
cancels find room. The first poll of all may take half of it."""
CALLS_PER_SECOND = 8.0
CALM_CALLS_PER_SECOND = 2.0
"""While no job starts or stops and their number is what it was: nothing is awaited."""
LONGEST_CALM = 240.0
"""Seconds between two whole polls of a list that stands still, at most, as far as its calls allow: the alert on old
polls speaks of 300."""
SHORT_PAGES = 2
"""A list of so many pages is always read whole; a glance at a longer one reads so many."""
RUNS_SECONDS = 60.0
RUNS_POLLS = 5
"""Runs of a long list are read so often, or with every fifth calm poll if that is less often, for what shows in no
job's row: a run that took another's place."""
HURRIED_SHARE = 3
"""So many times as often, jobs that start or stop are looked at, and a long list is glanced at."""
ENDED_SHARE = 2
"""Where jobs have ended, the next whole poll may come so many times as soon."""
MANY_ENDED = 16
ENDED_PER_PAGE = 8
"""One page of the ended jobs is read for so many that are sought at most: those not found are read one by one."""
_LONGEST_BACKOFF = 300.0

_log = logging.getLogger(__name__)


class AccountPoller:
    """Keeps a `RemoteView` fresh and names the jobs that deserve a reconcile.

    `interval` tells the seconds between whole polls, asked each time and varied by the share `jitter`; `shortest_gap`
    is the least time between the beginnings of two polls, however often `wake` is called. `tracked` are the jobs of
    interest, `hurried` those of them that start or stop; both are asked at each poll.
    `on_change` gets the uuids that changed and those that vanished from the live listing; it is not called with none.
    `on_success` gets the seconds that a whole poll took. `many_ended`: if so many jobs left the live list between two
    whole polls, their rows are sought in the list of ended jobs.
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
        hurried: Callable[[], Collection[str]] = frozenset,
        random: Callable[[], float] = random_module.random,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        shortest_gap: float = 2.0,
        jitter: float = 0.1,
        many_ended: int = MANY_ENDED,
    ) -> None:
        self._client = client
        self._view = view
        self._interval = interval
        self._tracked = tracked
        self._hurried = hurried
        self._on_change = on_change
        self._on_error = on_error
        self._on_success = on_success
        self._random = random
        self._monotonic = monotonic
        self._sleep = sleep
        self._shortest_gap = shortest_gap
        self._jitter = jitter
        self._many_ended = many_ended
        self._woken = asyncio.Event()
        self._answers = asyncio.Event()
        self._failures = 0
        self._vanished: frozenset[str] = frozenset()
        self._job_rows = job_rows()
        self._run_rows = run_rows()
        self._pages = 0
        self._counted: int | None = None
        self._whole_due = self._whole_possible = self._whole_possible_for_ended = float("-inf")
        self._runs_due = float("-inf")

    def wake(self) -> None:
        """Poll soon: a job was created. A poll that failed is not repeated for that."""
        self._woken.set()

    def resume(self) -> None:
        """The service answers again: what is left of a back-off is not waited for."""
        self._answers.set()

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
                await self._rest(self._until_next(begun), begun, self._woken)
            else:
                self._answers.clear()
                await self._rest(rest, begun, self._answers)

    async def poll(self) -> None:
        """One whole poll: list the live jobs, then the live runs, and report. Raises RemoteError and changes nothing
        then."""
        seen = self._monotonic()
        tracked = frozenset(self._tracked())
        self._job_rows.start_over()
        jobs = await live_jobs(self._client, abreast=self._abreast, read=self._job_rows.read_page)
        moving = self._moving(jobs.rows, tracked)
        if jobs.pages <= SHORT_PAGES or seen >= self._runs_due or len(moving) >= jobs.pages:
            self._run_rows.start_over()
            runs, runs_of = await live_runs(self._client, abreast=self._abreast, read=self._run_rows.read_page), None
            self._run_rows.settle({run.uuid for run in runs.rows})
            self._runs_due = seen + max(RUNS_SECONDS, RUNS_POLLS * jobs.pages / CALM_CALLS_PER_SECOND)
        else:
            runs, runs_of = await self._runs_of(moving), moving
        # Before the view knows of them: from then on until the caller has judged this poll, nothing may be awaited.
        left = self._view.absent({job.uuid for job in jobs.rows}, tracked, seen=seen) - self._vanished
        if len(left) >= self._many_ended:
            await self._read_ended(left)
        changed = self._view.update_jobs(jobs.rows, runs.rows, tracked=tracked, seen=seen, runs_of=runs_of)
        self._job_rows.settle({job.uuid for job in jobs.rows})
        vanished = self._view.vanished(tracked)
        changed |= vanished - self._vanished  # once: whoever reads such a job decides when to read it again
        self._vanished = vanished
        self._counted = jobs.total
        self._pace(seen, jobs.pages, jobs.pages + runs.pages)
        if changed:
            self._on_change(changed)

    async def _read_ended(self, left: Collection[str]) -> None:
        """Read the rows of many jobs that left the live list at once page by page; the others are read one by one."""
        seen, most = self._monotonic(), max(1, len(left) // ENDED_PER_PAGE)
        try:
            found = await ended_jobs(self._client, left, abreast=self._abreast, most=most)
        except RemoteError as error:
            _log.info("the jobs that ended are read one by one, for their list cannot be read: %s", error)
            return
        self._view.hold_ended(found, seen=seen)

    async def glance(self) -> None:
        """A look at the newest pages, for jobs that start or stop; it ends where the last of them was seen. What it
        does not show is not absent. If somebody starts or stops, or their number changed, the next whole poll comes as
        soon as it may, and sooner if there are fewer. Raises RemoteError and changes nothing then."""
        seen = self._monotonic()
        tracked, sought = frozenset(self._tracked()), frozenset(self._hurried())
        jobs = await live_jobs(
            self._client, most=SHORT_PAGES, read=self._job_rows.read_page, enough=lambda uuids: sought <= set(uuids)
        )
        moving = self._moving(jobs.rows, tracked)
        if len(moving) > SHORT_PAGES:
            runs = await live_runs(self._client, most=SHORT_PAGES, read=self._run_rows.read_page)
            moving = frozenset(run.job_uuid for run in runs.rows)
        else:
            runs = await self._runs_of(moving)
        if self._counted is not None and jobs.total is not None and jobs.total < self._counted:
            self._whole_due = min(self._whole_due, self._whole_possible_for_ended)
        elif sought or jobs.total != self._counted:
            self._whole_due = min(self._whole_due, self._whole_possible)
        changed = self._view.update_jobs(jobs.rows, runs.rows, tracked=tracked, seen=seen, runs_of=moving, whole=False)
        if changed:
            self._on_change(changed)

    def _moving(self, jobs: Iterable[RemoteJob], tracked: Collection[str]) -> frozenset[str]:
        """The tracked jobs that do not simply run on as they were known: their runs may have something to say."""
        return frozenset(
            job.uuid for job in jobs if job.uuid in tracked and (job.status != "RUNNING" or not self._view.knows(job))
        )

    async def _runs_of(self, jobs: Collection[str]) -> Live[RemoteRun]:
        """All runs of some jobs, asked for job by job."""
        found: list[RemoteRun] = []
        asked, abreast = sorted(jobs), self._abreast
        for start in range(0, len(asked), abreast):
            for runs in await side_by_side(self._list_runs, asked[start : start + abreast]):
                found += runs
        return Live(tuple(found), len(jobs))

    async def _list_runs(self, job: str) -> Sequence[RemoteRun]:
        return await self._client.list_runs(job, Lane.POLLING)

    @property
    def _abreast(self) -> int:
        if self._view.polled is None:
            return max(1, self._client.limiter.allowed // 2)  # creates wait for it
        return max(1, min(PAGES_ABREAST, self._client.limiter.allowed // 4))

    def _pace(self, begun: float, pages: int, calls: int) -> None:
        """When the next whole poll is possible, and when it is due, after one that has just ended."""
        now = self._monotonic()
        self._pages = pages
        interval, apart, rested = self._jittered(self._interval()), calls / CALLS_PER_SECOND, now + (now - begun)
        self._whole_possible_for_ended = max(begun + max(interval / ENDED_SHARE, apart), rested)
        self._whole_due = self._whole_possible = max(begun + max(interval, apart), rested)
        if self._counted is not None:  # whoever starts or stops is glanced at soon, which brings it forward
            self._whole_due = max(self._whole_possible, begun + min(calls / CALM_CALLS_PER_SECOND, LONGEST_CALM))

    def _until_next(self, begun: float) -> float:
        """Seconds to rest after a poll that went well, or was not needed."""
        now, pace = self._monotonic(), self._interval()
        short, hurried = self._pages <= SHORT_PAGES, bool(self._hurried())
        if hurried or not short:
            pace = max(self._shortest_gap, pace / HURRIED_SHARE)
        soon = max(begun + self._jittered(pace), now + (now - begun))
        if short:
            return soon - now
        glances = hurried or self._whole_due - soon > pace / 2  # else the poll comes soon enough
        return max(0.0, (min(soon, self._whole_due) if glances else self._whole_due) - now)

    def _glance_will_do(self) -> bool:
        return self._pages > SHORT_PAGES and self._monotonic() < self._whole_due

    async def _poll_unless_idle(self) -> float | None:
        """Seconds that must pass before the next poll after a failure; None if all is well."""
        if not self._tracked():
            self._pages = 0
            return None
        begun, whole = self._monotonic(), not self._glance_will_do()
        try:
            await (self.poll() if whole else self.glance())
        except RemoteError as error:
            self._failures += 1
            self._on_error(error)
            return self._backoff(error)
        self._failures = 0
        if whole:
            self._on_success(self._monotonic() - begun)
        return None

    def _backoff(self, error: RemoteError) -> float:
        backoff = self._jittered(min(self._interval() * 2 ** min(self._failures - 1, 16), _LONGEST_BACKOFF))
        asked = error.retry_after if isinstance(error, RemoteStatusError) else None
        return max(backoff, asked or 0.0, self._client.limiter.paused_for)

    async def _rest(self, seconds: float, begun: float, event: asyncio.Event) -> None:
        """Sleep for `seconds` or until the event, but never less than the shortest gap."""
        timer = asyncio.ensure_future(self._sleep(seconds))
        woken = asyncio.ensure_future(event.wait())
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
