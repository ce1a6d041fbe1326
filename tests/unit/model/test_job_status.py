"""The status model of DispersedJob and the texts in it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from dispersed_operator.model.status import (
    Condition,
    CreateRecord,
    DispersedJobStatus,
    Run,
    parse_timestamp,
    runtime_text,
    timestamp,
)

START = datetime(2026, 11, 23, 14, 2, 31, tzinfo=UTC)


def test_a_status_survives_writing_and_reading() -> None:
    status = DispersedJobStatus(
        phase="Running",
        job_uuid="u",
        create=CreateRecord(token="t", attempt=1, locked=True, body_sha256="d"),
        runs=(Run(uuid="r", status="RUNNING"),),
        hourly_rate_usd="0.35",
        conditions=(Condition(type="Ready", status="True", reason="Running", message="m"),),
    )
    written = status.to_api()
    assert written["jobUUID"] == "u"
    assert written["create"] == {"token": "t", "attempt": 1, "locked": True, "bodySHA256": "d"}
    assert written["hourlyRateUSD"] == "0.35"
    assert DispersedJobStatus.from_api(written) == status


def test_an_empty_status_writes_nothing() -> None:
    assert DispersedJobStatus().to_api() == {}


def test_a_phase_of_another_release_is_read() -> None:
    assert DispersedJobStatus.from_api({"phase": "Suspended", "new": 1}).phase == "Suspended"


def test_times_are_written_in_utc_with_whole_seconds() -> None:
    elsewhere = START.replace(microsecond=999999).astimezone(timezone(timedelta(hours=2)))
    assert timestamp(elsewhere) == "2026-11-23T14:02:31Z"
    assert parse_timestamp("2026-11-23T14:02:31Z") == START


@pytest.mark.parametrize("text", [None, "", "yesterday", "0"])
def test_a_time_that_makes_no_sense_is_none(text: str | None) -> None:
    assert parse_timestamp(text) is None


def test_a_time_without_a_zone_is_utc() -> None:
    assert parse_timestamp("2026-11-23T14:02:31") == START


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (None, "since 2026-11-23T14:02Z"),
        (START, "0s"),
        (START - timedelta(seconds=5), "0s"),
        (START + timedelta(seconds=59.9), "59s"),
        (START + timedelta(minutes=9, seconds=12), "9m12s"),
        (START + timedelta(hours=1), "1h0m0s"),
        (START + timedelta(days=2, seconds=1), "2d0h0m1s"),
    ],
)
def test_runtime_is_true_until_the_next_transition(ended: datetime | None, expected: str) -> None:
    assert runtime_text(START, ended) == expected


def test_a_job_that_never_started_has_no_runtime() -> None:
    assert runtime_text(None, None) is None
    assert runtime_text(None, START) is None
