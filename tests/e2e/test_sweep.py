"""Orphans: found, reported, answered by a person, and cancelled only where that was decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.sweeps import (
    SWEEPING,
    a_stranger,
    a_vanished,
    cancelled_uuids,
    decide,
    events_of,
    insert,
    make_orphan,
    metric,
    orphan,
    remove_orphans,
    see_twice,
    status_of,
    sweep_again,
    wait_orphan,
)
from tests.support.world import World, wait_for

CANCEL = ("--orphan-policy", "cancel")


@pytest.fixture
def sweeping(make_world: Callable[..., World]) -> Iterator[World]:
    """A world whose operators sweep every second, without orphans of an earlier test."""
    world = make_world(operator_flags=SWEEPING)
    remove_orphans(world)
    world.add_account()
    yield world
    remove_orphans(world)


@pytest.mark.failure_mode(12)
@pytest.mark.failure_mode(71)
def test_an_orphan_is_reported_then_cancelled_under_cancel_and_another_clusters_job_is_left_alone(
    sweeping: World,
) -> None:
    world = sweeping
    world.start_operator()
    foreign = insert(world, a_stranger())
    uuid = make_orphan(world)

    reporting = world.start_operator("reporting")
    see_twice(world)
    found = wait_orphan(world, uuid)
    assert found["spec"]["decision"] == "Report"
    assert found["status"]["phase"] == "Open"
    assert found["status"]["account"] == f"{world.namespace}/default"
    assert found["status"]["title"] == world.control.job(uuid)["title"]
    assert float(found["status"]["hourlyRateUSD"]) > 0
    assert float(found["status"]["costUSD"]) > 0
    assert "no resource of this cluster owns it" in events_of(world, uuid)["OrphanFound"]
    assert metric(world, "dispersed_operator_sweep_jobs", standing="orphan") == 1
    assert metric(world, "dispersed_operator_sweep_jobs", standing="foreign") == 1
    assert status_of(world, uuid) == "RUNNING"
    assert world.cancels() == []
    reporting.stop()

    world.start_operator("cancelling", flags=CANCEL)
    see_twice(world)
    closed = wait_orphan(world, uuid, lambda body: body["status"]["phase"] == "Closed")
    assert closed["status"]["remoteStatus"] == "CANCELLED"
    assert status_of(world, uuid) == "CANCELLED"
    assert "OrphanCancelled" in events_of(world, uuid)
    assert set(cancelled_uuids(world)) == {uuid}
    assert status_of(world, foreign) == "RUNNING"
    assert orphan(world, foreign) is None


def test_nothing_is_concluded_from_one_sighting(sweeping: World) -> None:
    world = sweeping
    uuid = insert(world, a_vanished(world), age=1000)
    world.control.set_rate(0)
    world.start_operator(flags=CANCEL)
    sweep_again(world)
    sweep_again(world)
    assert metric(world, "dispersed_operator_sweep_jobs", standing="orphan") == 1
    assert world.cancels() == []
    assert orphan(world, uuid) is None
    world.control.advance(30)
    wait_for(lambda: status_of(world, uuid) == "CANCELLING", what="the second sighting ends it")


def test_a_job_that_may_still_be_recorded_is_too_young_to_be_an_orphan(sweeping: World) -> None:
    world = sweeping
    uuid = insert(world, a_vanished(world), age=600)
    world.start_operator(flags=CANCEL)
    see_twice(world)
    assert metric(world, "dispersed_operator_sweep_jobs", standing="young") == 1
    assert world.cancels() == []
    assert orphan(world, uuid) is None
    world.control.advance(400)
    see_twice(world)
    wait_for(lambda: status_of(world, uuid) == "CANCELLED", what="it was cancelled once it was old enough")


@pytest.mark.failure_mode(60)
def test_a_job_left_behind_by_its_deletion_policy_is_kept_for_good(sweeping: World) -> None:
    world = sweeping
    world.start_operator(flags=CANCEL)
    world.add_persistent("server", deletionPolicy="Orphan")
    world.wait_condition("server", "Ready")
    uuid = world.status("server")["jobUUID"]
    world.delete("server")
    world.wait_gone("server")
    left = wait_orphan(world, uuid)
    assert left["spec"]["decision"] == "Keep"
    assert left["status"]["owner"] == f"{world.namespace}/server"
    assert left["status"]["cause"] == "DeletionPolicy"
    world.control.advance(1000)
    see_twice(world)
    assert metric(world, "dispersed_operator_sweep_jobs", standing="orphan") == 1
    assert world.cancels() == []
    assert status_of(world, uuid) == "RUNNING"
    world.control.force_status(uuid, "COMPLETED")
    wait_orphan(world, uuid, lambda body: body["status"]["phase"] == "Closed")


def test_a_persons_cancel_ends_the_orphan_under_the_policy_report(sweeping: World) -> None:
    world = sweeping
    kept, ended = insert(world, a_vanished(world, 1), age=1000), insert(world, a_vanished(world, 2), age=1000)
    world.start_operator()
    see_twice(world)
    wait_orphan(world, kept)
    wait_orphan(world, ended)
    assert world.cancels() == []
    decide(world, ended, "Cancel")
    wait_orphan(world, ended, lambda body: body["status"]["phase"] == "Closed")
    assert status_of(world, ended) == "CANCELLED"
    assert set(cancelled_uuids(world)) == {ended}
    assert status_of(world, kept) == "RUNNING"


@pytest.mark.failure_mode(60)
def test_a_persons_keep_stands_under_the_policy_cancel(sweeping: World) -> None:
    world = sweeping
    kept, ended = insert(world, a_vanished(world, 1), age=1000), insert(world, a_vanished(world, 2), age=1000)
    spec = {"apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedOrphan", "spec": {"decision": "Keep"}}
    world.apply(spec | {"metadata": {"name": kept}})
    world.start_operator(flags=CANCEL)
    see_twice(world)
    wait_for(lambda: status_of(world, ended) == "CANCELLED", what="the one beside it was cancelled")
    sweep_again(world)
    assert set(cancelled_uuids(world)) == {ended}
    assert wait_orphan(world, kept)["status"]["uuid"] == kept


def test_a_decision_that_names_somebody_elses_job_is_refused_and_changes_nothing(sweeping: World) -> None:
    world = sweeping
    world.start_operator()
    foreign = insert(world, a_stranger(), age=1000)
    plain = str(world.control.insert_job("made in the console", task="PERSISTENT", status="RUNNING")["uuid"])
    world.add_persistent("server")
    world.wait_condition("server", "Ready")
    owned = str(world.status("server")["jobUUID"])
    spec = {"apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedOrphan", "spec": {"decision": "Cancel"}}
    for uuid in (foreign, plain, owned):
        world.apply(spec | {"metadata": {"name": uuid}})
    see_twice(world)
    words = {foreign: "another cluster", plain: "not one of this operator's", owned: f"{world.namespace}/server"}
    for uuid, word in words.items():
        refused = wait_orphan(world, uuid)["status"]["conditions"][0]
        assert (refused["type"], refused["status"], refused["reason"]) == ("Stalled", "True", "OwnershipAmbiguous")
        assert word in refused["message"]
        assert word in events_of(world, uuid)["DecisionRefused"]
        assert status_of(world, uuid) == "RUNNING"
    assert world.cancels() == []
    decide(world, foreign, "Report")
    wait_orphan(world, owned, lambda body: bool(body["status"].get("conditions")))
    wait_for(lambda: not (orphan(world, foreign) or {}).get("status", {}).get("conditions"), what="the refusal is gone")


@pytest.mark.failure_mode(50)
def test_no_sweep_cancels_more_than_the_cap(sweeping: World) -> None:
    world = sweeping
    uuids = {insert(world, a_vanished(world, number), age=1000) for number in range(7)}
    world.start_operator(flags=CANCEL)
    see_twice(world)
    wait_for(lambda: "SweepCapReached" in events_of(world, "default"), what="the cap is told")
    assert "cancelled 5 jobs" in events_of(world, "default")["SweepCapReached"]
    assert "2 more wait" in events_of(world, "default")["SweepCapReached"]
    wait_for(lambda: all(status_of(world, uuid) == "CANCELLED" for uuid in uuids), what="later sweeps end the others")
    assert metric(world, "dispersed_operator_sweep_cancels_total", standing="orphan") == 7


@pytest.mark.failure_mode(47)
def test_an_orphan_with_a_status_that_nobody_knows_is_found_without_a_filter(sweeping: World) -> None:
    world = sweeping
    uuid = insert(world, a_vanished(world), age=1000)
    world.control.force_status(uuid, "MIGRATING")
    world.control.set_rate(0)
    world.start_operator()
    wait_for(lambda: metric(world, "dispersed_operator_sweep_jobs", standing="orphan") is not None, what="a sweep")
    assert world.listings(), "the first sweep of a process lists without a filter"
    assert status_of(world, uuid) == "MIGRATING"


@pytest.mark.failure_mode(58)
def test_a_namespaced_operator_only_reports_the_jobs_of_its_neighbour(make_world: Callable[..., World]) -> None:
    ours, neighbour = make_world(operator_flags=SWEEPING), make_world(operator_flags=SWEEPING)
    for world in (ours, neighbour):
        world.add_account(baseURL=ours.simulator.base_url)
    neighbour.start_operator(flags=("--namespaces", neighbour.namespace, *CANCEL))
    neighbour.add_persistent("server")
    neighbour.wait_condition("server", "Ready")
    uuid = str(neighbour.status("server")["jobUUID"])
    ours.control.advance(1000)
    ours.start_operator(flags=("--namespaces", ours.namespace, *CANCEL))
    see_twice(ours)
    assert metric(ours, "dispersed_operator_sweep_jobs", standing="orphan") == 1
    assert uuid in events_of(ours, "default")["OrphanFound"]
    assert ours.cancels() == []
    assert orphan(ours, uuid) is None
    neighbour.remove_jobs("server")
