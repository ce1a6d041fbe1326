"""Completeness of a listing: every way in which pages can lie is found, and never read as "all rows"."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from dispersed_operator.errors import MalformedAnswer
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.remote.listing import OrderWatch
from dispersed_operator.remote.paging import JobPage, PageReader, PagesDoNotAddUp, read_every_page

START = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


def row(number: int, **more: object) -> RemoteJob:
    return RemoteJob(uuid=f"j-{number}", status="RUNNING", **more)  # type: ignore[arg-type]


def page(numbers: Sequence[int], total: int | None, *, size: int = 3) -> JobPage:
    return JobPage(tuple(row(n) for n in numbers), total, server_date=1, short=len(numbers) < size)


def read(*pages: JobPage) -> list[str] | None:
    """The uuids if these pages end a pass, None if more are wanted. Raises PagesDoNotAddUp."""
    reader: PageReader[RemoteJob] = PageReader()
    done = False
    for each in pages:
        assert not done, "a page was read after the last one"
        reader.add(each)
        done = reader.complete(each)
    return [job.uuid for job in reader.rows] if done else None


def test_a_pass_ends_when_all_of_the_total_was_seen() -> None:
    assert read(page([1, 2, 3], 5), page([4, 5], 5)) == ["j-1", "j-2", "j-3", "j-4", "j-5"]


def test_one_short_page_with_all_of_the_total_is_enough() -> None:
    assert read(page([1, 2], 2)) == ["j-1", "j-2"]
    assert read(page([], 0)) == []


def test_a_full_first_page_is_not_believed_to_be_all() -> None:
    assert read(page([1, 2, 3], 3)) is None
    assert read(page([1, 2, 3], 3), page([], 3)) == ["j-1", "j-2", "j-3"]
    with pytest.raises(PagesDoNotAddUp, match="more rows"):
        read(page([1, 2, 3], 3), page([4, 5, 6], 3))


def test_without_a_total_only_an_empty_page_ends_the_pass() -> None:
    assert read(page([1, 2], None)) is None
    assert read(page([1, 2], None), page([], None)) == ["j-1", "j-2"]


def test_a_clamped_page_size_is_followed_to_the_end() -> None:
    assert read(page([1, 2], 4), page([3, 4], 4)) == ["j-1", "j-2", "j-3", "j-4"]


def test_a_total_that_grew_is_harmless() -> None:
    assert read(page([1, 2, 3], 5), page([3, 4, 5], 6), page([], 6)) == ["j-1", "j-2", "j-3", "j-4", "j-5"]


@pytest.mark.failure_mode(39)
def test_a_total_that_fell_is_read_again() -> None:
    with pytest.raises(PagesDoNotAddUp, match="fell"):
        read(page([1, 2, 3], 5), page([5], 4))


@pytest.mark.failure_mode(39)
def test_fewer_rows_than_the_total_are_read_again() -> None:
    with pytest.raises(PagesDoNotAddUp, match="fewer"):
        read(page([1, 2, 3], 5), page([4], 5), page([], 5))


@pytest.mark.parametrize("total", [6, None])
@pytest.mark.failure_mode(39)
def test_a_row_that_came_twice_may_have_hidden_another(total: int | None) -> None:
    with pytest.raises(PagesDoNotAddUp, match="twice"):
        read(page([1, 2, 3], total), page([3, 4, 5], total))


@pytest.mark.parametrize("second", [[4, 5, 6], [4]])
def test_rows_after_a_page_that_was_not_full_are_suspicious(second: list[int]) -> None:
    with pytest.raises(PagesDoNotAddUp, match="not full"):
        read(page([1, 2], 9), page(second, 9), page([7, 8], 9))


def test_a_total_that_comes_and_goes_is_read_again() -> None:
    with pytest.raises(PagesDoNotAddUp, match="comes and goes"):
        read(page([1, 2, 3], 6), page([4, 5, 6], None))


def test_the_later_copy_of_a_row_wins() -> None:
    reader: PageReader[RemoteJob] = PageReader()
    reader.add(JobPage((row(1), row(2)), 3, 1, short=False))
    reader.add(JobPage((RemoteJob(uuid="j-2", status="FAILED"), row(3)), 4, 1, short=False))
    assert {job.uuid: job.status for job in reader.rows} == {"j-1": "RUNNING", "j-2": "FAILED", "j-3": "RUNNING"}


@pytest.mark.failure_mode(39)
async def test_pages_that_do_not_add_up_are_read_again_from_the_first() -> None:
    asked: list[int] = []
    answers = iter([page([1, 2, 3], 4), page([3], 4), page([1, 2, 3], 4), page([4], 4)])

    async def read_page(number: int) -> JobPage:
        asked.append(number)
        return next(answers)

    assert len(await read_every_page(read_page)) == 4
    assert asked == [1, 2, 1, 2]


@pytest.mark.failure_mode(39)
async def test_pages_that_never_add_up_raise_instead_of_an_incomplete_list() -> None:
    asked: list[int] = []

    async def read_page(number: int) -> JobPage:
        asked.append(number)
        return page([1, 2, 3], None)

    with pytest.raises(MalformedAnswer, match="do not add up"):
        await read_every_page(read_page)
    assert asked == [1, 2] * 4


def dated(*offsets_in_minutes: int | None, is_date: bool = False) -> list[RemoteJob]:
    return [
        row(n, created_at=None if m is None else START - timedelta(minutes=m), created_at_is_date=is_date)
        for n, m in enumerate(offsets_in_minutes)
    ]


CUTOFF = START.timestamp()


@pytest.mark.parametrize(
    ("rows", "stops", "reason"),
    [
        (dated(-5, 0, 5), True, "newest first, and the last row is older"),
        (dated(-5, -1), False, "not old enough yet"),
        (dated(-5, 0), False, "exactly at the moment is not older"),
        (dated(5, 10, 7), False, "an older row before a newer one: the order proves nothing"),
        (dated(10, 5, 1), False, "oldest first"),
        (dated(5, 5, 5), False, "ties fit both directions"),
        (dated(5, None, 10), False, "a missing date never stops"),
        (dated(None), False, "nothing is known"),
        ([], False, "no row"),
        (dated(0, 1440, is_date=True), False, "a date counts as the end of its day, 12 hours after the cut"),
        (dated(0, 2880, is_date=True), True, "the end of the day before yesterday is older"),
        (dated(1500, is_date=True) + dated(-60), False, "a row newer than the end of the day before it"),
        (dated(0, is_date=True) + dated(60, 120), True, "a row within the day of the date before it is in order"),
    ],
)
def test_an_early_stop_needs_proof_of_the_order(rows: list[RemoteJob], stops: bool, reason: str) -> None:
    order = OrderWatch()
    order.add(rows)
    assert order.older_than(CUTOFF) is stops, reason


def test_the_order_is_watched_across_pages() -> None:
    order = OrderWatch()
    order.add(dated(-5, 5))
    assert order.older_than(CUTOFF)
    order.add(dated(1))
    assert not order.older_than(CUTOFF)
