"""The checks of an account against a service that deviates in one point at a time, over HTTP, by reading only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from dispersed_operator.conformance import examine_everything
from dispersed_operator.errors import RemoteError
from dispersed_operator.model.naming import TOKEN_ENV, Identity, create_token, remote_description, remote_title
from dispersed_operator.planning.conformance import Check, Finding, Result
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.clock import ServerClock
from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.remote.signing import Credentials
from dispersed_operator.remote.transport import build_http_client
from tests.support.simulator import PUBLIC_KEY, SECRET_KEY, SimulatorProcess

OWNER = Identity("cluster", "team-a", "train", "0b9d7c52-1f2e-4c1a-8a55-2d1f4e6a9c03")
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(tmp_path_factory.mktemp("simulator"), options=("--no-endpoints",)) as simulator:
        yield simulator


@pytest.fixture
def simulator(process: SimulatorProcess) -> SimulatorProcess:
    """The service as documented, without jobs, its clock right."""
    process.control.clear_faults()
    process.control.reset()
    process.control.add_key(PUBLIC_KEY, SECRET_KEY)
    process.control.set_clock(datetime.now(UTC).isoformat())
    return process


@pytest.fixture
async def client(simulator: SimulatorProcess) -> AsyncIterator[DispersedClient]:
    async with build_http_client() as http:
        yield DispersedClient(
            http,
            base_url=simulator.base_url,
            credentials=Credentials(PUBLIC_KEY, SECRET_KEY),
            clock=ServerClock(),
            limiter=Limiter(),
            attempts=1,
        )


def insert(simulator: SimulatorProcess, count: int) -> None:
    """Jobs of ours, a minute apart, with title, description and env as the operator sends them."""
    now_ms = int(simulator.control.clock()["now_ms"])
    for number in range(count):
        created_ms = now_ms - (number + 1) * MINUTE_MS
        token = create_token(OWNER, 1)
        simulator.control.insert_job(
            title=remote_title(OWNER, attempt=1, signed_at=created_ms // 1000, expiry=0, user_title="Train"),
            description=remote_description(token=token, digest="0" * 64, title="Train", description=""),
            parameters={"image": "example/train", "tag": "1", "env": {TOKEN_ENV: token}},
            created_at=datetime.fromtimestamp(created_ms / 1000, UTC).isoformat(),
        )


async def examined(client: DispersedClient) -> dict[Check, Finding]:
    findings = await examine_everything(client, max_offset=300.0)
    found = {finding.check: finding for finding in findings}
    assert len(found) == len(findings), "a check is told once"
    return found


async def test_a_service_as_documented_conforms_and_is_only_read(
    simulator: SimulatorProcess, client: DispersedClient
) -> None:
    insert(simulator, 51)
    found = await examined(client)
    assert list(found) == list(Check)
    results = {check: finding.result for check, finding in found.items()}
    assert results.pop(Check.WRITES) is Result.NOT_SEEN
    assert set(results.values()) == {Result.PASSED}, results
    assert {request["method"] for request in simulator.control.requests()} == {"GET"}


async def test_an_account_without_jobs_deviates_in_nothing_and_shows_less(client: DispersedClient) -> None:
    found = await examined(client)
    unseen = {check for check, finding in found.items() if finding.result is Result.NOT_SEEN}
    assert unseen >= {Check.ORDER, Check.TIMES, Check.IDENTITY, Check.TITLE, Check.DESCRIPTION, Check.ENV}
    assert {finding.result for finding in found.values()} == {Result.PASSED, Result.NOT_SEEN}


MODE_41 = pytest.mark.failure_mode(41)
SWITCHES = [
    ({"replay_refused": False}, Check.REPLAY, Result.DEVIATES, "a copy may be carried out twice"),
    ({"time_window_enforced": False}, Check.EXPIRY, Result.DEVIATES, "no absence can be proven"),
    ({"time_window_seconds": 5000}, Check.EXPIRY, Result.DEVIATES, "longer than any proof waits"),
    ({"time_window_seconds": 600}, Check.EXPIRY, Result.DIFFERS, "proofs wait longer"),
    ({"sort_honoured": False, "default_sort": "created_at"}, Check.ORDER, Result.DIFFERS, "all pages are read"),
    ({"created_at_format": "date"}, Check.TIMES, Result.DIFFERS, "the end of the day counts"),
    ({"created_at_format": "missing"}, Check.TIMES, Result.DIFFERS, "no listing stops early"),
    ({"created_at_format": "null"}, Check.TIMES, Result.DIFFERS, "no listing stops early"),
    ({"largest_page": 20}, Check.PAGE_SIZE, Result.DIFFERS, "pages are counted by their rows"),
    ({"list_shape": "array"}, Check.TOTAL, Result.DIFFERS, "lists are read to an empty page"),
    ({"total_counts": "page"}, Check.LISTING, Result.DEVIATES, "no listing can be shown to be complete"),
    ({"account_uuid_shown": False}, Check.IDENTITY, Result.DIFFERS, "continuity is shown by a recorded job"),
    pytest.param(
        {"title_max_length": 45},
        Check.TITLE,
        Result.DEVIATES,
        "sweeper and reaper do not see the job",
        marks=pytest.mark.failure_mode(41),
    ),
    pytest.param(
        {"title_max_length": 55},
        Check.TITLE,
        Result.PASSED,
        "only the user's words are cut",
        marks=pytest.mark.failure_mode(41),
    ),
    ({"description_echo": "dropped"}, Check.DESCRIPTION, Result.DIFFERS, "the verified title decides"),
    ({"env_echo": "masked"}, Check.ENV, Result.DIFFERS, "env values may be masked"),
    ({"env_echo": "dropped"}, Check.ENV, Result.DIFFERS, "env may not be echoed"),
]


@pytest.mark.parametrize(("switches", "check", "result", "because"), SWITCHES)
async def test_each_deviation_is_found_and_nothing_else_is_called_one(
    *,
    simulator: SimulatorProcess,
    client: DispersedClient,
    switches: dict[str, Any],
    check: Check,
    result: Result,
    because: str,
) -> None:
    insert(simulator, 51)
    simulator.control.switch(**switches)
    found = await examined(client)
    assert found[check].result is result, (because, found[check])
    deviating = {name for name, finding in found.items() if finding.result is Result.DEVIATES}
    assert deviating == ({check} if result is Result.DEVIATES else set())


@pytest.mark.parametrize(
    ("permissions", "check"),
    [(["jobs.read.own"], Check.RUNS), (["job_runs.read.own"], Check.JOBS), ([], Check.JOBS), ([], Check.RUNS)],
)
async def test_a_key_that_may_not_read_is_found_out(
    simulator: SimulatorProcess, client: DispersedClient, permissions: list[str], check: Check
) -> None:
    simulator.control.add_key(PUBLIC_KEY, SECRET_KEY, permissions=permissions)
    finding = (await examined(client))[check]
    assert (finding.result, finding.blocks) == (Result.DEVIATES, True)
    assert "PERMISSION_DENIED" in finding.found


@pytest.mark.failure_mode(37)
async def test_a_clock_that_is_hours_away_is_found(simulator: SimulatorProcess, client: DispersedClient) -> None:
    simulator.control.advance(7200)
    assert (await examined(client))[Check.CLOCK].result is Result.DEVIATES


@pytest.mark.parametrize(
    ("params", "said"), [({"omit": True}, "no Date header"), ({"seconds": 0, "age": 30}, "no Date header")]
)
async def test_a_service_whose_time_cannot_be_known_deviates(
    simulator: SimulatorProcess, client: DispersedClient, params: dict[str, Any], said: str
) -> None:
    simulator.control.add_fault("date_skew", times=None, **params)
    finding = (await examined(client))[Check.EXPIRY]
    assert finding.result is Result.DEVIATES
    assert said in finding.found


async def test_a_list_that_cannot_be_read_deviates(simulator: SimulatorProcess, client: DispersedClient) -> None:
    insert(simulator, 1)
    simulator.control.add_fault("malformed", method="GET", path="^/v1/jobs$", times=None, shape="wrong_types")
    assert (await examined(client))[Check.LISTING].result is Result.DEVIATES


@pytest.mark.parametrize("kind", ["server_error", "rate_limit", "drop_before_commit"])
async def test_trouble_gives_no_verdict(simulator: SimulatorProcess, client: DispersedClient, kind: str) -> None:
    simulator.control.add_fault(kind, times=None)
    with pytest.raises(RemoteError):
        await examined(client)


# --- the command ---


def command(simulator: SimulatorProcess, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DISPERSED_")}
    keys = {"DISPERSED_PUBLIC_KEY": PUBLIC_KEY, "DISPERSED_SECRET_KEY": SECRET_KEY}
    return subprocess.run(
        [sys.executable, "-m", "dispersed_operator", "conformance", *arguments],
        env={**kept, **keys, "DISPERSED_BASE_URL": simulator.base_url, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prints_a_table_and_ends_well_where_nothing_deviates(simulator: SimulatorProcess) -> None:
    simulator.control.switch(list_shape="array")
    answer = command(simulator)
    assert (answer.returncode, answer.stderr) == (0, "")
    lines = answer.stdout.splitlines()
    assert lines[0].split("  ")[0] == "CHECK"
    assert [line.split()[0] for line in lines[1:-1]] == list(Check)
    assert lines[-1] == "Nothing deviates that safety rests on."


def test_the_command_fails_where_something_deviates_that_safety_rests_on(simulator: SimulatorProcess) -> None:
    simulator.control.switch(replay_refused=False)
    answer = command(simulator, "-o", "json")
    assert answer.returncode == 1
    (deviating,) = [item for item in json.loads(answer.stdout)["checks"] if item["result"] == "Deviates"]
    assert (deviating["check"], deviating["reason"]) == ("ReplayRefused", "ExpiryNotEnforced")


def test_the_command_fails_in_one_line_without_a_verdict(simulator: SimulatorProcess) -> None:
    answer = command(simulator, DISPERSED_SECRET_KEY="sk_marked_wrong_key")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.count("\n") == 1
    assert "HTTP 401" in answer.stderr
    assert "sk_marked" not in answer.stderr
