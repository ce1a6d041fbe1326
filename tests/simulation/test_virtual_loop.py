"""The loop of the simulation keeps its promises on time, order and frozen processes."""

from __future__ import annotations

import asyncio
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.simulation.virtual_loop import OWNER, Stuck, VirtualLoop, run


@dataclass(eq=False)
class Process:
    frozen: bool = False
    backlog: list[asyncio.Handle] = field(default_factory=list)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def context(self) -> Context:
        context = Context()
        context.run(OWNER.set, self)
        return context


def virtual() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def test_a_year_passes_at_once_and_to_the_second() -> None:
    async def main() -> float:
        await asyncio.sleep(31_536_000)
        return virtual().time()

    assert run(main, start=5.0) == 31_536_005.0


def test_a_time_out_ends_what_takes_longer() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await asyncio.sleep(10)
        return virtual().time()

    assert run(main, start=0.0) == 3.0


def test_a_run_in_which_everybody_waits_for_ever_is_an_error() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck):
        run(main)


def test_a_frozen_process_does_nothing_until_it_is_thawed() -> None:
    async def main() -> list[float]:
        loop, process, seen = virtual(), Process(), []

        async def tick() -> None:
            while True:
                await asyncio.sleep(1)
                seen.append(loop.time())

        task = loop.create_task(tick(), context=process.context())
        await asyncio.sleep(2.5)
        process.frozen = True
        await asyncio.sleep(10)
        loop.thaw(process)
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.sleep(0)
        return seen

    assert run(main, start=0.0) == [1.0, 2.0, 12.5]


def test_the_tasks_of_a_process_are_known_with_those_that_they_start() -> None:
    async def main() -> int:
        loop, process = virtual(), Process()

        async def parent() -> None:
            await asyncio.gather(asyncio.sleep(1), asyncio.sleep(2))

        await loop.create_task(parent(), context=process.context())
        return len(process.tasks)

    assert run(main) == 3
