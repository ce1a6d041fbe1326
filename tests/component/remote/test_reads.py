"""Reads and cancels: repeated with fresh signatures, mapped onto the error tree, parsed in every reading."""

import asyncio
from typing import Any

import pytest

from dispersed_operator.errors import (
    CredentialsRefused,
    MalformedAnswer,
    NotSent,
    PermissionRefused,
    RateLimited,
    RemoteConflict,
    RemoteNotFound,
    ServiceFailed,
    TransportFailed,
    UnsignableRequest,
)
from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.remote.outcomes import Accepted

from .conftest import Bench


def inserted(bench: Bench, title: str = "job", **values: Any) -> str:
    return str(bench.simulator.control.insert_job(title, **values)["uuid"])


def finished(bench: Bench) -> str:
    """A job that ran to its end."""
    uuid = inserted(bench, fate={"log_lines": ["first line", "last line"], "exit_code": 0})
    bench.simulator.control.advance(120)
    return uuid


@pytest.mark.parametrize(
    ("kind", "params"),
    [("drop_before_commit", {}), ("drop_after_commit", {}), ("drop_after_first_byte", {}), ("server_error", {}),
     ("server_error", {"status": 502}), ("rate_limit", {}), ("rate_limit", {"retry_after": 3})],
)  # fmt: skip
async def test_a_read_is_repeated_with_a_fresh_signature(bench: Bench, kind: str, params: dict[str, Any]) -> None:
    uuid = inserted(bench)
    bench.simulator.control.add_fault(kind, times=2, **params)
    assert (await bench.client().get_job(uuid)).uuid == uuid
    requests = bench.received("GET")
    assert len(requests) == len({request["nonce"] for request in requests}) == 3
    assert len([seconds for seconds in bench.slept if seconds >= params.get("retry_after", 0)]) >= 2


async def test_a_read_gives_up_after_its_attempts(bench: Bench) -> None:
    bench.simulator.control.add_fault("server_error", times=None)
    with pytest.raises(ServiceFailed) as failure:
        await bench.client(attempts=3).get_job("j-1")
    assert len(bench.received("GET")) == 3
    assert not failure.value.json_body
    assert failure.value.server_date is not None
    assert "<" not in str(failure.value)


async def test_a_retry_after_beyond_the_deadline_ends_the_call_at_once(bench: Bench) -> None:
    bench.simulator.control.add_fault("rate_limit", times=None, retry_after=600)
    with pytest.raises(RateLimited) as limited:
        await bench.client(deadline=20).get_job("j-1")
    assert limited.value.retry_after == 300
    assert len(bench.received("GET")) == 1


async def test_a_stalled_connection_is_left_for_a_fresh_one(bench: Bench) -> None:
    uuid = inserted(bench)
    fault = bench.simulator.control.add_fault("stall")
    job = await bench.client(attempt_timeout=0.3).get_job(uuid)
    bench.simulator.control.release(fault)
    assert job.uuid == uuid
    assert [status for _, _, status in bench.responses] == [0, 200]


async def test_a_call_ends_with_its_deadline(bench: Bench) -> None:
    fault = bench.simulator.control.add_fault("stall", times=None)
    with pytest.raises(TransportFailed):
        await bench.client(deadline=0.3).get_job("j-1")
    bench.simulator.control.remove_fault(fault)


async def test_a_call_that_the_limiter_held_back_was_not_sent(bench: Bench) -> None:
    limiter = Limiter(concurrency=1)
    with await limiter.reserve(), pytest.raises(NotSent):
        await bench.client(limiter=limiter, deadline=0.1).get_job("j-1")
    assert bench.received("GET") == []


async def test_a_call_does_not_wait_for_a_pause_that_outlasts_it(bench: Bench) -> None:
    client = bench.client(deadline=30.0)
    client.limiter.throttled(60.0)
    with pytest.raises(RateLimited):
        await client.get_job("j-1")
    assert (bench.slept, bench.received("GET")) == ([], [])


async def test_a_skewed_clock_is_repaired_once_from_the_refusal(bench: Bench) -> None:
    uuid = inserted(bench)
    bench.simulator.control.advance(3600)
    client = bench.client()
    assert (await client.get_job(uuid)).uuid == uuid
    assert [status for _, _, status in bench.responses] == [401, 200]
    offset = client.clock.offset()
    assert offset is not None
    assert offset > 3000
    await client.get_job(uuid)
    assert len(bench.responses) == 3


async def test_refused_credentials_are_not_tried_twice(bench: Bench) -> None:
    client = bench.client()
    await client.page_jobs(page=1, limit=1)
    bench.responses.clear()
    with pytest.raises(CredentialsRefused):
        await bench.client(secret="sk_wrong", clock=client.clock).get_job("j-1")
    assert len(bench.responses) == 1


async def test_statuses_become_errors_of_the_tree(bench: Bench) -> None:
    client = bench.client()
    with pytest.raises(RemoteNotFound):
        await client.get_job("3fa85f64-5717-4562-b3fc-2c963f66afa6")
    bench.simulator.control.add_fault("forbidden")
    with pytest.raises(PermissionRefused) as refused:
        await client.get_job("j-1")
    assert refused.value.json_body


@pytest.mark.parametrize("shape", ["garbage", "empty", "truncated", "text", "list", "null", "wrong_types"])
async def test_a_malformed_answer_is_an_error_and_never_an_absence(bench: Bench, shape: str) -> None:
    uuid = inserted(bench)
    bench.simulator.control.add_fault("malformed", times=None, shape=shape)
    with pytest.raises(MalformedAnswer):
        await bench.client().get_job(uuid)


@pytest.mark.parametrize("uuid", ["", "a/b", "..", "a b", "ü", "a" * 65])
async def test_a_uuid_that_could_change_the_path_is_never_sent(bench: Bench, uuid: str) -> None:
    client = bench.client()
    for call in (client.get_job(uuid), client.get_run(uuid), client.list_runs(uuid), client.cancel_job(uuid, "r")):
        with pytest.raises(UnsignableRequest):
            await call
    assert bench.received("GET") == []


@pytest.mark.parametrize("logs_as", ["text", "lines", "objects"])
async def test_a_run_is_read_with_its_logs_in_every_shape(bench: Bench, logs_as: str) -> None:
    bench.simulator.control.switch(logs_as=logs_as)
    uuid = finished(bench)
    client = bench.client()
    (row,) = await client.list_runs(uuid)
    run = await client.get_run(row.uuid)
    assert row.logs is None
    assert run.logs is not None
    assert "first line" in run.logs.splitlines()
    assert "last line" in run.logs.splitlines()
    assert (run.job_uuid, run.status) == (uuid, "COMPLETED")


async def test_only_the_runs_of_the_job_are_listed(bench: Bench) -> None:
    first, second = finished(bench), finished(bench)
    client = bench.client()
    own = [await client.list_runs(uuid) for uuid in (first, second)]
    everything = await client.page_runs(page=1, limit=50)
    assert [len(runs) for runs in own] == [1, 1]
    assert {run.job_uuid for run in everything.rows} == {first, second}
    assert own[0][0].job_uuid == first


@pytest.mark.parametrize("cancel_status", [200, 202, 204])
async def test_a_cancel_arrives_and_its_answer_is_not_needed(bench: Bench, cancel_status: int) -> None:
    bench.simulator.control.switch(cancel_status=cancel_status)
    client = bench.client()
    outcome = await bench.create(client)
    assert isinstance(outcome, Accepted)
    await client.cancel_job(outcome.uuid, "Deleted in Kubernetes")
    truth = bench.simulator.control.job(outcome.uuid)
    assert (truth["cancel_requests"], truth["cancel_reason"]) == (1, "Deleted in Kubernetes")


async def test_a_cancel_is_repeated_like_a_read(bench: Bench) -> None:
    uuid = inserted(bench)
    bench.simulator.control.add_fault("drop_after_commit", method="PUT")
    await bench.client().cancel_job(uuid, "again")
    requests = bench.received("PUT")
    assert len({request["nonce"] for request in requests}) == 2


@pytest.mark.parametrize(("status", "error"), [(404, RemoteNotFound), (409, RemoteConflict)])
async def test_the_refusal_of_a_cancel_is_an_error_for_the_caller_to_judge(
    bench: Bench, status: int, error: type[Exception]
) -> None:
    bench.simulator.control.switch(cancel_of_terminal=status)
    with pytest.raises(error):
        await bench.client().cancel_job(finished(bench), "too late")


async def test_a_reason_beyond_ascii_is_refused_before_signing(bench: Bench) -> None:
    with pytest.raises(UnsignableRequest):
        await bench.client().cancel_job("j-1", "gelöscht")
    assert bench.received("PUT") == []


async def test_many_calls_share_the_pool_within_the_bound(bench: Bench) -> None:
    uuids = [inserted(bench, f"job-{number}") for number in range(5)]
    client = bench.client(limiter=Limiter(concurrency=4))
    jobs = await asyncio.gather(*(client.get_job(uuid) for uuid in uuids * 10))
    assert {job.uuid for job in jobs} == set(uuids)
    assert client.limiter.in_flight == 0


async def test_no_error_shows_the_secret_or_a_signature(bench: Bench) -> None:
    bench.simulator.control.add_fault("unauthorized", times=None)
    with pytest.raises(CredentialsRefused) as refused:
        await bench.client().get_job("j-1")
    assert "sk_" not in str(refused.value)


async def test_a_clock_that_runs_away_is_not_followed_for_ever(bench: Bench) -> None:
    bench.simulator.control.set_rate(1_000_000)
    with pytest.raises(CredentialsRefused):
        await bench.client(secret="sk_wrong").get_job("j-1")
    assert [status for _, _, status in bench.responses] == [401, 401]
