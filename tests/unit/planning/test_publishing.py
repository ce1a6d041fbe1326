"""Endpoints and the connection Secret: published when complete, renewed when changed, gone with the run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    Action,
    ApplySecret,
    DeleteSecret,
    ReadRun,
    Rest,
    SecretState,
    Situation,
)
from tests.support.builders import (
    NOW,
    PERSISTENT,
    RUN,
    SSH_URL,
    WEB_URL,
    a_job,
    a_row,
    a_run,
    digest_of,
    facts,
    moment,
    reads,
)

BENCH = a_job().persistent().created()
UP = a_run(node_urls=(WEB_URL, SSH_URL), access_tokens=("token-of-the-run",))
RUNNING = a_row(status="RUNNING")
BENCH_FACTS = facts(**reads(RUNNING, [UP]), digest=digest_of(PERSISTENT))
SECRET = "train-connection"
PUBLISHED: dict[str, Any] = {
    "connectionSecretRef": {"name": SECRET},
    "currentRun": {"uuid": RUN},
    "endpoints": [
        {
            "name": "ssh",
            "containerPort": 22,
            "protocol": "ssh",
            "host": "node.example.net",
            "port": 31022,
            "tls": False,
            "url": "ssh://duser@node.example.net:31022",
        },
        {
            "name": "web",
            "containerPort": 8080,
            "protocol": "http",
            "host": "node.example.net",
            "port": 31080,
            "tls": True,
            "url": "https://node.example.net:31080",
        },
    ],
}


def _situation(action: Action) -> Situation:
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    return action.situation


def test_a_persistent_job_is_ready_when_its_ports_and_its_secret_are_there() -> None:
    step = plan_job(BENCH.resource, BENCH_FACTS)
    assert step == ReadRun(RUN), "tokens come with a single read only"
    with_run = replace(BENCH_FACTS, run=UP)
    secret = plan_job(BENCH.resource, with_run)
    assert isinstance(secret, ApplySecret)
    assert secret.name == SECRET
    assert secret.data["access-token"] == "token-of-the-run"
    assert "token-of-the-run" not in repr(secret)
    situation = _situation(plan_job(BENCH.resource, replace(with_run, secret=SecretState.WRITTEN)))
    assert situation.ready
    assert situation.secret_name == SECRET
    assert [endpoint.as_status() for endpoint in situation.endpoints] == PUBLISHED["endpoints"]
    assert "token-of-the-run" not in repr(situation.endpoints)


def test_while_nothing_changed_neither_run_nor_secret_is_touched() -> None:
    action = plan_job(BENCH.status(**PUBLISHED).resource, BENCH_FACTS)
    assert _situation(action).ready


@pytest.mark.parametrize(
    ("status", "because"),
    [
        ({"currentRun": {"uuid": "an earlier run"}}, "a new run has a new token"),
        ({"endpoints": PUBLISHED["endpoints"][:1]}, "a port is new"),
        ({"connectionSecretRef": None}, "there is no Secret"),
    ],
)
def test_what_changed_is_read_and_written_again(status: dict[str, Any], because: str) -> None:
    resource = BENCH.status(**{**PUBLISHED, **status}).resource
    assert plan_job(resource, BENCH_FACTS) == ReadRun(RUN), because
    assert isinstance(plan_job(resource, replace(BENCH_FACTS, run=UP)), ApplySecret)


@pytest.mark.parametrize("urls", [(), (WEB_URL,), (SSH_URL,)])
@pytest.mark.failure_mode(49)
@pytest.mark.reason("WaitingForEndpoints")
def test_without_all_ports_the_job_waits_and_is_not_ready(urls: Any) -> None:
    half = replace(UP, node_urls=urls)
    action = plan_job(BENCH.resource, facts(**reads(RUNNING, [half], run=half), digest=digest_of(PERSISTENT)))
    situation = _situation(action)
    assert situation.reason is Reason.WAITING_FOR_ENDPOINTS
    assert not situation.ready
    assert situation.secret_name is None
    assert isinstance(action, Rest)
    assert action.after is not None


@pytest.mark.reason("ConnectionSecretConflict")
def test_a_secret_of_somebody_else_is_left_alone_and_said() -> None:
    action = plan_job(BENCH.resource, replace(BENCH_FACTS, run=UP, secret=SecretState.CONFLICT))
    situation = _situation(action)
    assert situation.reason is Reason.CONNECTION_SECRET_CONFLICT
    assert (situation.ready, situation.stalled, situation.secret_name) == (False, True, None)
    assert isinstance(action, Rest)
    assert action.after is not None, "the other Secret may go"


def test_a_secret_with_a_new_name_replaces_the_old_one() -> None:
    renamed = a_job().persistent(secretName="other").created().status(**PUBLISHED).resource
    given = replace(BENCH_FACTS, run=UP)
    assert plan_job(renamed, given) == DeleteSecret(SECRET)
    step = plan_job(renamed, replace(given, secret=SecretState.REMOVED))
    assert isinstance(step, ApplySecret)
    assert step.name == "other"


@pytest.mark.parametrize("status", ["CANCELLING", "PENDING", "COMPLETED", "FAILED"])
def test_the_secret_goes_when_the_run_does(status: str) -> None:
    published = BENCH.status(**PUBLISHED).resource
    over = a_run(status="CANCELLED", ended_at=moment(NOW))
    assert plan_job(published, facts(**reads(a_row(status=status), [over]))) == DeleteSecret(SECRET)
