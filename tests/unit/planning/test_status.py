"""The projection onto the status: steady, complete, and blind to what only the create protocol may write."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispersed_operator.model import naming
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import LIVE_STATUSES, RemoteRun
from dispersed_operator.model.status import DispersedJobStatus, Phase
from dispersed_operator.planning.endpoints import Endpoint
from dispersed_operator.planning.status import project, tail
from dispersed_operator.planning.vocabulary import Created, Kept, Problem, Situation
from tests.support.builders import NOW, RUN, JobBuilder, a_job, a_row, a_run, moment

RUN_UP = a_run(started_at=moment(NOW - 36), hourly_rate_usd=Decimal(36))
WEB = Endpoint("web", 8080, "http", "node.example.net", 31080, True, "https://node.example.net:31080")
UP = Situation(
    phase=Phase.RUNNING,
    reason=Reason.RUNNING,
    message="the container runs",
    created=Created.YES,
    ready=True,
    job=a_row(status="RUNNING"),
    runs=(RUN_UP,),
    endpoints=(WEB,),
    secret_name="train-connection",
)
PROBLEM = Problem(Reason.API_UNAVAILABLE, "the Dispersed API cannot be reached")


def _project(
    builder: JobBuilder, situation: Situation | Kept, *, at: int = NOW, due: bool = True, **changes: Any
) -> dict[str, Any]:
    return project(builder.resource, situation, wall=float(at), server_time=float(at), cost_due=due, **changes)


def _after(builder: JobBuilder, situation: Situation | Kept, **options: Any) -> JobBuilder:
    return replace(builder, body={**builder.body, "status": _project(builder, situation, **options)})


runs_ = st.lists(
    st.builds(
        RemoteRun,
        uuid=st.uuids().map(str),
        job_uuid=st.just(""),
        status=st.sampled_from([*LIVE_STATUSES, "COMPLETED", "FAILED", "HIBERNATING"]),
        started_at=st.none() | st.integers(0, NOW).map(moment),
        ended_at=st.none() | st.integers(0, NOW).map(moment),
        duration_ms=st.none() | st.integers(0, 10**9),
        hourly_rate_usd=st.none() | st.decimals("0", "1000", places=4),
        status_reason=st.none() | st.text(max_size=400),
    ),
    max_size=7,
).map(tuple)
situations = st.builds(
    Situation,
    phase=st.sampled_from(Phase),
    reason=st.sampled_from(Reason),
    message=st.text(max_size=50),
    created=st.sampled_from(Created),
    ready=st.booleans(),
    stalled=st.booleans(),
    ended=st.none() | st.booleans(),
    account_problem=st.none() | st.just(PROBLEM),
    job=st.none() | st.just(a_row(status="RUNNING")),
    runs=st.none() | runs_,
    log_tail=st.none() | st.text(max_size=30),
    endpoints=st.sampled_from([(), (WEB,)]),
    secret_name=st.none() | st.just("train-connection"),
)


@given(situations, st.integers(0, 86_400), st.booleans())
def test_projecting_the_same_situation_again_changes_nothing_but_a_cost_that_is_due(
    situation: Situation, later: int, due: bool
) -> None:
    once = _after(a_job().created(), situation)
    again = _project(once, situation, at=NOW + later, due=due)
    if not due or later == 0:
        assert again == once.body["status"]
    assert again | {"costUSD": ""} == once.body["status"] | {"costUSD": again.get("costUSD", "") and ""}


@given(situations)
def test_every_status_fits_the_model_and_is_json_without_nulls(situation: Situation) -> None:
    status = _project(a_job().created(), situation)
    DispersedJobStatus.model_validate(status)
    assert None not in status.values()
    assert json.loads(json.dumps(status)) == status


@given(st.one_of(situations, st.builds(Kept, st.none() | st.just(PROBLEM))))
def test_uuid_account_and_record_are_never_touched(situation: Situation | Kept) -> None:
    builder = a_job().created().status(account="default")
    before, after = builder.body["status"], _project(builder, situation)
    for name in ("create", "jobUUID", "account"):
        assert after[name] == before[name]
    bare = _project(a_job(), situation)
    assert not bare.keys() & {"create", "jobUUID", "account"}


def test_a_running_job_reads_like_a_batch_job() -> None:
    status = _project(a_job().created(), UP)
    assert (status["phase"], status["active"], status["succeeded"], status["failed"]) == ("Running", 1, 0, 0)
    assert status["runtime"].startswith("since ")
    assert status["currentRun"]["uuid"] == RUN
    assert (status["hourlyRateUSD"], status["costUSD"]) == ("36", "0.3600")
    assert status["endpoints"] == [WEB.as_status()]
    assert status["connectionSecretRef"] == {"name": "train-connection"}
    assert status["observedGeneration"] == 1


@pytest.mark.parametrize(("ended", "counters"), [(True, (0, 1, 0)), (False, (0, 0, 1))])
def test_an_end_sets_counters_and_completion_time_once(ended: bool, counters: tuple[int, int, int]) -> None:
    over = replace(RUN_UP, status="COMPLETED", ended_at=moment(NOW))
    end = replace(UP, ended=ended, job=a_row(status="COMPLETED", completed_at=moment(NOW)), runs=(over,))
    done = _after(a_job().created(), end)
    status = done.body["status"]
    assert (status["active"], status["succeeded"], status["failed"]) == counters
    assert status["runtime"] == "36s"
    assert _project(done, end, at=NOW + 999)["completionTime"] == status["completionTime"]


def test_what_is_no_longer_published_leaves_the_status() -> None:
    status = _project(_after(a_job().created(), UP), replace(UP, endpoints=(), secret_name=None))
    assert not {"endpoints", "connectionSecretRef"} & status.keys()


def test_a_situation_without_runs_keeps_those_that_were_known() -> None:
    running = _after(a_job().created(), UP)
    status = _project(running, replace(UP, runs=None, job=None))
    assert status["runs"] == running.body["status"]["runs"]
    assert status["costUSD"] == running.body["status"]["costUSD"]


def test_only_the_last_five_runs_are_kept_and_all_are_counted() -> None:
    many = tuple(replace(RUN_UP, uuid=f"run-{number}") for number in range(8))
    status = _project(a_job().created(), replace(UP, runs=many))
    assert [run["uuid"] for run in status["runs"]] == [f"run-{number}" for number in range(5)]
    assert status["runCount"] == 8


def test_a_cost_is_written_with_any_other_difference() -> None:
    running = _after(a_job().created(), UP)
    later = _project(running, replace(UP, phase=Phase.STOPPING), at=NOW + 36, due=False)
    assert later["costUSD"] == "0.7200"


def test_a_request_to_look_now_is_answered() -> None:
    asked = a_job().created().annotated(naming.RECONCILE_ANNOTATION, "2026-11-23")
    assert _project(asked, UP)["lastHandledReconcileAt"] == "2026-11-23"
    assert _project(_after(asked, UP), Kept())["lastHandledReconcileAt"] == "2026-11-23"


# --- what is kept ---


@pytest.mark.failure_mode(27)
def test_while_the_account_is_away_only_its_condition_moves() -> None:
    running = _after(a_job().created(), UP)
    before = running.body["status"]
    after = _project(running, Kept(PROBLEM), at=NOW + 60)
    moved = {item["type"] for item in after["conditions"] if item not in before["conditions"]}
    assert moved == {"AccountReady"}
    assert {name for name in after if after[name] != before.get(name)} == {"conditions"}
    back = _project(_after(running, Kept(PROBLEM)), Kept(), at=NOW + 120)
    assert [item["status"] for item in back["conditions"]] == [item["status"] for item in before["conditions"]]


def test_keeping_a_status_that_says_nothing_yet_invents_nothing() -> None:
    assert _project(a_job(), Kept(PROBLEM)) == {}


@given(st.one_of(situations, st.builds(Kept, st.none() | st.just(PROBLEM))))
def test_a_generation_counts_as_observed_only_beside_conditions(situation: Situation | Kept) -> None:
    recorded = replace(a_job().created(), body={**a_job().created().body, "status": {"observedGeneration": -1}})
    status = _project(recorded, situation)
    assert status["observedGeneration"] == (1 if status.get("conditions") else -1)


# --- log tail ---


@pytest.mark.parametrize(
    ("logs", "expected", "because"),
    [
        ("a\nb\n", "a\nb", "line ends at the end are no lines"),
        (
            "\n".join(str(number) for number in range(60)),
            "\n".join(str(number) for number in range(10, 60)),
            "50 lines",
        ),
        ("x" * 9000, "x" * 8192, "8 KiB"),
        ("", "", "nothing"),
    ],
)
def test_the_log_tail_is_capped(logs: str, expected: str, because: str) -> None:
    assert tail(logs) == expected, because


def test_a_reason_of_the_service_is_cut_to_256_characters() -> None:
    status = _project(a_job().created(), replace(UP, runs=(replace(RUN_UP, status_reason="x" * 400),)))
    assert len(status["currentRun"]["reason"]) == 256
