"""Lists (API reference §3.3, §5.3, §6.1): pages, order, filters and the readings that are switches."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_simulator.engine import InsertedJob
from dispersed_simulator.records import Fate
from dispersed_simulator.wire import parse_instant
from tests.support.simulator import job_body
from tests.unit.simulator.harness import ACCOUNT, World, code, payload, rows


def _world(count: int = 7, *, apart_seconds: float = 10) -> World:
    world = World()
    for number in range(count):
        world.new_job(f"job-{number}", min_vram_gb=number, fate=Fate(never_assigned=True))
        world.advance(apart_seconds)
    return world


def _titles(world: World, **query: str) -> list[Any]:
    return [row["title"] for row in rows(world.call("GET", "/v1/jobs", query=query))]


def test_pages_are_counted_from_one_and_the_total_is_told() -> None:
    world = _world()
    page = payload(world.call("GET", "/v1/jobs", query={"limit": "3", "page": "3", "sort": "-created_at"}))
    assert ([row["title"] for row in page["data"]], page["page"], page["limit"], page["total"]) == (["job-0"], 3, 3, 7)
    assert _titles(world, limit="3", page="4") == []


def test_the_order_is_by_creation_either_way_and_the_default_is_a_switch() -> None:
    world = _world(3)
    assert _titles(world, sort="created_at") == ["job-0", "job-1", "job-2"]
    assert _titles(world, sort="-created_at") == _titles(world) == ["job-2", "job-1", "job-0"]
    world.switches.update({"default_sort": "created_at"})
    assert _titles(world) == ["job-0", "job-1", "job-2"]


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "51"}, {"limit": "x"}, {"page": "0"}, {"page": "-1"}, {"sort": "title"},
              {"filter[created_at]": "soon"}, {"filter[min_vram_gb]": "many"}],
    ids=str,
)  # fmt: skip
def test_a_bad_parameter_is_refused(query: dict[str, str]) -> None:
    reply = _world(1).call("GET", "/v1/jobs", query=query)
    assert (reply.status, code(reply)) == (400, "INVALID_QUERY")


def test_a_limit_above_fifty_may_be_clamped() -> None:
    world = _world(1)
    world.switches.update({"limit_over_50": "clamp"})
    assert payload(world.call("GET", "/v1/jobs", query={"limit": "500"}))["limit"] == 50


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"filter[status]": "PENDING"}, [6, 5, 4, 3, 2, 1, 0]),
        ({"filter[status]": "RUNNING,COMPLETED"}, []),
        ({"filter[status]": "pending,RUNNING", "filter[min_vram_gb]": "3"}, [3]),
        ({"filter[min_vram_gb]": "2,4"}, [4, 3, 2]),
        ({"filter[min_vram_gb]": "5,"}, [6, 5]),
        ({"filter[task]": "PERSISTENT"}, []),
        ({"filter[task]": "BATCH", "limit": "2"}, [6, 5]),
        ({"filter[cpu_count]": "0"}, [6, 5, 4, 3, 2, 1, 0]),
    ],
)
def test_filters_choose_rows(query: dict[str, str], numbers: list[int]) -> None:
    assert _titles(_world(), **query) == [f"job-{number}" for number in numbers]


def test_a_uuid_filter_finds_the_jobs_it_names() -> None:
    world = _world(3)
    first, _, last = world.engine.store.jobs
    assert _titles(world, **{"filter[uuid]": f"{first},{last}"}) == ["job-2", "job-0"]


@pytest.mark.parametrize(("upper", "expected"), [("inclusive", ["b", "a"]), ("exclusive", ["a"])])
def test_a_creation_filter_takes_days_and_its_upper_bound_is_a_switch(upper: str, expected: list[str]) -> None:
    world = World()
    world.switches.update({"created_at_upper": upper})
    for title, day in (("early", "2024-12-31T23:59:59Z"), ("a", "2025-01-01"), ("b", "2025-01-02T12:00:00Z"),
                       ("late", "2025-01-03")):  # fmt: skip
        created_ms = parse_instant(day)
        world.engine.insert_job(InsertedJob(ACCOUNT, job_body(title), created_ms, "COMPLETED"), at_ms=created_ms)
    assert _titles(world, **{"filter[created_at]": "2025-01-01,2025-01-02"}) == expected


@pytest.mark.parametrize(("reaction", "status"), [("ignore", 200), ("refuse", 400)])
def test_the_reaction_to_an_unknown_filter_is_a_switch(reaction: str, status: int) -> None:
    world = _world(1)
    world.switches.update({"unknown_filter": reaction})
    assert world.call("GET", "/v1/jobs", query={"filter[title]": "job-0"}).status == status


def test_another_account_sees_nothing() -> None:
    world = _world(2)
    (uuid, *_) = world.engine.store.jobs
    for key in world.service.keys.values():
        key.account_uuid = "other"
    assert _titles(world) == []
    assert world.call("GET", f"/v1/jobs/{uuid}").status == 404
    assert world.call("PUT", f"/v1/jobs/{uuid}/cancel").status == 404


def test_a_new_job_may_appear_in_lists_only_after_a_while() -> None:
    world = World()
    world.switches.update({"list_delay_seconds": 30})
    job = world.new_job("slow to show")
    assert world.call("GET", f"/v1/jobs/{job.uuid}").status == 200
    assert _titles(world) == []
    world.advance(30)
    assert _titles(world) == ["slow to show"]


def test_rows_with_equal_times_may_change_places_between_pages() -> None:
    world = _world(40, apart_seconds=0)
    world.switches.update({"created_at_ties": "minute", "tie_order": "unstable"})
    seen = [title for page in range(1, 9) for title in _titles(world, limit="5", page=str(page))]
    assert len(seen) == 40
    assert len(set(seen)) < 40


def test_lists_may_be_bare_arrays() -> None:
    world = _world(2)
    world.switches.update({"list_shape": "array"})
    assert [row["title"] for row in payload(world.call("GET", "/v1/jobs"))] == ["job-1", "job-0"]


def test_runs_are_listed_by_job_and_status() -> None:
    world = World()
    first = world.new_job("first", fate=Fate(exit_code=1, bad_runs=1), max_retry_count=1)
    world.new_job("second")
    world.advance(100)
    of_first = {"filter[job_uuid]": first.uuid}
    listed = rows(world.call("GET", "/v1/job-runs", query=of_first | {"sort": "-created_at"}))
    assert [row["status"] for row in listed] == ["COMPLETED", "FAILED"]
    assert len(rows(world.call("GET", "/v1/job-runs", query=of_first | {"filter[status]": "FAILED"}))) == 1
    assert len(rows(world.call("GET", "/v1/job-runs"))) == 3
    assert len(rows(world.call("GET", "/v1/job-runs", query={"filter[status]": "COMPLETED"}))) == 2


def test_the_list_follows_every_change_of_status() -> None:
    world = _world(3)
    uuid = next(iter(world.engine.store.jobs))
    world.call("PUT", f"/v1/jobs/{uuid}/cancel")
    assert _titles(world, **{"filter[status]": "CANCELLING"}) == ["job-0"]
    world.advance(1)
    assert _titles(world, **{"filter[status]": "CANCELLED"}) == ["job-0"]
    assert _titles(world, **{"filter[status]": "PENDING"}) == ["job-2", "job-1"]


def test_a_page_may_be_smaller_than_asked_and_says_so() -> None:
    world = _world()
    world.switches.update({"largest_page": 3})
    page = payload(world.call("GET", "/v1/jobs", query={"limit": "50"}))
    assert (len(page["data"]), page["limit"], page["total"]) == (3, 3, 7)


def test_the_total_may_count_only_the_page() -> None:
    world = _world()
    world.switches.update({"total_counts": "page"})
    assert payload(world.call("GET", "/v1/jobs", query={"limit": "5"}))["total"] == 5


def test_the_order_that_is_asked_for_may_be_ignored() -> None:
    world = _world(2)
    world.switches.update({"sort_honoured": False, "default_sort": "created_at"})
    assert _titles(world, sort="-created_at") == ["job-0", "job-1"]
