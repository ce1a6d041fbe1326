"""An account whose last job to poll for goes: no poll comes any more, so nothing may go on waiting for one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dispersed_operator.accounts import AccountSession
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.planning.breaker import CLOSED, after_poll
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.clock import ServerClock
from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.remote.listing import ListingService
from dispersed_operator.remote.poller import AccountPoller
from dispersed_operator.remote.probes import Probes
from dispersed_operator.remote.signing import Credentials
from dispersed_operator.remote.transport import build_http_client
from dispersed_operator.remote.view import RemoteView

JOBS = ("one", "two", "three")


@pytest.fixture
def tracked() -> set[str]:
    return set(JOBS)


@pytest.fixture
async def session(tracked: set[str]) -> AsyncIterator[AccountSession]:
    async with build_http_client() as http:
        client = DispersedClient(
            http,
            base_url="http://127.0.0.1:9",
            credentials=Credentials("pk_one", "sk_one"),
            clock=ServerClock(),
            limiter=Limiter(),
        )
        view = RemoteView()
        poller = AccountPoller(
            client,
            view,
            interval=lambda: 60.0,
            tracked=lambda: tracked,
            on_change=lambda _: None,
            on_error=lambda _: None,
            on_success=lambda _: None,
        )
        yield AccountSession(
            key=ResourceKey(Kind.ACCOUNT, "team-a", "default"),
            client=client,
            listings=ListingService(client),
            view=view,
            poller=poller,
            windows=ProofWindows(),
            max_clock_offset=60.0,
            secret_name="key",
            problem=None,
            probes=Probes(
                replay_refused=True,
                stale_refused=True,
                window_seconds=300,
                replay_codes=frozenset(),
                refusal_statuses=(401,),
                server_time=0,
            ),
            awaits_poll=True,
        )


@pytest.mark.failure_mode(28)
def test_creates_wait_for_the_first_poll_only_while_there_is_a_job_to_poll_for(
    session: AccountSession, tracked: set[str]
) -> None:
    """The first poll failed, and meanwhile every job turned out to be over: the next create must not wait for ever."""
    session.forget_jobs_if_idle()
    assert session.blocker() is not None
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
