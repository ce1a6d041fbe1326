"""How a job ended, in a reason from the closed list.

The service attests neither exit codes nor failure reasons (API reference §6.3, §11.2), so the words that it may send
are read first, and the shape of the run (never assigned, never started, ran for as long as it was allowed) decides
where it says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dispersed_operator.model.job import DispersedJobSpec, Task
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob, RemoteRun


@dataclass(frozen=True, slots=True)
class Ending:
    """`succeeded`: whether the job did what it was for. `text`: what happened, for people."""

    succeeded: bool
    reason: Reason
    text: str


def judge_ending(job: RemoteJob, runs: Sequence[RemoteRun], spec: DispersedJobSpec | None) -> Ending:
    """The ending of a job whose status is terminal; `runs` newest first."""
    last = runs[0] if runs else None
    if job.status == "CANCELLED":
        return Ending(False, Reason.CANCELLED_EXTERNALLY, f"remote job {job.uuid} was cancelled outside Kubernetes")
    if job.status == "COMPLETED":
        if _ran_to_deadline(last, spec):
            return _run_deadline(spec)
        return Ending(True, Reason.COMPLETED, f"remote job {job.uuid} completed")
    said = " ".join(text for text in (last.status_reason if last else None, job.status_reason) if text).lower()
    if last is not None and last.exit_code not in {None, 0}:
        return Ending(False, Reason.EXIT_NON_ZERO, f"the container ended with exit code {last.exit_code}")
    by_words = _by_words(said, last, spec)
    if by_words is not None:
        return by_words
    return _by_shape(last, spec)


def _by_words(said: str, last: RemoteRun | None, spec: DispersedJobSpec | None) -> Ending | None:
    if "exit" in said and "code" in said:
        return Ending(False, Reason.EXIT_NON_ZERO, "the container ended with an exit code other than 0")
    if "assign" in said:
        return _assign_deadline(spec)
    if "start" in said and ("time" in said or "deadline" in said):
        return _start_deadline(spec)
    if "run" in said and ("timeout" in said or "time-out" in said or "timed out" in said or "deadline" in said):
        return _run_deadline(spec)
    started = last is not None and last.started_at is not None
    if "node" in said and (started or "lost" in said):  # "the node was not ready in time" is another matter
        return Ending(False, Reason.NODE_LOST, "the node that ran the job was lost")
    return None


def _by_shape(last: RemoteRun | None, spec: DispersedJobSpec | None) -> Ending:
    if last is None:
        return _assign_deadline(spec)
    if last.started_at is None:
        return _start_deadline(spec)
    if _ran_to_deadline(last, spec):
        return _run_deadline(spec)
    return Ending(False, Reason.REMOTE_FAILED, "the service reports a failure and gives no cause")


def _ran_to_deadline(last: RemoteRun | None, spec: DispersedJobSpec | None) -> bool:
    """Whether the run lasted as long as it was allowed: the service may call that COMPLETED or FAILED (§11.2)."""
    if last is None or spec is None or spec.task is not Task.BATCH or spec.deadlines.run_seconds is None:
        return False
    seconds = _seconds(last)
    return seconds is not None and seconds >= spec.deadlines.run_seconds


def _seconds(run: RemoteRun) -> float | None:
    if run.duration_ms is not None:
        return run.duration_ms / 1000
    if run.started_at is not None and run.ended_at is not None:
        return (run.ended_at - run.started_at).total_seconds()
    return None


def _assign_deadline(spec: DispersedJobSpec | None) -> Ending:
    limit = f" within {spec.deadlines.assign_seconds} s" if spec is not None else ""
    return Ending(False, Reason.ASSIGN_DEADLINE_EXCEEDED, f"the service found no node{limit}")


def _start_deadline(spec: DispersedJobSpec | None) -> Ending:
    limit = f" within {spec.deadlines.start_seconds} s" if spec is not None else ""
    return Ending(False, Reason.START_DEADLINE_EXCEEDED, f"the container did not start{limit}")


def _run_deadline(spec: DispersedJobSpec | None) -> Ending:
    seconds = spec.deadlines.run_seconds if spec is not None else None
    limit = f" of {seconds} s" if seconds is not None else ""
    return Ending(False, Reason.RUN_DEADLINE_EXCEEDED, f"the job ran until its deadline{limit}")
