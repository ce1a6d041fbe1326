"""The simulated service without a network: jobs, their lives, lists and what a person may do to them.

Synchronous and deterministic: time comes with each call, ids and randomness are injected, nothing is read from
outside. Call `advance` with the present time before anything else; it plays every step that was due, in order.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from uuid import UUID

from dispersed_simulator.api_error import ApiError
from dispersed_simulator.billing import cost_usd
from dispersed_simulator.lifecycle import EndpointHost, InventedEndpoints, Lifecycle, next_step
from dispersed_simulator.listing import ListQuery, Page, list_jobs, list_runs
from dispersed_simulator.records import TERMINAL, Account, Fate, FateRule, Job, Run, Timing
from dispersed_simulator.store import JobStore
from dispersed_simulator.switches import Switches
from dispersed_simulator.validation import find_login_problems, find_problems
from dispersed_simulator.wire import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class InsertedJob:
    """A job as a person would make it in the console, with everything under control."""

    account_uuid: str
    body: JsonObject
    created_ms: int
    status: str = "PENDING"
    fate: Fate | None = None


class Engine:
    """The state of the service and the operations on it. Every `at_ms` is the simulated time of the call."""

    def __init__(
        self,
        *,
        timing: Timing | None = None,
        switches: Switches | None = None,
        rng: random.Random | None = None,
        endpoints: EndpointHost | None = None,
    ) -> None:
        self.timing = timing or Timing()
        self.switches = switches or Switches()
        self._rng = rng or random.Random(0)
        self._endpoints = endpoints or InventedEndpoints(self._rng)
        self.accounts: dict[str, Account] = {}
        self.fate_rules: list[FateRule] = []
        self.store = JobStore()
        self._heap: list[tuple[int, int, str]] = []
        self._due: dict[str, int] = {}
        self._lagging: dict[str, int] = {}
        self._lifecycle = self._new_lifecycle()

    def _new_lifecycle(self) -> Lifecycle:
        return Lifecycle(
            store=self.store, timing=self.timing, switches=self.switches, new_id=self.new_id, endpoints=self._endpoints
        )

    def new_id(self) -> str:
        """A fresh uuid from the injected randomness."""
        return str(UUID(int=self._rng.getrandbits(128), version=4))

    # Time

    def advance(self, to_ms: int) -> None:
        """Play all steps that are due at or before an instant, in the order of their time."""
        while self._heap and self._heap[0][0] <= to_ms:
            due_ms, _, uuid = heapq.heappop(self._heap)
            if self._due.get(uuid) != due_ms:
                continue  # the job changed since this entry was made
            del self._due[uuid]
            job = self.store.jobs[uuid]
            step = next_step(job, self.timing)
            if step is not None:
                self._lifecycle.apply(job, step)
                self._schedule(job)

    def next_due_ms(self) -> int | None:
        """When the next step is due, or None if nothing will happen by itself."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _schedule(self, job: Job) -> None:
        step = next_step(job, self.timing)
        if step is None:
            self._due.pop(job.uuid, None)
            return
        due_ms = max(step.due_ms, job.updated_ms)
        if self._due.get(job.uuid) != due_ms:
            self._due[job.uuid] = due_ms
            heapq.heappush(self._heap, (due_ms, job.seq, job.uuid))

    # What a client may do

    def create_job(
        self, account_uuid: str, body: JsonValue, *, at_ms: int, created_by: str, visible_after_ms: int = 0
    ) -> Job:
        """Create a job (reference §5.1). Raises ApiError for an invalid body or an account without funds."""
        problems = find_problems(body, refuse_unknown=self.switches.unknown_fields == "refuse")
        problems = problems or find_login_problems(body, self.switches.private_registry)
        if problems or not isinstance(body, dict):
            summary = "; ".join(f"{problem['field']}: {problem['message']}" for problem in problems)
            details: JsonValue = [*problems]
            raise ApiError(self.switches.validation_status, "VALIDATION_FAILED", summary, details)
        broke = self._account(account_uuid).out_of_funds
        if broke and self.switches.insufficient_funds != "failed":
            raise ApiError(int(self.switches.insufficient_funds), "INSUFFICIENT_FUNDS", "the account has no funds left")
        job = self._new_job(account_uuid, body, at_ms, created_by)
        lag_ms = max(visible_after_ms, self.switches.list_delay_seconds * 1000)
        if lag_ms > 0:
            job.visible_from_ms = at_ms + lag_ms
            self._lagging[job.uuid] = job.visible_from_ms
        self.store.add_job(job)
        if broke:
            self._lifecycle.finish(job, "FAILED", at_ms, "insufficient funds")
        elif self.switches.initial_status == "ASSIGNED" and not job.fate.never_assigned:
            self._lifecycle.assign(job, at_ms)
        self._schedule(job)
        return job

    def cancel_job(
        self, account_uuid: str, uuid: str, *, at_ms: int, reason: str | None, seconds: float | None = None
    ) -> Job:
        """Start to cancel a job (reference §5.5). Raises ApiError if it is unknown, or ended and a switch says so."""
        job = self.get_job(account_uuid, uuid)
        job.cancel_requests += 1
        self.store.touch(job, at_ms)
        if job.status in TERMINAL:
            if self.switches.cancel_of_terminal != 200:
                code = "JOB_ALREADY_ENDED" if self.switches.cancel_of_terminal == 409 else "NOT_FOUND"
                raise ApiError(self.switches.cancel_of_terminal, code, "the job has ended")
            return job
        if job.cancel_started_ms is None:
            job.cancel_reason = reason
            self._lifecycle.begin_cancel(job, at_ms, seconds=seconds)
            if self.switches.cancel_result == "CANCELLED" and seconds is None:
                self._lifecycle.finish(job, "CANCELLED", at_ms, reason)
        self._schedule(job)
        return job

    def get_job(self, account_uuid: str, uuid: str) -> Job:
        """One job of the account. Raises ApiError 404."""
        job = self.store.jobs.get(uuid)
        if job is None or job.account_uuid != account_uuid:
            raise ApiError(404, "NOT_FOUND", "there is no such job")
        return job

    def get_run(self, account_uuid: str, uuid: str) -> Run:
        """One run of the account. Raises ApiError 404."""
        run = self.store.runs.get(uuid)
        if run is None or run.account_uuid != account_uuid:
            raise ApiError(404, "NOT_FOUND", "there is no such job run")
        return run

    def list_jobs(self, account_uuid: str, query: ListQuery, *, at_ms: int, lag_ms: int = 0) -> Page[Job]:
        """One page of the account's jobs; lag_ms hides jobs that are younger than that."""
        index = self.store.jobs_of(account_uuid)
        hidden = {uuid for uuid, visible_ms in self._lagging.items() if visible_ms > at_ms}
        self._lagging = {uuid: self._lagging[uuid] for uuid in hidden}
        if lag_ms > 0:
            hidden |= {job.uuid for job in index.newer_than(at_ms - lag_ms)}
        return list_jobs(index, query, self.switches, hidden=hidden)

    def list_runs(self, account_uuid: str, query: ListQuery) -> Page[Run]:
        """One page of the account's runs."""

        def runs_of_job(uuid: str) -> list[Run]:
            job = self.store.jobs.get(uuid)
            return job.runs if job is not None and job.account_uuid == account_uuid else []

        return list_runs(self.store.runs_of(account_uuid), query, self.switches, runs_of_job=runs_of_job)

    # What a test or a person at the console may do

    def insert_job(self, wanted: InsertedJob, *, at_ms: int) -> Job:
        """Insert a job without any check, as if it had been made elsewhere."""
        job = self._new_job(wanted.account_uuid, wanted.body, wanted.created_ms, "console")
        job.fate = wanted.fate or job.fate
        self.store.add_job(job)
        if wanted.status != "PENDING":
            self._lifecycle.force(job, wanted.status, max(at_ms, wanted.created_ms), hold=False)
        self._schedule(job)
        return job

    def force_status(self, uuid: str, status: str, *, at_ms: int, hold: bool) -> Job:
        """Put a job into a status, even one that the service does not have. Raises KeyError."""
        job = self.store.jobs[uuid]
        self._lifecycle.force(job, status, at_ms, hold=hold)
        self._schedule(job)
        return job

    def set_fate(self, uuid: str, fate: Fate, *, at_ms: int) -> Job:
        """Change what will happen to a job from now on. Raises KeyError."""
        job = self.store.jobs[uuid]
        job.fate = fate
        for run in job.runs:
            if fate.hourly_rate_usd is not None and run.status not in TERMINAL:
                run.hourly_rate_usd = fate.hourly_rate_usd
        self.store.touch(job, at_ms)
        self._schedule(job)
        return job

    def cost_usd(self, job: Job, *, at_ms: int) -> float:
        """Cost of a job so far in US dollars."""
        return cost_usd(job, timing=self.timing, now_ms=at_ms)

    def reset(self) -> None:
        """Forget all jobs, accounts' troubles, fates and switch settings."""
        for run in self.store.runs.values():
            self._endpoints.close(run.uuid)
        self.store = JobStore()
        self.accounts.clear()
        self.fate_rules.clear()
        self.switches.reset()
        self._heap, self._due, self._lagging = [], {}, {}
        self._lifecycle = self._new_lifecycle()

    def restore_job(self, job: Job) -> None:
        """Take a job back in after a restart, with new endpoints where it had some."""
        self.store.add_job(job)
        run = job.current_run
        if run is not None and run.published:
            ports = [url.container_port for url in run.node_urls]
            run.node_urls = self._endpoints.publish(job, run, ports)
        if job.visible_from_ms:
            self._lagging[job.uuid] = job.visible_from_ms
        self._schedule(job)

    def _account(self, uuid: str) -> Account:
        return self.accounts.setdefault(uuid, Account(uuid))

    def _new_job(self, account_uuid: str, body: JsonObject, at_ms: int, created_by: str) -> Job:
        title, description = str(body.get("title", "")), body.get("description")
        job = Job(
            uuid=self.new_id(), account_uuid=account_uuid, seq=self.store.next_seq(), title=title,
            description=description if isinstance(description, str) else None, task=str(body.get("task", "BATCH")),
            body=body, status="PENDING", created_ms=at_ms, updated_ms=at_ms, pending_since_ms=at_ms,
            created_by=created_by,
        )  # fmt: skip
        for rule in self.fate_rules:
            if rule.title_contains in title or rule.title_contains in (job.description or ""):
                job.fate = rule.fate
        return job
