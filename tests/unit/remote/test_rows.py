"""Rows that were read before: no change of what is read goes unnoticed, and what did not change is not read again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispersed_operator.errors import MalformedAnswer
from dispersed_operator.model.naming import TOKEN_ENV
from dispersed_operator.remote.payloads import job_of_row, run_of_row
from dispersed_operator.remote.rows import job_rows, run_rows

Row = dict[str, Any]

JOB: Row = {
    "uuid": "j-1",
    "status": "RUNNING",
    "title": "kd1-x",
    "created_at": "2026-11-23T14:02:00Z",
    "parameters": {"type": "docker", "parameters": {"image": "a", "env": {TOKEN_ENV: "token", "OTHER": "x"}}},
}
RUN: Row = {
    "uuid": "r-1",
    "job_uuid": "j-1",
    "status": "RUNNING",
    "started_at_ms": 1_795_000_000_000,
    "duration_ms": 10,
    "node_urls": [{"description": "8080", "hostname": "n.example.com", "port": 30_000, "protocol": "tcp"}],
}


def test_a_row_that_says_what_it_said_is_the_same_object() -> None:
    jobs, runs = job_rows(), run_rows()
    assert jobs.read({**JOB}) is jobs.read({**JOB})
    assert runs.read({**RUN}) is runs.read({**RUN})


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"status": "CANCELLING"}, "the state"),
        ({"title": "kd1-y"}, "whose it is"),
        ({"container_access_tokens": ["t"]}, "how it is reached"),
        ({"status_reason": "node lost"}, "why it ended"),
        ({"parameters": {"parameters": {"env": {TOKEN_ENV: "another"}}}}, "the token in env"),
        ({"uuid": "j-2"}, "it is another job"),
    ],
)
def test_a_job_that_says_something_else_is_read_anew(change: Row, because: str) -> None:
    rows = job_rows()
    rows.read(JOB)
    assert rows.read(JOB | change) == job_of_row(JOB | change), because


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"status": "COMPLETED", "duration_ms": 11}, "its end"),
        ({"node_urls": [{**RUN["node_urls"][0], "port": 30_001}]}, "another port"),
        ({"hourly_rate_usd": 1}, "the price"),
        ({"job_uuid": None, "job_snapshot": {"uuid": "j-2"}}, "another job"),
        ({"exitCode": 1}, "the exit code, in its other spelling"),
    ],
)
def test_a_run_that_says_something_else_is_read_anew(change: Row, because: str) -> None:
    rows = run_rows()
    rows.read(RUN)
    assert rows.read(RUN | change) == run_of_row(RUN | change), because


def test_env_and_unknown_fields_of_a_job_are_nothing_that_is_read() -> None:
    rows = job_rows()
    other = {**JOB, "parameters": {"parameters": {"env": {TOKEN_ENV: "token"}}}, "image_size_bytes": 7}
    assert rows.read(JOB) is rows.read(other)


@pytest.mark.parametrize(
    ("row", "ticks", "because"),
    [
        (RUN, False, "the start says how long it runs"),
        (RUN | {"started_at_ms": None, "started_at": "2026-11-23T14:02:00Z"}, False, "and so does its other spelling"),
        (RUN | {"started_at_ms": None}, True, "only the duration says how long it runs"),
        (RUN | {"started_at_ms": "soon"}, True, "a start that cannot be read says nothing"),
        (RUN | {"status": "failed"}, True, "it is over, and the duration is what it cost"),
    ],
)
def test_the_duration_of_a_run_counts_where_nothing_else_says_how_long_it_is(
    row: Row, ticks: bool, because: str
) -> None:
    rows = run_rows()
    before = rows.read(row)
    assert (rows.read(row | {"duration_ms": 99}) is not before) == ticks, because


@pytest.mark.parametrize("row", [None, "text", [], {}, {"uuid": "j-1"}, {"uuid": [], "status": "RUNNING"}])
def test_a_row_that_cannot_be_read_fails_each_time(row: object) -> None:
    rows = job_rows()
    rows.read(JOB)
    for _ in range(2):
        with pytest.raises(MalformedAnswer):
            rows.read(row)
    assert rows.read(JOB) == job_of_row(JOB)


def test_rows_that_are_not_listed_any_more_are_forgotten() -> None:
    rows = job_rows()
    rows.read(JOB)
    rows.read(JOB | {"uuid": "j-2"})
    rows.settle({"j-2"})
    assert len(rows) == 1


def page_of(*rows: Row, total: int = 9) -> bytes:
    return json.dumps({"data": rows, "page": 1, "limit": 50, "total": total}).encode()


def test_a_page_that_came_before_byte_for_byte_is_the_same_object() -> None:
    rows = job_rows()
    first = rows.read_page(page_of(JOB))
    assert (first.rows, first.total, first.limit) == ((job_of_row(JOB),), 9, 50)
    assert rows.read_page(page_of(JOB)) is first
    rows.settle({"j-1"})
    assert rows.read_page(page_of(JOB)) is first
    assert rows.read_page(page_of(JOB, total=8)).total == 8


def test_a_page_that_says_again_what_it_said_before_last_is_believed() -> None:
    rows = job_rows()
    stopping = JOB | {"status": "CANCELLING"}
    for row in (JOB, stopping, JOB):
        assert rows.read_page(page_of(row)).rows == (job_of_row(row),)
        rows.settle({"j-1"})
    for row in (stopping, JOB):
        assert rows.read_page(page_of(row)).rows == (job_of_row(row),)


def test_pages_of_a_reading_that_failed_are_not_kept_for_ever() -> None:
    rows = job_rows()
    first = rows.read_page(page_of(JOB))
    rows.start_over()
    assert rows.read_page(page_of(JOB)) is not first
    with pytest.raises(MalformedAnswer):
        rows.read_page(page_of(JOB, {"uuid": "j-2"}))


VALUES = st.one_of(st.none(), st.text(max_size=3), st.integers(0, 3), st.lists(st.sampled_from(["a", "b"]), max_size=2))
CHANGES = st.lists(
    st.dictionaries(
        st.sampled_from([
            "title", "description", "task", "status_reason", "created_at", "account_uuid", "account", "started_at",
            "duration_ms", "exit_code", "exitCode", "node_urls", "container_access_tokens", "logs", "parameters",
        ]),
        VALUES,
        max_size=3,
    ),
    max_size=4,
)  # fmt: skip


@given(changes=CHANGES)
def test_whatever_came_before_a_row_is_read_as_if_it_were_the_first(changes: list[Row]) -> None:
    jobs, runs = job_rows(), run_rows()
    for change in changes:
        assert jobs.read(JOB | change) == job_of_row(JOB | change)
        started = RUN | {"started_at_ms": None} | change
        assert runs.read(started) == run_of_row(started)
