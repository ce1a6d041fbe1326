"""Pages of a list, and reading all of them without losing a row (API reference §3.3, protocol "Complete listing").

Why it exists: pages shift while rows are inserted, ties may be ordered differently from page to page, a server may
clamp the page size, and a proof of absence must survive all of it. Invariant: `PageReader` says "complete" only when
it can account for every row; it never trusts the page arithmetic of the envelope, only the rows that it counted itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from dispersed_operator.errors import MalformedAnswer
from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.remote.payloads import RawPage, job_of_row, parse_page, run_of_row

MAX_PAGE_SIZE = 50
MAX_PASSES = 4
MAX_PAGES = 20_000


class Row(Protocol):
    """Whatever has a uuid of its own."""

    @property
    def uuid(self) -> str: ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Rows(Generic[R]):
    """The rows of one page, each parsed. `total` and `limit` are None if the service did not say."""

    rows: tuple[R, ...]
    total: int | None
    limit: int | None

    @classmethod
    def of(cls, raw: RawPage, parse: Callable[[object], R]) -> Self:
        """Parse every row of a raw page. Raises MalformedAnswer if one of them cannot be read."""
        return cls(tuple(parse(row) for row in raw.rows), raw.total, raw.limit)


def read_jobs(body: bytes) -> Rows[RemoteJob]:
    """A page of the job list. Raises MalformedAnswer if it, or one of its rows, cannot be read."""
    return Rows.of(parse_page(body), job_of_row)


def read_runs(body: bytes) -> Rows[RemoteRun]:
    """A page of the run list. Raises as `read_jobs`."""
    return Rows.of(parse_page(body), run_of_row)


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """One page. `total` is None for a bare array; `server_date` is None if the answer had no `Date` or came from a
    cache.

    `short`: fewer rows than the page size in force, which is the smaller of the one asked for and the one reported.
    """

    rows: tuple[R, ...]
    total: int | None
    server_date: int | None
    short: bool

    @classmethod
    def of(cls, read: Rows[R], *, asked: int, server_date: int | None) -> Self:
        """The page that was asked for with this size."""
        size = min(asked, read.limit or asked)
        return cls(rows=read.rows, total=read.total, server_date=server_date, short=len(read.rows) < size)


@dataclass(frozen=True, slots=True)
class JobPage(Page[RemoteJob]):
    """One page of jobs."""


@dataclass(frozen=True, slots=True)
class RunPage(Page[RemoteRun]):
    """One page of runs."""


class PagesDoNotAddUp(Exception):
    """The pages of one pass contradict each other; read again from the first."""


class PageReader(Generic[R]):
    """Collects the pages of one pass and decides when it is complete. De-duplicates by uuid; the later copy wins."""

    def __init__(self) -> None:
        self._rows: dict[str, R] = {}
        self._received = 0
        self._pages = 0
        self._page_length = 0
        self._first_total: int | None = None
        self._last_total: int | None = None
        self._short_seen = False

    @property
    def rows(self) -> tuple[R, ...]:
        """The distinct rows so far, in the order of their first sight."""
        return tuple(self._rows.values())

    def add(self, page: Page[R]) -> None:
        """Take the next page. Raises PagesDoNotAddUp if a row was, or may have been, missed."""
        if self._pages == 0:
            self._first_total = page.total
            self._page_length = len(page.rows)
        elif (page.total is None) != (self._first_total is None):
            raise PagesDoNotAddUp("total comes and goes")
        elif page.total is not None and self._last_total is not None and page.total < self._last_total:
            raise PagesDoNotAddUp("total fell")
        if page.rows and (self._short_seen or len(page.rows) > self._page_length):
            raise PagesDoNotAddUp("rows after a page that was not full")
        self._short_seen = self._short_seen or len(page.rows) < self._page_length
        self._last_total = page.total
        self._pages += 1
        self._received += len(page.rows)
        self._rows.update({row.uuid: row for row in page.rows})
        if self._received - len(self._rows) > self._growth:
            raise PagesDoNotAddUp("a row came twice, so another may have been hidden")
        if self._last_total is not None and len(self._rows) > self._last_total:
            raise PagesDoNotAddUp("more rows than the total")

    def complete(self, page: Page[R]) -> bool:
        """Whether `page`, just added, was the last. Raises PagesDoNotAddUp if it was and rows are missing.

        With a total: all of it was seen, or a page is empty. A first page that is full must be followed by another
        look, or a `total` that counts only the page would end the list. Without a total: a page is empty, for a
        short one may only mean that the service clamps the page size.
        """
        if self._last_total is not None and len(self._rows) == self._last_total and (page.short or self._pages > 1):
            return True
        if page.rows:
            return False
        if self._first_total is not None and len(self._rows) < self._first_total:
            raise PagesDoNotAddUp("fewer rows than the total")
        return True

    @property
    def _growth(self) -> int:
        """Rows that were inserted during the pass: each shifts one known row onto the next page."""
        return (self._last_total or 0) - (self._first_total or 0)


async def read_every_page(read_page: Callable[[int], Awaitable[Page[R]]]) -> tuple[R, ...]:
    """All rows of a list; `read_page` gets a 1-based page number. Raises MalformedAnswer if no pass adds up."""
    trouble = ""
    for _ in range(MAX_PASSES):
        reader: PageReader[R] = PageReader()
        try:
            for number in range(1, MAX_PAGES + 1):
                page = await read_page(number)
                reader.add(page)
                if reader.complete(page):
                    return reader.rows
        except PagesDoNotAddUp as error:
            trouble = str(error)
    raise MalformedAnswer(f"the pages of the list do not add up ({trouble or 'it never ends'})")
