"""When the operator examines an account anew, and whose findings it shows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest

from dispersed_operator.accounts import AccountSession
from dispersed_operator.examinations import AGAIN_SECONDS, Examinations
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.planning.conformance import Check, Result
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.clock import ServerClock
from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.remote.listing import ListingService
from dispersed_operator.remote.poller import AccountPoller
from dispersed_operator.remote.signing import Credentials
from dispersed_operator.remote.transport import build_http_client
from dispersed_operator.remote.view import RemoteView
from dispersed_operator.store import ResourceStore
from tests.support.simulator import PUBLIC_KEY, SECRET_KEY, SimulatorProcess

KEY = ResourceKey(Kind.ACCOUNT, "team-a", "default")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(tmp_path_factory.mktemp("simulator"), options=("--no-endpoints",)) as simulator:
        yield simulator


@dataclass
class Desk:
    """Examinations on a clock that the test moves, and clients of one simulator."""

    simulator: SimulatorProcess
    client: DispersedClient
    now: float = 1000.0
    examinations: Examinations = field(init=False)

    def __post_init__(self) -> None:
        self.examinations = Examinations(store=ResourceStore(), monotonic=lambda: self.now)

    async def session(self) -> AccountSession:
        """A session of the account that was just opened and probed."""
        view = RemoteView()
        poller = AccountPoller(
            self.client, view, interval=lambda: 60.0, tracked=lambda: (), on_change=lambda _: None,
            on_error=lambda _: None, on_success=lambda _: None,
        )  # fmt: skip
        return AccountSession(
            key=KEY, client=self.client, listings=ListingService(self.client), view=view, poller=poller,
            windows=ProofWindows(), max_clock_offset=300.0, secret_name="key", problem=None,
            probes=await self.client.probe(),
        )  # fmt: skip

    async def asks(self, session: AccountSession) -> int:
        """How many requests one examination sends."""
        self.simulator.control.clear_requests()
        await self.examinations.examine(session)
        return len(self.simulator.control.requests())


@pytest.fixture
async def desk(process: SimulatorProcess) -> AsyncIterator[Desk]:
    process.control.reset()
    process.control.add_key(PUBLIC_KEY, SECRET_KEY)
    async with build_http_client() as http:
        key = Credentials(PUBLIC_KEY, SECRET_KEY)
        yield Desk(
            process,
            DispersedClient(http, base_url=process.base_url, credentials=key, clock=ServerClock(), limiter=Limiter()),
        )


async def test_an_account_is_asked_once_and_again_after_an_hour(desk: Desk) -> None:
    session = await desk.session()
    assert await desk.asks(session) > 0
    desk.now += AGAIN_SECONDS - 1
    assert await desk.asks(session) == 0
    desk.now += 1
    assert await desk.asks(session) > 0


async def test_what_an_earlier_session_showed_is_never_shown_for_the_present_one(desk: Desk) -> None:
    earlier, present = await desk.session(), await desk.session()
    assert desk.examinations.findings(None) == desk.examinations.findings(earlier) == ()
    await desk.examinations.examine(earlier)
    assert {finding.check for finding in desk.examinations.findings(earlier)} == set(Check)
    assert desk.examinations.findings(present) == ()
    assert await desk.asks(present) > 0
    desk.examinations.forget(KEY)
    assert desk.examinations.findings(present) == ()


@pytest.mark.reason("ListingUnreliable")
async def test_what_blocks_creates_is_asked_again_each_time_until_it_has_gone(desk: Desk) -> None:
    for number in range(51):
        desk.simulator.control.insert_job(title=f"job-{number}")
    desk.simulator.control.switch(total_counts="page")
    session = await desk.session()
    for _ in range(2):
        problem = await desk.examinations.examine(session)
        assert problem is not None
        assert problem.reason is Reason.LISTING_UNRELIABLE
        assert "total" in problem.message
    desk.simulator.control.switch(total_counts="all")
    assert await desk.examinations.examine(session) is None
    assert Result.DEVIATES not in {finding.result for finding in desk.examinations.findings(session)}
