"""What the operator relies on in the service, judged from what an account showed (protocol, "checked per account").

Why it exists: the service's behaviour is documented in part only (API reference §17, §18). What deviates must be said
as a condition before it costs money. Invariant: `DEVIATES` is said only of what safety rests on; where the code works
under both readings the finding is `DIFFERS`, and what could not be seen is `NOT_SEEN` and never `PASSED`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dispersed_operator.model import naming
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.planning.vocabulary import Problem

NOTHING = "-"
DOCUMENTED_WINDOW = 300


class Check(StrEnum):
    """Everything that is checked, in the order of the report."""

    REPLAY = "ReplayRefused"
    EXPIRY = "SignatureExpiry"
    CLOCK = "Clock"
    JOBS = "JobsReadable"
    RUNS = "RunsReadable"
    WRITES = "CreateAndCancel"
    LISTING = "ListingAddsUp"
    ORDER = "ListingOrder"
    TIMES = "CreationTimes"
    PAGE_SIZE = "PageSize"
    TOTAL = "TotalCount"
    IDENTITY = "AccountIdentity"
    TITLE = "TitleEcho"
    DESCRIPTION = "DescriptionEcho"
    ENV = "EnvEcho"


class Result(StrEnum):
    """`DEVIATES`: safety rests on it. `DIFFERS`: not as documented, and handled. `NOT_SEEN`: no occasion yet."""

    PASSED = "Passed"
    DIFFERS = "Differs"
    DEVIATES = "Deviates"
    NOT_SEEN = "NotSeen"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and what the operator does about it. `reason` is set where it deviates.

    `blocks`: nothing may be created with this account meanwhile.
    """

    check: Check
    result: Result
    found: str
    consequence: str = NOTHING
    reason: Reason | None = None
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class SeenPages:
    """The first page of the job list, asked for with `asked` rows, and the second where the first was not all.

    `reported_limit` and `total` are None if the service did not say.
    """

    rows: tuple[RemoteJob, ...]
    more_rows: tuple[RemoteJob, ...]
    asked: int
    reported_limit: int | None
    total: int | None


def passed(check: Check, found: str) -> Finding:
    """It is as documented."""
    return Finding(check, Result.PASSED, found)


def probe_findings(*, replay_refused: bool, window_seconds: int | None) -> tuple[Finding, ...]:
    """Replay and age of signatures. `window_seconds` None: every age that was tried is accepted."""
    waits = "unknown creates wait for a person's answer; everything else works"
    replay = passed(Check.REPLAY, "the second of two identical requests is refused")
    if not replay_refused:
        found = "a repeated request is accepted"
        replay = Finding(Check.REPLAY, Result.DEVIATES, found, waits, Reason.EXPIRY_NOT_ENFORCED)
    if window_seconds is None:
        found = "a signature is accepted 20 minutes later"
        expiry = Finding(Check.EXPIRY, Result.DEVIATES, found, waits, Reason.EXPIRY_NOT_ENFORCED)
    elif window_seconds > DOCUMENTED_WINDOW:
        found = f"signatures live for {window_seconds} s instead of {DOCUMENTED_WINDOW} s"
        expiry = Finding(Check.EXPIRY, Result.DIFFERS, found, "proofs of absence wait that much longer")
    else:
        expiry = passed(Check.EXPIRY, f"a signature older than {DOCUMENTED_WINDOW} s is refused")
    return replay, expiry


def clock_finding(offset: float | None, limit: float) -> Finding:
    """The service's clock against this machine's, in seconds (failure mode 37)."""
    if offset is None:
        return Finding(Check.CLOCK, Result.NOT_SEEN, "no answer carried a date")
    if abs(offset) <= limit:
        return passed(Check.CLOCK, f"this machine and the service differ by {abs(offset):.0f} s")
    found = f"this machine and the service differ by {abs(offset):.0f} s, more than {limit:g} s"
    return Finding(Check.CLOCK, Result.DEVIATES, found, "nothing is created meanwhile", Reason.CLOCK_SKEW, blocks=True)


def readable_finding(check: Check, refusal: str | None) -> Finding:
    """Whether the key may read jobs (or runs); `refusal` is what the service said, None if it may."""
    if refusal is None:
        return passed(check, "the key may read them")
    return Finding(
        check,
        Result.DEVIATES,
        f"the key may not read them ({refusal})",
        "nothing is created: the end of a job could not be seen",
        Reason.PERMISSION_REFUSED,
        blocks=True,
    )


def writes_finding() -> Finding:
    """Rights to create and to cancel: nothing short of doing it would tell."""
    return Finding(
        Check.WRITES, Result.NOT_SEEN, "cannot be known without a write", "the first create and cancel will tell"
    )


def listing_findings(pages: SeenPages) -> tuple[Finding, ...]:
    """What a listing showed of totals, order, times, page size and identity."""
    rows = (*pages.rows, *pages.more_rows)
    return (
        _adds_up(pages),
        _order(rows),
        _times(rows),
        _page_size(pages),
        _total(pages),
        _identity(rows),
    )


def refused_listing(said: str) -> tuple[Finding, ...]:
    """The service refuses a page of the documented size, or sends one that cannot be read."""
    return (_useless(f"a page of 50 rows could not be had ({said})"),)


def echo_findings(rows: Iterable[RemoteJob], *, token: str | None = None) -> tuple[Finding, ...]:
    """Whether title, description and env of a job of ours come back as sent (failure mode 41).

    `token` is that of the job's create; without it the rows are searched for one that shows a token of its own.
    """
    for row in rows:
        title, described = naming.parse_title(row.title), naming.parse_description(row.description)
        shown = [title.token if title else None, described[0] if described else None, row.env_token]
        expected = token or next((text for text in shown if text), None)
        if expected is not None:
            return _echoes([text == expected for text in shown])
    return tuple(
        Finding(check, Result.NOT_SEEN, "no job of ours was seen yet", "the first create will tell")
        for check in (Check.TITLE, Check.DESCRIPTION, Check.ENV)
    )


def with_echo(findings: Iterable[Finding], echo: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings with the echo that a certain job gave in place of the one that a listing happened to show."""
    given = {finding.check for finding in echo}
    return (*(finding for finding in findings if finding.check not in given), *echo)


def title_lost() -> Finding:
    """A job's title does not come back, but another witness does."""
    consequence = "jobs are known by description or env; sweeper and reaper do not see them"
    found = "the title of a job does not come back as sent"
    return Finding(Check.TITLE, Result.DEVIATES, found, consequence, Reason.TITLE_NOT_ECHOED)


def worst(findings: Iterable[Finding]) -> Finding | None:
    """The first deviation, one that blocks before one that does not; None if there is none."""
    deviating = [finding for finding in findings if finding.result is Result.DEVIATES]
    return min(deviating, key=lambda finding: not finding.blocks, default=None)


def blocking_problem(findings: Iterable[Finding]) -> Problem | None:
    """Why nothing may be created with this account, if a finding says so."""
    found = worst(findings)
    if found is None or not found.blocks or found.reason is None:
        return None
    return Problem(found.reason, _sentence(found))


def summary(findings: Sequence[Finding]) -> str:
    """The message of the condition: deviations first, then what differs; what is as documented needs no words."""
    told = sorted(
        (finding for finding in findings if finding.result in {Result.DEVIATES, Result.DIFFERS}),
        key=lambda finding: finding.result is not Result.DEVIATES,
    )
    if not told:
        return "the service behaves as the operator relies on"
    return ". ".join(_sentence(finding) for finding in told)


def _sentence(finding: Finding) -> str:
    return f"{finding.check}: {finding.found}; {finding.consequence}"


def _useless(found: str) -> Finding:
    return Finding(
        Check.LISTING,
        Result.DEVIATES,
        found,
        "no listing is complete, so nothing is created and no absence is proven",
        Reason.LISTING_UNRELIABLE,
        blocks=True,
    )


def _adds_up(pages: SeenPages) -> Finding:
    distinct = len({row.uuid for row in (*pages.rows, *pages.more_rows)})
    if pages.total is not None and pages.total < distinct:
        return _useless(f"the total says {pages.total}, but {distinct} rows came")
    return passed(Check.LISTING, f"{distinct} rows on the first pages, each accounted for")


def _order(rows: Sequence[RemoteJob]) -> Finding:
    starts = [row.created_at for row in rows if row.created_at is not None]
    ends = [row.created_by for row in rows if row.created_by is not None]
    earliest: datetime | None = None
    for start, end in zip(starts, ends, strict=True):
        if earliest is not None and start > earliest:
            return Finding(
                Check.ORDER,
                Result.DIFFERS,
                "rows do not come newest first",
                "every page is read each time, so listings take longer",
            )
        earliest = end if earliest is None else min(end, earliest)
    if len(set(starts)) < 2:
        return Finding(Check.ORDER, Result.NOT_SEEN, "fewer than two rows with different times")
    return passed(Check.ORDER, "newest first")


def _times(rows: Sequence[RemoteJob]) -> Finding:
    if not rows:
        return Finding(Check.TIMES, Result.NOT_SEEN, "no row was seen yet")
    if any(row.created_at is None or row.created_at_is_date for row in rows):
        return Finding(
            Check.TIMES,
            Result.DIFFERS,
            "created_at is missing or has no time of day",
            "more pages are read, and a person's copy of a title cannot be told by its time",
        )
    return passed(Check.TIMES, "each row carries the moment of its creation")


def _page_size(pages: SeenPages) -> Finding:
    handled = "pages are counted by their rows, so nothing is missed"
    if len(pages.rows) > pages.asked:
        found = f"{len(pages.rows)} rows came where {pages.asked} were asked for"
        return Finding(Check.PAGE_SIZE, Result.DIFFERS, found, handled)
    served = pages.reported_limit
    if (served is not None and served < pages.asked) or (pages.more_rows and len(pages.rows) < pages.asked):
        found = f"pages of {served or len(pages.rows)} rows are served where {pages.asked} were asked for"
        return Finding(Check.PAGE_SIZE, Result.DIFFERS, found, handled)
    if served is None and len(pages.rows) < pages.asked:
        return Finding(Check.PAGE_SIZE, Result.NOT_SEEN, f"the account has fewer than {pages.asked} jobs")
    return passed(Check.PAGE_SIZE, f"{pages.asked} rows a page")


def _total(pages: SeenPages) -> Finding:
    if pages.total is None:
        return Finding(
            Check.TOTAL, Result.DIFFERS, "the number of all rows is not told", "lists are read until an empty page"
        )
    return passed(Check.TOTAL, f"{pages.total} rows in all")


def _identity(rows: Sequence[RemoteJob]) -> Finding:
    if not rows:
        return Finding(Check.IDENTITY, Result.NOT_SEEN, "no row was seen yet")
    if all(row.account_uuid for row in rows):
        return passed(Check.IDENTITY, "rows carry the account's uuid")
    return Finding(
        Check.IDENTITY,
        Result.DIFFERS,
        "rows do not carry the account's uuid",
        "a new key counts as the same account once it can read a job of the old one",
    )


def _echoes(came: list[bool]) -> tuple[Finding, ...]:
    title_came, description_came, env_came = came
    title = passed(Check.TITLE, "the title of a job comes back as sent")
    if not any(came):
        found = "neither title, description nor env of a job come back"
        consequence = "nothing more is created: a lost create could not be found again"
        title = Finding(Check.TITLE, Result.DEVIATES, found, consequence, Reason.TITLE_NOT_ECHOED, blocks=True)
    elif not title_came:
        title = title_lost()
    description = passed(Check.DESCRIPTION, "the description of a job comes back as sent")
    if not description_came:
        found = "the description of a job does not come back"
        description = Finding(Check.DESCRIPTION, Result.DIFFERS, found, "the verified title decides")
    env = passed(Check.ENV, "the env of a job comes back as sent")
    if not env_came:
        env = Finding(Check.ENV, Result.DIFFERS, "the env of a job does not come back", "title and description decide")
    return title, description, env
