"""What an opened account says of itself before anybody creates, cancels or gives up with it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from dispersed_operator.accounts import AWAITS_POLL, AccountBook, AccountSession
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.planning.breaker import CLOSED, after_poll, after_read
from dispersed_operator.planning.vocabulary import AccountFacts, Problem
from dispersed_operator.remote.transport import build_http_client
from tests.support.sessions import ACCOUNT, PROBES, open_session

JOBS = ("one", "two", "three")
FROZEN = Problem(Reason.CLUSTER_IDENTITY_CHANGED, "a copy")


@pytest.fixture
async def session() -> AsyncIterator[AccountSession]:
    async with build_http_client() as http:
        yield open_session(http)


def facts_of(session: AccountSession) -> AccountFacts:
    book = AccountBook(windows_for=lambda _: ProofWindows())
    book.open(session)
    return book.facts(ACCOUNT)


def blocked(session: AccountSession) -> Reason | None:
    facts = facts_of(session)
    assert (facts.doubt, facts.frozen) == (session.doubt, session.frozen)
    return facts.blocker.reason if facts.blocker is not None else None


@pytest.mark.failure_mode(28)
@pytest.mark.reason("AccountMismatch")
@pytest.mark.parametrize(
    ("seen", "expected", "mismatch", "because"),
    [
        ("account-b", "account-a", True, "the live jobs are of another account"),
        ("account-a", "account-a", False, "it is the same"),
        ("account-b", None, False, "no live job is bound to any account"),
        (None, "account-a", False, "the service does not say whose key it is; the jobs are asked one by one"),
    ],
)
async def test_the_accounts_own_uuid_tells_a_key_of_another_account(
    session: AccountSession, seen: str | None, expected: str | None, mismatch: bool, because: str
) -> None:
    session.identity, session.expected_identity = seen, expected
    assert (session.doubt is not None) is mismatch, because
    assert (blocked(session) is Reason.ACCOUNT_MISMATCH) is mismatch, because


@pytest.mark.failure_mode(28)
async def test_the_opening_and_the_closing_of_the_breaker_are_told_once_each(session: AccountSession) -> None:
    told: list[Reason | None] = []
    session.on_doubt = lambda: told.append(session.doubt.reason if session.doubt is not None else None)
    session.judge(after_poll(CLOSED, JOBS, JOBS))
    for uuid in JOBS:
        session.judge(after_read(session.breaker, uuid, found=False))
    assert blocked(session) is Reason.ACCOUNT_MISMATCH
    session.judge(after_read(session.breaker, "two", found=True))
    assert told == [Reason.ACCOUNT_PROBING, Reason.ACCOUNT_MISMATCH, None]


@pytest.mark.failure_mode(28)
async def test_before_the_first_poll_nothing_is_created_where_several_jobs_are_known(session: AccountSession) -> None:
    session.probes = PROBES
    assert blocked(session) is None
    session.awaits_poll = True
    assert session.blocker() == AWAITS_POLL
    assert blocked(session) is Reason.ACCOUNT_PROBING
    assert session.doubt is None


@pytest.mark.failure_mode(28)
async def test_what_was_listed_while_the_service_may_have_been_blind_proves_nothing(session: AccountSession) -> None:
    times = iter((500.0, 900.0))
    session.monotonic = lambda: next(times)
    session.probes, session.awaits_poll = PROBES, True
    session.problem = AWAITS_POLL  # as the account's last pass has it
    session.judge(after_poll(CLOSED, JOBS, JOBS))
    assert not facts_of(session).awaits_poll, "with a doubt more than the poll is waited for"
    for uuid in JOBS:
        session.judge(after_read(session.breaker, uuid, found=False))
    session.judge(after_read(session.breaker, "two", found=True))
    assert session.doubt is None
    assert facts_of(session).believed_since == 500.0


async def test_a_clock_that_is_wrong_is_more_than_a_poll_to_wait_for(session: AccountSession) -> None:
    session.probes, session.awaits_poll = PROBES, True
    session.client.clock.observe(int(time.time()) + 3600, time.monotonic())
    assert blocked(session) is Reason.CLOCK_SKEW


@pytest.mark.failure_mode(70)
@pytest.mark.reason("ClusterIdentityChanged")
async def test_in_a_cluster_that_may_be_a_copy_everything_with_an_effect_waits(session: AccountSession) -> None:
    session.frozen = FROZEN
    assert blocked(session) is Reason.CLUSTER_IDENTITY_CHANGED
    assert session.hands_off == FROZEN


@pytest.mark.failure_mode(55)
async def test_a_key_that_came_into_question_has_its_account_looked_at_once_and_not_for_each_job(
    session: AccountSession,
) -> None:
    looks: list[None] = []
    session.on_doubt = lambda: looks.append(None)
    refused = Problem(Reason.CREDENTIALS_REJECTED, "the service refuses the API key")
    for _ in range(3):
        session.stop(refused)
    assert (blocked(session), len(looks)) == (Reason.CREDENTIALS_REJECTED, 1)
    session.problem = None  # the account has looked, and all is well
    session.stop(refused)
    assert len(looks) == 2
