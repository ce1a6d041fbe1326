"""The live rows of an account: what the poller and the sweep look at, which is never a proof of anything.

Why it exists: a live list is asked for by status, so what it lacks may have ended, may have a status that nobody knows,
or may have slipped from one page to another meanwhile. Whoever misses a row reads it (failure mode 47). That is why
pages may be read side by side here, and never in a complete listing (`listing.py`, protocol C7).

Invariants: a page that fails fails the whole; pages are read until the rows add up to the total or a last one brings
none that is new; never more than `abreast` pages are under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from dispersed_operator.errors import MalformedAnswer
from dispersed_operator.model.remote import LIVE_STATUSES, TERMINAL_STATUSES, RemoteJob, RemoteRun
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.listing import trusted_date
from dispersed_operator.remote.paging import MAX_PAGE_SIZE, MAX_PAGES, JobPage, Page, R, Rows, read_jobs, read_runs
from dispersed_operator.workqueue import Lane

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Live(Generic[R]):
    """The live rows of one list, each once, and how many pages were read for them. `total`: how many rows there are as
    the service tells it; None if it tells none, or if all were read and it was wrong."""

    rows: tuple[R, ...]
    pages: int
    total: int | None = None


async def live_jobs(
    client: DispersedClient,
    *,
    abreast: int = 1,
    most: int = MAX_PAGES,
    read: Callable[[bytes], Rows[RemoteJob]] = read_jobs,
    enough: Callable[[Iterable[str]], bool] = lambda _: False,
) -> Live[RemoteJob]:
    """The jobs with a status that is known to be live, newest first. Absence means "read it", nothing more (failure
    mode 47). It stops early after `most` pages, or when `enough` says so of the uuids read so far."""

    async def read_page(number: int) -> JobPage:
        return await client.page_jobs(
            page=number, limit=MAX_PAGE_SIZE, statuses=LIVE_STATUSES, read=read, lane=Lane.POLLING
        )

    found = await _read(read_page, abreast=abreast, most=most, enough=enough)
    return Live(tuple(job for job in found.rows if not job.terminal), found.pages, found.total)


async def live_runs(
    client: DispersedClient,
    *,
    abreast: int = 1,
    most: int = MAX_PAGES,
    read: Callable[[bytes], Rows[RemoteRun]] = read_runs,
) -> Live[RemoteRun]:
    """The runs with a status that is known to be live, without logs; a run that does not name its job is left out."""

    async def read_page(number: int) -> Page[RemoteRun]:
        return await client.page_runs(
            page=number, limit=MAX_PAGE_SIZE, statuses=LIVE_STATUSES, read=read, lane=Lane.POLLING
        )

    found = await _read(read_page, abreast=abreast, most=most)
    return Live(tuple(run for run in found.rows if run.job_uuid and not run.terminal), found.pages)


async def ended_jobs(
    client: DispersedClient, wanted: Collection[str], *, abreast: int, most: int
) -> tuple[RemoteJob, ...]:
    """Those of the wanted jobs that have ended, as far as the newest `most` pages of ended jobs show them. That one is
    not among them says nothing."""

    async def read_page(number: int) -> JobPage:
        statuses = sorted(TERMINAL_STATUSES)
        return await client.page_jobs(page=number, limit=MAX_PAGE_SIZE, statuses=statuses, lane=Lane.POLLING)

    sought = frozenset(wanted)
    found = await _read(read_page, abreast=abreast, most=most, enough=lambda uuids: sought <= set(uuids))
    return tuple(job for job in found.rows if job.uuid in sought and job.terminal)


async def dated_live_jobs(client: DispersedClient) -> tuple[tuple[RemoteJob, ...], int]:
    """As `live_jobs`, with the `Date` of the first page in epoch seconds. Raises MalformedAnswer for a page out of a
    cache or without a `Date`."""
    dates: list[int] = []

    async def read_page(number: int) -> JobPage:
        page = await client.page_jobs(page=number, limit=MAX_PAGE_SIZE, statuses=LIVE_STATUSES, lane=Lane.POLLING)
        dates.append(trusted_date(page))
        return page

    found = await _read(read_page, abreast=1, most=MAX_PAGES)
    return tuple(job for job in found.rows if not job.terminal), dates[0]


async def _read(
    read_page: Callable[[int], Awaitable[Page[R]]],
    *,
    abreast: int,
    most: int,
    enough: Callable[[Iterable[str]], bool] = lambda _: False,
) -> Live[R]:
    """All pages of a filtered list, de-duplicated; a page that fails fails the whole.

    Neither a short page alone ends the list, for the service may clamp the page size, nor a `total` that a full first
    page fits or more rows than it: it may count one page only.
    """
    rows: dict[str, R] = {}
    expected = number = 0
    while number < most:
        batch = range(number + 1, min(max(number + 1, min(number + abreast, expected)), most) + 1)
        for number, page in zip(batch, await side_by_side(read_page, batch), strict=True):
            before = len(rows)
            rows.update({row.uuid: row for row in page.rows})
            all_seen = len(rows) == page.total and (page.short or number > 1)
            over = all_seen or len(rows) == before
            if number == 1 and page.rows and page.total is not None:
                expected = -(-page.total // len(page.rows))
        if over:
            return Live(tuple(rows.values()), number, page.total if page.total == len(rows) else None)
        if enough(rows.keys()) or (number == most < MAX_PAGES):
            return Live(tuple(rows.values()), number, page.total)
    raise MalformedAnswer("the list of live rows never ends")


async def side_by_side(read: Callable[[T], Awaitable[S]], items: Sequence[T]) -> Sequence[S]:
    """What `read` gives for each item, all at once. The first failure is raised when none is under way any more."""
    if len(items) == 1:
        return [await read(items[0])]
    tasks = [asyncio.ensure_future(read(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
