"""DispersedOrphans on the API server, against a scripted one: made once, with the decision in the very request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from dispersed_operator.errors import KubernetesConflict, KubernetesError
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.naming import create_token
from dispersed_operator.model.orphan import OrphanCause, OrphanDecision, orphan_name
from dispersed_operator.orphans import Orphans, parse_orphan
from dispersed_operator.planning.account import key_fingerprint
from dispersed_operator.telemetry.metrics import Metrics
from tests.support.builders import ACCOUNT, IDENTITY, JOB, NOW, a_job, a_row
from tests.unit.kube.scripted import Answer, Script, client_of, failure, ok

TOKEN = create_token(IDENTITY, 1)
TAKEN = failure(409, "AlreadyExists", name=JOB, kind="dispersedorphans")
CHANGED = failure(409, "Conflict", name=JOB, kind="dispersedorphans")


def stored(decision: str = "Report", *, version: str = "5", **status: Any) -> web.Response:
    metadata = {"name": JOB, "uid": "u", "resourceVersion": version, "generation": 1}
    body = {"kind": "DispersedOrphan", "apiVersion": "dispersed.dev/v1alpha1", "metadata": metadata}
    return ok(body | {"spec": {"decision": decision}} | ({"status": status} if status else {}))


@asynccontextmanager
async def orphans(*answers: Answer, cluster_wide: bool = True) -> AsyncIterator[tuple[Orphans, Script, Metrics]]:
    metrics = Metrics()
    async with client_of(*answers) as (kube, script):
        yield Orphans(kube, cluster_wide=cluster_wide, metrics=metrics, wall=lambda: float(NOW)), script, metrics


async def leave(made: Orphans, *, uuid: str | None = JOB, token: str | None = TOKEN) -> None:
    await made.leave(
        a_job().created().status(hourlyRateUSD="0.35", costUSD="1.2000").resource,
        account=ResourceKey(Kind.ACCOUNT, "team-a", "default"),
        uuid=uuid,
        token=token,
        decision=OrphanDecision.KEEP,
        cause=OrphanCause.DELETION_POLICY,
        job=a_row(status="RUNNING") if uuid else None,
    )


def left(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("dispersed_operator_orphans_left_total", {"cause": "DeletionPolicy"})


@pytest.mark.failure_mode(60)
async def test_the_decision_stands_in_the_request_that_makes_the_object() -> None:
    async with orphans(stored("Keep"), stored("Keep")) as (made, script, metrics):
        await leave(made)
    assert script.requests[0].startswith("POST /apis/dispersed.dev/v1alpha1/dispersedorphans?")
    assert script.bodies[0]["metadata"] == {"name": JOB}
    assert script.bodies[0]["spec"] == {"decision": "Keep"}
    status = script.bodies[1]["status"]
    assert script.bodies[1]["metadata"] == {"resourceVersion": "5"}
    assert (status["uuid"], status["token"], status["owner"]) == (JOB, TOKEN, "team-a/train")
    assert (status["account"], status["cause"], status["phase"]) == ("team-a/default", "DeletionPolicy", "Open")
    assert (status["hourlyRateUSD"], status["costUSD"], status["remoteStatus"]) == ("0.35", "1.2000", "RUNNING")
    assert left(metrics) == 1


async def test_leaving_a_second_time_makes_no_second_object() -> None:
    async with orphans(TAKEN, stored("Keep", phase="Open"), stored("Keep")) as (made, script, _):
        await leave(made)
    assert [request.split(" ")[0] for request in script.requests] == ["POST", "GET", "PATCH"]
    assert "spec" not in script.bodies[2]


async def test_an_object_that_nobody_decided_about_takes_the_decision() -> None:
    async with orphans(TAKEN, stored("Report"), stored("Keep", version="6"), stored("Keep")) as (made, script, _):
        await leave(made)
    assert script.bodies[2] == {"metadata": {"resourceVersion": "5"}, "spec": {"decision": "Keep"}}
    assert script.bodies[3]["metadata"] == {"resourceVersion": "6"}


async def test_a_decision_that_a_person_made_stays() -> None:
    async with orphans(TAKEN, stored("Cancel"), stored("Cancel")) as (made, script, _):
        await leave(made)
    assert [body["spec"] for body in script.bodies[1:] if body and "spec" in body] == []


REFUSED = {"phase": "Open", "conditions": [{"type": "Stalled", "status": "True"}]}


@pytest.mark.failure_mode(60)
@pytest.mark.parametrize("over", [{"phase": "Closed"}, REFUSED])
async def test_a_cancel_that_was_refused_or_is_over_does_not_end_a_job_that_is_left_on_purpose_later(
    over: dict[str, Any],
) -> None:
    before, after = stored("Cancel", **over), stored("Keep", version="6", **over)
    async with orphans(TAKEN, before, after, stored("Keep")) as (made, script, _):
        await leave(made)
    assert script.bodies[2] == {"metadata": {"resourceVersion": "5"}, "spec": {"decision": "Keep"}}
    assert script.bodies[3]["status"].get("conditions", "absent") == (None if "conditions" in over else "absent")


async def test_a_job_that_is_left_tells_the_key_of_its_create() -> None:
    async with orphans(stored("Keep"), stored("Keep")) as (made, script, _):
        await leave(made)
    assert script.bodies[1]["status"]["keyFingerprint"] == key_fingerprint(ACCOUNT.public_key)


async def test_a_job_of_which_only_the_token_is_known_is_left_by_its_token() -> None:
    async with orphans(stored("Keep"), stored("Keep")) as (made, script, _):
        await leave(made, uuid=None)
    assert script.bodies[0]["metadata"] == {"name": f"token-{TOKEN}"}
    assert "uuid" not in script.bodies[1]["status"]


async def test_what_cannot_be_named_is_left_without_an_object() -> None:
    async with orphans(stored()) as (made, script, _):
        await leave(made, uuid=None, token=None)
    assert script.requests == []


@pytest.mark.failure_mode(58)
async def test_a_namespaced_installation_asks_the_api_server_for_nothing_and_counts() -> None:
    async with orphans(stored(), cluster_wide=False) as (made, script, metrics):
        await leave(made)
    assert script.requests == []
    assert left(metrics) == 1


@pytest.mark.parametrize("answer", [failure(500, "InternalError"), failure(403, "Forbidden"), failure(404, "NotFound")])
async def test_an_object_that_could_not_be_made_keeps_the_finalizer_by_an_error(answer: web.Response) -> None:
    async with orphans(answer) as (made, _, metrics):
        with pytest.raises(KubernetesError):
            await leave(made)
    assert left(metrics) == 0


async def test_a_status_is_written_only_onto_the_version_that_was_read() -> None:
    async with orphans(CHANGED) as (made, _, _metrics):
        known = parse_orphan({"metadata": {"name": JOB, "resourceVersion": "4"}, "spec": {"decision": "Keep"}})
        with pytest.raises(KubernetesConflict):
            await made.write(known, {"phase": "Open"})


async def test_a_status_that_says_nothing_new_is_not_written() -> None:
    async with orphans(stored()) as (made, script, _):
        body = {"metadata": {"name": JOB, "resourceVersion": "4"}, "status": {"phase": "Open"}}
        await made.write(parse_orphan(body), {"phase": "Open", "uuid": None})
    assert script.requests == []


@pytest.mark.parametrize(
    ("spec", "decision"),
    [
        ({}, OrphanDecision.REPORT),
        ({"decision": "Cancel"}, OrphanDecision.CANCEL),
        ({"decision": "Adopt"}, OrphanDecision.ADOPT),
        ({"decision": "Sell"}, OrphanDecision.KEEP),
        ({"decision": None}, OrphanDecision.KEEP),
    ],
)
def test_a_decision_that_is_not_understood_touches_nothing(spec: dict[str, Any], decision: OrphanDecision) -> None:
    assert parse_orphan({"metadata": {"name": JOB}, "spec": spec}).decision is decision


def test_a_name_tells_the_job_and_two_jobs_never_share_one() -> None:
    assert orphan_name(uuid=JOB, token=TOKEN) == JOB
    assert orphan_name(uuid=None, token=TOKEN) == f"token-{TOKEN}"
    odd = {orphan_name(uuid=uuid, token=None) for uuid in ("A_b", "a_b", "A-B", "x" * 300)}
    assert len(odd) == 4
    assert all(name.startswith("job-") and len(name) < 64 for name in odd)
    with pytest.raises(ValueError, match="uuid or a token"):
        orphan_name(uuid=None, token=None)
