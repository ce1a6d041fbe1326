"""One read for all who wait for it.

Why it exists: before each create the account and its Secret are read again (protocol C3), and in a burst hundreds wait
for the same answer. Invariant: whoever asks gets an answer that was asked for *after* that; a read that is under way
already serves nobody who comes later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SharedReads(Generic[K, V]):
    """Reads by key, at most one at a time for each. A read that fails fails for all who wait for it; whoever is
    cancelled leaves alone."""

    def __init__(self, read: Callable[[K], Awaitable[V]]) -> None:
        self._read = read
        self._under_way: dict[K, asyncio.Task[V]] = {}
        self._next: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K) -> V:
        """The answer of a read that begins after this call."""
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._in_turn(key, self._under_way.get(key)))
            task.add_done_callback(_seen)
        return await asyncio.shield(task)

    async def _in_turn(self, key: K, before: asyncio.Task[V] | None) -> V:
        if before is not None:
            await asyncio.wait({before})
        task = self._under_way[key] = self._next.pop(key)
        try:
            return await self._read(key)
        finally:
            if self._under_way.get(key) is task:
                del self._under_way[key]


def _seen(task: asyncio.Task[V]) -> None:
    """Nobody may be left to look at an error."""
    if not task.cancelled():
        task.exception()
