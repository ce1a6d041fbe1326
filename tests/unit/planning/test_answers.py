"""A person's answer: it names what it answers, it comes into force late, and it can reach no other job."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.orphan import OrphanCause, OrphanDecision
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    ApplyAnswer,
    Facts,
    LeaveOrphan,
    Missing,
    ReadJob,
    ReadListing,
    RecordCreate,
    RefuseAnswer,
    RefuseIntent,
    Rest,
)
from tests.support.builders import (
    IDENTITY,
    JOB,
    OTHER_JOB,
    SIGNED,
    JobBuilder,
    a_job,
    a_row,
    an_intent,
    closed_account,
    facts,
    memory,
    refused,
    stranger,
)

TOKEN = naming.create_token(IDENTITY, 1)
DUE = facts(at=SIGNED + 421)


def _answered(text: str, builder: JobBuilder | None = None) -> JobBuilder:
    return (builder or a_job().intent()).annotated(naming.RESOLVE_CREATE_ANNOTATION, text)


def _refused_once(text: str, given: Facts, because: str) -> None:
    """An Event says why; then the lookup goes on as if nothing had been said."""
    resource = _answered(text).resource
    refusal = plan_job(resource, given)
    assert isinstance(refusal, RefuseAnswer), because
    told = replace(given, memory=memory(refused_answers=(refusal.text,)))
    assert isinstance(plan_job(resource, told), ReadListing), because


@pytest.mark.failure_mode(51)
@pytest.mark.parametrize(("word", "refusal"), [("retry", Refusal.ABSENT), ("abandon", Refusal.ABANDONED)])
def test_retry_and_abandon_settle_the_create_and_are_counted(word: str, refusal: Refusal) -> None:
    action = plan_job(_answered(f"{TOKEN}:{word}").resource, replace(DUE, memory=memory(orphan_left=True)))
    assert isinstance(action, ApplyAnswer)
    assert action.answer == word
    assert isinstance(action.then, RefuseIntent)
    assert action.then.refusal is refusal


def test_an_abandoned_create_is_reported_before_it_is_given_up() -> None:
    action = plan_job(_answered(f"{TOKEN}:abandon").resource, DUE)
    assert action == LeaveOrphan(None, TOKEN, OrphanDecision.REPORT, OrphanCause.ABANDONED)


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "nothing is said"),
        (f"{'a' * 12}:retry", "it names another token"),
        (naming.create_token(IDENTITY, 2) + ":retry", "it answers the next attempt, which does not exist yet"),
    ],
)
@pytest.mark.failure_mode(62)
def test_an_answer_to_something_else_changes_nothing(text: str, because: str) -> None:
    assert isinstance(plan_job(_answered(text).resource, DUE), ReadListing), because


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("retry", "it names no token"),
        (f"{TOKEN}:perhaps", "it says nothing known"),
        (f"{TOKEN}:retry please", "it says more than is known"),
        (f"{TOKEN}:adopt=", "it names no job"),
        (f"{TOKEN}:adopt=../v1/jobs", "it names something that is no uuid"),
        (f"{TOKEN}:adopt={'0' * 65}", "it names something that is no uuid"),
    ],
)
def test_an_answer_that_names_nothing_valid_is_refused_once_and_changes_nothing(text: str, because: str) -> None:
    _refused_once(text, DUE, because)


@pytest.mark.failure_mode(62)
def test_an_answer_left_in_git_does_not_answer_the_next_attempt() -> None:
    second = a_job().intent(an_intent(attempt=2))
    assert isinstance(plan_job(_answered(f"{TOKEN}:retry", second).resource, DUE), ReadListing)


@pytest.mark.parametrize("word", ["retry", "abandon", f"adopt={JOB}"])
@pytest.mark.parametrize("given", [facts(at=SIGNED + 420), facts(account=closed_account())])
def test_an_answer_waits_until_the_request_can_no_longer_be_carried_out(word: str, given: Facts) -> None:
    action = plan_job(_answered(f"{TOKEN}:{word}").resource, given)
    assert not isinstance(action, ApplyAnswer | ReadJob)


def test_an_answer_to_a_create_whose_time_was_lost_waits_from_the_first_sight_of_the_loss() -> None:
    lost = a_job().held().record(uuid=None, state="Unknown", signedAt=None)
    resource = _answered(f"{TOKEN}:retry", lost).resource
    early = facts(at=SIGNED + 5000, memory=memory(first_seen=SIGNED + 4900))
    assert isinstance(plan_job(resource, early), ReadListing)
    late = facts(at=SIGNED + 5400, memory=memory(first_seen=SIGNED + 4900))
    assert isinstance(plan_job(resource, late), ApplyAnswer)


def test_an_answer_to_a_settled_create_is_ignored() -> None:
    settled = _answered(f"{TOKEN}:abandon", a_job().intent(refused(Refusal.VALIDATION)))
    assert not isinstance(plan_job(settled.resource, DUE), ApplyAnswer)


# --- adopt ---


def test_the_job_that_is_to_be_adopted_is_read_first() -> None:
    assert plan_job(_answered(f"{TOKEN}:adopt={JOB}").resource, DUE) == ReadJob(JOB)


def test_a_job_whose_title_verifies_is_adopted() -> None:
    action = plan_job(_answered(f"{TOKEN}:adopt={JOB}").resource, facts(at=SIGNED + 421, job=a_row(), runs=()))
    assert isinstance(action, ApplyAnswer)
    assert isinstance(action.then, RecordCreate)
    assert (action.then.uuid, action.then.token, action.then.adopted) == (JOB, TOKEN, True)


@pytest.mark.failure_mode(52)
def test_a_job_of_somebody_else_is_not_adopted_whoever_asks() -> None:
    given = facts(at=SIGNED + 421, job=stranger(), runs=())
    _refused_once(f"{TOKEN}:adopt={OTHER_JOB}", given, "its title is not this resource's")


def test_a_job_that_the_service_does_not_know_is_not_adopted() -> None:
    given = facts(at=SIGNED + 421, job=Missing(SIGNED + 421))
    _refused_once(f"{TOKEN}:adopt={OTHER_JOB}", given, "there is no such job")


def test_a_job_cannot_be_adopted_through_an_account_that_cannot_be_asked() -> None:
    resource = _answered(f"{TOKEN}:adopt={JOB}").resource
    closed = replace(closed_account(), server_time=float(SIGNED + 421))
    action = plan_job(resource, facts(account=closed))
    assert isinstance(action, Rest)
