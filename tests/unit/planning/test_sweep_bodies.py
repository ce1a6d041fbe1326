"""Of all resources a sweep keeps those that the account's jobs can have to do with, and no verdict changes by it."""

from __future__ import annotations

import pytest

from dispersed_operator.model.orphan import OrphanPolicy
from dispersed_operator.model.reading import Body, Reading
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.planning.sweep import Standing, SweepRules, SweepView, plan_sweep
from dispersed_operator.planning.sweep_bodies import all_claimed, concerned, possible_owners, recorded_jobs
from dispersed_operator.store import ResourceStore, key_of
from tests.support.builders import CLUSTER, JOB, NOW, OTHER_JOB, JobBuilder, a_job, a_row, an_intent, stranger

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


@pytest.mark.parametrize(
    ("row", "job", "claimed", "because"),
    [
        (a_row(), a_job().record(), True, "its resource records it"),
        (a_row(), a_job(), False, "its resource does not record it: a lookup, a duplicate, a late create"),
        (a_row(), a_job().record(uuid=OTHER_JOB), False, "its resource records another job"),
        (a_row(status="COMPLETED"), a_job(), True, "it is over"),
        (a_row(status="A_NEW_ONE"), a_job(), False, "a status that nobody knows is alive"),
        (stranger(title="a job made by hand"), a_job(), True, "nothing of ours made it"),
        (stranger(title="a job made by hand"), a_job().record(uuid=OTHER_JOB), True, "its resource adopted it"),
    ],
)
def test_only_a_live_job_of_our_make_that_nobody_records_asks_for_the_resources(
    row: RemoteJob, job: JobBuilder, claimed: bool, because: str
) -> None:
    store = ResourceStore()
    store.put(key_of(job.body), job.body)
    assert all_claimed([row], store.by_uuid, CLUSTER) is claimed, because
    rules = SweepRules(CLUSTER, OrphanPolicy.CANCEL, cluster_wide=True)
    reading = read_job(job.body)
    owners = possible_owners([reading], [row.title])
    view = SweepView([row], NOW, recorded_jobs([reading]), owners, {}, {})
    suspects = [v for v in plan_sweep(view, rules).verdicts if v.standing not in (Standing.OWNED, Standing.FOREIGN)]
    assert not (claimed and suspects), "what is not looked at would have said nothing"
