"""What a resource costs the API server over its whole life, by the server's own audit log."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.audit import AuditTail, Request, writes
from dispersed_devenv.services import OPERATOR_ACCOUNT, OPERATOR_NAMESPACE
from tests.e2e.conftest import BASE
from tests.simulation.cluster.bodies import merged
from tests.support.controlplane import CRDS, temporary_control_plane
from tests.support.world import Body, World, wait_for

OPERATOR = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_ACCOUNT}"
Stage = tuple[str | None, str | None]
"""Phase, and reason of Ready."""
COSTS = {"costUSD", "runtime"}
SLOW = {"assign_seconds": 2.5, "pull_seconds": 2.5, "run_seconds": 2.5}


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[World]:
    """A world on a control plane of its own that logs every write with its body."""
    with temporary_control_plane(*sorted(CRDS.glob("*.yaml")), audit_bodies=True) as plane:
        plane.apply(BASE)
        with World(plane, tmp_path / "world", "audited") as world:
            world.add_account()
            world.start_operator()
            world.wait_condition("default", "Ready", kind="dispersedaccount")
            yield world


@pytest.fixture
def log(audited: World) -> Iterator[Log]:
    with closing(AuditTail(audited.plane.audit_log_file)) as tail:
        yield Log(tail)


class Log:
    """What the operator wrote to DispersedJobs, read on as the log grows."""

    def __init__(self, tail: AuditTail) -> None:
        self._tail = tail
        self._seen: list[Request] = []

    def of(self, name: str) -> list[Request]:
        """The writes to one resource so far, refreshes of its cost alone left out."""
        self._seen += writes(self._tail.read(), user=OPERATOR)
        return [request for request in self._seen if request.name == name and not only_costs(request.body)]


def only_costs(body: Any) -> bool:
    """Whether a patch changes nothing but what a job has cost so far."""
    status = body.get("status")
    return isinstance(status, dict) and bool(status) and status.keys() <= COSTS


def stages(requests: Sequence[Request]) -> list[Stage]:
    """What the resource says, as it changes, from before the first write."""
    body: Any = {}
    found: list[Stage] = [(None, None)]
    for request in requests:
        body = merged(body, request.body)
        status = body.get("status") or {}
        ready: Body = next((item for item in status.get("conditions") or () if item["type"] == "Ready"), {})
        found.append((status.get("phase"), ready.get("reason")))
    return [stage for stage, _ in itertools.groupby(found)]


def test_a_batch_job_that_completes_costs_its_transitions_and_two_writes(audited: World, log: Log) -> None:
    audited.control.add_fate("batch", **SLOW)
    audited.add_batch()
    audited.wait_condition("batch", "Complete")
    audited.remove_jobs("batch")
    wait_for(lambda: ends(log.of("batch")), what="the last write is logged")
    assert ("Succeeded", "Completed") in stages(log.of("batch"))
    assert_frugal(log.of("batch"))
    audited.check_truth()


def test_a_job_that_is_deleted_while_it_runs_costs_its_transitions_and_two_writes(audited: World, log: Log) -> None:
    audited.add_persistent()
    audited.wait_condition("server", "Ready")
    audited.remove_jobs("server")
    wait_for(lambda: ends(log.of("server")), what="the last write is logged")
    assert_frugal(log.of("server"))
    audited.check_truth()


def test_polls_of_a_running_job_and_a_restart_write_nothing(audited: World, log: Log) -> None:
    audited.add_persistent()
    audited.wait_condition("server", "Ready")
    audited.operators[0].stop()
    before = len(log.of("server"))
    audited.start_operator("again")
    polls = len(audited.control.requests(method="GET", path="/v1/job-runs"))
    wait_for(
        lambda: len(audited.control.requests(method="GET", path="/v1/job-runs")) >= polls + 2, what="two polls went by"
    )
    assert len(log.of("server")) == before
    audited.remove_jobs("server")
    audited.check_truth()


def ends(requests: Sequence[Request]) -> bool:
    """Whether the last write took a finalizer away."""
    return bool(requests) and requests[-1].body.get("metadata", {}).get("finalizers", ()) in (None, [])


def assert_frugal(requests: Sequence[Request]) -> None:
    """No more writes than transitions and two; the end of the resource is a transition too."""
    transitions = len(stages(requests))  # one less than stages, and one for the end
    assert len(requests) <= transitions + 2, "\n".join(f"{request.resource} {request.body}" for request in requests)
