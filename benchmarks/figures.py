"""From moments to figures: percentiles, distances, the first full poll. Pure functions; times are in seconds."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""A row of the simulator's request log."""
PAGE = 50


def percentile(values: Iterable[float], share: float) -> float | None:
    """The nearest-rank percentile: the smallest value that at least `share` (0 to 1) of all do not exceed."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def distances(begun: Mapping[str, float], ended: Mapping[str, float], *, now: float) -> tuple[list[float], int]:
    """The distance from begin to end of each name, and how many have not ended.

    What has not ended counts with its age at `now`: leaving it out would make the slow look fast.
    """
    found = [max(0.0, ended.get(name, now) - moment) for name, moment in begun.items()]
    return found, sum(name not in ended for name in begun)


def spread(prefix: str, values: Sequence[float]) -> dict[str, float | None]:
    """Median, 95th percentile and largest value as figures."""
    shares = {"p50": 0.5, "p95": 0.95, "max": 1.0}
    return {f"{prefix}_{word}_s": rounded(percentile(values, share)) for word, share in shares.items()}


def rounded(value: float | None, digits: int = 3) -> float | None:
    """A figure as it is kept."""
    return None if value is None else round(value, digits)


def first_full_poll(rows: Iterable[Row], live: Iterable[str], *, start: float) -> float | None:
    """Seconds from `start` until the service had been asked about every live job; None if it never was.

    Either by reading each of them, or by every page of a list of live ones: of the jobs, and of the runs too if the
    contender lists those, which is known some seconds after it listed the jobs.
    """
    wanted = set(live)
    last_page = math.ceil(len(wanted) / PAGE)
    unread = set(wanted)
    listed: dict[str, float] = {}
    kinds = {"/v1/jobs"}
    for row in rows:
        if row["method"] != "GET" or row["at_ms"] / 1000 < start:
            continue
        at = row["at_ms"] / 1000 - start
        if row["path"] in {"/v1/jobs", "/v1/job-runs"}:
            if is_poll(row):
                kinds.add(row["path"])
                if page_of(row) >= last_page:
                    listed.setdefault(row["path"], at)
        else:
            unread.discard(row["path"].rsplit("/", 1)[-1])
            if not unread:
                return rounded(at)
    return rounded(max(listed.values())) if listed.keys() == kinds else None


def freshness(rows: Iterable[Row], live: int) -> list[float]:
    """The seconds between one look at a job and the next, of every job that was read twice, and of the whole list of so
    many live jobs: one that ends before its last page is no look at all of them."""
    seen: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["method"] == "GET" and row["path"].startswith("/v1/jobs/"):
            seen[row["path"]].append(row["at_ms"] / 1000)
        elif ends_poll(row, live):
            seen["list"].append(row["at_ms"] / 1000)
    return [after - before for times in seen.values() for before, after in itertools.pairwise(times)]


def ends_poll(row: Row, live: int) -> bool:
    """Whether the last page of a list of so many live jobs was asked for."""
    return row["path"] == "/v1/jobs" and is_poll(row) and page_of(row) == math.ceil(live / PAGE)


def poll_is_over(rows: Sequence[Row], live: int, *, now: float) -> bool:
    """Whether all of so many live jobs were listed, and no further page of jobs or runs was asked for in a second."""
    pages = [row["at_ms"] / 1000 for row in rows if is_poll(row)]
    return any(ends_poll(row, live) for row in rows) and now - max(pages) > 1.0


def is_poll(row: Row) -> bool:
    """Whether a list of live rows was asked for, and not one of everything, or of the runs of one job."""
    return row["method"] == "GET" and "filter%5Bstatus%5D" in row["query"]


def page_of(row: Row) -> int:
    """The number of the page that was asked for."""
    pairs = dict(part.partition("=")[::2] for part in row["query"].split("&"))
    return int(pairs.get("page", "1"))


def busiest_second(moments: Iterable[float]) -> int:
    """The most moments in any whole second."""
    return max(Counter(map(math.floor, moments)).values(), default=0)


def doubles(titles: Iterable[str]) -> int:
    """How many more jobs there are than resources; a resource's name is the last word of its job's title."""
    names = [title.rsplit(" ", 1)[-1] for title in titles]
    return len(names) - len(set(names))
