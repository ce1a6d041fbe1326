"""What the last polls said of the jobs that we track.

Why it exists: one list call serves thousands of resources, and only those whose remote state changed are worth a
reconcile (architecture, "Queue and poller"). Invariants: an older reading never replaces a newer one; a job that is
absent from a live listing is "unknown, read it" and never "gone" (protocol, failure mode 47).
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dispersed_operator.model.remote import LIVE_STATUSES, RemoteJob, RemoteRun

ENDED_SECONDS = 30.0
"""So long the row of an ended job will do instead of a read of the job."""
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading of a job. `seen` is the monotonic time, in seconds, at which the reading *began*."""

    job: RemoteJob
    runs: tuple[RemoteRun, ...]
    seen: float


class RemoteView:
    """The newest reading per remote uuid. Written by the poller and by single reads, on one event loop."""

    def __init__(self) -> None:
        self._snapshots: dict[str, Snapshot] = {}
        self._live: frozenset[str] = frozenset()
        self._polled: float | None = None
        self._ended: dict[str, tuple[RemoteJob, float]] = {}

    @property
    def polled(self) -> float | None:
        """Monotonic time at which the newest complete poll began; None before the first."""
        return self._polled

    @property
    def watched(self) -> int:
        """How many jobs have a reading."""
        return len(self._snapshots)

    def get(self, uuid: str) -> Snapshot | None:
        """The newest reading, None if this job was never seen."""
        return self._snapshots.get(uuid)

    def update_jobs(
        self,
        jobs: Iterable[RemoteJob],
        runs: Iterable[RemoteRun],
        *,
        tracked: Collection[str],
        seen: float,
        runs_of: Collection[str] | None = None,
        whole: bool = True,
    ) -> frozenset[str]:
        """Take a poll that began at `seen`; the uuids among `tracked` whose state changed in meaning.

        The runs of a poll are the live ones. Runs that are known to have ended stay in the snapshot; one that left
        without a known end leaves it, which is a change. `runs_of`: the jobs whose runs were asked for, None for all;
        the others keep theirs. Without `whole` the list was not read to its end, and nothing is absent.
        """
        by_job: dict[str, list[RemoteRun]] = {}
        for run in runs:
            by_job.setdefault(run.job_uuid, []).append(run)
        wanted, live, changed = frozenset(tracked), set[str](), set[str]()
        for job in jobs:
            live.add(job.uuid)
            if job.uuid not in wanted:
                continue
            asked = runs_of is None or job.uuid in runs_of
            all_runs = self._all_runs(job.uuid, by_job.get(job.uuid, ())) if asked else self._known_runs(job.uuid)
            if self.record(job, all_runs, seen=seen):
                changed.add(job.uuid)
        if not whole:
            self._live |= live
        elif self._polled is None or seen >= self._polled:
            self._live, self._polled = frozenset(live), seen
            self._ended = {u: held for u, held in self._ended.items() if seen - held[1] <= ENDED_SECONDS}
            self._snapshots = {u: held for u, held in self._snapshots.items() if u in wanted or held.seen >= seen}
        return frozenset(changed)

    def _known_runs(self, uuid: str) -> tuple[RemoteRun, ...]:
        known = self._snapshots.get(uuid)
        return known.runs if known is not None else ()

    def _all_runs(self, uuid: str, live: Sequence[RemoteRun]) -> tuple[RemoteRun, ...]:
        """The live runs of a poll and the ended ones of earlier reads, newest first."""
        seen = {run.uuid for run in live}
        kept = [run for run in self._known_runs(uuid) if _unlisted(run) and run.uuid not in seen]
        if len(live) + len(kept) < 2:
            return (*live, *kept)
        runs = (*live, *kept)
        return tuple(sorted(runs, key=lambda run: run.created_at or run.started_at or _LONG_AGO, reverse=True))

    def record(self, job: RemoteJob, runs: tuple[RemoteRun, ...], *, seen: float) -> bool:
        """Take one reading that began at `seen`; whether it changed the meaning of what is known."""
        known = self._snapshots.get(job.uuid)
        if known is not None and seen < known.seen:
            return False
        self._snapshots[job.uuid] = Snapshot(job, runs, seen)
        if known is None:
            return True
        if known.job is job and len(runs) == len(known.runs) and all(map(operator.is_, runs, known.runs)):
            return False  # the rows said what they had said: remote/rows.py
        return _meaning(known.job, known.runs) != _meaning(job, runs)

    def hold_ended(self, jobs: Iterable[RemoteJob], *, seen: float) -> None:
        """Rows of jobs that have ended, from a list whose reading began at `seen`."""
        self._ended |= {job.uuid: (job, seen) for job in jobs}

    def take_ended(self, uuid: str, *, now: float) -> tuple[RemoteJob, float] | None:
        """The row of an ended job and when its reading began, to be used once and soon instead of a read of the job:
        what a retry of the service makes of the job later is seen by the next read. None if there is none, if it is
        old, or if something newer is known."""
        job, seen = self._ended.pop(uuid, (None, 0.0))
        known = self._snapshots.get(uuid)
        if job is None or now - seen > ENDED_SECONDS or (known is not None and known.seen > seen):
            return None
        return job, seen

    def knows(self, job: RemoteJob) -> bool:
        """Whether the newest reading of this job said the same."""
        known = self._snapshots.get(job.uuid)
        return known is not None and (known.job is job or known.job == job)

    def lists(self, uuid: str) -> bool:
        """Whether the newest poll showed this job as alive."""
        return uuid in self._live

    def vanished(self, tracked: Collection[str]) -> frozenset[str]:
        """The tracked jobs that the newest live listing lacks and that are not known to be terminal: read each of them.

        A job that was read after that listing began is not among them.
        """
        return self.absent(self._live, tracked, seen=self._polled) if self._polled is not None else frozenset()

    def absent(self, listed: Collection[str], tracked: Collection[str], *, seen: float) -> frozenset[str]:
        """The tracked jobs that a live listing lacks which began at `seen`, if nothing newer is known of them and no
        end."""
        return frozenset(uuid for uuid in tracked if uuid not in listed and self._may_live(uuid, seen))

    def _may_live(self, uuid: str, polled: float) -> bool:
        known = self._snapshots.get(uuid)
        return known is None or (not known.job.terminal and known.seen <= polled)


def _unlisted(run: RemoteRun) -> bool:
    """Whether polls, which ask for the statuses known to be live, cannot show this run."""
    return run.terminal or run.status not in LIVE_STATUSES


def _meaning(job: RemoteJob, runs: tuple[RemoteRun, ...]) -> tuple[RemoteJob, frozenset[RemoteRun]]:
    """What counts as a change: everything but logs, order, and the ticking duration of a run that still lives."""
    return job, frozenset(
        replace(run, logs=None, duration_ms=run.duration_ms if run.terminal else None) for run in runs
    )
