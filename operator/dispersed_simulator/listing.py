"""Filters, order and pages of the two lists (API reference §3.3, §5.3, §6.1).

Lists are read through the index of the store; a page without filters touches only its own rows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import parse_qsl

from dispersed_simulator.api_error import ApiError
from dispersed_simulator.records import Job, Run
from dispersed_simulator.store import TimeIndex
from dispersed_simulator.switches import Switches
from dispersed_simulator.wire import DAY_MS, is_date_only, parse_instant

Row = TypeVar("Row", Job, Run)
JOB_FILTERS = frozenset({
    "status", "task", "uuid", "created_at", "cpu_count", "min_ram_gb", "min_storage_gb", "min_vram_gb", "recipe_uuid",
})  # fmt: skip
RUN_FILTERS = frozenset({"job_uuid", "status"})
RANGES = ("cpu_count", "min_ram_gb", "min_storage_gb", "min_vram_gb")
LARGEST_LIMIT = 50


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A list request after its parameters were understood."""

    page: int = 1
    limit: int = 20
    newest_first: bool = True
    filters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page and the number of all rows that match."""

    rows: list[Row]
    page: int
    limit: int
    total: int


def parse_query(raw: str, *, known: frozenset[str], switches: Switches) -> ListQuery:
    """Understand the query of a list. Raises ApiError for a bad parameter."""
    page, limit = 1, 20
    newest_first = switches.default_sort == "-created_at"
    filters: dict[str, str] = {}
    for name, value in parse_qsl(raw, keep_blank_values=True):
        if name == "page":
            page = _whole_number(name, value)
        elif name == "limit":
            limit = _whole_number(name, value)
        elif name == "sort":
            if value not in {"created_at", "-created_at"}:
                raise _bad(name, "must be created_at or -created_at")
            newest_first = value.startswith("-") if switches.sort_honoured else newest_first
        elif name.startswith("filter[") and name.endswith("]") and name[7:-1] in known:
            filters[name[7:-1]] = value
        elif switches.unknown_filter == "refuse":
            raise _bad(name, "is not known")
    if limit > LARGEST_LIMIT:
        if switches.limit_over_50 == "refuse":
            raise _bad("limit", f"must be at most {LARGEST_LIMIT}")
        limit = LARGEST_LIMIT
    limit = min(limit, switches.largest_page)
    return ListQuery(page=page, limit=limit, newest_first=newest_first, filters=filters)


def _bad(name: str, message: str) -> ApiError:
    return ApiError(400, "INVALID_QUERY", f"{name} {message}", [{"field": name, "message": message}])


def _whole_number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 9_007_199_254_740_991:
        raise _bad(name, "must be a whole number of at least 1")
    return int(text)


def _alternatives(text: str) -> set[str]:
    return {part for part in text.split(",") if part}


def _number_test(name: str, text: str) -> Callable[[Job], bool]:
    low, _, high = text.partition(",")
    if not all(part.isdigit() or not part for part in (low, high)):
        raise _bad(f"filter[{name}]", "must be a number or a range low,high")
    least = int(low or 0)
    if "," not in text:
        return lambda job: job.number(name, 0) == least
    most = int(high) if high else None
    return lambda job: least <= job.number(name, 0) and (most is None or job.number(name, 0) <= most)


def _time_test(text: str, *, inclusive: bool) -> Callable[[Job], bool]:
    low, _, high = text.partition(",")
    try:
        start = parse_instant(low) if low else 0
        end = parse_instant(high) if high else None
    except ValueError:
        raise _bad("filter[created_at]", "must be dates low,high") from None
    if "," not in text:
        end, high = start, low
    if end is not None and is_date_only(high) and inclusive:
        end += DAY_MS - 1
    elif end is not None and not inclusive:
        end -= 1
    return lambda job: start <= job.created_ms and (end is None or job.created_ms <= end)


def _field_test(name: str, wanted: set[str]) -> Callable[[Job], bool]:
    readers: dict[str, Callable[[Job], str]] = {
        "task": lambda job: job.task,
        "uuid": lambda job: job.uuid,
        "recipe_uuid": lambda _: "",
    }
    read = readers[name]
    return lambda job: read(job) in wanted


def _job_tests(query: ListQuery, switches: Switches) -> list[Callable[[Job], bool]]:
    tests: list[Callable[[Job], bool]] = []
    for name, text in query.filters.items():
        if name in RANGES:
            tests.append(_number_test(name, text))
        elif name == "created_at":
            tests.append(_time_test(text, inclusive=switches.created_at_upper == "inclusive"))
        elif name != "status":
            tests.append(_field_test(name, _alternatives(text)))
    return tests


def shown_status(job: Job, switches: Switches) -> str:
    """The status that the API shows: without CANCELLING a job keeps its old one until it is CANCELLED."""
    if job.status == "CANCELLING" and not switches.has_cancelling:
        return job.status_before_cancel or "RUNNING"
    return job.status


def list_jobs(index: TimeIndex[Job], query: ListQuery, switches: Switches, *, hidden: set[str]) -> Page[Job]:
    """One page of jobs. hidden: uuids that the list does not know yet."""
    tests = _job_tests(query, switches)
    if "status" not in query.filters:
        return _page(index, None, tests, query, switches, hidden=hidden)
    statuses = {status.upper() for status in _alternatives(query.filters["status"])}
    if not switches.has_cancelling:
        wanted = frozenset(statuses)
        tests.append(lambda job: shown_status(job, switches) in wanted)
        statuses |= {"CANCELLING"}
    return _page(index, statuses, tests, query, switches, hidden=hidden)


def list_runs(
    index: TimeIndex[Run], query: ListQuery, switches: Switches, *, runs_of_job: Callable[[str], list[Run]]
) -> Page[Run]:
    """One page of runs. runs_of_job: the runs of one job of this account, in the order of their creation."""
    filters = query.filters
    statuses = {status.upper() for status in _alternatives(filters["status"])} if "status" in filters else None
    if "job_uuid" not in filters:
        return _page(index, statuses, [], query, switches, hidden=set())
    runs = [run for uuid in sorted(_alternatives(filters["job_uuid"])) for run in runs_of_job(uuid)]
    rows = sorted((run for run in runs if statuses is None or run.status in statuses), key=_order)
    return _cut(rows, query, switches)


def _order(row: Job | Run) -> tuple[int, int]:
    return (row.created_ms, row.seq)


def _page(
    index: TimeIndex[Row],
    statuses: set[str] | None,
    tests: list[Callable[[Row], bool]],
    query: ListQuery,
    switches: Switches,
    *,
    hidden: set[str],
) -> Page[Row]:
    if statuses is None and not tests and not hidden and switches.tie_order == "stable":
        start = (query.page - 1) * query.limit
        rows = index.slice(start, start + query.limit, newest_first=query.newest_first)
        return Page(rows, query.page, query.limit, len(index))
    chosen = [row for row in index.select(statuses) if row.uuid not in hidden and all(test(row) for test in tests)]
    return _cut(chosen, query, switches)


def _cut(rows: list[Row], query: ListQuery, switches: Switches) -> Page[Row]:
    """One page of rows that come in ascending order."""
    if switches.tie_order == "unstable":
        step = {"none": 1, "second": 1000, "minute": 60_000}[switches.created_at_ties]
        rows = sorted(
            rows,
            key=lambda row: (row.created_ms // step, zlib.crc32(f"{query.page}/{query.limit}/{row.uuid}".encode())),
        )
    ordered = rows[::-1] if query.newest_first else rows
    start = (query.page - 1) * query.limit
    return Page(ordered[start : start + query.limit], query.page, query.limit, len(ordered))
