"""Sweep rule 2: a live job of an attempt that its resource does not record is looked up like any unknown create."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.naming import create_token
from dispersed_operator.model.observed import JobResource, PendingCreate
from dispersed_operator.passes import remembered
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import Memory, ReadListing, RecordCreate
from tests.support.builders import (
    ACCOUNT,
    CLUSTER,
    IDENTITY,
    JOB,
    NOW,
    OTHER_JOB,
    SIGNED,
    a_job,
    a_listing,
    a_row,
    facts,
    memory,
    refused,
    sighting,
)

SWEPT = PendingCreate(
    attempt=2,
    token=create_token(IDENTITY, 2),
    signed_at=SIGNED,
    nonce=None,
    body_sha256=None,
    account=ACCOUNT,
)
CREATED = a_job().created().resource
LATER = a_row(uuid=OTHER_JOB, attempt=2, status="RUNNING")


def brought_up_to_date(before: Memory, resource: JobResource = CREATED) -> Memory:
    return remembered(before, resource, float(NOW), CLUSTER)


@pytest.mark.failure_mode(57)
def test_a_job_of_a_later_attempt_is_looked_for_in_a_listing() -> None:
    action = plan_job(CREATED, facts(memory=memory(swept=SWEPT)))
    assert isinstance(action, ReadListing)


@pytest.mark.failure_mode(57)
def test_it_is_recorded_and_the_earlier_attempts_job_becomes_the_one_too_many() -> None:
    listing = a_listing(a_row(status="RUNNING"), LATER)
    action = plan_job(CREATED, facts(memory=memory(swept=SWEPT), listing=listing))
    assert isinstance(action, RecordCreate)
    assert (action.uuid, action.attempt, action.extras) == (OTHER_JOB, 2, (JOB,))


@pytest.mark.failure_mode(9)
def test_a_create_proven_absent_that_was_carried_out_after_all_is_taken_over() -> None:
    resource = a_job().intent(refused(Refusal.ABSENT)).resource
    swept = replace(SWEPT, attempt=1, token=create_token(IDENTITY, 1))
    action = plan_job(resource, facts(memory=memory(swept=swept), listing=a_listing(a_row(status="RUNNING"))))
    assert isinstance(action, RecordCreate)
    assert action.uuid == JOB


def test_what_the_sweep_saw_is_remembered_until_it_is_recorded() -> None:
    assert brought_up_to_date(memory(swept=SWEPT)).swept == SWEPT
    recorded = a_job().created().record(attempt=2, uuid=OTHER_JOB).resource
    assert brought_up_to_date(memory(swept=SWEPT), recorded).swept is None


def test_a_complete_listing_without_the_job_ends_the_search_until_the_next_sweep() -> None:
    looking = brought_up_to_date(memory(swept=SWEPT))
    after = brought_up_to_date(replace(looking, sightings=(sighting(NOW),)))
    assert after.swept is None
    assert (after.lookup_for, after.sightings) == ("", ())


def test_sightings_of_another_create_do_not_end_the_search() -> None:
    before = memory(swept=SWEPT, lookup_for="1:other:nonce", sightings=(sighting(NOW),))
    assert brought_up_to_date(before).swept == SWEPT


def test_the_resources_own_open_intent_comes_first() -> None:
    resource = a_job().intent().resource
    pending = resource.pending_create()
    assert pending is not None
    kept = brought_up_to_date(memory(swept=SWEPT), resource)
    assert kept.lookup_for == f"1:{pending.token}:{pending.nonce}"
