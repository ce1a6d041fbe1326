"""Live lists: pages side by side, whole though pages shift or shrink, and never a proof."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import pytest

from dispersed_operator.errors import ServiceFailed
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.remote.live import live_jobs, live_runs
from dispersed_operator.remote.paging import Rows, read_jobs

from .conftest import Bench

LASTING = {"max_timeout_assign_ms": 86_400_000}


def waiting_jobs(bench: Bench, count: int) -> list[str]:
    """Jobs that wait for a node for ever, oldest first."""
    rows = [
        bench.simulator.control.insert_job(
            f"job-{number}", fate={"never_assigned": True}, status="PENDING", fields=LASTING
        )
        for number in range(count)
    ]
    return [str(row["uuid"]) for row in rows]


def pages_asked(bench: Bench) -> int:
    return len(bench.received("GET", "/v1/jobs"))


def uuids(jobs: Iterable[RemoteJob]) -> list[str]:
    return [job.uuid for job in jobs]


@pytest.mark.parametrize("abreast", [1, 2, 4])
async def test_pages_read_side_by_side_are_the_list_in_its_order(bench: Bench, abreast: int) -> None:
    expected = waiting_jobs(bench, 160)
    found = await live_jobs(bench.client(), abreast=abreast)
    assert uuids(found.rows) == expected[::-1]
    assert (found.pages, pages_asked(bench)) == (4, 4), "each page once, and none beyond the last"


@pytest.mark.parametrize("shape", ["envelope", "array"])
async def test_pages_smaller_than_asked_for_are_all_read(bench: Bench, shape: str) -> None:
    expected = waiting_jobs(bench, 95)
    bench.simulator.control.switch(largest_page=20, list_shape=shape)
    found = await live_jobs(bench.client(), abreast=4)
    assert set(uuids(found.rows)) == set(expected)


def at_the_first_page(act: Callable[[], object]) -> Callable[[bytes], Rows[RemoteJob]]:
    """A reader of pages that acts while the first one is read, before any further one is asked for."""
    acted: list[object] = []

    def read(body: bytes) -> Rows[RemoteJob]:
        if not acted:
            acted.append(act())
        return read_jobs(body)

    return read


async def test_a_page_that_fails_fails_the_whole(bench: Bench) -> None:
    waiting_jobs(bench, 110)
    fail = at_the_first_page(lambda: bench.simulator.control.add_fault("server_error", path="^/v1/jobs$"))
    with pytest.raises(ServiceFailed):
        await live_jobs(bench.client(attempts=1), abreast=4, read=fail)
    assert asyncio.all_tasks() == {asyncio.current_task()}, "nothing is under way any more"


@pytest.mark.failure_mode(39)
async def test_rows_that_move_to_the_next_page_meanwhile_are_seen_once(bench: Bench) -> None:
    """Jobs that are created during the poll push all others down."""
    expected = waiting_jobs(bench, 140)
    found = await live_jobs(bench.client(), abreast=4, read=at_the_first_page(lambda: waiting_jobs(bench, 30)))
    seen = uuids(found.rows)
    assert set(expected) <= set(seen)
    assert len(set(seen)) == len(seen)


@pytest.mark.failure_mode(47)
async def test_rows_that_move_to_the_page_before_may_be_missed_and_the_list_ends_nevertheless(bench: Bench) -> None:
    """Jobs that end during the poll pull all others up; whoever is missed is read by whoever tracks it."""
    expected = waiting_jobs(bench, 140)

    def end_the_newest() -> None:
        for uuid in expected[-10:]:
            bench.simulator.control.force_status(uuid, "CANCELLED")

    found = await live_jobs(bench.client(), abreast=4, read=at_the_first_page(end_the_newest))
    assert set(uuids(found.rows)) < set(expected)
    assert len(found.rows) >= 130


async def test_a_look_ends_with_enough_and_with_the_most_pages_that_it_may_read(bench: Bench) -> None:
    expected = waiting_jobs(bench, 160)
    sought = {expected[100], expected[80]}
    found = await live_jobs(bench.client(), enough=lambda seen: sought <= set(seen))
    assert (found.pages, sought <= set(uuids(found.rows))) == (2, True)
    assert (await live_jobs(bench.client(), most=3, enough=lambda _: False)).pages == 3
    assert (await live_runs(bench.client(), most=1)).pages == 1
