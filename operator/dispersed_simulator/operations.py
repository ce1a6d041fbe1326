"""The operations of the API for jobs and runs (API reference §4): from a verified request to status and payload."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from dispersed_simulator.api_error import ApiError
from dispersed_simulator.auth import SignedRequest
from dispersed_simulator.engine import Engine
from dispersed_simulator.faults import Strike
from dispersed_simulator.listing import JOB_FILTERS, RUN_FILTERS, Page, parse_query
from dispersed_simulator.records import ApiKey, Job, Run
from dispersed_simulator.rendering import render_job, render_run
from dispersed_simulator.wire import JsonObject, JsonValue, seconds_to_ms


@dataclass(frozen=True, slots=True)
class Outcome:
    """Status and payload of an operation that succeeded, and the job that it concerned."""

    status: int
    payload: JsonValue
    job_uuid: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A verified request with what the faults ask of its execution."""

    request: SignedRequest
    account_uuid: str
    strike: Strike
    at_ms: int
    created_by: str
    uuid: str


Operation = Callable[["Operations", Call], Outcome]


class Operations:
    """Runs one operation on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def run(self, request: SignedRequest, key: ApiKey, strike: Strike, *, at_ms: int, created_by: str) -> Outcome:
        """Find and run the operation. Raises ApiError: 404 without one, 403 without the permission."""
        for method, pattern, permission, operation in _ROUTES:
            found = re.fullmatch(pattern, request.path)
            if found is None or method != request.method:
                continue
            if key.permissions is not None and permission not in key.permissions:
                raise ApiError(403, "PERMISSION_DENIED", f"the API key lacks {permission}")
            if strike.disruptive is not None and strike.disruptive.kind == "not_found_burst":
                raise ApiError(404, "NOT_FOUND", "not found")
            uuid = found.group(1) if found.groups() else ""
            return operation(self, Call(request, key.account_uuid, strike, at_ms, created_by, uuid))
        if any(re.fullmatch(pattern, request.path) for _, pattern, _, _ in _ROUTES):
            raise ApiError(405, "METHOD_NOT_ALLOWED", "the method is not allowed here")
        raise ApiError(404, "NOT_FOUND", "there is no such path")

    def create_job(self, call: Call) -> Outcome:
        """POST /v1/jobs."""
        engine, switches = self._engine, self._engine.switches
        lag = call.strike.colouring.get("listing_lag")
        job = engine.create_job(
            call.account_uuid,
            _parse_body(call.request.body),
            at_ms=call.at_ms,
            created_by=call.created_by,
            visible_after_ms=seconds_to_ms(lag.number("seconds", 30)) if lag else 0,
        )
        row = render_job(job, switches)
        if switches.uuid_on_create == "missing":
            del row["uuid"]
        elif switches.uuid_on_create == "null":
            row["uuid"] = None
        return Outcome(switches.create_status, {"data": row} if switches.create_wrapped else row, job.uuid)

    def list_jobs(self, call: Call) -> Outcome:
        """GET /v1/jobs."""
        switches = self._engine.switches
        query = parse_query(call.request.query, known=JOB_FILTERS, switches=switches)
        lag = call.strike.colouring.get("listing_lag")
        lag_ms = seconds_to_ms(lag.number("seconds", 30)) if lag else 0
        page = self._engine.list_jobs(call.account_uuid, query, at_ms=call.at_ms, lag_ms=lag_ms)
        return Outcome(200, self._listing(page, [render_job(job, switches) for job in page.rows]))

    def read_job(self, call: Call) -> Outcome:
        """GET /v1/jobs/{uuid}."""
        job = self._engine.get_job(call.account_uuid, call.uuid)
        return Outcome(200, render_job(job, self._engine.switches), job.uuid)

    def cancel_job(self, call: Call) -> Outcome:
        """PUT /v1/jobs/{uuid}/cancel."""
        engine, rule = self._engine, call.strike.disruptive
        body = _parse_body(call.request.body) if call.request.body else {}
        reason = body.get("reason") if isinstance(body, dict) else None
        if not isinstance(body, dict) or not (reason is None or isinstance(reason, str)):
            raise ApiError(engine.switches.validation_status, "VALIDATION_FAILED", "reason must be a text")
        if rule is not None and rule.kind == "cancel_lost":
            job = engine.get_job(call.account_uuid, call.uuid)
            job.cancel_requests += 1
            engine.store.touch(job, job.updated_ms)
            return Outcome(200, render_job(job, engine.switches), job.uuid)
        slow = rule.number("seconds", 60) if rule is not None and rule.kind == "cancel_slow" else None
        job = engine.cancel_job(call.account_uuid, call.uuid, at_ms=call.at_ms, reason=reason, seconds=slow)
        return Outcome(engine.switches.cancel_status, render_job(job, engine.switches), job.uuid)

    def list_runs(self, call: Call) -> Outcome:
        """GET /v1/job-runs."""
        query = parse_query(call.request.query, known=RUN_FILTERS, switches=self._engine.switches)
        page = self._engine.list_runs(call.account_uuid, query)
        return Outcome(200, self._listing(page, [self._run_row(run, call.at_ms, logs=False) for run in page.rows]))

    def read_run(self, call: Call) -> Outcome:
        """GET /v1/job-runs/{uuid}."""
        run = self._engine.get_run(call.account_uuid, call.uuid)
        return Outcome(200, self._run_row(run, call.at_ms, logs=True), run.job_uuid)

    def _run_row(self, run: Run, at_ms: int, *, logs: bool) -> JsonObject:
        job = self._engine.store.jobs[run.job_uuid]
        return render_run(run, job, self._engine.switches, now_ms=at_ms, with_logs=logs)

    def _listing(self, page: Page[Job] | Page[Run], rows: list[JsonObject]) -> JsonValue:
        data: list[JsonValue] = [*rows]
        if self._engine.switches.list_shape == "array":
            return data
        total = len(data) if self._engine.switches.total_counts == "page" else page.total
        return {"data": data, "page": page.page, "limit": page.limit, "total": total}


def _parse_body(body: bytes) -> JsonValue:
    try:
        value: JsonValue = json.loads(body)
    except (ValueError, RecursionError):
        raise ApiError(400, "INVALID_JSON", "the body is not JSON") from None
    return value


_ROUTES: tuple[tuple[str, str, str, Operation], ...] = (
    ("POST", r"/v1/jobs", "jobs.create.own", Operations.create_job),
    ("GET", r"/v1/jobs", "jobs.read.own", Operations.list_jobs),
    ("GET", r"/v1/jobs/([^/]+)", "jobs.read.own", Operations.read_job),
    ("PUT", r"/v1/jobs/([^/]+)/cancel", "jobs.update.own", Operations.cancel_job),
    ("GET", r"/v1/job-runs", "job_runs.read.own", Operations.list_runs),
    ("GET", r"/v1/job-runs/([^/]+)", "job_runs.read.own", Operations.read_run),
)
