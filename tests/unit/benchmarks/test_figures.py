"""From moments to figures."""

from __future__ import annotations

import pytest

from benchmarks.figures import (
    Row,
    busiest_second,
    distances,
    doubles,
    first_full_poll,
    freshness,
    percentile,
    poll_is_over,
    spread,
)


@pytest.mark.parametrize(
    ("share", "expected", "reason"),
    [
        (0.5, 5.0, "half of ten values do not exceed the fifth"),
        (0.95, 10.0, "nine of ten are less than 95 %, so the largest counts"),
        (0.9, 9.0, "exactly nine of ten"),
        (1.0, 10.0, "all"),
        (0.0, 1.0, "there is no value before the first"),
    ],
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    share: float, expected: float, reason: str
) -> None:
    assert percentile([float(number) for number in range(10, 0, -1)], share) == expected, reason


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 0.5) is None
    assert spread("wait", []) == {"wait_p50_s": None, "wait_p95_s": None, "wait_max_s": None}


def test_what_has_not_ended_counts_with_its_age() -> None:
    found, missing = distances({"a": 1.0, "b": 2.0}, {"a": 1.5, "other": 9.0}, now=12.0)
    assert (found, missing) == ([0.5, 10.0], 1)


def test_an_end_before_its_beginning_is_no_time_at_all() -> None:
    assert distances({"a": 1.0}, {"a": 0.9995}, now=2.0) == ([0.0], 0)


def row(path: str, at: float, query: str = "", method: str = "GET") -> Row:
    return {"method": method, "path": path, "query": query, "at_ms": at * 1000}


def page(number: int, at: float, path: str = "/v1/jobs") -> Row:
    return row(path, at, f"filter%5Bstatus%5D=RUNNING&limit=50&page={number}")


LIVE = [f"uuid-{number}" for number in range(60)]


def test_all_have_been_asked_about_when_the_last_was_read() -> None:
    rows = [row(f"/v1/jobs/{uuid}", 100 + number) for number, uuid in enumerate(LIVE)]
    assert first_full_poll(rows, LIVE, start=100) == 59
    assert first_full_poll(rows[1:], LIVE, start=100) is None


def test_a_look_before_the_start_does_not_count() -> None:
    rows = [row(f"/v1/jobs/{uuid}", 100 + number) for number, uuid in enumerate(LIVE)]
    assert first_full_poll(rows, LIVE, start=101) is None


def test_all_have_been_asked_about_when_every_page_of_live_jobs_was() -> None:
    assert first_full_poll([page(1, 1), page(2, 3), page(2, 9)], LIVE, start=0) == 3
    assert first_full_poll([page(1, 1)], LIVE, start=0) is None


def test_who_lists_runs_too_has_asked_when_both_lists_were_read() -> None:
    jobs, runs = [page(1, 1), page(2, 2)], [page(1, 3, "/v1/job-runs"), page(2, 4, "/v1/job-runs")]
    assert first_full_poll([*jobs, *runs], LIVE, start=0) == 4
    assert first_full_poll([*jobs, runs[0]], LIVE, start=0) is None


def test_a_list_of_everything_is_no_poll() -> None:
    assert first_full_poll([row("/v1/jobs", 1, "limit=50&page=2")], LIVE, start=0) is None


def test_a_list_of_the_runs_of_one_job_is_no_poll() -> None:
    runs = row("/v1/job-runs", 3, "filter%5Bjob_uuid%5D=a&limit=50&page=1")
    assert first_full_poll([page(1, 1), runs, page(2, 4)], LIVE, start=0) == 4


def test_a_poll_is_over_when_all_were_listed_and_no_page_was_asked_for_in_a_second() -> None:
    whole = [page(1, 5), page(2, 5.5), page(1, 6, "/v1/job-runs")]
    assert not poll_is_over(whole[:1], 60, now=100), "only the newest were looked at"
    assert not poll_is_over(whole, 60, now=6.9)
    assert poll_is_over(whole, 60, now=7.1)


def test_freshness_is_the_time_between_two_looks_at_one_job_or_at_all() -> None:
    lists = [page(1, 10), page(2, 11), page(1, 16), page(1, 25), page(2, 26)]
    reads = [row("/v1/jobs/a", 1), row("/v1/jobs/b", 2), row("/v1/jobs/a", 16), row("/v1/jobs/a", 3, method="PUT")]
    assert sorted(freshness([*lists, *reads], 60)) == [15, 15]


def test_the_busiest_second_is_a_whole_one() -> None:
    assert busiest_second([1.9, 2.0, 2.5, 2.999, 3.0]) == 3
    assert busiest_second([]) == 0


def test_two_jobs_of_one_resource_are_a_double_whatever_else_their_titles_say() -> None:
    assert doubles(["kd1-x-1 job-1", "kd1-x-2 job-1", "job-2"]) == 1
