"""What a sweep leaves alone in doubt, and what no trouble keeps it from."""

from __future__ import annotations

import asyncio

import pytest

from dispersed_operator.errors import KubernetesError
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.naming import create_token
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.account import key_fingerprint
from dispersed_operator.planning.vocabulary import Problem
from tests.component.sweeping.bench import Bench, gone, sweep_twice, until
from tests.support.sessions import ACCOUNT
from tests.support.simulator import PUBLIC_KEY

NOBODYS = "22222222-2222-4222-8222-222222222222"
NEIGHBOUR = ResourceKey(Kind.ACCOUNT, "team-b", "default")
UNFIT = "/dispersedorphans/{}/status"


async def test_an_object_that_cannot_be_written_holds_up_neither_other_objects_nor_cancels(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    identity = bench.add_resource()
    recorded, second = bench.insert(identity), bench.insert(identity)
    bench.record(identity, recorded)
    unfit, orphan = (bench.insert(gone(number), age=1000 + number) for number in (1, 2))
    await sweeper.sweep(session)
    bench.simulator.control.advance(31)
    bench.gate.refuse = UNFIT.format(unfit)
    with pytest.raises(KubernetesError):
        await sweeper.sweep(session)
    assert {row["path"].split("/")[3] for row in bench.cancels()} >= {second, orphan}
    assert (bench.orphan(orphan) or {})["status"]["uuid"] == orphan


async def test_an_owner_that_cannot_be_read_holds_up_no_other_cancel(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    identity = bench.add_resource()
    recorded, second = bench.insert(identity), bench.insert(identity)
    bench.record(identity, recorded)
    orphan = bench.insert(gone(), age=1000)
    await sweeper.sweep(session)
    bench.simulator.control.advance(31)
    bench.gate.refuse = "GET /apis/dispersed.dev/v1alpha1/namespaces/team-a/dispersedjobs/train"
    with pytest.raises(KubernetesError):
        await sweeper.sweep(session)
    assert {row["path"].split("/")[3] for row in bench.cancels()} == {orphan}
    assert bench.status(second) == "RUNNING"


async def test_an_account_that_never_answers_delays_no_other_one(bench: Bench) -> None:
    held = asyncio.Event()
    gave_up = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.set()
        while await reader.read(1024):
            pass
        gave_up.set()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    slow = ResourceKey(Kind.ACCOUNT, "team-a", "a-slow-one")
    bench.open(slow, base_url=f"http://127.0.0.1:{port}")
    sweeper = bench.sweeper(sweep_seconds=1)
    running = asyncio.create_task(sweeper.run())
    try:
        await held.wait()
        bench.open()
        await until(lambda: sweeper.age(ACCOUNT) is not None)
        assert not gave_up.is_set()
        assert sweeper.age(slow) is None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await gave_up.wait()
        server.close()
        await server.wait_closed()


@pytest.mark.failure_mode(50)
async def test_the_cap_holds_for_all_sweeps_of_one_interval(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper(sweep_seconds=100_000)
    uuids = [bench.insert(gone(number), age=1000) for number in range(7)]
    await sweep_twice(bench, sweeper, session)
    assert len({row["path"] for row in bench.cancels()}) == 5
    plan = await sweeper.sweep(session)
    assert (plan.cancels, plan.held_back) == ((), sum(bench.status(uuid) == "RUNNING" for uuid in uuids))
    assert len({row["path"] for row in bench.cancels()}) == 5


@pytest.mark.failure_mode(13)
async def test_a_job_that_a_resource_takes_over_while_it_is_told_of_is_not_cancelled(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    uuid = bench.insert(gone(), age=1000)
    await sweeper.sweep(session)
    bench.simulator.control.advance(31)

    def take_over(asked: str) -> None:
        if asked.startswith("POST") and asked.endswith("/dispersedorphans"):
            bench.add_resource()
            bench.api.patch(DISPERSED_JOBS, "team-a", "train", {"status": {"jobUUID": uuid}}, subresource="status")

    bench.gate.act = take_over
    plan = await sweeper.sweep(session)
    assert plan.cancels == ()
    assert bench.cancels() == []


@pytest.mark.failure_mode(60)
async def test_a_keep_on_the_create_at_the_last_moment_holds_for_its_job(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    bench.insert(gone(), age=1000)
    await sweeper.sweep(session)
    bench.simulator.control.advance(31)

    def keep(asked: str) -> None:
        if asked.startswith("POST") and asked.endswith("/dispersedorphans"):
            bench.gate.act = lambda _: None
            bench.make_orphan(f"token-{create_token(gone(), 1)}", decision="Keep")

    bench.gate.act = keep
    plan = await sweeper.sweep(session)
    assert len(plan.cancels) == 1
    assert bench.cancels() == []


async def test_a_process_that_leads_no_more_cancels_nothing_more(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    bench.insert(gone(), age=1000)
    await sweeper.sweep(session)
    bench.simulator.control.advance(31)
    bench.leads = False
    plan = await sweeper.sweep(session)
    assert len(plan.cancels) == 1
    assert bench.cancels() == []


@pytest.mark.failure_mode(28)
async def test_a_doubt_about_one_account_is_one_about_all_with_its_key(bench: Bench) -> None:
    bench.open()
    bench.open(NEIGHBOUR).frozen = Problem(Reason.CLUSTER_IDENTITY_CHANGED, "this may be a copy of the cluster")
    sweeper, labels = bench.sweeper(sweep_seconds=1), {"namespace": "team-a", "account": "default"}
    running = asyncio.create_task(sweeper.run())
    name = "dispersed_operator_sweeps_total"
    try:
        await until(lambda: bench.metrics.registry.get_sample_value(name, labels | {"result": "withheld"}) is not None)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert bench.gate.asked == []


@pytest.mark.failure_mode(28)
async def test_another_key_that_does_not_know_the_job_closes_no_object(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    bench.make_orphan(
        NOBODYS, uuid=NOBODYS, account="team-a/default", keyFingerprint=key_fingerprint("old"), phase="Open"
    )
    await sweep_twice(bench, sweeper, session)
    status = (bench.orphan(NOBODYS) or {})["status"]
    assert status["phase"] == "Open"
    assert "does not know this remote job" in status["conditions"][0]["message"]
    assert key_fingerprint(PUBLIC_KEY) != key_fingerprint("old")


async def test_a_sight_tells_which_key_showed_the_job(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    uuid = bench.insert(gone(), age=1000)
    await sweep_twice(bench, sweeper, session)
    assert (bench.orphan(uuid) or {})["status"]["keyFingerprint"] == key_fingerprint(PUBLIC_KEY)


async def test_an_object_for_a_job_that_no_account_knows_is_answered_once_all_were_asked(bench: Bench) -> None:
    first, sweeper = bench.open(), bench.sweeper()
    second = bench.open(NEIGHBOUR, public_key="pk_sim_other")
    bench.simulator.control.add_key("pk_sim_other", "sk_sim_demo")
    bench.make_orphan(NOBODYS, decision="Cancel")
    sweeper._accounts = {key: sweeper._account(key) for key in (ACCOUNT, NEIGHBOUR)}
    await sweeper.sweep(first)
    assert "status" not in (bench.orphan(NOBODYS) or {})
    await sweeper.sweep(second)
    (condition,) = (bench.orphan(NOBODYS) or {})["status"]["conditions"]
    assert "no account of this installation knows this remote job" in condition["message"]


@pytest.mark.parametrize("status", [{}, {"account": "team-z/deleted", "phase": "Open"}])
async def test_an_object_of_no_account_is_closed_when_its_job_has_ended(bench: Bench, status: dict[str, str]) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    uuid = bench.insert(gone(), status="COMPLETED")
    bench.make_orphan(uuid, **status)
    await sweeper.sweep(session)
    found = (bench.orphan(uuid) or {})["status"]
    assert (found["phase"], found["remoteStatus"]) == ("Closed", "COMPLETED")


async def test_an_object_of_an_account_that_is_not_open_waits(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    body = {"metadata": {"namespace": "team-z", "name": "broken", "uid": "u", "resourceVersion": "1"}}
    bench.store.put(ResourceKey(Kind.ACCOUNT, "team-z", "broken"), body)
    bench.make_orphan(NOBODYS, uuid=NOBODYS, account="team-z/broken", phase="Open")
    await sweep_twice(bench, sweeper, session)
    assert "conditions" not in (bench.orphan(NOBODYS) or {})["status"]
