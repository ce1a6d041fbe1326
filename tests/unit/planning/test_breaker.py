"""Many jobs vanish at once: none is given up before the account is shown to be the right one."""

from __future__ import annotations

import pytest

from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.breaker import CLOSED, Breaker, after_answer, after_poll, after_read, doubt

ACCOUNT = ResourceKey(Kind.ACCOUNT, "team-a", "default")
JOBS = tuple(f"job-{number}" for number in range(10))


def reason(breaker: Breaker) -> Reason | None:
    problem = doubt(breaker, ACCOUNT)
    return problem.reason if problem is not None else None


def all_gone(count: int = 10) -> Breaker:
    return after_poll(CLOSED, JOBS[:count], JOBS[:count])


def not_found(breaker: Breaker, *uuids: str) -> Breaker:
    for uuid in uuids:
        breaker = after_read(breaker, uuid, found=False)
    return breaker


@pytest.mark.failure_mode(28)
@pytest.mark.parametrize(
    ("known", "vanished", "opens", "because"),
    [
        (10, 10, True, "all of them"),
        (10, 3, True, "more than a fifth"),
        (10, 2, False, "no more than a fifth"),
        (2, 2, False, "too few to say anything of an account; each job asks for itself"),
        (3, 3, True, "three are enough"),
        (0, 0, False, "nothing is known to live"),
    ],
)
def test_a_mass_disappearance_opens_the_breaker(known: int, vanished: int, opens: bool, because: str) -> None:
    breaker = after_poll(CLOSED, JOBS[:known], JOBS[:vanished])
    assert (reason(breaker) is not None) is opens, because


@pytest.mark.failure_mode(28)
@pytest.mark.reason("AccountMismatch")
def test_three_jobs_that_are_not_found_either_accuse_the_account_and_the_message_says_how_to_answer() -> None:
    breaker = not_found(all_gone(), *JOBS[:2])
    assert reason(breaker) is Reason.ACCOUNT_PROBING, "two may be gone; the others are still being read"
    breaker = not_found(breaker, JOBS[2])
    problem = doubt(breaker, ACCOUNT)
    assert problem is not None
    assert problem.reason is Reason.ACCOUNT_MISMATCH
    assert "kubectl -n team-a annotate --overwrite dacct default" in problem.message
    assert f"dispersed.dev/confirm-vanished={breaker.code}" in problem.message


def test_jobs_that_all_ended_at_once_close_the_breaker_with_the_first_that_is_read() -> None:
    assert reason(after_read(not_found(all_gone(), *JOBS[:5]), JOBS[5], found=True)) is None


def test_the_read_of_a_job_that_did_not_vanish_says_nothing() -> None:
    breaker = after_poll(CLOSED, JOBS, JOBS[:5])
    assert after_read(breaker, JOBS[9], found=True) == breaker
    assert after_read(breaker, JOBS[9], found=False) == breaker


def test_the_next_poll_opens_it_again_only_for_jobs_that_vanish_anew() -> None:
    closed = after_read(all_gone(), JOBS[0], found=True)
    assert reason(after_poll(closed, JOBS[1:], JOBS[1:])) is None, "they are the same, still unread"
    assert reason(after_poll(CLOSED, JOBS, JOBS[:1])) is None
    assert reason(after_poll(after_poll(CLOSED, JOBS, JOBS[:1]), JOBS, JOBS[:4])) is not None


def test_it_stays_open_while_nothing_is_heard_and_closes_when_one_is_listed_again() -> None:
    breaker = not_found(all_gone(), *JOBS[:4])
    assert reason(after_poll(breaker, JOBS, JOBS)) is Reason.ACCOUNT_MISMATCH
    assert reason(after_poll(breaker, JOBS, JOBS[:9])) is None


def test_resources_that_went_take_their_question_along() -> None:
    breaker = not_found(all_gone(5), *JOBS[:4])
    assert reason(after_poll(breaker, JOBS[:3], JOBS[:3])) is Reason.ACCOUNT_MISMATCH
    assert reason(after_poll(breaker, JOBS[:2], JOBS[:2])) is None


@pytest.mark.failure_mode(28)
def test_a_person_closes_it_for_exactly_these_jobs() -> None:
    breaker = not_found(all_gone(), *JOBS[:4])
    assert reason(after_answer(breaker, breaker.code)) is None
    for other in (None, "", "00000000", all_gone(9).code):
        assert after_answer(breaker, other) == breaker
    assert reason(after_poll(after_answer(breaker, breaker.code), JOBS, JOBS)) is None, "they are settled"
