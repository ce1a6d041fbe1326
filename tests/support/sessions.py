"""An opened account with real parts, for tests that need its session and no operator around it."""

from __future__ import annotations

from collections.abc import Callable, Collection

import httpx

from dispersed_operator.accounts import AccountSession
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.clock import ServerClock
from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.remote.listing import ListingService
from dispersed_operator.remote.poller import AccountPoller
from dispersed_operator.remote.probes import Probes
from dispersed_operator.remote.signing import Credentials
from dispersed_operator.remote.view import RemoteView

ACCOUNT = ResourceKey(Kind.ACCOUNT, "team-a", "default")
NOWHERE = "http://127.0.0.1:9"
PROBES = Probes(
    replay_refused=True,
    stale_refused=True,
    window_seconds=300,
    replay_codes=frozenset(),
    refusal_statuses=(401,),
    server_time=0,
)


def open_session(
    http: httpx.AsyncClient,
    *,
    base_url: str = NOWHERE,
    credentials: Credentials | None = None,
    tracked: Callable[[], Collection[str]] = frozenset,
) -> AccountSession:
    """A session of `ACCOUNT` that nobody polls; requests are tried once."""
    client = DispersedClient(
        http,
        base_url=base_url,
        credentials=credentials or Credentials("pk_one", "sk_one"),
        clock=ServerClock(),
        limiter=Limiter(),
        attempts=1,
    )
    view = RemoteView()
    poller = AccountPoller(
        client,
        view,
        interval=lambda: 60.0,
        tracked=tracked,
        on_change=lambda _: None,
        on_error=lambda _: None,
        on_success=lambda _: None,
    )
    return AccountSession(
        key=ACCOUNT,
        client=client,
        listings=ListingService(client),
        view=view,
        poller=poller,
        windows=ProofWindows(),
        max_clock_offset=60.0,
        secret_name="key",
        problem=None,
    )
