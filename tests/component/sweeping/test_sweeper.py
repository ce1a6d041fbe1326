"""The sweeper between a real simulator and an API server in the process: order of reads, last checks, bookkeeping."""

from __future__ import annotations

import asyncio

import pytest

from dispersed_operator.errors import KubernetesError, RemoteError, StateLost
from dispersed_operator.kube.resources import DISPERSED_JOBS, DISPERSED_ORPHANS
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.naming import create_token
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.account import key_fingerprint
from dispersed_operator.planning.vocabulary import Problem
from tests.component.sweeping.bench import Bench, gone, sweep_twice, until
from tests.support.sessions import ACCOUNT
from tests.support.simulator import PUBLIC_KEY


async def test_the_remote_side_is_listed_before_the_resources(bench: Bench) -> None:
    session, seen = bench.open(), []
    bench.gate.act = lambda _: seen.append(len(bench.simulator.control.requests(path="/v1/jobs")))
    await bench.sweeper().sweep(session)
    assert seen
    assert seen[0] > 0
    assert any(asked.endswith("/dispersedjobs") for asked in bench.gate.asked)


@pytest.mark.parametrize("path", ["/dispersedjobs", "/dispersedorphans"])
async def test_without_a_list_there_is_no_verdict(bench: Bench, path: str) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    uuid = bench.insert(gone(), age=1000)
    await sweeper.sweep(session)
    bench.simulator.control.advance(31)
    bench.gate.refuse = f"GET /apis/dispersed.dev/v1alpha1{path}"
    with pytest.raises(KubernetesError):
        await sweeper.sweep(session)
    assert (bench.cancels(), bench.orphan(uuid)) == ([], None)


async def test_without_a_complete_listing_there_is_no_verdict(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    bench.insert(gone(), age=1000)
    await sweeper.sweep(session)
    bench.simulator.control.advance(31)
    bench.simulator.control.add_fault("malformed", method="GET", path="^/v1/jobs$", times=None, shape="garbage")
    asked = len(bench.gate.asked)
    with pytest.raises(RemoteError):
        await sweeper.sweep(session)
    assert len(bench.gate.asked) == asked
    assert bench.cancels() == []


async def test_a_duplicate_that_is_recorded_at_the_last_moment_is_not_cancelled(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    identity = bench.add_resource()
    recorded, second = bench.insert(identity), bench.insert(identity)
    bench.record(identity, recorded)
    await sweeper.sweep(session)
    bench.simulator.control.advance(31)

    def adopt_after_the_list(asked: str) -> None:
        if asked.endswith("/dispersedjobs"):
            bench.record(identity, second)

    bench.gate.act = adopt_after_the_list
    plan = await sweeper.sweep(session)
    assert [verdict.job.uuid for verdict in plan.cancels] == [second]
    assert bench.cancels() == []
    assert any(asked.endswith("/dispersedjobs/train") for asked in bench.gate.asked)


async def test_a_resource_made_anew_under_the_old_name_confirms_nothing(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    identity = bench.add_resource()
    recorded, second = bench.insert(identity), bench.insert(identity)
    bench.record(identity, recorded)
    await sweeper.sweep(session)
    bench.simulator.control.advance(31)

    def replace_after_the_list(asked: str) -> None:
        if asked.endswith("/dispersedjobs"):
            bench.api.delete(DISPERSED_JOBS, "team-a", "train")
            bench.add_resource(uuid=recorded)

    bench.gate.act = replace_after_the_list
    plan = await sweeper.sweep(session)
    assert [verdict.job.uuid for verdict in plan.cancels] == [second]
    assert bench.cancels() == []


async def test_an_orphan_that_a_person_keeps_at_the_last_moment_is_not_cancelled(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    uuid = bench.insert(gone(), age=1000)
    await sweeper.sweep(session)
    bench.simulator.control.advance(31)

    def keep(asked: str) -> None:
        if asked.startswith("POST") and asked.endswith("/dispersedorphans"):
            bench.api.patch(DISPERSED_ORPHANS, None, uuid, {"spec": {"decision": "Keep"}})

    bench.gate.act = keep
    plan = await sweeper.sweep(session)
    assert [verdict.job.uuid for verdict in plan.cancels] == [uuid]
    assert bench.cancels() == []


async def test_an_orphan_gets_its_object_before_it_is_cancelled_and_the_job_is_read_after(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    uuid = bench.insert(gone(), age=1000)
    await sweep_twice(bench, sweeper, session)
    found = bench.orphan(uuid)
    assert found is not None
    assert found["status"]["account"] == "team-a/default"
    verbs = [row["method"] for row in bench.simulator.control.requests(path=uuid)]
    put = verbs.index("PUT")
    assert (verbs[put - 1], verbs[put + 1]) == ("GET", "GET")


async def test_an_orphan_of_a_shared_account_names_it_and_is_kept_in_step_under_that_name(bench: Bench) -> None:
    session, sweeper = bench.open(ResourceKey(Kind.CLUSTER_ACCOUNT, "", "shared")), bench.sweeper()
    uuid, ended = bench.insert(gone(), age=1000), bench.insert(gone(1), status="COMPLETED")
    bench.make_orphan(ended, uuid=ended, account="ClusterDispersedAccount/shared", phase="Open")
    await sweep_twice(bench, sweeper, session)
    assert (bench.orphan(uuid) or {})["status"]["account"] == "ClusterDispersedAccount/shared"
    assert (bench.orphan(ended) or {})["status"]["phase"] == "Closed"


async def test_an_object_whose_job_the_service_denies_twice_is_closed(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    uuid = "11111111-1111-4111-8111-111111111111"
    body = {"apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedOrphan", "metadata": {"name": uuid}}
    bench.api.create(DISPERSED_ORPHANS, None, body | {"spec": {"decision": "Keep"}})
    known = {"uuid": uuid, "account": "team-a/default", "keyFingerprint": key_fingerprint(PUBLIC_KEY), "phase": "Open"}
    status = {"status": known}
    bench.api.patch(DISPERSED_ORPHANS, None, uuid, status, subresource="status")
    await sweeper.sweep(session)
    assert (bench.orphan(uuid) or {})["status"]["phase"] == "Open"
    bench.simulator.control.advance(31)
    await sweeper.sweep(session)
    assert (bench.orphan(uuid) or {})["status"]["phase"] == "Closed"


async def test_an_object_of_a_token_is_closed_when_its_job_has_ended(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    token = create_token(gone(), 1)
    body = {"apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedOrphan", "metadata": {"name": f"token-{token}"}}
    bench.api.create(DISPERSED_ORPHANS, None, body | {"spec": {"decision": "Keep"}})
    status = {"status": {"token": token, "account": "team-a/default", "phase": "Open"}}
    bench.api.patch(DISPERSED_ORPHANS, None, f"token-{token}", status, subresource="status")
    bench.insert(gone(), status="COMPLETED")
    await sweeper.sweep(session)
    assert (bench.orphan(f"token-{token}") or {})["status"]["phase"] == "Closed"


@pytest.mark.failure_mode(57)
async def test_a_job_that_its_resource_does_not_know_is_handed_over_with_all_that_its_title_says(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    identity = bench.add_resource()
    bench.insert(identity)
    await sweeper.sweep(session)
    ((key, uid, create),) = bench.looked_for
    assert (key, uid) == (ResourceKey(Kind.JOB, "team-a", "train"), identity.uid)
    assert (create.attempt, create.token, create.account) == (1, create_token(identity, 1), session.mark)


@pytest.mark.failure_mode(15)
@pytest.mark.failure_mode(69)
async def test_an_api_server_that_went_back_in_time_ends_the_process(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper(sweep_seconds=1)
    before = bench.api.snapshot()
    bench.add_resource()
    body = bench.api.get(DISPERSED_JOBS, "team-a", "train")
    bench.store.put(ResourceKey(Kind.JOB, "team-a", "train"), body)
    bench.api.restore(before)
    with pytest.raises(StateLost):
        await sweeper.sweep(session)
    async with asyncio.timeout(60):
        with pytest.raises(StateLost):
            await sweeper.run()


async def test_two_accounts_with_one_key_are_swept_once_by_the_leader_only(bench: Bench) -> None:
    bench.open()
    bench.open(ResourceKey(Kind.ACCOUNT, "team-b", "default"))
    sweeper = bench.sweeper(sweep_seconds=1)
    bench.leads = False
    running = asyncio.create_task(sweeper.run())
    try:
        await until(lambda: bench.asked_for_leader > 1)
        assert sweeper.age(ACCOUNT) is None
        assert bench.gate.asked == []
        bench.leads = True
        await until(lambda: sweeper.age(ACCOUNT) is not None)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert sweeper.age(ResourceKey(Kind.ACCOUNT, "team-b", "default")) is None
    name = "dispersed_operator_sweeps_total"
    labels = {"namespace": "team-a", "account": "default", "result": "done"}
    assert bench.metrics.registry.get_sample_value(name, labels) is not None


@pytest.mark.parametrize("account_is_open", [True, False])
async def test_a_persons_cancel_starts_a_sweep_long_before_it_is_due(bench: Bench, account_is_open: bool) -> None:
    sweeper = bench.sweeper(sweep_seconds=100_000)
    if account_is_open:
        bench.open()
    running = asyncio.create_task(sweeper.run())
    try:
        await asyncio.sleep(0)
        sweeper.notice({"metadata": {"name": "some-job"}, "spec": {"decision": "Cancel"}})
        if not account_is_open:
            bench.open()
        await until(lambda: sweeper.age(ACCOUNT) is not None)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.failure_mode(70)
async def test_a_cluster_that_may_be_a_copy_of_another_sweeps_nothing(bench: Bench) -> None:
    session = bench.open()
    session.frozen = Problem(Reason.CLUSTER_IDENTITY_CHANGED, "this may be a copy of the cluster")
    sweeper, labels = bench.sweeper(sweep_seconds=1), {"namespace": "team-a", "account": "default"}
    running = asyncio.create_task(sweeper.run())
    name = "dispersed_operator_sweeps_total"
    try:
        await until(lambda: bench.metrics.registry.get_sample_value(name, labels | {"result": "withheld"}) is not None)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert bench.gate.asked == []
    assert bench.simulator.control.requests(path="/v1/jobs") == []


@pytest.mark.failure_mode(70)
async def test_a_doubt_that_comes_up_in_mid_sweep_holds_the_cancels_back(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    bench.insert(gone(), age=1000)
    await sweeper.sweep(session)
    bench.simulator.control.advance(31)
    session.frozen = Problem(Reason.CLUSTER_IDENTITY_CHANGED, "this may be a copy of the cluster")
    plan = await sweeper.sweep(session)
    assert len(plan.cancels) == 1
    assert bench.cancels() == []
