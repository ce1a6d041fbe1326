"""Jobs that no object names: those of a vanished resource, and duplicates. Each is ended on a real simulator.

Kubernetes is asked one thing only, whether the resource is there; a scripted server answers that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
from aiohttp import web

from dispersed_operator.abandoned import MISSING_SECONDS, AbandonedJobs
from dispersed_operator.accounts import AccountBook
from dispersed_operator.connection import ConnectionSecrets
from dispersed_operator.creates import Creates
from dispersed_operator.effects import Effects
from dispersed_operator.intents import Intents
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.events import EventRecorder
from dispersed_operator.model.intent import AccountMark
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.orphans import Orphans
from dispersed_operator.passes import Pass
from dispersed_operator.planning.vocabulary import CancelJob, Problem
from dispersed_operator.remote.client import fresh_nonce
from dispersed_operator.remote.signing import Credentials
from dispersed_operator.remote.transport import build_http_client
from dispersed_operator.statuses import StatusWriter
from dispersed_operator.store import ResourceStore
from dispersed_operator.telemetry.metrics import Metrics
from tests.support.builders import CLUSTER, a_job, memory
from tests.support.sessions import ACCOUNT, open_session
from tests.support.simulator import PUBLIC_KEY, SECRET_KEY, SimulatorProcess
from tests.unit.kube.scripted import client_of, failure, ok

JOB = ResourceKey(Kind.JOB, "team-a", "train")
UID = "0b9d7c52-1f2e-4c1a-8a55-2d1f4e6a9c03"
GONE = failure(404, "NotFound", name="train", kind="dispersedjobs")
OTHER_PUBLIC, OTHER_SECRET = "pk_sim_other", "sk_sim_other"
OTHER_KEY = f"{OTHER_PUBLIC}:{OTHER_SECRET}:00000000-0000-4000-8000-0000000000ff"
CANCELS = "/cancel"
PATIENCE = 60.0


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    options = ["--no-endpoints", "--cancel-seconds", "0.3"]
    keys = [f"{PUBLIC_KEY}:{SECRET_KEY}", OTHER_KEY]
    with SimulatorProcess(tmp_path_factory.mktemp("simulator"), keys=keys, options=options) as running:
        yield running


@pytest.fixture
def simulator(process: SimulatorProcess) -> SimulatorProcess:
    process.control.clear_faults()
    process.control.reset()
    return process


class Bench:
    """A book of real sessions, and the sleeps of whoever ends jobs; `skipped` seconds pass on his clock only."""

    def __init__(self, simulator: SimulatorProcess, http: httpx.AsyncClient) -> None:
        self.simulator = simulator
        self.http = http
        self.book = AccountBook(windows_for=lambda _: ProofWindows())
        self.slept: list[float] = []
        self.skipped = 0.0

    def open(self, public: str = PUBLIC_KEY, secret: str = SECRET_KEY) -> None:
        """Open the account with this key, in place of the one before."""
        session = open_session(self.http, base_url=self.simulator.base_url, credentials=Credentials(public, secret))
        self.book.open(session)

    def running_job(self) -> str:
        row = self.simulator.control.insert_job("abandoned", fate={"run_seconds": 100_000.0})
        return str(row["uuid"])

    def status(self, uuid: str) -> str:
        return str(self.simulator.control.job(uuid)["status"])

    def cancels(self) -> int:
        return len(self.simulator.control.requests(method="PUT", path=CANCELS))

    def undertaker(self, kube: KubeClient) -> AbandonedJobs:
        return AbandonedJobs(kube, self.book, monotonic=lambda: time.monotonic() + self.skipped, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0.01)


@pytest.fixture
async def bench(simulator: SimulatorProcess) -> AsyncIterator[Bench]:
    async with build_http_client() as http:
        yield Bench(simulator, http)


def _take(bench: Bench, undertaker: AbandonedJobs, uuid: str) -> None:
    accepted_by = AccountMark(bench.simulator.base_url.removeprefix("http://"), PUBLIC_KEY)
    undertaker.take(JOB, account=ACCOUNT, resource_uid=UID, uuid=uuid, accepted_by=accepted_by)


def _at_work(uuid: str) -> bool:
    return any(task.get_name() == f"abandoned-{uuid}" for task in asyncio.all_tasks())


async def _until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; a test that waits in vain fails here."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)


def _effects(kube: KubeClient) -> Effects:
    """The effects as the composition root puts them together."""
    store, metrics, redactor = ResourceStore(), Metrics(), Redactor()
    recorder = EventRecorder(kube, instance="test", clock=time.time)
    statuses = StatusWriter(
        store=store,
        kube=kube,
        recorder=recorder,
        redactor=redactor,
        metrics=metrics,
        monotonic=time.monotonic,
        wall=time.time,
    )
    intents = Intents(
        cluster_id=CLUSTER,
        holder="test",
        store=store,
        kube=kube,
        statuses=statuses,
        metrics=metrics,
        nonces=fresh_nonce,
        monotonic=time.monotonic,
    )
    creates = Creates(
        intents=intents,
        store=store,
        statuses=statuses,
        metrics=metrics,
        check_holds=_no_holds,
        monotonic=time.monotonic,
        wall=time.time,
    )
    return Effects(
        store=store,
        kube=kube,
        book=AccountBook(windows_for=lambda _: ProofWindows()),
        intents=intents,
        creates=creates,
        statuses=statuses,
        connections=ConnectionSecrets(kube),
        orphans=Orphans(kube, cluster_wide=True, metrics=metrics, wall=time.time),
        redactor=redactor,
        metrics=metrics,
        monotonic=time.monotonic,
    )


async def _no_holds(_: object) -> Problem | None:
    return None


@pytest.mark.parametrize("answer", [GONE, ok({"metadata": {"uid": "of a new object"}})], ids=["gone", "created anew"])
@pytest.mark.failure_mode(12)
@pytest.mark.failure_mode(71)
async def test_the_job_of_a_vanished_resource_is_cancelled_until_it_is_terminal(
    bench: Bench, answer: web.Response
) -> None:
    """A cancel's answer proves nothing: the first one is lost here, and the job would go on costing money."""
    uuid = bench.running_job()
    bench.simulator.control.add_fault("cancel_lost")
    bench.open()
    async with client_of(answer) as (kube, _):
        undertaker = bench.undertaker(kube)
        _take(bench, undertaker, uuid)
        _take(bench, undertaker, uuid)
        await _until(lambda: not _at_work(uuid))
    assert bench.status(uuid) == "CANCELLED"
    assert bench.cancels() >= 2
    assert bench.slept[0] == 1.0


@pytest.mark.failure_mode(12)
async def test_a_resource_that_is_there_after_all_keeps_its_job(bench: Bench) -> None:
    """The store may have been behind; the resource finds the job itself, and it may be wanted."""
    uuid = bench.running_job()
    bench.open()
    async with client_of(ok({"metadata": {"uid": UID}})) as (kube, script):
        _take(bench, bench.undertaker(kube), uuid)
        await _until(lambda: not _at_work(uuid))
        assert len(script.requests) == 1
    assert bench.cancels() == 0


async def test_while_kubernetes_cannot_tell_nothing_is_cancelled(bench: Bench) -> None:
    """An API server that fails does not say that the resource is gone, and a bare 404 only that no such path exists."""
    uuid = bench.running_job()
    bench.open()
    async with client_of(failure(403, "Forbidden"), failure(403, "Forbidden"), ok({"metadata": {"uid": UID}})) as (
        kube,
        script,
    ):
        _take(bench, bench.undertaker(kube), uuid)
        await _until(lambda: not _at_work(uuid))
        assert len(script.requests) == 3
    assert bench.cancels() == 0


@pytest.mark.failure_mode(71)
async def test_an_account_that_is_opened_later_is_used(bench: Bench) -> None:
    """The account may be closed at the moment at which the resource vanishes; that must not leak the job."""
    uuid = bench.running_job()
    async with client_of(GONE) as (kube, script):
        _take(bench, bench.undertaker(kube), uuid)
        await _until(lambda: len(bench.slept) >= 3)
        assert (bench.cancels(), script.requests) == (0, [])
        bench.open()
        await _until(lambda: not _at_work(uuid))
    assert bench.status(uuid) == "CANCELLED"


@pytest.mark.failure_mode(28)
@pytest.mark.failure_mode(71)
async def test_a_key_of_another_account_that_does_not_know_the_job_is_never_believed(bench: Bench) -> None:
    """A key that was rotated to another account answers 404 for a job that lives on in the first one."""
    uuid = bench.running_job()
    bench.open(OTHER_PUBLIC, OTHER_SECRET)
    async with client_of(GONE) as (kube, _):
        _take(bench, bench.undertaker(kube), uuid)
        await _until(lambda: len(bench.slept) >= 3)
        bench.skipped = MISSING_SECONDS * 10
        before = len(bench.slept)
        await _until(lambda: len(bench.slept) >= before + 3)
        assert _at_work(uuid), "another account's word counts for nothing, however often it is said"
        bench.open()
        await _until(lambda: not _at_work(uuid))
    assert bench.status(uuid) == "CANCELLED"


async def test_a_job_that_stays_unknown_for_a_minute_is_over(bench: Bench) -> None:
    """There is nothing to cancel, and a task that never ends would be one more leak."""
    bench.open()
    unknown = "99999999-9999-4999-8999-999999999999"
    async with client_of(GONE) as (kube, _):
        _take(bench, bench.undertaker(kube), unknown)
        await _until(lambda: len(bench.slept) >= 2)
        assert _at_work(unknown)
        bench.skipped = MISSING_SECONDS
        await _until(lambda: not _at_work(unknown))


async def test_a_stop_ends_the_tasks_and_says_what_is_left(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody else knows the uuid: without this line the job could not even be cancelled by hand."""
    uuid = bench.running_job()
    async with client_of(GONE) as (kube, _):
        undertaker = bench.undertaker(kube)
        _take(bench, undertaker, uuid)
        await _until(lambda: bool(bench.slept))
        caplog.clear()
        await undertaker.close()
    assert not _at_work(uuid)
    assert [record.levelname for record in caplog.records if uuid in record.getMessage()] == ["ERROR"]


@pytest.mark.failure_mode(8)
async def test_a_duplicate_that_will_not_end_goes_behind_the_others(bench: Bench) -> None:
    """Otherwise one stubborn duplicate would be cancelled for ever while the next ones cost money."""
    stubborn, other = bench.running_job(), bench.running_job()
    fault = bench.simulator.control.add_fault("cancel_lost", path=f"^/v1/jobs/{stubborn}/cancel$", times=None)
    bench.open()
    async with client_of(ok({"metadata": {"name": "event"}})) as (kube, _):
        effects = _effects(kube)
        work = Pass(
            resource=a_job().created().resource,
            memory=memory(extras=(stubborn, other)),
            session=bench.book.get(ACCOUNT),
            forced=False,
        )
        await effects.carry_out(work, CancelJob(stubborn, "duplicate", extra=True))
        rotated = work.memory.extras
        async with asyncio.timeout(PATIENCE):
            while other in work.memory.extras:
                await effects.carry_out(work, CancelJob(other, "duplicate", extra=True))
    assert rotated == (other, stubborn)
    left: tuple[str, ...] = work.memory.extras
    assert left == (stubborn,), "it is not forgotten"
    assert bench.simulator.control.fault_hits(fault) == 1
    assert (bench.status(stubborn) == "CANCELLED", bench.status(other)) == (False, "CANCELLED")
    assert work.memory.cancels == 0, "the recorded job was not cancelled"
