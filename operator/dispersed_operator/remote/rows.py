"""Rows and pages that were read before, so that what says what it said is not parsed again.

Why it exists: of ten thousand live jobs a poll finds nearly all as they were, and parsing and comparing them was most
of what a poll cost. Invariant: a row is taken for the known one only if everything that is read of it is the same, by a
digest; then the very same object is given out again, so whoever compares two polls compares identities.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, Generic

from dispersed_operator.model.remote import RemoteJob, RemoteRun, is_terminal
from dispersed_operator.remote import fields
from dispersed_operator.remote.paging import R, Rows
from dispersed_operator.remote.payloads import (
    JOB_FIELDS,
    RUN_FIELDS,
    job_of_row,
    parse_page,
    run_of_row,
    token_of_env,
)

Row = Mapping[str, Any]


class RowMemory(Generic[R]):
    """The rows of one list by uuid, and its pages. `parse` reads a row; `told` gives all that `parse` looks at."""

    def __init__(self, parse: Callable[[object], R], told: Callable[[Row], object]) -> None:
        self._parse = parse
        self._told = told
        self._known: dict[str, tuple[bytes, R]] = {}
        self._pages: dict[bytes, Rows[R]] = {}
        self._newer_pages: dict[bytes, Rows[R]] = {}

    def read_page(self, body: bytes) -> Rows[R]:
        """A page; nothing of it is read anew if every byte is as it was. Raises MalformedAnswer."""
        digest = _digest(body)
        page = self._newer_pages.get(digest) or self._pages.get(digest) or Rows.of(parse_page(body), self.read)
        self._newer_pages[digest] = page
        return page

    def read(self, row: object) -> R:
        """A row, parsed if it is new. Raises MalformedAnswer as `parse` does."""
        if not isinstance(row, dict):
            return self._parse(row)
        digest = _digest(repr(self._told(row)).encode())
        uuid = row.get("uuid")
        known = self._known.get(uuid) if isinstance(uuid, str) else None
        if known is not None and known[0] == digest:
            return known[1]
        parsed = self._parse(row)
        self._known[parsed.uuid] = (digest, parsed)
        return parsed

    def settle(self, uuids: Collection[str]) -> None:
        """The list was read to its end and has these rows: forget all others, and the pages that it does not have."""
        self._known = {uuid: known for uuid, known in self._known.items() if uuid in uuids}
        self._pages, self._newer_pages = self._newer_pages, {}

    def start_over(self) -> None:
        """The list is going to be read to its end; what a reading that failed left behind is of no use."""
        self._newer_pages = {}

    def __len__(self) -> int:
        return len(self._known)


def job_rows() -> RowMemory[RemoteJob]:
    """For the job list."""
    return RowMemory(job_of_row, _told_of_job)


def run_rows() -> RowMemory[RemoteRun]:
    """For the run list."""
    return RowMemory(run_of_row, _told_of_run)


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16).digest()


def _told_of_job(row: Row) -> object:
    """What is read of a job. Of its parameters, the bulk of a row, that is one token."""
    return [row.get(name) for name in JOB_FIELDS], token_of_env(row.get("parameters"))


def _told_of_run(row: Row) -> object:
    """What is read of a run. The duration of one that lives ticks; it counts only if no start says how long it is."""
    ticks = not _is_over(row) and (fields.moment(row.get("started_at_ms")) or fields.moment(row.get("started_at")))
    return [row.get(name) for name in RUN_FIELDS], None if ticks else row.get("duration_ms")


def _is_over(row: Row) -> bool:
    return is_terminal(fields.text(row.get("status")).strip().upper())
