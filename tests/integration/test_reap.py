"""`dispersed-operator reap` against a service over HTTP: what it shows, what it ends, and what it never touches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dispersed_operator.model.naming import Identity, cluster_mark, create_token, remote_description, remote_title
from dispersed_operator.planning.reap import Wanted
from dispersed_operator.reaper import Outcome, Reaper
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.clock import ServerClock
from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.remote.signing import Credentials
from dispersed_operator.remote.transport import build_http_client
from tests.support.simulator import PUBLIC_KEY, SECRET_KEY, SimulatorProcess

HERE, THERE = "cluster-here", "cluster-there"
RESOURCE = Identity(HERE, "team-a", "train", "0b9d7c52-1f2e-4c1a-8a55-2d1f4e6a9c03")
HOUR = 3600
Row = dict[str, Any]
Answer = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    options = ("--cancel-seconds", "0.3", "--no-endpoints")
    with SimulatorProcess(tmp_path_factory.mktemp("simulator"), options=options) as simulator:
        yield simulator


@pytest.fixture
def simulator(process: SimulatorProcess) -> SimulatorProcess:
    """The service without jobs, with a key that may do everything."""
    process.control.clear_faults()
    process.control.reset()
    process.control.add_key(PUBLIC_KEY, SECRET_KEY)
    return process


def server_now(simulator: SimulatorProcess) -> int:
    return int(simulator.control.clock()["now_ms"]) // 1000


def insert(
    simulator: SimulatorProcess,
    *,
    cluster: str = HERE,
    age: int = 2 * HOUR,
    lifetime: int = HOUR,
    late: int = 0,
    attempt: int = 1,
    title: str | None = None,
) -> str:
    """A live job with the title of an operator, signed `age` seconds ago; the uuid. lifetime 0: no expiry."""
    signed = server_now(simulator) - age
    owner = Identity(cluster, RESOURCE.namespace, RESOURCE.name, RESOURCE.uid)
    expiry = signed + lifetime if lifetime else 0
    ours = remote_title(owner, attempt=attempt, signed_at=signed, expiry=expiry, user_title="Train")
    token = create_token(owner, attempt)
    job = simulator.control.insert_job(
        title=ours if title is None else title,
        description=remote_description(token=token, digest="0" * 64, title="Train", description=""),
        task="PERSISTENT",
        status="RUNNING",
        fate={"run_seconds": 1_000_000, "hourly_rate_usd": 0.5},
        created_at=datetime.fromtimestamp(signed + 1 + late, UTC).isoformat(),
    )
    return str(job["uuid"])


def command(simulator: SimulatorProcess, *arguments: str, **environment: str) -> Answer:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DISPERSED_")}
    keys = {"DISPERSED_PUBLIC_KEY": PUBLIC_KEY, "DISPERSED_SECRET_KEY": SECRET_KEY}
    return subprocess.run(
        [sys.executable, "-m", "dispersed_operator", "reap", "--base-url", simulator.base_url, *arguments],
        env={**kept, **keys, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def shown(answer: Answer) -> dict[str, Row]:
    """The jobs of a JSON answer by uuid."""
    assert answer.stderr == ""
    return {job["uuid"]: job for job in json.loads(answer.stdout)["jobs"]}


def alive(simulator: SimulatorProcess) -> set[str]:
    return {str(job["uuid"]) for job in simulator.control.jobs(live=True, summary=True)}


def writes(simulator: SimulatorProcess) -> list[Row]:
    return [request for request in simulator.control.requests() if request["method"] != "GET"]


@pytest.mark.failure_mode(33)
def test_without_yes_it_shows_age_rate_and_cost_and_writes_nothing(simulator: SimulatorProcess) -> None:
    uuid = insert(simulator, age=HOUR, lifetime=2 * HOUR)
    simulator.control.advance(2 * HOUR)
    answer = command(simulator, "-o", "json")
    assert answer.returncode == 0
    job = shown(answer)[uuid]
    assert (job["reap"], job["hourlyRateUSD"], job["cluster"]) == (True, "0.5", cluster_mark(HERE))
    assert 3 * HOUR - 60 <= job["ageSeconds"] <= 3 * HOUR + 60
    assert 1.0 <= float(job["costUSD"]) <= 1.1, "two hours of running"
    assert job["because"].startswith("it expired")
    assert writes(simulator) == []
    assert alive(simulator) == {uuid}


@pytest.mark.failure_mode(33)
@pytest.mark.failure_mode(34)
def test_with_yes_it_ends_what_has_expired_and_nothing_else(simulator: SimulatorProcess) -> None:
    expired = insert(simulator)
    elsewhere = insert(simulator, cluster=THERE)
    left = {
        "still has time": insert(simulator, lifetime=3 * HOUR),
        "never expires": insert(simulator, lifetime=0),
        "a copy by hand": insert(simulator, age=3 * HOUR, late=HOUR),
        "somebody's own job": insert(simulator, title="notebook"),
    }
    answer = command(simulator, "--yes", "-o", "json")
    assert answer.returncode == 0, answer.stdout
    outcomes = {uuid: job.get("outcome") for uuid, job in shown(answer).items()}
    assert (outcomes[expired], outcomes[elsewhere]) == ("Ended", "Ended")
    assert {outcomes[uuid] for uuid in left.values() if uuid in outcomes} == {None}
    assert alive(simulator) == set(left.values())
    assert {request["path"] for request in writes(simulator)} == {
        f"/v1/jobs/{uuid}/cancel" for uuid in (expired, elsewhere)
    }


@pytest.mark.failure_mode(63)
@pytest.mark.failure_mode(41)
def test_titles_that_the_service_cut_short_are_never_reaped(simulator: SimulatorProcess) -> None:
    uuid = insert(simulator)
    simulator.control.switch(title_max_length=45)
    answer = command(simulator, "--yes", "--cluster-id", HERE, "--all", "-o", "json")
    assert (answer.returncode, shown(answer)) == (0, {})
    assert json.loads(answer.stdout)["otherLiveJobs"] == 1
    assert alive(simulator) == {uuid}
    assert writes(simulator) == []


def test_the_services_clock_decides_and_not_this_machines(simulator: SimulatorProcess) -> None:
    uuid = insert(simulator, age=60, lifetime=HOUR)
    assert shown(command(simulator, "-o", "json"))[uuid]["reap"] is False
    simulator.control.advance(2 * HOUR)
    assert shown(command(simulator, "-o", "json"))[uuid]["reap"] is True
    assert command(simulator, "--yes").returncode == 0
    assert alive(simulator) == set()


@pytest.mark.failure_mode(34)
def test_all_jobs_of_a_destroyed_cluster_end_and_those_of_another_stay(simulator: SimulatorProcess) -> None:
    here = {insert(simulator, lifetime=0), insert(simulator, lifetime=9 * HOUR, attempt=2)}
    there = insert(simulator, cluster=THERE)
    asked = ("--cluster-id", HERE, "--all")
    assert {uuid for uuid, job in shown(command(simulator, *asked, "-o", "json")).items() if job["reap"]} == here
    assert writes(simulator) == []
    answer = command(simulator, *asked, "--yes", "-o", "json")
    assert answer.returncode == 0
    assert set(shown(answer)) == here
    assert alive(simulator) == {there}


def test_all_without_a_cluster_or_a_namespace_is_refused(simulator: SimulatorProcess) -> None:
    uuid = insert(simulator)
    answer = command(simulator, "--all", "--yes")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "--cluster-id" in answer.stderr
    assert alive(simulator) == {uuid}


def test_a_key_that_may_not_cancel_says_so_per_job_and_fails(simulator: SimulatorProcess) -> None:
    jobs = {insert(simulator), insert(simulator, attempt=2)}
    simulator.control.add_key(PUBLIC_KEY, SECRET_KEY, permissions=["jobs.read.own", "job_runs.read.own"])
    answer = command(simulator, "--yes", "-o", "json")
    assert answer.returncode == 1
    for job in shown(answer).values():
        assert job["outcome"] == "Refused"
        assert "may not cancel" in job["outcomeMessage"]
        assert "jobs.update.own" in job["outcomeMessage"]
    assert alive(simulator) == jobs


def test_a_key_that_may_not_read_runs_can_show_no_end_and_fails(simulator: SimulatorProcess) -> None:
    uuid = insert(simulator)
    simulator.control.add_key(PUBLIC_KEY, SECRET_KEY, permissions=["jobs.read.own", "jobs.update.own"])
    answer = command(simulator, "--yes", "-o", "json")
    assert answer.returncode == 1
    assert shown(answer)[uuid]["outcome"] == "Refused"
    assert "runs" in shown(answer)[uuid]["outcomeMessage"]
    assert shown(answer)[uuid]["costUSD"] is None
    assert alive(simulator) == set(), "the cancel went through; only its confirmation is missing"


def test_a_cancel_that_is_lost_is_repeated(simulator: SimulatorProcess) -> None:
    uuid = insert(simulator)
    lost = simulator.control.add_fault("cancel_lost")
    answer = command(simulator, "--yes", "-o", "json")
    assert (answer.returncode, shown(answer)[uuid]["outcome"]) == (0, "Ended")
    assert simulator.control.fault_hits(lost) == 1
    assert len(writes(simulator)) >= 2


def test_a_job_that_does_not_end_is_named_and_fails(simulator: SimulatorProcess) -> None:
    uuid = insert(simulator)
    simulator.control.add_fault("cancel_lost", times=None)
    answer = command(simulator, "--yes", "--wait-seconds", "1", "-o", "json")
    assert (answer.returncode, shown(answer)[uuid]["outcome"]) == (1, "NotConfirmed")
    assert "still" in shown(answer)[uuid]["outcomeMessage"]


def test_a_job_that_the_service_no_longer_finds_does_not_count_as_ended(simulator: SimulatorProcess) -> None:
    uuid = insert(simulator)
    simulator.control.add_fault("not_found_burst", path="^/v1/jobs/[^/]+$", times=None)
    answer = command(simulator, "--yes", "--wait-seconds", "1", "-o", "json")
    assert (answer.returncode, shown(answer)[uuid]["outcome"]) == (1, "NotConfirmed")
    assert "404" in shown(answer)[uuid]["outcomeMessage"]


def test_without_a_complete_listing_nothing_is_reaped(simulator: SimulatorProcess) -> None:
    uuid = insert(simulator)
    simulator.control.add_fault("malformed", method="GET", path="^/v1/jobs$", times=None, shape="wrong_types")
    answer = command(simulator, "--yes")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "could not be listed" in answer.stderr
    assert alive(simulator) == {uuid}
    assert writes(simulator) == []


def test_the_table_is_for_a_person(simulator: SimulatorProcess) -> None:
    uuid = insert(simulator)
    answer = command(simulator)
    head, line, *rest = answer.stdout.splitlines()
    assert head.startswith("UUID")
    assert head.endswith("BECAUSE")
    assert line.split()[:3] == [uuid, cluster_mark(HERE), "Train"]
    assert rest == [
        "1 live jobs carry a title of ours; 0 other live jobs are not touched.",
        "1 would be cancelled. Nothing was done; add --yes to do it.",
    ]
    assert command(simulator, "--yes").stdout.endswith("1 of 1 are settled.\n")
    assert command(simulator).stdout.endswith("Nothing to reap.\n")


def test_a_key_comes_from_files_too_and_is_never_shown(simulator: SimulatorProcess, tmp_path: Path) -> None:
    insert(simulator)
    public, secret = tmp_path / "public", tmp_path / "secret"
    public.write_text(f"{PUBLIC_KEY}\n")
    secret.write_text("sk_marked_wrong_key\n")
    flags = ("--public-key-file", str(public), "--secret-key-file", str(secret))
    wrong = command(simulator, *flags)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "HTTP 401" in wrong.stderr
    assert "sk_marked_wrong_key" not in wrong.stderr
    secret.write_text(f"{SECRET_KEY}\n")
    right = command(simulator, *flags, DISPERSED_SECRET_KEY="sk_marked_ignored")
    assert right.returncode == 0
    assert "1 would be cancelled" in right.stdout


@pytest.mark.parametrize("missing", ["DISPERSED_PUBLIC_KEY", "DISPERSED_SECRET_KEY"])
def test_without_a_key_it_says_where_one_is_taken_from(simulator: SimulatorProcess, missing: str) -> None:
    answer = command(simulator, **{missing: ""})
    assert (answer.returncode, answer.stdout) == (2, "")
    assert missing in answer.stderr
    assert "sk_" not in answer.stderr
    assert simulator.control.requests() == []


async def test_a_job_is_judged_again_just_before_its_cancel(simulator: SimulatorProcess) -> None:
    uuid = insert(simulator)
    async with build_http_client() as http:
        key = Credentials(PUBLIC_KEY, SECRET_KEY)
        client = DispersedClient(
            http, base_url=simulator.base_url, credentials=key, clock=ServerClock(), limiter=Limiter()
        )
        reaper = Reaper(client, Wanted(), patience=5.0)
        survey = await reaper.survey()
        assert [entry.judged.row.uuid for entry in survey.chosen] == [uuid]
        simulator.control.advance(-int(1.5 * HOUR))
        (entry,) = (await reaper.carry_out(survey)).entries
    assert entry.outcome is Outcome.SPARED
    assert "it expires in" in entry.words
    assert writes(simulator) == []
