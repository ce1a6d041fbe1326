"""Complete listings: the evidence that a job does not exist (protocol, "Complete listing").

Why it exists: C0, C7, D2 and the sweep believe a *negative* only from a listing that provably holds every row back to a
moment. Invariant: a `Listing` is never returned with a page missing, with rows unaccounted for, or with a `Date`
that came from a cache; whatever cannot be shown raises instead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dispersed_operator.errors import MalformedAnswer, RemoteError, TransportFailed
from dispersed_operator.model.remote import Listing, RemoteJob
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.paging import (
    MAX_PAGE_SIZE,
    MAX_PAGES,
    MAX_PASSES,
    JobPage,
    PageReader,
    PagesDoNotAddUp,
)

SETTLING_SECONDS = 600  # rows may become visible late
SKEW_SECONDS = 300  # signedAt may differ from created_at by the freshness window


class ListingTooEarly(RemoteError):
    """The service's clock has not reached the moment that was asked for; ask again later."""


class OrderWatch:
    """Whether rows come newest first, and have become older than a moment.

    A row is an interval of time: a date without a time ends with its day. A missing date, or a row that is certainly
    newer than one before it, means that the order proves nothing any more. Rows of one single moment fit both
    directions, so an older row after a newer one must have been seen too.
    """

    def __init__(self) -> None:
        self._trusted = True
        self._descended = False
        self._earliest_end: datetime | None = None
        self._last_end: datetime | None = None

    def add(self, rows: Sequence[RemoteJob]) -> None:
        """Take the next rows in the order in which they came."""
        for row in rows:
            start, end = row.created_at, row.created_by
            if start is None or end is None:
                self._trusted = False
                continue
            if self._earliest_end is not None and start > self._earliest_end:
                self._trusted = False
            if self._last_end is not None and end < self._last_end:
                self._descended = True
            self._earliest_end = end if self._earliest_end is None else min(end, self._earliest_end)
            self._last_end = end

    def older_than(self, moment: float) -> bool:
        """Whether every further row must be older than `moment` (seconds since the epoch)."""
        known = self._trusted and self._descended and self._last_end is not None
        return known and self._last_end is not None and self._last_end.timestamp() < moment


async def complete_listing(
    client: DispersedClient,
    *,
    since: int,
    page_size: int = MAX_PAGE_SIZE,
    monotonic: Callable[[], float] = time.monotonic,
) -> Listing:
    """Every job created at or after `since` (seconds since the epoch; 0 for all), without any filter.

    Raises MalformedAnswer if several passes do not add up or if an answer came from a cache or without `Date`, and
    whatever a page raises: a listing with a page missing is none.
    """
    trouble = ""
    for _ in range(MAX_PASSES):
        try:
            return await _one_pass(client, since=since, page_size=page_size, begun=monotonic())
        except PagesDoNotAddUp as error:
            trouble = str(error)
    raise MalformedAnswer(f"the pages of the job list do not add up ({trouble})")


async def _one_pass(client: DispersedClient, *, since: int, page_size: int, begun: float) -> Listing:
    reader: PageReader[RemoteJob] = PageReader()
    order = OrderWatch()
    server_date: int | None = None
    for number in range(1, MAX_PAGES + 1):
        page = await client.page_jobs(page=number, limit=page_size)
        date = trusted_date(page)
        server_date = date if server_date is None else server_date
        reader.add(page)
        order.add(page.rows)
        if reader.complete(page) or (since > 0 and order.older_than(since - SETTLING_SECONDS - SKEW_SECONDS)):
            return Listing(
                rows=reader.rows,
                server_date=server_date,
                begun=begun,
                page_size=page_size,
                covers_since=since,
                account_identity=_identity(reader.rows),
            )
    raise PagesDoNotAddUp("it never ends")


def trusted_date(page: JobPage) -> int:
    """The `Date` of a page. A page out of a cache may hide a row, and one without a `Date` proves nothing."""
    if page.server_date is None:
        raise MalformedAnswer("a page of the job list came from a cache or without a Date header: it proves nothing")
    return page.server_date


def _identity(rows: Sequence[RemoteJob]) -> str | None:
    carried = {row.account_uuid for row in rows if row.account_uuid}
    return carried.pop() if len(carried) == 1 else None


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """One waiter for a listing."""

    since: int
    begun_after: float
    page_size: int
    min_server_date: int
    answer: asyncio.Future[Listing]

    def would_take(self, *, since: int, begun: float, page_size: int) -> bool:
        """Whether a flight with these properties serves this waiter, its `Date` apart."""
        return begun > self.begun_after and since <= self.since and page_size == self.page_size


class ListingService:
    """Complete listings for many askers: one flight at a time, shared by all whom it satisfies.

    A failed flight fails all its waiters with the same error. A waiter that is cancelled leaves alone. `aclose` ends
    the flight.
    """

    def __init__(self, client: DispersedClient, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        self._newest: dict[int, Listing] = {}
        self._waiting: list[_Request] = []
        self._runner: asyncio.Task[None] | None = None

    async def get(
        self, *, since: int, begun_after: float, page_size: int = MAX_PAGE_SIZE, min_server_date: int = 0
    ) -> Listing:
        """A complete listing back to `since`, begun after `begun_after` (monotonic), of a `Date` ≥ `min_server_date`.

        Raises as `complete_listing`, and ListingTooEarly if a fresh listing is of an earlier `Date`.
        """
        answer: asyncio.Future[Listing] = asyncio.get_running_loop().create_future()
        request = _Request(since, begun_after, page_size, min_server_date, answer)
        cached = self._newest.get(page_size)
        if cached is not None and _serves(cached, request):
            return cached
        self._waiting.append(request)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._fly(), name="complete-listing")
        try:
            return await answer
        finally:
            if request in self._waiting:
                self._waiting.remove(request)

    async def aclose(self) -> None:
        """End the flight in progress; its waiters get TransportFailed (a cancellation would end whoever waits)."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait({self._runner})
        for request in self._waiting:
            if not request.answer.done():
                request.answer.set_exception(TransportFailed("the account was closed or its key changed meanwhile"))
        self._waiting.clear()

    async def _fly(self) -> None:
        while self._waiting:
            page_size = self._waiting[0].page_size
            boarded = [request for request in self._waiting if request.page_size == page_size]
            since = min(request.since for request in boarded)
            begun = self._monotonic()
            flight = asyncio.create_task(
                complete_listing(self._client, since=since, page_size=page_size, monotonic=self._monotonic)
            )
            try:
                await asyncio.wait({flight})
            except asyncio.CancelledError:
                flight.cancel()
                await asyncio.wait({flight})
                raise
            joined = [
                request
                for request in self._waiting
                if request not in boarded and request.would_take(since=since, begun=begun, page_size=page_size)
            ]
            self._land(flight, boarded, joined)

    def _land(self, flight: asyncio.Task[Listing], boarded: list[_Request], joined: list[_Request]) -> None:
        error = flight.exception()
        for request in boarded + joined:
            if request.answer.done():
                continue
            if error is not None:
                request.answer.set_exception(error)
            elif flight.result().server_date >= request.min_server_date:
                request.answer.set_result(flight.result())
            elif request in boarded:
                request.answer.set_exception(
                    ListingTooEarly(
                        f"the service's clock is {request.min_server_date - flight.result().server_date} s"
                        " short of the moment from which a listing proves anything"
                    )
                )
            else:
                continue  # joined a flight that is too early by its Date: takes the next one
        self._waiting = [request for request in self._waiting if not request.answer.done()]
        if error is None:
            self._newest[flight.result().page_size] = flight.result()


def _serves(listing: Listing, request: _Request) -> bool:
    return listing.server_date >= request.min_server_date and request.would_take(
        since=listing.covers_since, begun=listing.begun, page_size=listing.page_size
    )
