"""The election on a real API server: one leads at a time, whoever is gone is followed, whoever lost ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import LEASES
from dispersed_operator.leadership import Election, LeadershipLost
from dispersed_operator.planning.election import Terms
from tests.integration.kube.harness import LEASE_NAME, QUICK, candidate

PATIENT = Terms(duration=15.0, give_up=10.0, retry=0.2)


@asynccontextmanager
async def keeping(election: Election) -> AsyncIterator[asyncio.Task[None]]:
    """The election renews while the block runs."""
    task = asyncio.create_task(election.keep())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, LeadershipLost):
            await task


def leads(election: Election) -> bool:
    return election.leading


async def spec_of(client: KubeClient, namespace: str) -> dict[str, Any]:
    spec: dict[str, Any] = (await client.get(LEASES, namespace=namespace, name=LEASE_NAME))["spec"]
    return spec


async def until_renewed(client: KubeClient, namespace: str, *, after: str) -> str:
    """Wait for a renewal after this one; its moment."""
    async with asyncio.timeout(60):
        while (moment := str((await spec_of(client, namespace))["renewTime"])) == after:  # noqa: ASYNC110 - it happens in another task
            await asyncio.sleep(0.01)
    return moment


async def test_the_first_leads_and_the_second_stands_by_until_it_is_released(
    client: KubeClient, namespace: str
) -> None:
    first, second = (candidate(client, namespace, name, terms=PATIENT) for name in ("first", "second"))
    before = time.monotonic()
    await first.acquire()
    assert leads(first)
    assert before <= first.leading_since() <= time.monotonic()
    waiting = asyncio.create_task(second.acquire())
    async with keeping(first):
        spec = await spec_of(client, namespace)
        assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("first", 15, 0)
        moment = spec["renewTime"]
        for _ in range(3):
            moment = await until_renewed(client, namespace, after=moment)
        assert leads(first)
        assert not waiting.done()
        await first.release()
        assert not leads(first)
        await asyncio.wait_for(waiting, 60)
    assert leads(second)
    spec = await spec_of(client, namespace)
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("second", 1)


async def test_a_leader_that_falls_silent_is_followed_and_has_given_up_before(
    client: KubeClient, namespace: str
) -> None:
    first, second = candidate(client, namespace, "first"), candidate(client, namespace, "second")
    await first.acquire()
    await second.acquire()  # the first one does not renew
    assert second.leading
    assert not first.leading


async def test_whoever_stands_by_tries_as_soon_as_the_lease_can_be_free(client: KubeClient, namespace: str) -> None:
    """And not only when its next turn comes: here that would be after an hour."""
    await candidate(client, namespace, "first").acquire()  # it does not renew
    rare = Terms(duration=QUICK.duration, give_up=60.0, retry=3600.0)  # a slow machine must not cost it a turn
    second = candidate(client, namespace, "second", terms=rare)
    await asyncio.wait_for(second.acquire(), 60)
    assert second.leading


async def test_who_lost_the_lease_is_told_who_holds_it(client: KubeClient, namespace: str) -> None:
    first = candidate(client, namespace, "first", terms=Terms(duration=2.0, give_up=60.0, retry=0.2))
    await first.acquire()
    await candidate(client, namespace, "second").acquire()
    with pytest.raises(LeadershipLost, match="held by second"):
        await asyncio.wait_for(first.keep(), 60)


async def test_a_lease_that_somebody_deletes_ends_its_holder(client: KubeClient, namespace: str) -> None:
    first = candidate(client, namespace, "first")
    await first.acquire()
    await client.delete(LEASES, namespace=namespace, name=LEASE_NAME)
    with pytest.raises(LeadershipLost, match="deleted"):
        await asyncio.wait_for(first.keep(), 60)


async def test_a_write_whose_answer_was_lost_costs_no_leadership(client: KubeClient, namespace: str) -> None:
    """The version on the server is one ahead: the holder looks, finds its own name and goes on."""
    first = candidate(client, namespace, "first", terms=PATIENT)
    await first.acquire()
    note = {"metadata": {"annotations": {"note": "x"}}}
    await client.patch(LEASES, namespace=namespace, name=LEASE_NAME, body=note)
    async with keeping(first) as task:
        await until_renewed(client, namespace, after=(await spec_of(client, namespace))["renewTime"])
        assert not task.done()
        assert leads(first)


async def test_of_many_that_start_at_once_one_leads_at_a_time(client: KubeClient, namespace: str) -> None:
    every = [candidate(client, namespace, f"op-{number}", terms=PATIENT) for number in range(5)]
    waiting = {asyncio.create_task(each.acquire()): each for each in every}
    while waiting:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        (leader,) = (waiting.pop(task) for task in done)
        assert [each for each in every if each.leading] == [leader]
        await leader.release()
    assert (await spec_of(client, namespace))["leaseTransitions"] == 4
