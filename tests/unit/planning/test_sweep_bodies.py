"""Of all resources a sweep keeps those that the account's jobs can have to do with, and no verdict changes by it."""

from __future__ import annotations

import pytest

from dispersed_operator.model.reading import Body, Reading
from dispersed_operator.planning.sweep_bodies import concerned, possible_owners, recorded_jobs
from dispersed_operator.store import ResourceStore
from tests.support.builders import JOB, OTHER_JOB, JobBuilder, a_job, a_row, an_intent, stranger

ELSEWHERE = a_job().metadata(name="elsewhere", uid="99999999-0000-4000-8000-000000000000")


def read_job(body: Body) -> Reading:
    return ResourceStore().listed_job(body)


@pytest.mark.parametrize(
    ("job", "wanted", "because"),
    [
        (a_job(), True, "the title of the row speaks of its uid"),
        (ELSEWHERE.record(), True, "it records the row, rightly or not"),
        (ELSEWHERE.status(jobUUID=JOB), True, "so does the field for people"),
        (ELSEWHERE.intent(an_intent()), True, "it came back from a backup: the title speaks of its origin"),
        (ELSEWHERE, False, "nothing leads from the row to it"),
        (ELSEWHERE.record(uuid=OTHER_JOB), False, "it records another job"),
    ],
)
def test_a_resource_is_kept_if_a_row_may_be_its_own(job: JobBuilder, wanted: bool, because: str) -> None:
    rows, reading = [a_row()], read_job(job.body)
    assert (concerned(rows, read_job)(job.body) is not None) is wanted, because
    known = JOB in recorded_jobs([reading]) or bool(possible_owners([reading], [row.title for row in rows]))
    assert known is wanted, "what is left out would have said nothing"


def test_a_row_with_a_title_that_is_none_of_ours_asks_for_nobody() -> None:
    assert concerned([stranger(title="a job made by hand")], read_job)(a_job().body) is None
