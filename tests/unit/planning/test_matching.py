"""The match policy: which rows are ours, and which of several is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.planning.identity import claims
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.matching import created_in_window, matches
from dispersed_operator.planning.vocabulary import Action, RecordCreate, RememberSighting, Rest, Situation
from tests.support.builders import (
    IDENTITY,
    JOB,
    OTHER_JOB,
    SIGNED,
    a_job,
    a_listing,
    a_row,
    facts,
    moment,
    stranger,
)

UNKNOWN = a_job().intent().resource
TOKEN = naming.create_token(IDENTITY, 1)


def _looked_up(*rows: RemoteJob) -> Action:
    return plan_job(UNKNOWN, facts(listing=a_listing(*rows)))


def _adopted(*rows: RemoteJob) -> RecordCreate:
    action = _looked_up(*rows)
    assert isinstance(action, RecordCreate)
    return action


def _is_ambiguous(action: Action) -> bool:
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    return action.situation.stalled and action.situation.reason == "OwnershipAmbiguous"


def test_without_a_row_of_ours_the_sighting_is_remembered() -> None:
    assert isinstance(_looked_up(stranger()), RememberSighting)


def test_one_row_is_recorded_with_what_it_proves_about_itself() -> None:
    row = a_row()
    action = _adopted(stranger(), row)
    assert (action.uuid, action.attempt, action.token, action.signed_at) == (JOB, 1, TOKEN, SIGNED)
    assert action.job is row
    assert action.extras == ()


# --- several ---


@pytest.mark.parametrize(
    ("kept", "other", "because"),
    [
        ({"status": "PENDING"}, {"status": "COMPLETED"}, "live beats terminal: what was paid for goes on"),
        ({"status": "CANCELLING"}, {"status": "FAILED"}, "even a job that is going is alive"),
        ({"status": "RUNNING"}, {"status": "PREPARING"}, "furthest along loses the least work"),
        ({"status": "PREPARING"}, {"status": "ASSIGNED"}, "furthest along"),
        ({"status": "ASSIGNED"}, {"status": "PENDING"}, "furthest along"),
        (
            {"status": "PENDING"},
            {"status": "HIBERNATING"},
            "an unknown status is alive and comes last among the living",
        ),
        (
            {"status": "RUNNING", "created_at": moment(SIGNED + 1)},
            {"status": "RUNNING", "created_at": moment(SIGNED + 2)},
            "the oldest was there first",
        ),
        (
            {"status": "RUNNING", "created_at": moment(SIGNED + 1)},
            {"status": "RUNNING", "created_at": None},
            "a row without a time is not the oldest",
        ),
        ({"status": "RUNNING"}, {"status": "RUNNING"}, "the uuid settles a tie, the same way for every operator"),
    ],
)
@pytest.mark.failure_mode(8)
@pytest.mark.failure_mode(68)
def test_the_survivor_among_several(kept: dict[str, Any], other: dict[str, Any], because: str) -> None:
    winner, loser = a_row(uuid=JOB, **kept), a_row(uuid=OTHER_JOB, **other)
    for rows in ((winner, loser), (loser, winner)):
        action = _adopted(*rows)
        assert action.uuid == JOB, because
        assert action.extras == (() if loser.terminal else (OTHER_JOB,)), "only what lives needs to be cancelled"


def test_a_copy_by_hand_beside_the_real_job_is_left_alone() -> None:
    action = _adopted(a_row(), a_row(uuid=OTHER_JOB, status="RUNNING", created_at=moment(SIGNED + 5000)))
    assert (action.uuid, action.extras) == (JOB, ())


# --- one, but doubtful ---


@pytest.mark.failure_mode(72)
def test_a_row_with_another_digest_than_the_intent_is_ambiguous() -> None:
    assert _is_ambiguous(_looked_up(a_row(digest="0" * 64)))


@pytest.mark.failure_mode(72)
def test_the_digest_is_compared_with_the_intent_and_not_with_the_spec_of_today() -> None:
    action = plan_job(UNKNOWN, facts(listing=a_listing(a_row()), digest="of an edited spec"))
    assert isinstance(action, RecordCreate)


def test_where_the_description_does_not_come_back_the_verified_title_decides() -> None:
    assert _adopted(a_row(description="")).body_sha256 == a_row().description.split()[2]


@pytest.mark.failure_mode(42)
@pytest.mark.failure_mode(59)
@pytest.mark.parametrize(
    ("offset", "ours", "because"),
    [
        (-301, False, "it was there before the request could be"),
        (-300, True, "clocks may differ by the signature's window"),
        (420, True, "the last copy of the request may come late"),
        (421, False, "no copy of the request is accepted any more"),
    ],
)
def test_a_row_outside_the_window_of_its_signature_is_a_persons_copy(offset: int, ours: bool, because: str) -> None:
    action = _looked_up(a_row(created_at=moment(SIGNED + offset)))
    assert isinstance(action, RecordCreate) is ours, because
    if not ours:
        assert _is_ambiguous(action)


@pytest.mark.parametrize(
    ("row", "because"),
    [
        (a_row(created_at=None), "a row without a time cannot be shown to be a copy"),
        (a_row(created_at=moment(SIGNED - 40_000), created_at_is_date=True), "a date says nothing about the hour"),
    ],
)
@pytest.mark.failure_mode(65)
def test_a_row_whose_time_is_not_known_is_taken_for_ours(row: RemoteJob, because: str) -> None:
    assert created_in_window(row, SIGNED, 300.0), because


def test_a_longer_signature_window_widens_the_window_of_its_rows() -> None:
    late = a_row(created_at=moment(SIGNED + 1300))
    assert not created_in_window(late, SIGNED, 300.0)
    assert created_in_window(late, SIGNED, 1200.0)


# --- who is meant ---


@pytest.mark.failure_mode(41)
@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"title": a_row().title[:40]}, "the token in the description and in the env still name it"),
        ({"title": "TRAIN THE MODEL", "env_token": None}, "the token in the description alone"),
        ({"title": "", "description": ""}, "the token in the env alone"),
        ({"title": a_row().title.upper(), "description": "rewritten"}, "a rewritten description is no witness"),
    ],
)
def test_a_title_that_was_cut_or_rewritten_is_found_by_its_witnesses(changes: dict[str, Any], because: str) -> None:
    action = _looked_up(a_row(**changes))
    assert isinstance(action, RecordCreate), because
    assert (action.attempt, action.signed_at) == (1, SIGNED)


@pytest.mark.failure_mode(41)
def test_without_title_description_and_env_a_row_is_nobodys() -> None:
    assert isinstance(_looked_up(a_row(title="", description="", env_token=None)), RememberSighting)


@pytest.mark.failure_mode(52)
def test_the_title_of_another_resource_outweighs_our_token_in_its_description() -> None:
    neighbour = replace(IDENTITY, name="neighbour")
    forged = a_row(identity=neighbour, description=a_row().description, env_token=TOKEN)
    assert claims(forged, IDENTITY, range(1, 5)) is None


@pytest.mark.parametrize(
    "identity",
    [
        replace(IDENTITY, cluster_id="another"),
        replace(IDENTITY, namespace="another"),
        replace(IDENTITY, name="another"),
        replace(IDENTITY, uid="0b9d7c52-ffff-4c1a-8a55-2d1f4e6a9c03"),
    ],
)
@pytest.mark.failure_mode(35)
def test_rows_of_another_owner_do_not_match(identity: naming.Identity) -> None:
    index = a_listing(a_row(identity=identity))
    assert matches(index, [IDENTITY], range(1, 5)) == ()


def test_a_row_that_is_found_by_title_and_token_shows_once() -> None:
    index = a_listing(a_row())
    assert len(matches(index, [IDENTITY, IDENTITY], range(1, 5))) == 1
