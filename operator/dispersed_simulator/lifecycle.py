"""How a job and its runs move from state to state (API reference §11).

`next_step` is pure: from what a job is now it says what happens to it next and when. So nothing about the future is
stored, a restart or a changed fate needs no repair, and a clock that jumps an hour plays the steps in their order with
their own times. `Lifecycle.apply` carries one step out.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dispersed_simulator.records import TERMINAL, Fate, Job, NodeUrl, Run, Timing
from dispersed_simulator.store import JobStore
from dispersed_simulator.switches import Switches
from dispersed_simulator.wire import seconds_to_ms


class EndpointHost(Protocol):
    """Whoever makes published ports reachable."""

    def publish(self, job: Job, run: Run, ports: list[int]) -> list[NodeUrl]:
        """Open one endpoint for each container port. Raises OSError if none can be opened."""
        ...

    def close(self, run_uuid: str) -> None:
        """Close the endpoints of a run; nothing happens if there are none."""
        ...


class InventedEndpoints:
    """Host names and ports that look right and lead nowhere."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def publish(self, job: Job, run: Run, ports: list[int]) -> list[NodeUrl]:  # noqa: ARG002
        """One invented address for each port."""
        host = f"{run.uuid[:8]}.proxy.simulated.invalid"
        return [NodeUrl(port, host, self._rng.randrange(20_000, 60_000)) for port in ports]

    def close(self, run_uuid: str) -> None:
        """There is nothing to close."""


@dataclass(frozen=True, slots=True)
class Step:
    """What happens next to a job, and when."""

    due_ms: int
    name: str


def _ms(chosen: float | None, default: float) -> int:
    return seconds_to_ms(default if chosen is None else chosen)


def misfortune_strikes(fate: Fate, run: Run) -> bool:
    """True if the fate's exit code and node loss concern this run."""
    return fate.bad_runs is None or run.number <= fate.bad_runs


def published_ports(job: Job, switches: Switches) -> list[int]:
    """Container ports that the job publishes; an explicit list replaces the default (reference §5.1)."""
    ports = job.container.get("ports")
    if ports is None:
        return [22] if switches.default_ports == "ssh" else []
    return [port for port in ports if isinstance(port, int)] if isinstance(ports, list) else []


def next_step(job: Job, timing: Timing) -> Step | None:
    """The next thing that will happen to a job, or None if nothing will by itself."""
    if job.status in TERMINAL or job.frozen:
        return None
    if job.cancel_started_ms is not None:
        chosen = job.cancel_seconds if job.cancel_seconds is not None else job.fate.cancel_seconds
        return Step(job.cancel_started_ms + _ms(chosen, timing.cancel_seconds), "cancel_done")
    run = job.current_run
    if run is None:
        return _next_while_pending(job, timing)
    if run.status == "FAILING":
        return Step((run.failing_ms or 0) + seconds_to_ms(job.fate.failing_seconds), "fail")
    if run.started_ms is None:
        return _next_while_starting(job, run, timing)
    return _next_while_running(job, run, run.started_ms, timing)


def _earliest(steps: list[Step]) -> Step | None:
    return min(steps, key=lambda step: step.due_ms, default=None)


def _next_while_pending(job: Job, timing: Timing) -> Step | None:
    steps = [Step(job.pending_since_ms + job.number("max_timeout_assign_ms", 300_000), "assign_timeout")]
    if not job.fate.never_assigned:
        steps.insert(0, Step(job.pending_since_ms + _ms(job.fate.assign_seconds, timing.assign_seconds), "assign"))
    return _earliest(steps)


def _next_while_starting(job: Job, run: Run, timing: Timing) -> Step | None:
    if run.preparing_ms is None:
        step = Step(run.assigned_ms + seconds_to_ms(timing.accept_seconds), "prepare")
    else:
        step = Step(run.preparing_ms + _ms(job.fate.pull_seconds, timing.prepare_seconds), "run")
    return _earliest([step, Step(run.assigned_ms + job.number("max_timeout_start_ms", 300_000), "start_timeout")])


def _next_while_running(job: Job, run: Run, started_ms: int, timing: Timing) -> Step | None:
    fate = job.fate
    steps = []
    if not run.published:
        steps.append(Step(started_ms + _ms(fate.endpoints_late_seconds, timing.endpoints_seconds), "publish"))
    if fate.node_lost_after_seconds is not None and misfortune_strikes(fate, run):
        steps.append(Step(started_ms + seconds_to_ms(fate.node_lost_after_seconds), "node_lost"))
    if job.task == "BATCH":
        steps.append(Step(started_ms + _ms(fate.run_seconds, timing.run_seconds), "exit"))
        steps.append(Step(started_ms + job.number("max_timeout_run_ms", 900_000), "run_timeout"))
    elif fate.run_seconds is not None and run.exit_code is None:
        steps.append(Step(started_ms + seconds_to_ms(fate.run_seconds), "exit"))
    return _earliest(steps)


class Lifecycle:
    """Carries steps out on the store."""

    def __init__(
        self,
        *,
        store: JobStore,
        timing: Timing,
        switches: Switches,
        new_id: Callable[[], str],
        endpoints: EndpointHost,
    ) -> None:
        self._store = store
        self._timing = timing
        self._switches = switches
        self._new_id = new_id
        self._endpoints = endpoints

    def apply(self, job: Job, step: Step) -> None:
        """Carry one step out at its own time, or at the job's last change if that was later."""
        at_ms = max(step.due_ms, job.updated_ms)
        run = job.current_run
        if step.name == "assign":
            self.assign(job, at_ms)
        elif step.name == "assign_timeout":
            self.finish(job, self._switches.assign_timeout_result, at_ms, "no node was assigned in time")
        elif step.name == "cancel_done":
            self.finish(job, "CANCELLED", at_ms, job.cancel_reason)
        elif run is not None:
            self._apply_to_run(job, run, step.name, at_ms)

    def _apply_to_run(self, job: Job, run: Run, name: str, at_ms: int) -> None:
        if name == "prepare":
            run.preparing_ms = at_ms
            self._store.set_run_status(job, run, "PREPARING", at_ms)
            if self._switches.job_shows_preparing:
                self._store.set_job_status(job, self._while_starting(job, "PREPARING"), at_ms)
        elif name == "run":
            self._start(job, run, at_ms)
        elif name == "publish":
            self._publish(job, run, at_ms)
        elif name == "exit":
            self._exit(job, run, at_ms)
        elif name == "run_timeout":
            self._end_run(job, run, self._switches.run_timeout_result, at_ms, "the run time limit was reached")
        elif name == "start_timeout":
            self._begin_failure(job, run, at_ms, "the node was not ready in time")
        elif name == "node_lost":
            self._begin_failure(job, run, at_ms, "the node was lost")
        elif name == "fail":
            self._end_run(job, run, "FAILED", at_ms, run.status_reason)

    def assign(self, job: Job, at_ms: int) -> None:
        """Give the job a node: a new run begins."""
        rate = job.fate.hourly_rate_usd
        run = Run(
            uuid=self._new_id(), job_uuid=job.uuid, account_uuid=job.account_uuid, seq=self._store.next_seq(),
            number=len(job.runs) + 1, status="ASSIGNED", created_ms=at_ms, updated_ms=at_ms, assigned_ms=at_ms,
            access_token=self._new_id().replace("-", ""),
            hourly_rate_usd=self._timing.hourly_rate_usd if rate is None else rate,
        )  # fmt: skip
        self._store.add_run(job, run)
        self._store.set_job_status(job, self._while_starting(job, "ASSIGNED"), at_ms)

    def _while_starting(self, job: Job, status: str) -> str:
        keeps_running = self._switches.retry_job_status == "RUNNING" and len(job.runs) > 1
        return "RUNNING" if keeps_running else status

    def _start(self, job: Job, run: Run, at_ms: int) -> None:
        run.started_ms = at_ms
        if job.started_ms is None:
            job.started_ms = at_ms
        self._store.set_run_status(job, run, "RUNNING", at_ms)
        self._store.set_job_status(job, "RUNNING", at_ms)

    def _publish(self, job: Job, run: Run, at_ms: int) -> None:
        run.node_urls = self._endpoints.publish(job, run, published_ports(job, self._switches))
        run.published = True
        self._store.touch(job, at_ms)

    def _exit(self, job: Job, run: Run, at_ms: int) -> None:
        code = job.fate.exit_code if misfortune_strikes(job.fate, run) else 0
        run.exit_code = code
        reading = self._switches.persistent_exit if job.task == "PERSISTENT" else "same"
        if reading == "restart":
            self._store.touch(job, at_ms)
        elif code != 0 or reading == "failed":
            self._begin_failure(job, run, at_ms, f"the container exited with code {code}")
        else:
            self._end_run(job, run, "COMPLETED", at_ms, None)

    def _begin_failure(self, job: Job, run: Run, at_ms: int, reason: str) -> None:
        run.status_reason = reason
        if job.fate.failing_seconds > 0:
            run.failing_ms = at_ms
            self._store.set_run_status(job, run, "FAILING", at_ms)
            self._store.set_job_status(job, "FAILING", at_ms)
        else:
            self._end_run(job, run, "FAILED", at_ms, reason)

    def _end_run(self, job: Job, run: Run, status: str, at_ms: int, reason: str | None) -> None:
        self._close_run(job, run, status, at_ms, reason)
        retries_left = job.number("max_retry_count", 0) - (len(job.runs) - 1)
        if status == "FAILED" and retries_left > 0:
            job.pending_since_ms = at_ms
            self._store.set_job_status(job, self._switches.retry_job_status, at_ms)
        else:
            self.finish(job, status, at_ms, reason)

    def _close_run(self, job: Job, run: Run, status: str, at_ms: int, reason: str | None) -> None:
        run.ended_ms = at_ms
        run.status_reason = reason
        self._endpoints.close(run.uuid)
        self._store.set_run_status(job, run, status, at_ms)

    def begin_cancel(self, job: Job, at_ms: int, *, seconds: float | None) -> None:
        """A live job starts to end; seconds overrides how long that takes."""
        job.cancel_started_ms = at_ms
        job.cancel_seconds = seconds
        job.status_before_cancel = job.status
        job.frozen = False
        run = job.current_run
        if run is not None:
            self._store.set_run_status(job, run, "CANCELLING", at_ms)
        self._store.set_job_status(job, "CANCELLING", at_ms)

    def force(self, job: Job, status: str, at_ms: int, *, hold: bool) -> None:
        """Put a job into a state, whatever it was; hold keeps it there until it is cancelled or forced again."""
        job.frozen = hold
        if status in TERMINAL:
            self.finish(job, status, at_ms, "forced")
            return
        job.completed_ms = None
        job.cancel_started_ms = None
        if status == "CANCELLING":
            self.begin_cancel(job, at_ms, seconds=None)
            job.frozen = hold
        elif status == "RUNNING":
            if job.current_run is None:
                self.assign(job, at_ms)
            run = job.current_run
            if run is not None and run.started_ms is None:
                self._start(job, run, at_ms)
            self._store.set_job_status(job, "RUNNING", at_ms)
        else:
            job.pending_since_ms = at_ms
            self._store.set_job_status(job, status, at_ms)

    def finish(self, job: Job, status: str, at_ms: int, reason: str | None) -> None:
        """The job ends, and its live run with it."""
        run = job.current_run
        if run is not None:
            self._close_run(job, run, status, at_ms, reason)
        job.completed_ms = at_ms
        job.status_reason = reason
        self._store.set_job_status(job, status, at_ms)
