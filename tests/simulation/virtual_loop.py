"""An event loop on a virtual clock: time jumps to the next timer, and nothing outside the process has a say in it.

It has no selector, no socket and no thread. Callbacks run in the order in which they were scheduled, timers in the
order of their moments, so one seed gives one run.

The loop also knows processes: every callback carries the context in which it was made, and `OWNER` in that context
names the simulated process. A frozen owner's callbacks wait until it is thawed, timers included, as the callbacks of a
process under SIGSTOP do; a dead owner's callbacks run on, because its tasks must end.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar
from typing import Any, Protocol, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Owner(Protocol):
    """A simulated process, as the loop sees it."""

    frozen: bool
    backlog: list[asyncio.Handle]
    tasks: list[asyncio.Task[Any]]


OWNER: ContextVar[Owner | None] = ContextVar("simulated_process", default=None)


class Stuck(RuntimeError):
    """Everybody waits and no timer is left: the run would never end."""


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. `time()` starts at `start` seconds and moves only when nothing is left to do at the present moment."""

    def __init__(self, start: float = 1_000.0) -> None:
        super().__init__()
        self._now = start
        self._queue: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self._line: list[asyncio.Handle] = []
        self.set_task_factory(_owned_task)
        self.turns = 0

    def time(self) -> float:
        """Virtual monotonic seconds."""
        return self._now

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run the callback in the next turn."""
        handle = asyncio.Handle(callback, args, self, context)
        self._line.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """There is one thread only."""
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run the callback at a moment; equal moments keep their order."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._queue, (when, self._count, handle))
        return handle

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run the callback after so many seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is dropped when its moment comes."""

    def run_until_complete(self, future: Any) -> Any:
        """Run until the future is done; its result."""
        task = asyncio.ensure_future(future, loop=self)
        self._thread_id = 0
        asyncio._set_running_loop(self)
        try:
            while not task.done():
                self._turn()
        finally:
            asyncio._set_running_loop(None)
            self._thread_id = None  # type: ignore[assignment]  # as the base class marks a loop that rests
        return task.result()

    def _turn(self) -> None:
        if not self._line:
            self._jump()
        line, self._line = self._line, []
        self.turns += 1
        for handle in line:
            if handle._cancelled:
                continue
            owner = handle._context.get(OWNER)  # type: ignore[attr-defined]  # every handle has one
            if owner is not None and owner.frozen:
                owner.backlog.append(handle)
            else:
                handle._run()

    def _jump(self) -> None:
        while self._queue and self._queue[0][2]._cancelled:
            heapq.heappop(self._queue)
        if not self._queue:
            raise Stuck("everybody waits and no timer is left")
        self._now = max(self._now, self._queue[0][0])
        while self._queue and self._queue[0][0] <= self._now:
            handle = heapq.heappop(self._queue)[2]
            if not handle._cancelled:
                self._line.append(handle)

    def thaw(self, owner: Owner) -> None:
        """Let a frozen owner go on where it stood: answers first, then timers, both in the order in which they came."""
        owner.frozen = False
        self._line.extend(handle for handle in owner.backlog if not handle._cancelled)
        owner.backlog.clear()

    def in_world(self, delay: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Run the callback after `delay` seconds on behalf of no process: network, users and services."""
        return self.call_at(self._now + delay, callback, *args, context=Context())

    def close(self) -> None:
        """Forget what is left."""
        self._line.clear()
        self._queue.clear()
        super().close()


def _owned_task(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T] | Generator[Any, None, T], **options: Any
) -> asyncio.Future[T]:
    """Every task is known to its process, so that a kill reaches all of them."""
    task: asyncio.Task[T] = asyncio.Task(coro, loop=loop, **options)
    context: Context | None = options.get("context")
    owner = OWNER.get() if context is None else context.get(OWNER)
    if owner is not None:
        owner.tasks.append(task)
        if len(owner.tasks) > 256:
            owner.tasks = [known for known in owner.tasks if not known.done()]
    return task


def run(main: Callable[[], Coroutine[Any, Any, T]], *, start: float = 1_000.0) -> T:
    """Run a coroutine on a loop of its own."""
    loop = VirtualLoop(start)
    try:
        result: T = loop.run_until_complete(loop.create_task(main(), context=Context()))
        return result
    finally:
        loop.close()
