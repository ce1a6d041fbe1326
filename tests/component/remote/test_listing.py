"""Complete listings against a service that shifts, ties, clamps, caches and fails (protocol, "Complete listing")."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispersed_operator.errors import MalformedAnswer, RemoteError, ServiceFailed, TransportFailed
from dispersed_operator.model.remote import Listing
from dispersed_operator.remote.listing import (
    ListingService,
    ListingTooEarly,
    complete_listing,
)
from dispersed_operator.remote.live import live_jobs, live_runs

from .conftest import Bench, until


def insert_jobs(bench: Bench, ages_in_minutes: Sequence[float], **values: Any) -> list[str]:
    """Jobs of these ages, newest first in the result."""
    now = datetime.fromtimestamp(bench.server_seconds(), UTC)
    rows = [
        bench.simulator.control.insert_job(
            f"age-{age}", created_at=(now - timedelta(minutes=age)).isoformat(), **values
        )
        for age in sorted(ages_in_minutes, reverse=True)
    ]
    return [str(row["uuid"]) for row in reversed(rows)]


def uuids(listing: Listing) -> list[str]:
    return [row.uuid for row in listing.rows]


def pages_asked(bench: Bench) -> int:
    return len(bench.received("GET", "/v1/jobs"))


@pytest.mark.parametrize(
    "switches",
    [{}, {"list_shape": "array"}, {"created_at_format": "date"}, {"created_at_format": "missing"},
     {"created_at_format": "null"}, {"default_sort": "created_at"}, {"unknown_filter": "refuse"}],
)  # fmt: skip
async def test_everything_is_listed_under_every_reading(bench: Bench, switches: dict[str, Any]) -> None:
    expected = insert_jobs(bench, list(range(0, 70, 10)))
    bench.simulator.control.switch(**switches)
    before = time.monotonic()
    listing = await complete_listing(bench.client(), since=0, page_size=3)
    assert uuids(listing) == expected
    assert (listing.page_size, listing.covers_since) == (3, 0)
    assert listing.begun >= before
    assert abs(listing.server_date - bench.server_seconds()) <= 30
    assert listing.account_identity == bench.simulator.control.keys()[0]["account_uuid"]


async def test_rows_without_an_account_leave_the_identity_open(bench: Bench) -> None:
    insert_jobs(bench, [1])
    bench.simulator.control.switch(account_uuid_shown=False)
    assert (await complete_listing(bench.client(), since=0)).account_identity is None


async def test_an_empty_account_is_a_complete_listing(bench: Bench) -> None:
    assert (await complete_listing(bench.client(), since=0)).rows == ()


async def test_a_listing_stops_once_rows_are_older_than_wanted_with_both_margins(bench: Bench) -> None:
    expected = insert_jobs(bench, [0, 10, 12, 14, 17, 30, 40, 50, 60, 70, 80, 90])
    since = bench.server_seconds() - 60
    listing = await complete_listing(bench.client(), since=since, page_size=3)
    assert uuids(listing) == expected[:6]
    assert pages_asked(bench) == 2


@pytest.mark.parametrize("switch", [{"created_at_format": "missing"}, {"created_at_format": "date"}])
async def test_without_a_proven_order_a_listing_never_stops_early(bench: Bench, switch: dict[str, Any]) -> None:
    today = bench.server_seconds() % 86400 / 60  # minutes: a date of yesterday does say that its row is older
    expected = insert_jobs(bench, [number * min(10.0, today / 9) for number in range(9)])
    bench.simulator.control.switch(**switch)
    listing = await complete_listing(bench.client(), since=bench.server_seconds(), page_size=3)
    assert uuids(listing) == expected


@pytest.mark.failure_mode(39)
@pytest.mark.failure_mode(65)
async def test_ties_that_change_places_hide_no_row(bench: Bench) -> None:
    """Each attempt either holds every row or raises; it never says "complete" with a row missing."""
    expected = set(insert_jobs(bench, [5] * 8))
    bench.simulator.control.switch(tie_order="unstable", created_at_ties="minute")
    client = bench.client()
    for page_size in (3, 4, 5, 7):
        try:
            listing = await complete_listing(client, since=0, page_size=page_size)
        except MalformedAnswer:
            continue
        assert set(uuids(listing)) == expected
    whole = await complete_listing(client, since=0, page_size=50)
    assert set(uuids(whole)) == expected


@pytest.mark.parametrize(
    "params", [{"omit": True}, {"seconds": 0, "age": 5}, {"text": "yesterday"}], ids=["none", "cached", "unreadable"]
)
async def test_without_a_date_of_the_service_itself_there_is_no_proof(bench: Bench, params: dict[str, Any]) -> None:
    bench.simulator.control.add_fault("date_skew", method="GET", times=None, **params)
    with pytest.raises(MalformedAnswer, match="Date"):
        await complete_listing(bench.client(), since=0)


async def test_a_page_that_failed_for_a_moment_is_read_again(bench: Bench) -> None:
    expected = insert_jobs(bench, [0, 1, 2, 3, 4])
    bench.simulator.control.add_fault("server_error", times=2)
    assert uuids(await complete_listing(bench.client(), since=0, page_size=2)) == expected


async def test_a_page_that_stays_away_leaves_no_listing(bench: Bench) -> None:
    insert_jobs(bench, [0, 1, 2])
    bench.simulator.control.add_fault("server_error", times=None)
    with pytest.raises(ServiceFailed):
        await complete_listing(bench.client(), since=0, page_size=2)


@pytest.mark.parametrize("shape", ["garbage", "empty", "truncated", "text", "null", "wrong_types"])
async def test_a_malformed_page_leaves_no_listing(bench: Bench, shape: str) -> None:
    insert_jobs(bench, [0])
    bench.simulator.control.add_fault("malformed", times=None, shape=shape)
    with pytest.raises(MalformedAnswer):
        await complete_listing(bench.client(), since=0)


async def test_live_lists_hold_what_lives(bench: Bench) -> None:
    done = insert_jobs(bench, [60])[0]
    bench.simulator.control.force_status(done, "COMPLETED")
    running = str(bench.simulator.control.insert_job("running", fate={"run_seconds": 10_000})["uuid"])
    bench.simulator.control.advance(30)
    client = bench.client()
    assert [job.uuid for job in (await live_jobs(client)).rows] == [running]
    assert [run.job_uuid for run in (await live_runs(client)).rows] == [running]


async def test_a_live_list_of_many_pages_is_read_to_its_end(bench: Bench) -> None:
    expected = insert_jobs(bench, list(range(60)), fate={"never_assigned": True}, status="PENDING",
                           fields={"max_timeout_assign_ms": 86_400_000})  # fmt: skip
    assert {job.uuid for job in (await live_jobs(bench.client())).rows} == set(expected)
    assert pages_asked(bench) == 2


@pytest.mark.parametrize("shape", ["envelope", "array"])
async def test_a_live_list_is_whole_though_the_service_serves_smaller_pages_than_asked_for(
    bench: Bench, shape: str
) -> None:
    expected = insert_jobs(bench, list(range(45)), fate={"never_assigned": True}, status="PENDING",
                           fields={"max_timeout_assign_ms": 86_400_000})  # fmt: skip
    bench.simulator.control.switch(largest_page=20, list_shape=shape)
    assert {job.uuid for job in (await live_jobs(bench.client())).rows} == set(expected)


async def test_askers_share_one_flight_and_then_its_result(bench: Bench) -> None:
    insert_jobs(bench, [0, 1])
    service = ListingService(bench.client())
    asked = time.monotonic()
    first, second = await asyncio.gather(
        service.get(since=0, begun_after=asked), service.get(since=10**6, begun_after=asked)
    )
    assert first is second
    assert await service.get(since=5, begun_after=asked) is first
    assert pages_asked(bench) == 1
    await service.aclose()


async def test_a_later_wish_starts_a_new_flight(bench: Bench) -> None:
    service = ListingService(bench.client())
    first = await service.get(since=100, begun_after=time.monotonic())
    newer = await service.get(since=100, begun_after=time.monotonic())
    further = await service.get(since=99, begun_after=0.0)
    other_size = await service.get(since=99, begun_after=0.0, page_size=49)
    later = await service.get(since=99, begun_after=0.0, min_server_date=further.server_date)
    assert len({id(listing) for listing in (first, newer, further, other_size)}) == 4
    assert later is further
    assert (further.covers_since, other_size.page_size) == (99, 49)
    await service.aclose()


async def test_a_flight_in_progress_is_joined_only_by_those_whom_it_serves(bench: Bench) -> None:
    stall = bench.simulator.control.add_fault("stall", method="GET", path="^/v1/jobs$")
    service = ListingService(bench.client())
    begun_after = time.monotonic()
    first = asyncio.create_task(service.get(since=100, begun_after=begun_after))
    await until(lambda: bench.simulator.control.fault_hits(stall))
    joins = asyncio.create_task(service.get(since=200, begun_after=begun_after))
    too_far_back = asyncio.create_task(service.get(since=50, begun_after=begun_after))
    too_late = asyncio.create_task(service.get(since=100, begun_after=time.monotonic()))
    await asyncio.sleep(0)
    bench.simulator.control.release(stall)
    assert await first is await joins
    assert await too_far_back is await too_late
    assert (await too_late).covers_since == 50
    assert pages_asked(bench) == 2
    await service.aclose()


async def test_a_failed_flight_fails_all_its_waiters_and_the_next_one_flies(bench: Bench) -> None:
    fault = bench.simulator.control.add_fault("server_error", times=None)
    service = ListingService(bench.client())
    asked = time.monotonic()
    results = await asyncio.gather(*(service.get(since=0, begun_after=asked) for _ in range(3)), return_exceptions=True)
    assert isinstance(results[0], RemoteError)
    assert all(result is results[0] for result in results)
    bench.simulator.control.remove_fault(fault)
    assert (await service.get(since=0, begun_after=asked)).rows == ()
    await service.aclose()


async def test_a_waiter_that_leaves_does_not_end_the_flight(bench: Bench) -> None:
    stall = bench.simulator.control.add_fault("stall", method="GET", path="^/v1/jobs$")
    service = ListingService(bench.client())
    asked = time.monotonic()
    leaver, stayer = (asyncio.create_task(service.get(since=0, begun_after=asked)) for _ in range(2))
    await until(lambda: bench.simulator.control.fault_hits(stall))
    leaver.cancel()
    await asyncio.wait({leaver})
    bench.simulator.control.release(stall)
    assert (await stayer).rows == ()
    assert leaver.cancelled()
    assert pages_asked(bench) == 1
    await service.aclose()


async def test_a_date_that_is_not_reached_yet_is_an_error_and_not_a_loop(bench: Bench) -> None:
    service = ListingService(bench.client())
    future = bench.server_seconds() + 400
    with pytest.raises(ListingTooEarly):
        await service.get(since=0, begun_after=time.monotonic(), min_server_date=future)
    assert pages_asked(bench) == 1
    bench.simulator.control.advance(500)
    listing = await service.get(since=0, begun_after=0.0, min_server_date=future)
    assert listing.server_date >= future
    await service.aclose()


async def test_closing_ends_the_flight_and_frees_its_waiters(bench: Bench) -> None:
    stall = bench.simulator.control.add_fault("stall", method="GET", path="^/v1/jobs$", times=None)
    service = ListingService(bench.client())
    waiter = asyncio.create_task(service.get(since=0, begun_after=time.monotonic()))
    await until(lambda: bench.simulator.control.fault_hits(stall))
    await service.aclose()
    await asyncio.wait({waiter})
    assert isinstance(waiter.exception(), TransportFailed), "a cancellation would end the worker that waits"
    bench.simulator.control.remove_fault(stall)
