"""Accounts share one HTTP client, and nothing else: what one of them waits for holds nobody else up."""

from __future__ import annotations

import asyncio

from dispersed_operator.remote.limiter import Limiter
from tests.component.remote.conftest import Bench, until
from tests.support.simulator import PUBLIC_KEY

STALLED = 40


async def test_requests_that_a_service_does_not_answer_keep_no_other_account_waiting(bench: Bench) -> None:
    """In a pool with a bound they would: signed, and ageing."""
    bench.simulator.control.add_key("pk_other", "sk_other")
    fault = bench.simulator.control.add_fault("stall", times=None, api_key=PUBLIC_KEY)
    stalled = bench.client(limiter=Limiter(concurrency=STALLED))
    calls = [asyncio.create_task(stalled.page_jobs(page=1, limit=1)) for _ in range(STALLED)]
    await until(lambda: len(bench.received("GET")) == STALLED)
    other = bench.client(public="pk_other", secret="sk_other")
    await other.page_jobs(page=1, limit=1)
    assert not any(call.done() for call in calls)
    bench.simulator.control.release(fault)
    bench.simulator.control.remove_fault(fault)
    await asyncio.gather(*calls)
