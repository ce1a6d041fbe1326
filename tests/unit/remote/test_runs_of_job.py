"""The runs of a job are picked out locally, because a filter may be ignored (API reference §5.3)."""

from datetime import UTC, datetime

import pytest

from dispersed_operator.errors import MalformedAnswer
from dispersed_operator.model.remote import RemoteRun
from dispersed_operator.remote.client import runs_of_job


def run(uuid: str, job_uuid: str, hour: int | None = None) -> RemoteRun:
    created_at = None if hour is None else datetime(2026, 1, 1, hour, tzinfo=UTC)
    return RemoteRun(uuid=uuid, job_uuid=job_uuid, status="RUNNING", created_at=created_at)


def test_runs_of_other_jobs_are_dropped_and_the_newest_comes_first() -> None:
    rows = [run("r-1", "j-1", 1), run("r-2", "j-2", 2), run("r-3", "j-1", 3), run("r-4", "j-1")]
    assert [row.uuid for row in runs_of_job(rows, "j-1")] == ["r-3", "r-1", "r-4"]


def test_a_run_that_does_not_name_its_job_is_no_run_to_overlook() -> None:
    with pytest.raises(MalformedAnswer):
        runs_of_job([run("r-1", "j-1"), run("r-2", "")], "j-1")
