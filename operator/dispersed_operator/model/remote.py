"""What the Dispersed API says of a job and its runs, once parsed: plain, frozen, complete.

The parsing (and its tolerance) is in `remote/payloads.py`; everything past it sees only these types. A status is kept
as the upper-case text that the service sent, because a status that we do not know must survive unchanged and counts as
alive (protocol, failure mode 47).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

TERMINAL_STATUSES = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
LIVE_STATUSES = ("PENDING", "ASSIGNED", "PREPARING", "RUNNING", "FAILING", "CANCELLING")
ENDING_STATUS = "CANCELLING"
"""A job that has it is being cancelled already."""


def is_terminal(status: str) -> bool:
    """Whether a job or run status is final (API reference §11.1). An unknown status is not."""
    return status in TERMINAL_STATUSES


@dataclass(frozen=True, slots=True)
class NodeURL:
    """One published port as the service reports it (API reference §6.3).

    `description` is ``ssh`` for port 22 and otherwise the container port as text; `port` is the external port.
    """

    description: str
    hostname: str
    port: int
    protocol: str
    tls: bool


@dataclass(frozen=True, slots=True)
class RemoteRun:
    """One execution of a job on one node (API reference §6.3). `logs` only comes with a single read."""

    uuid: str
    job_uuid: str
    status: str
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: int | None = None
    hourly_rate_usd: Decimal | None = None
    node_urls: tuple[NodeURL, ...] = ()
    access_tokens: tuple[str, ...] = field(default=(), repr=False)
    status_reason: str | None = None
    exit_code: int | None = None
    logs: str | None = field(default=None, repr=False)

    @property
    def terminal(self) -> bool:
        return is_terminal(self.status)


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """One remote job (API reference §5.2).

    `created_at` is aware and in UTC; if the service sent a date without a time, `created_at_is_date` is set and the
    value is the *start* of that day (a listing takes its end: protocol, Complete listing). `env_token` is the value of
    ``DISPERSED_K8S_TOKEN`` as echoed, None if env did not come back.
    """

    uuid: str
    status: str
    title: str = ""
    description: str = ""
    task: str = ""
    created_at: datetime | None = None
    created_at_is_date: bool = False
    started_at: datetime | None = None
    completed_at: datetime | None = None
    account_uuid: str | None = None
    status_reason: str | None = None
    env_token: str | None = None
    access_tokens: tuple[str, ...] = field(default=(), repr=False)

    @property
    def terminal(self) -> bool:
        return is_terminal(self.status)

    @property
    def created_by(self) -> datetime | None:
        """The latest moment at which the job can have been created: a date without a time counts as the end of it."""
        if self.created_at is None or not self.created_at_is_date:
            return self.created_at
        last_day = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
        return min(self.created_at, last_day) + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Listing:
    """A *complete* listing (protocol, Complete listing): no page missing, no status or type filter.

    `server_date`: the `Date` header of its first page, seconds since the epoch, never from a cache.
    `begun`: monotonic time of this process, in seconds, before the first page was asked for.
    `covers_since`: rows created at or after this moment (seconds since the epoch) are all there; 0 means everything.
    `account_identity`: the account uuid that the rows carry, None if they carry none or disagree.
    """

    rows: tuple[RemoteJob, ...]
    server_date: int
    begun: float
    page_size: int
    covers_since: int
    account_identity: str | None = None

    def oldest_created_at(self) -> datetime | None:
        """The oldest `created_at` among the rows, None if no row carries one. A date counts as the end of that day."""
        return min((row.created_by for row in self.rows if row.created_by is not None), default=None)
