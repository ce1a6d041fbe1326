"""The work queue: which resource is reconciled next, and by whom.

It has the semantics of controller-runtime's queue, because they are what level-triggered reconciling rests on:

* a key is never in two workers, so that a resource has one writer in this process;
* a key that is added while a worker has it is served again after `done`: no change is lost;
* a key waits once, however often it was added, at the earliest of the moments asked for;
* failures back off per key, exponentially and with jitter.

There are two lanes. Lifecycle work (create, delete, cancel, edits) goes before polling, but polling has a guaranteed
share: in one common lane new objects wait behind thousands of old ones, and without the share a busy cluster would
never see its statuses move. Within a lane the flows of namespaces and accounts take turns, and none of them holds every
worker (`fair_line`).

`Schedule` holds every decision and knows no event loop: each method takes the present moment. `WorkQueue` adds waiting.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import sys
from collections import Counter, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar

from dispersed_operator.fair_line import NOBODY, FairLine, Flow

K = TypeVar("K", bound=Hashable)

POLLING_SHARE = 4  # of so many turns one is for polling, as long as polling waits
JITTER = 0.2  # a back-off varies by this share to both sides
_MAX_DOUBLINGS = 64  # keeps the power of two a small number, however long a key fails


class Lane(Enum):
    """Lifecycle work is served before polling."""

    LIFECYCLE = "lifecycle"
    POLLING = "polling"


class Turns:
    """Lifecycle before polling, but each `polling_share`-th turn is for polling, as long as polling waits."""

    def __init__(self, polling_share: int = POLLING_SHARE) -> None:
        if polling_share < 1:
            raise ValueError("polling_share must be at least 1")
        self._before_polling = polling_share - 1
        self._lifecycle_streak = 0

    def order(self) -> tuple[Lane, Lane]:
        """Both lanes, the one first whose turn it is if something waits in it."""
        if self._lifecycle_streak >= self._before_polling:
            return Lane.POLLING, Lane.LIFECYCLE
        return Lane.LIFECYCLE, Lane.POLLING

    def taken(self, lane: Lane) -> None:
        """The turn was this lane's."""
        self._lifecycle_streak = self._lifecycle_streak + 1 if lane is Lane.LIFECYCLE else 0


class QueueClosed(Exception):
    """The queue takes no more work and has none left for this worker."""


class QueueHooks(Protocol):
    """What the metrics want to know. Times are in seconds."""

    def added(self, lane: Lane) -> None:
        """A key that did not wait yet waits now, at once or for its moment."""

    def served(self, lane: Lane, waited: float) -> None:
        """A worker got a key that had been due for `waited` seconds."""

    def retried(self, failures: int, delay: float) -> None:
        """A key failed for the `failures`-th time in a row and comes back after `delay`."""


class NoHooks:
    """Hooks for nobody."""

    def added(self, lane: Lane) -> None:
        """Ignored."""

    def served(self, lane: Lane, waited: float) -> None:
        """Ignored."""

    def retried(self, failures: int, delay: float) -> None:
        """Ignored."""


@dataclass(slots=True)
class _Waiting:
    """One waiting key: from `due` on it may be served."""

    due: float
    lane: Lane
    flow: Flow
    in_line: bool = False  # stands in the line of its lane; False while delayed, or while a worker has the key


class Schedule(Generic[K]):
    """The state of the queue. `now` is a monotonic moment in seconds and must not go back between calls.

    `flow_of` tells whose a key is, `limit` how many workers an account can make use of now, of `workers` in all.
    """

    def __init__(
        self,
        *,
        polling_share: int = POLLING_SHARE,
        workers: int = sys.maxsize,
        flow_of: Callable[[K], Flow] = lambda _: NOBODY,
        limit: Callable[[Hashable], int] = lambda _: sys.maxsize,
    ) -> None:
        self._turns = Turns(polling_share)
        self._workers = workers
        self._flow_of = flow_of
        self._waiting: dict[K, _Waiting] = {}
        self._processing: dict[K, tuple[Lane, Flow]] = {}
        self._delayed: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._lines: dict[Lane, FairLine[K]] = {lane: FairLine(limit) for lane in Lane}

    def add(self, key: K, lane: Lane, due: float, now: float) -> bool:
        """Let `key` wait until `due`; True if it did not wait before.

        A key that waits already keeps the earlier moment and the better lane.
        """
        entry, flow = self._waiting.get(key), self._flow_of(key)
        if entry is None:
            self._waiting[key] = entry = _Waiting(max(due, now), lane, flow)
            self._place(key, entry, now)
            return True
        upgraded = lane is Lane.LIFECYCLE and entry.lane is Lane.POLLING
        moved = upgraded or flow != entry.flow
        earlier = due < entry.due and not entry.in_line
        if moved:
            self._lines[entry.lane].discard(key, entry.flow)
            entry.lane = lane if upgraded else entry.lane
            entry.flow, entry.in_line = flow, False
        if earlier:
            entry.due = max(due, now)
        if moved or earlier:
            self._place(key, entry, now)
        return False

    def take(self, now: float) -> tuple[K, Lane, float] | None:
        """The next key, its lane, and for how many seconds it had been due; None if nothing is due that may be served.

        The key counts as being worked on until `done`.
        """
        self._line_up(now)
        for lane in self._turns.order():
            taken = self._lines[lane].take(self._free)
            if taken is not None:
                key, flow = taken
                entry = self._waiting.pop(key)
                self._processing[key] = (lane, flow)
                self._turns.taken(lane)
                return key, lane, now - entry.due
        return None

    def done(self, key: K, now: float) -> None:
        """The worker has finished with `key`. Raises `KeyError` if it never had it."""
        lane, flow = self._processing.pop(key)
        self._lines[lane].release(flow)
        for line in self._lines.values():
            line.look_again(self._free)
        entry = self._waiting.get(key)
        if entry is not None:
            self._place(key, entry, now)

    def drop_waiting(self, *, delayed_only: bool, now: float) -> None:
        """Forget what waits: everything, or only what is not due yet."""
        self._delayed.clear()
        for key in [key for key, entry in self._waiting.items() if not delayed_only or entry.due > now]:
            entry = self._waiting.pop(key)
            self._lines[entry.lane].discard(key, entry.flow)
        for key, entry in self._waiting.items():
            if not entry.in_line:
                self._place(key, entry, now)

    def next_due(self) -> float | None:
        """The next moment at which a delayed key may be served; None if there is none."""
        while self._delayed and not self._is_current(*self._delayed[0]):
            heapq.heappop(self._delayed)
        return self._delayed[0][0] if self._delayed else None

    def depth(self, lane: Lane, now: float) -> int:
        """How many keys of a lane are due and wait for a worker, those included that a worker still has."""
        return sum(1 for entry in self._waiting.values() if entry.lane is lane and entry.due <= now)

    def depth_by_account(self) -> Counter[Hashable]:
        """How many keys stand in line, by account."""
        return sum((line.waiting() for line in self._lines.values()), Counter())

    def oldest_age(self, now: float, lane: Lane | None = None) -> float:
        """For how many seconds the longest-waiting key (of a lane) has been due; 0.0 if none is."""
        dues = (entry.due for entry in self._waiting.values() if lane in {None, entry.lane})
        return max(0.0, now - min(dues, default=now))

    @property
    def _free(self) -> int:
        return self._workers - len(self._processing)

    def _place(self, key: K, entry: _Waiting, now: float) -> None:
        if key in self._processing:
            return  # `done` places it
        if entry.due > now:
            heapq.heappush(self._delayed, (entry.due, next(self._order), key))
        else:
            entry.in_line = True
            self._lines[entry.lane].append(key, entry.flow)

    def _line_up(self, now: float) -> None:
        while self._delayed and self._delayed[0][0] <= now:
            due, order, key = heapq.heappop(self._delayed)
            if self._is_current(due, order, key):
                self._place(key, self._waiting[key], now)

    def _is_current(self, due: float, _order: int, key: K) -> bool:
        entry = self._waiting.get(key)
        return entry is not None and entry.due == due and not entry.in_line and key not in self._processing


class WorkQueue(Generic[K]):
    """The queue for `workers` workers of one event loop.

    `monotonic` tells seconds, `random` a number in [0, 1). Every `polling_share`-th key served is a polling one as long
    as polling waits. Back-off doubles from `base_delay` to `max_delay` seconds, ± 20 %. `flow_of` tells whose a key is,
    `limit` how many workers an account can make use of now.
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        random: Callable[[], float],
        base_delay: float = 1.0,
        max_delay: float = 300.0,
        polling_share: int = POLLING_SHARE,
        hooks: QueueHooks | None = None,
        workers: int = sys.maxsize,
        flow_of: Callable[[K], Flow] = lambda _: NOBODY,
        limit: Callable[[Hashable], int] = lambda _: sys.maxsize,
    ) -> None:
        self._monotonic = monotonic
        self._random = random
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._hooks = hooks or NoHooks()
        self._schedule: Schedule[K] = Schedule(
            polling_share=polling_share, workers=workers, flow_of=flow_of, limit=limit
        )
        self._failures: dict[K, int] = {}
        self._closed = False
        self._getters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, key: K, lane: Lane = Lane.LIFECYCLE) -> None:
        """Let `key` be served as soon as a worker is free. Ignored after `close`."""
        self.add_after(key, 0.0, lane)

    def add_after(self, key: K, delay_seconds: float, lane: Lane) -> None:
        """Let `key` be served in `delay_seconds`, or earlier if it waits for an earlier moment already."""
        if self._closed:
            return
        now = self._monotonic()
        if self._schedule.add(key, lane, now + delay_seconds, now):
            self._hooks.added(lane)
        self._wake()

    async def get(self) -> K:
        """The next key. Every key got must be given back with `done`.

        Raises `QueueClosed` after `close`, when nothing is left.
        """
        while True:
            now = self._monotonic()
            taken = self._schedule.take(now)
            if taken is not None:
                key, lane, waited = taken
                self._hooks.served(lane, waited)
                self._wake()  # one addition may have woken this getter only, and more may be due
                return key
            if self._closed:
                raise QueueClosed
            await self._wait(now)

    def done(self, key: K) -> None:
        """The worker has finished with `key`, well or not. Raises `KeyError` if `key` was not got."""
        self._schedule.done(key, self._monotonic())
        self._wake()

    def retry(self, key: K, lane: Lane) -> float:
        """Let `key` come back after its back-off; returns the delay in seconds. To be called before `done`."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(self._max_delay, self._base_delay * 2.0 ** min(failures, _MAX_DOUBLINGS))
        delay *= 1.0 + JITTER * (2.0 * self._random() - 1.0)
        self._hooks.retried(failures + 1, delay)
        self.add_after(key, delay, lane)
        return delay

    def forget(self, key: K) -> None:
        """`key` went well: its next back-off starts from the beginning."""
        self._failures.pop(key, None)

    def close(self, *, drain: bool = True) -> None:
        """End the intake. What is delayed is dropped, and without `drain` what is due, too.

        Then getters get `QueueClosed`.
        """
        self._closed = True
        self._schedule.drop_waiting(delayed_only=drain, now=self._monotonic())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for getter in self._getters:
            if not getter.done():
                getter.set_result(None)

    @property
    def closed(self) -> bool:
        """Whether the intake has ended."""
        return self._closed

    def depth(self, lane: Lane) -> int:
        """How many keys of a lane wait for a worker."""
        return self._schedule.depth(lane, self._monotonic())

    def depth_by_account(self) -> Counter[Hashable]:
        """How many keys stand in line, by account."""
        return self._schedule.depth_by_account()

    def oldest_age(self, lane: Lane | None = None) -> float:
        """For how many seconds the longest-waiting key (of a lane) has been due; 0.0 if none waits."""
        return self._schedule.oldest_age(self._monotonic(), lane)

    async def _wait(self, now: float) -> None:
        getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._getters.append(getter)
        self._arm(now)
        try:
            await getter
        except asyncio.CancelledError:
            if getter.done() and not getter.cancelled():
                self._wake()  # this getter was woken and goes away: another one takes its place
            raise
        finally:
            if getter in self._getters:
                self._getters.remove(getter)

    def _arm(self, now: float) -> None:
        """Set the timer to the next delayed key; only needed while somebody waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._schedule.next_due()
        if due is not None and self._getters:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._wake)

    def _wake(self) -> None:
        """Let one waiting getter look again. Waking one too many costs a look, waking none would lose a key."""
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return
