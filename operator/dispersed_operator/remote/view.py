"""What the last polls said of the jobs that we track.

Why it exists: one list call serves thousands of resources, and only those whose remote state changed are worth a
reconcile (architecture, "Queue and poller"). Invariants: an older reading never replaces a newer one; a job that is
absent from a live listing is "unknown, read it" and never "gone" (protocol, failure mode 47).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from dispersed_operator.model.remote import RemoteJob, RemoteRun


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

    @property
    def polled(self) -> float | None:
        """Monotonic time at which the newest complete poll began; None before the first."""
        return self._polled

    def get(self, uuid: str) -> Snapshot | None:
        """The newest reading, None if this job was never seen."""
        return self._snapshots.get(uuid)

    def update_jobs(
        self, jobs: Iterable[RemoteJob], runs: Iterable[RemoteRun], *, tracked: Collection[str], seen: float
    ) -> frozenset[str]:
        """Take a poll that began at `seen`; the uuids among `tracked` whose state changed in meaning.

        Runs are the live ones only: a run that ended leaves the snapshot, which is a change.
        """
        by_job: dict[str, list[RemoteRun]] = {}
        for run in runs:
            by_job.setdefault(run.job_uuid, []).append(run)
        wanted, live, changed = frozenset(tracked), set[str](), set[str]()
        for job in jobs:
            live.add(job.uuid)
            if job.uuid in wanted and self.record(job, tuple(by_job.get(job.uuid, ())), seen=seen):
                changed.add(job.uuid)
        if self._polled is None or seen >= self._polled:
            self._live, self._polled = frozenset(live), seen
        return frozenset(changed)

    def record(self, job: RemoteJob, runs: tuple[RemoteRun, ...], *, seen: float) -> bool:
        """Take one reading that began at `seen`; whether it changed the meaning of what is known."""
        known = self._snapshots.get(job.uuid)
        if known is not None and seen < known.seen:
            return False
        self._snapshots[job.uuid] = Snapshot(job, runs, seen)
        return known is None or _meaning(known.job, known.runs) != _meaning(job, runs)

    def vanished(self, tracked: Collection[str]) -> frozenset[str]:
        """The tracked jobs that the newest live listing lacks and that are not known to be terminal: read each of them.

        A job that was read after that listing began is not among them.
        """
        if self._polled is None:
            return frozenset()
        return frozenset(uuid for uuid in tracked if uuid not in self._live and self._may_live(uuid, self._polled))

    def forget(self, uuid: str) -> None:
        """Drop what is known of a job that is no longer tracked."""
        self._snapshots.pop(uuid, None)

    def _may_live(self, uuid: str, polled: float) -> bool:
        known = self._snapshots.get(uuid)
        return known is None or (not known.job.terminal and known.seen <= polled)


def _meaning(job: RemoteJob, runs: tuple[RemoteRun, ...]) -> tuple[RemoteJob, frozenset[RemoteRun]]:
    """What counts as a change: everything but logs, order, and the ticking duration of a run that still lives."""
    return job, frozenset(
        replace(run, logs=None, duration_ms=run.duration_ms if run.terminal else None) for run in runs
    )
