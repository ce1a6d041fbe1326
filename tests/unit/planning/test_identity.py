"""Restores, clones and forgeries: what an inherited intent may lead to, and what never."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispersed_operator.model.intent import Origin, Refusal
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.deletion import create_to_settle
from dispersed_operator.planning.identity import cancel_identities, has_foreign_origin
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    CancelJob,
    DropFinalizer,
    Memory,
    ReadJob,
    ReadListing,
    RecordCreate,
    Rest,
    Situation,
)
from tests.support.builders import (
    CLUSTER,
    IDENTITY,
    JOB,
    NOW,
    JobBuilder,
    a_job,
    a_listing,
    a_row,
    an_intent,
    facts,
    memory,
    reads,
    refused,
    sighting,
)

OLD = replace(IDENTITY, uid="99999999-0000-4000-8000-000000000000")
EARLIER_SELF = Origin(OLD.uid, IDENTITY.namespaced_name, CLUSTER)
NEIGHBOUR = Origin(OLD.uid, "team-a/neighbour", CLUSTER)
ELSEWHERE = Origin(IDENTITY.uid, IDENTITY.namespaced_name, "another cluster")
NEIGHBOURS_TOKEN = an_intent(origin=NEIGHBOUR).token
NEIGHBOURS_JOB = a_row(identity=replace(OLD, name="neighbour"))


def _carrying(origin: Origin, **changes: object) -> JobBuilder:
    return a_job().intent(an_intent(origin=origin, **changes))


def test_ones_own_intent_is_not_foreign() -> None:
    assert not has_foreign_origin(a_job().intent().resource, CLUSTER)
    assert not has_foreign_origin(a_job().resource, CLUSTER)


@pytest.mark.parametrize(
    ("origin", "uids", "because"),
    [
        (EARLIER_SELF, {IDENTITY.uid, OLD.uid}, "two objects of one name cannot live at once: it is the same job"),
        (NEIGHBOUR, {IDENTITY.uid}, "the neighbour may live, and its jobs are its own"),
        (ELSEWHERE, {IDENTITY.uid}, "another cluster's jobs are never ours"),
    ],
)
def test_whose_jobs_a_deletion_may_end(origin: Origin, uids: set[str], because: str) -> None:
    found = cancel_identities(_carrying(origin).resource, CLUSTER)
    assert {identity.uid for identity in found} == uids, because
    assert {identity.cluster_id for identity in found} == {CLUSTER}


@pytest.mark.failure_mode(61)
@pytest.mark.failure_mode(52)
def test_a_deleted_clone_with_inherited_status_reaches_no_job_of_the_original() -> None:
    clone = _carrying(NEIGHBOUR).record(token=NEIGHBOURS_TOKEN).deleting().resource
    assert isinstance(plan_job(clone, facts()), ReadListing), "its own jobs are looked for first"
    date = NOW + 1000
    proven = facts(
        at=date,
        listing=a_listing(NEIGHBOURS_JOB, date=date),
        memory=memory(first_seen=NOW, sightings=(sighting(date - 30),)),
        **reads(NEIGHBOURS_JOB),
    )
    assert isinstance(plan_job(clone, proven), DropFinalizer)


@pytest.mark.failure_mode(36)
@pytest.mark.parametrize(
    "clone",
    [
        _carrying(NEIGHBOUR),
        _carrying(NEIGHBOUR).record(token=NEIGHBOURS_TOKEN),
        a_job().intent(refused(None, origin=NEIGHBOUR)),
    ],
)
def test_a_deleted_clone_settles_a_create_of_its_own_whatever_it_inherited(clone: JobBuilder) -> None:
    pending = create_to_settle(clone.deleting().resource, Memory(), CLUSTER)
    assert pending is not None
    assert (pending.token, pending.signed_at) == (None, None)


@pytest.mark.failure_mode(13)
def test_a_deleted_restore_without_status_finds_the_job_of_its_earlier_self_and_settles_on_it() -> None:
    restored = _carrying(EARLIER_SELF).deleting()
    adoption = plan_job(restored.resource, facts(listing=a_listing(a_row(identity=OLD))))
    assert isinstance(adoption, RecordCreate)
    recorded = restored.record(token=adoption.token, uuid=adoption.uuid).resource
    assert recorded.pending_create() is None, "the record carries the token of the intent"


@pytest.mark.failure_mode(13)
def test_a_deleted_restore_with_status_cancels_the_job_of_its_earlier_self() -> None:
    restored = _carrying(EARLIER_SELF).record(token=an_intent(origin=EARLIER_SELF).token).deleting().resource
    assert plan_job(restored, facts()) == ReadJob(JOB, runs=False)
    action = plan_job(restored, facts(**reads(a_row(identity=OLD, status="RUNNING"))))
    assert isinstance(action, CancelJob)


def test_a_deleted_restore_of_a_refused_create_goes_at_once() -> None:
    restored = a_job().intent(refused(Refusal.VALIDATION, origin=EARLIER_SELF)).deleting().resource
    assert isinstance(plan_job(restored, facts()), DropFinalizer)


@pytest.mark.failure_mode(52)
def test_a_forged_record_shows_nothing_of_another_tenants_job() -> None:
    forged = a_job().created().resource
    neighbours = a_row(identity=replace(IDENTITY, namespace="team-b"), status="RUNNING")
    action = plan_job(forged, facts(**reads(neighbours)))
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    assert action.situation.reason is Reason.OWNERSHIP_AMBIGUOUS
    assert action.situation.job is None
    assert action.situation.endpoints == ()
