"""Jobs and runs with the indexes that keep lists fast at ten thousand rows.

Invariant: an item's place in the status index always equals its `status`; every change goes through `set_status` or
`touch`, which also mark the job as not yet on disk.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable
from typing import Generic, TypeVar

from dispersed_simulator.records import Job, Run

Item = TypeVar("Item", Job, Run)
Key = tuple[int, int]


def _key(item: Job | Run) -> Key:
    return (item.created_ms, item.seq)


class TimeIndex(Generic[Item]):
    """Items of one account in the order of their creation, as a whole and per status."""

    def __init__(self) -> None:
        self._items: dict[Key, Item] = {}
        self._all: list[Key] = []
        self._by_status: dict[str, list[Key]] = defaultdict(list)

    def add(self, item: Item) -> None:
        """Insert an item at its creation time."""
        key = _key(item)
        self._items[key] = item
        insort(self._all, key)
        insort(self._by_status[item.status], key)

    def move(self, item: Item, old_status: str) -> None:
        """Take an item to the status that it has now."""
        bucket = self._by_status[old_status]
        del bucket[bisect_left(bucket, _key(item))]
        insort(self._by_status[item.status], _key(item))

    def select(self, statuses: Iterable[str] | None) -> list[Item]:
        """Items in ascending order of creation, of some statuses or of all."""
        if statuses is None:
            return [self._items[key] for key in self._all]
        keys: list[Key] = []
        for status in set(statuses):
            keys.extend(self._by_status.get(status, ()))
        return [self._items[key] for key in sorted(keys)]

    def slice(self, start: int, stop: int, *, newest_first: bool) -> list[Item]:
        """One page of all items without touching the rest."""
        total = len(self._all)
        if newest_first:
            low, high = max(0, total - stop), max(0, total - start)
            return [self._items[key] for key in reversed(self._all[low:high])]
        return [self._items[key] for key in self._all[start:stop]]

    def newer_than(self, at_ms: int) -> list[Item]:
        """Items created after an instant."""
        return [self._items[key] for key in self._all[bisect_left(self._all, (at_ms + 1, -1)) :]]

    def __len__(self) -> int:
        return len(self._all)


class JobStore:
    """All jobs and runs of all accounts."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.runs: dict[str, Run] = {}
        self._job_index: dict[str, TimeIndex[Job]] = defaultdict(TimeIndex)
        self._run_index: dict[str, TimeIndex[Run]] = defaultdict(TimeIndex)
        self._last_seq = 0
        self.dirty: set[str] = set()

    def next_seq(self) -> int:
        """A number that orders rows with the same creation time."""
        self._last_seq += 1
        return self._last_seq

    def jobs_of(self, account_uuid: str) -> TimeIndex[Job]:
        """The jobs of one account."""
        return self._job_index[account_uuid]

    def runs_of(self, account_uuid: str) -> TimeIndex[Run]:
        """The runs of one account."""
        return self._run_index[account_uuid]

    def add_job(self, job: Job) -> None:
        """Take in a job with the runs that it already has."""
        self.jobs[job.uuid] = job
        self._last_seq = max(self._last_seq, job.seq)
        self._job_index[job.account_uuid].add(job)
        self.dirty.add(job.uuid)
        for run in job.runs:
            self._take_run(run)

    def add_run(self, job: Job, run: Run) -> None:
        """Give a job one more run."""
        job.runs.append(run)
        self._take_run(run)
        self.dirty.add(job.uuid)

    def _take_run(self, run: Run) -> None:
        self.runs[run.uuid] = run
        self._last_seq = max(self._last_seq, run.seq)
        self._run_index[run.account_uuid].add(run)

    def set_job_status(self, job: Job, status: str, at_ms: int) -> None:
        """Change a job's status."""
        old, job.status = job.status, status
        self._job_index[job.account_uuid].move(job, old)
        self.touch(job, at_ms)

    def set_run_status(self, job: Job, run: Run, status: str, at_ms: int) -> None:
        """Change a run's status."""
        old, run.status = run.status, status
        run.updated_ms = max(run.updated_ms, at_ms)
        self._run_index[run.account_uuid].move(run, old)
        self.touch(job, at_ms)

    def touch(self, job: Job, at_ms: int) -> None:
        """Note that a job changed."""
        job.updated_ms = max(job.updated_ms, at_ms)
        self.dirty.add(job.uuid)
