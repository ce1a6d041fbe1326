"""An account whose last job to poll for goes: no poll comes any more, so nothing may go on waiting for one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dispersed_operator.accounts import AWAITS_POLL, AccountSession
from dispersed_operator.planning.breaker import CLOSED, after_poll
from dispersed_operator.remote.transport import build_http_client
from tests.support.sessions import PROBES, open_session

JOBS = ("one", "two", "three")


@pytest.fixture
def tracked() -> set[str]:
    return set(JOBS)


@pytest.fixture
async def session(tracked: set[str]) -> AsyncIterator[AccountSession]:
    async with build_http_client() as http:
        session = open_session(http, tracked=lambda: tracked)
        session.probes = PROBES
        session.awaits_poll = True
        yield session


@pytest.mark.failure_mode(28)
def test_creates_wait_for_the_first_poll_only_while_there_is_a_job_to_poll_for(
    session: AccountSession, tracked: set[str]
) -> None:
    """The first poll failed, and meanwhile every job turned out to be over: the next create must not wait for ever."""
    session.forget_jobs_if_idle()
    assert session.blocker() == AWAITS_POLL
    tracked.clear()
    session.forget_jobs_if_idle()
    assert session.blocker() is None


@pytest.mark.failure_mode(28)
def test_jobs_that_vanished_block_nothing_once_no_resource_asks_for_them(
    session: AccountSession, tracked: set[str]
) -> None:
    session.judge(after_poll(CLOSED, JOBS, JOBS))
    session.forget_jobs_if_idle()
    assert session.doubt is not None
    tracked.clear()
    session.forget_jobs_if_idle()
    assert session.doubt is None


def test_an_account_that_is_not_checked_yet_waits_for_more_than_the_first_poll(session: AccountSession) -> None:
    """Only what waits for the poll alone may read its listing meanwhile."""
    session.probes = None
    blocker = session.blocker()
    assert blocker is not None
    assert blocker != AWAITS_POLL
