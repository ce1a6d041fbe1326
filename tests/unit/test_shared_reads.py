"""One read serves all who wait for it, and nobody who came after it had begun."""

from __future__ import annotations

import asyncio

import pytest

from dispersed_operator.shared_reads import SharedReads


class Slow:
    """A source that answers when it is told to, and numbers its answers."""

    def __init__(self) -> None:
        self.begun = 0
        self.answers: asyncio.Queue[str | Exception] = asyncio.Queue()

    async def read(self, key: str) -> str:
        self.begun += 1
        number = self.begun
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return f"{key} {number} {answer}"


async def turns() -> None:
    """Let everybody who can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_all_who_wait_for_a_read_get_its_answer() -> None:
    slow = Slow()
    reads = SharedReads(slow.read)
    askers = [asyncio.create_task(reads.get("a")) for _ in range(100)]
    await turns()
    assert slow.begun == 1
    slow.answers.put_nowait("held")
    assert await asyncio.gather(*askers) == ["a 1 held"] * 100


async def test_whoever_asks_while_a_read_is_under_way_gets_the_next_one() -> None:
    slow = Slow()
    reads = SharedReads(slow.read)
    first = asyncio.create_task(reads.get("a"))
    await turns()
    later = [asyncio.create_task(reads.get("a")) for _ in range(3)]
    await turns()
    assert slow.begun == 1
    slow.answers.put_nowait("held")
    slow.answers.put_nowait("going")
    assert await first == "a 1 held"
    assert await asyncio.gather(*later) == ["a 2 going"] * 3
    assert slow.begun == 2


async def test_keys_are_read_side_by_side() -> None:
    slow = Slow()
    reads = SharedReads(slow.read)
    askers = [asyncio.create_task(reads.get(key)) for key in "ab"]
    await turns()
    assert slow.begun == 2
    for _ in askers:
        slow.answers.put_nowait("held")
    assert [answer[0] for answer in await asyncio.gather(*askers)] == ["a", "b"]


async def test_a_failure_is_told_to_all_who_waited_and_to_nobody_later() -> None:
    slow = Slow()
    reads = SharedReads(slow.read)
    askers = [asyncio.create_task(reads.get("a")) for _ in range(2)]
    await turns()
    slow.answers.put_nowait(ValueError("down"))
    assert [type(answer) for answer in await asyncio.gather(*askers, return_exceptions=True)] == [ValueError] * 2
    slow.answers.put_nowait("held")
    assert await reads.get("a") == "a 2 held"


async def test_one_who_is_cancelled_takes_the_read_from_nobody() -> None:
    slow = Slow()
    reads = SharedReads(slow.read)
    leaving, staying = (asyncio.create_task(reads.get("a")) for _ in range(2))
    await turns()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    slow.answers.put_nowait("held")
    assert await staying == "a 1 held"
