"""Who may have a remote job that a resource adopts: the account decides, then whose it is, then age."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.intent import Origin
from dispersed_operator.model.naming import Identity
from dispersed_operator.model.observed import rfc3339
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.planning.contest import judge_contest
from dispersed_operator.planning.vocabulary import Contest
from tests.support.builders import (
    CLUSTER,
    CREATED,
    JOB,
    OTHER_JOB,
    JobBuilder,
    a_job,
    a_row,
    an_intent,
    stranger,
)

NEIGHBOUR = Identity(CLUSTER, "team-b", "bench", "77777777-1f2e-4c1a-8a55-2d1f4e6a9c03")
FREE = Contest(allowed=True, owned=False, titled=True)
OWNED = replace(FREE, owned=True)
TAKEN = stranger(JOB)


def adopter(**metadata: Any) -> JobBuilder:
    return a_job().spec({"task": "Persistent", "adopt": {"jobUUID": JOB}}).metadata(**metadata)


def neighbour(**metadata: Any) -> JobBuilder:
    named = {"namespace": NEIGHBOUR.namespace, "name": NEIGHBOUR.name, "uid": NEIGHBOUR.uid}
    return a_job().metadata(**{**named, **metadata})


def rival(**metadata: Any) -> JobBuilder:
    return neighbour(**metadata).spec({"task": "Persistent", "adopt": {"jobUUID": JOB}})


def judged(*others: JobBuilder, job: RemoteJob | None = TAKEN, forbidden: str = "") -> Contest:
    known = [adopter().reading, *(other.reading for other in others)]
    return judge_contest(
        adopter().resource, job, known, cluster_id=CLUSTER, allows=lambda rival: rival.key.namespace != forbidden
    )


def test_a_job_that_nobody_has_may_be_adopted() -> None:
    assert judged(neighbour().created().record(uuid=OTHER_JOB)) == FREE


def test_the_account_of_the_resource_decides_and_not_that_of_another() -> None:
    assert judged(forbidden="team-a") == replace(FREE, allowed=False)


def test_before_the_job_is_read_its_title_is_not_asked() -> None:
    assert judged(job=None) == replace(FREE, titled=False)


@pytest.mark.failure_mode(52)
@pytest.mark.parametrize(
    ("other", "because"),
    [
        (neighbour().record(token="x"), "it records the job, whatever its token is"),
        (neighbour().status(jobUUID=JOB), "the copy of the uuid for people counts as well"),
        (neighbour().record().deleting(), "it is being deleted, and will end the job itself"),
        (
            neighbour().spec({"task": "Batch", "adopt": {"jobUUID": OTHER_JOB}}).record(),
            "it adopts another job, and records this one",
        ),
    ],
)
def test_a_job_that_another_resource_records_is_owned(other: JobBuilder, because: str) -> None:
    assert judged(other) == OWNED, because
    assert judged(other, job=None).owned, because


@pytest.mark.failure_mode(52)
def test_a_job_whose_title_is_another_resources_is_owned_though_nobody_records_it() -> None:
    assert judged(neighbour(), job=a_row(identity=NEIGHBOUR)) == OWNED


@pytest.mark.failure_mode(13)
def test_a_job_of_the_earlier_self_of_another_resource_is_owned() -> None:
    before = replace(NEIGHBOUR, uid="88888888-1f2e-4c1a-8a55-2d1f4e6a9c03")
    origin = Origin(before.uid, before.namespaced_name, CLUSTER)
    assert judged(neighbour().intent(an_intent(origin=origin)), job=a_row(identity=before)) == OWNED


@pytest.mark.failure_mode(41)
def test_a_job_whose_title_was_rewritten_is_known_by_its_token() -> None:
    assert judged(neighbour(), job=a_row(identity=NEIGHBOUR, title="rewritten")) == OWNED
    token = naming.create_token(NEIGHBOUR, 1)
    assert judged(neighbour(), job=stranger(JOB, env_token=token)) == OWNED


def test_the_job_of_a_resource_that_vanished_is_nobodys() -> None:
    gone = replace(NEIGHBOUR, uid="99999999-1f2e-4c1a-8a55-2d1f4e6a9c03")
    assert judged(neighbour(), job=a_row(identity=gone)) == FREE


@pytest.mark.parametrize(
    ("other", "owned", "because"),
    [
        (rival(creationTimestamp=rfc3339(CREATED - 1)), True, "it is older"),
        (rival(creationTimestamp=rfc3339(CREATED + 1)), False, "it is younger"),
        (rival(creationTimestamp=rfc3339(CREATED + 1)).record(), False, "it is younger, whatever its status says"),
        (rival(uid="00000000-0000-4000-8000-000000000000"), True, "of the same second the smaller uid wins"),
        (rival(uid="ffffffff-0000-4000-8000-000000000000"), False, "of the same second the larger uid loses"),
        (
            rival(creationTimestamp=rfc3339(CREATED - 1), deletionTimestamp=rfc3339(CREATED)),
            False,
            "it goes, and holds nothing",
        ),
        (rival(creationTimestamp=rfc3339(CREATED - 1)).deleting(), True, "it goes, and ends the job first"),
    ],
)
def test_of_several_that_adopt_one_job_the_oldest_has_it(other: JobBuilder, owned: bool, because: str) -> None:
    assert judged(other).owned is owned, because


def test_an_older_one_whose_account_forbids_it_is_no_rival() -> None:
    assert judged(rival(creationTimestamp=rfc3339(CREATED - 1)), forbidden="team-b") == FREE


@pytest.mark.parametrize("spec", [None, {}, {"adopt": "text"}, {"adopt": None}])
def test_a_neighbour_without_a_readable_spec_is_no_rival(spec: Any) -> None:
    other = neighbour()
    assert judged(replace(other, body={**other.body, "spec": spec})) == FREE
