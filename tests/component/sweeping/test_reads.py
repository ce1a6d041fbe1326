"""Where the store's word will do for a sweep, and where the resources are listed."""

from __future__ import annotations

import pytest

from dispersed_operator.accounts import AccountSession
from dispersed_operator.errors import StateLost
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.planning.sweep import Standing
from dispersed_operator.store import ResourceStore
from dispersed_operator.sweeper import Sweeper
from tests.component.sweeping.bench import Bench, gone, sweep_twice

COUNTED, LISTED = ["limit=1"], ["limit=500"]


async def swept_once(bench: Bench, sweeper: Sweeper, session: AccountSession) -> None:
    """The first sweep of a process lists everything; what follows is what is looked at."""
    await sweeper.sweep(session)
    assert bench.listed() == LISTED


def a_recorded_job(bench: Bench, name: str = "train") -> str:
    """A resource that the store holds, and the job that it records."""
    identity = bench.add_resource(name)
    uuid = bench.insert(identity, age=1000)
    bench.record(identity, uuid)
    bench.hold(name)
    return uuid


async def test_where_every_job_is_recorded_the_resources_are_counted_and_not_listed(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    a_recorded_job(bench, "train")
    a_recorded_job(bench, "tune")
    bench.simulator.control.insert_job("made by hand", task="PERSISTENT", status="RUNNING")
    await swept_once(bench, sweeper, session)
    plan = await sweeper.sweep(session)
    assert bench.listed() == COUNTED
    assert sorted(verdict.standing for verdict in plan.verdicts) == [Standing.FOREIGN, Standing.OWNED, Standing.OWNED]
    assert not plan.cancels


@pytest.mark.failure_mode(12)
async def test_a_deletion_that_the_watch_missed_is_found_by_the_count(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    uuid = a_recorded_job(bench)
    await swept_once(bench, sweeper, session)
    bench.api.delete(DISPERSED_JOBS, "team-a", "train")
    await sweep_twice(bench, sweeper, session)
    assert bench.store.by_uuid(uuid), "the store does not know"
    assert bench.status(uuid) in {"CANCELLING", "CANCELLED"}


async def test_a_resource_that_the_watch_has_not_shown_yet_is_listed(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    a_recorded_job(bench)
    await swept_once(bench, sweeper, session)
    bench.add_resource("tune")
    await sweeper.sweep(session)
    assert bench.listed() == COUNTED + LISTED


@pytest.mark.parametrize("known", [True, False], ids=["whose-resource-records-another", "whose-resource-is-gone"])
async def test_a_job_that_nobody_records_is_judged_by_a_list(bench: Bench, known: bool) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    identity = bench.add_resource()
    bench.record(identity, bench.insert(identity, age=1000))
    bench.hold()
    await swept_once(bench, sweeper, session)
    bench.insert(identity if known else gone(), age=1000)
    plan = await sweeper.sweep(session)
    assert bench.listed() == LISTED
    expected = Standing.DUPLICATE if known else Standing.ORPHAN
    assert expected in {verdict.standing for verdict in plan.verdicts}


async def test_a_job_that_its_resource_drops_during_the_count_is_judged_by_a_list(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    a_recorded_job(bench)
    other = bench.add_resource("tune")
    bench.record(other, bench.insert(other, age=1000))
    bench.hold("tune")
    await swept_once(bench, sweeper, session)

    def drop(asked: str) -> None:
        if asked == f"GET {DISPERSED_JOBS.path()}" and bench.gate.queries[-1:] == COUNTED:
            bench.record(other, "another-job")
            bench.hold("tune")

    bench.gate.act = drop
    await sweeper.sweep(session)
    assert bench.listed() == COUNTED + LISTED


async def test_an_open_object_is_answered_by_a_list_only(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    uuid = a_recorded_job(bench)
    await swept_once(bench, sweeper, session)
    bench.make_orphan(uuid, account="team-a/default", uuid=uuid)
    await sweeper.sweep(session)
    assert bench.listed() == LISTED
    closed = bench.orphan(uuid)
    assert closed is not None
    assert closed["status"]["phase"] == "Closed"
    await sweeper.sweep(session)
    assert bench.listed() == COUNTED


@pytest.mark.failure_mode(15)
@pytest.mark.failure_mode(69)
async def test_a_count_that_is_older_than_what_was_shown_ends_the_process(bench: Bench) -> None:
    session, sweeper = bench.open(), bench.sweeper()
    a_recorded_job(bench)
    await swept_once(bench, sweeper, session)
    before = bench.api.snapshot()
    bench.api.patch(DISPERSED_JOBS, "team-a", "train", {"metadata": {"labels": {"a": "b"}}})
    bench.hold()
    bench.api.restore(before)
    with pytest.raises(StateLost):
        await sweeper.sweep(session)
    assert bench.listed() == COUNTED


async def test_a_shard_lists_because_it_does_not_hold_all_that_is_counted(bench: Bench) -> None:
    bench.store = ResourceStore(keeps=lambda *_: True)
    session, sweeper = bench.open(), bench.sweeper()
    a_recorded_job(bench)
    await swept_once(bench, sweeper, session)
    await sweeper.sweep(session)
    assert bench.listed() == LISTED
