"""Finding our jobs in a complete listing, and choosing among several (protocol, Match policy)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from dispersed_operator.model import naming
from dispersed_operator.model.naming import Identity
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.remote import Listing, RemoteJob
from dispersed_operator.planning.identity import Claimed, claims

FURTHEST_FIRST = ("RUNNING", "PREPARING", "ASSIGNED", "PENDING")
EARLIEST_BEFORE_SIGNATURE = 300
LATEST_AFTER_SIGNATURE = 420


@dataclass(frozen=True, slots=True)
class ListingIndex:
    """A complete listing with its rows found by uid mark and by token, so that thousands of resources can ask it."""

    listing: Listing
    by_mark: Mapping[str, tuple[RemoteJob, ...]]
    by_token: Mapping[str, tuple[RemoteJob, ...]]
    uuids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Match:
    """A row of ours and what it proves about itself."""

    row: RemoteJob
    claimed: Claimed


def index_listing(listing: Listing) -> ListingIndex:
    """Index a listing once for all who ask it."""
    by_mark: defaultdict[str, list[RemoteJob]] = defaultdict(list)
    by_token: defaultdict[str, list[RemoteJob]] = defaultdict(list)
    for row in listing.rows:
        parsed = naming.parse_title(row.title)
        if parsed is not None:
            by_mark[parsed.uid].append(row)
            continue
        described = naming.parse_description(row.description)
        for token in {described[0] if described else None, row.env_token} - {None}:
            by_token[str(token)].append(row)
    return ListingIndex(
        listing=listing,
        by_mark={mark: tuple(rows) for mark, rows in by_mark.items()},
        by_token={token: tuple(rows) for token, rows in by_token.items()},
        uuids=frozenset(row.uuid for row in listing.rows),
    )


def matches(index: ListingIndex, identities: Iterable[Identity], attempts: range) -> tuple[Match, ...]:
    """All rows that belong to one of the identities, whatever their attempt; a row shows once."""
    found: dict[str, Match] = {}
    for identity in identities:
        rows = list(index.by_mark.get(naming.uid_mark(identity.uid), ()))
        for attempt in attempts if index.by_token else ():  # a token costs a hash, and hardly any title is changed
            rows.extend(index.by_token.get(naming.create_token(identity, attempt), ()))
        for row in rows:
            claimed = claims(row, identity, attempts)
            if claimed is not None:
                found.setdefault(row.uuid, Match(row, claimed))
    return tuple(found.values())


def created_in_window(row: RemoteJob, signed_at: int, window: float) -> bool:
    """Whether a row can stem from the signature of `signed_at`; a person's copy of our title cannot (protocol, Sweep
    3).

    `window` is the account's signature window in seconds. A row without a time, or with a date only, may always.
    """
    if row.created_at is None or row.created_at_is_date or not signed_at:
        return True
    created = row.created_at.timestamp()
    return signed_at - EARLIEST_BEFORE_SIGNATURE <= created <= signed_at + max(window + 120, LATEST_AFTER_SIGNATURE)


def is_history(match: Match, resource: JobResource) -> bool:
    """Whether a row is the finished job of an attempt that is settled: it answers no later question."""
    return match.row.terminal and match.claimed.attempt <= resource.settled_attempts


def choose(candidates: Iterable[Match]) -> Match:
    """The survivor among several: live beats terminal, then furthest along, then oldest; the uuid settles ties. Among
    terminal ones the newest attempt tells how the story ended."""
    return min(candidates, key=_rank)


def _rank(match: Match) -> tuple[bool, int, int, datetime, str]:
    row = match.row
    newest = -match.claimed.attempt if row.terminal else 0
    progress = FURTHEST_FIRST.index(row.status) if row.status in FURTHEST_FIRST else len(FURTHEST_FIRST)
    return row.terminal, newest, progress, row.created_at or datetime.max.replace(tzinfo=UTC), row.uuid
