"""The control surface under /_sim/: the truth about the service, and everything a test may do to it.

Not signed, and served on loopback only unless it is asked for. Never shows a key's secret or a signature.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException, Query, Response

from dispersed_simulator import control_models as models
from dispersed_simulator.engine import InsertedJob
from dispersed_simulator.records import (
    DEMO_ACCOUNT,
    TERMINAL,
    Account,
    ApiKey,
    FateRule,
    Job,
    fate_from_json,
    flat_to_json,
)
from dispersed_simulator.rendering import render_job
from dispersed_simulator.runtime import Runtime
from dispersed_simulator.switches import Switches, describe_switches
from dispersed_simulator.wire import JsonObject, JsonValue, parse_instant, to_rfc3339

AnyObject = Annotated[dict[str, Any], Body()]


def _json(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value), status_code=status, media_type="application/json")


def job_truth(runtime: Runtime, job: Job, now_ms: int) -> JsonObject:
    """Everything about one job, whatever the switches hide from clients."""
    runs: list[JsonValue] = [
        {
            "uuid": run.uuid, "number": run.number, "status": run.status, "status_reason": run.status_reason,
            "started_at_ms": run.started_ms, "ended_at_ms": run.ended_ms, "exit_code": run.exit_code,
            "hourly_rate_usd": run.hourly_rate_usd, "access_token": run.access_token, "published": run.published,
            "node_urls": [flat_to_json(url) for url in run.node_urls],
        }
        for run in job.runs
    ]  # fmt: skip
    return job_summary(runtime, job, now_ms) | {
        "description": job.description,
        "cancel_reason": job.cancel_reason,
        "runs": runs,
        "fate": flat_to_json(job.fate),
        "parameters": render_job(job, Switches()).get("parameters"),
    }


def job_summary(runtime: Runtime, job: Job, now_ms: int) -> JsonObject:
    """The short row of a job."""
    return {
        "uuid": job.uuid, "account_uuid": job.account_uuid, "title": job.title, "task": job.task, "status": job.status,
        "status_reason": job.status_reason, "live": job.status not in TERMINAL,
        "created_at": to_rfc3339(job.created_ms),
        "created_at_ms": job.created_ms, "completed_at_ms": job.completed_ms,
        "cost_usd": runtime.service.engine.cost_usd(job, at_ms=now_ms), "created_by": job.created_by,
        "cancel_requests": job.cancel_requests,
    }  # fmt: skip


def control_router(runtime: Runtime) -> APIRouter:
    """All routes of the control surface."""
    router = APIRouter(prefix="/_sim", tags=["control"])
    _add_observation(router, runtime)
    _add_clock_and_switches(router, runtime)
    _add_faults(router, runtime)
    _add_jobs(router, runtime)
    _add_accounts(router, runtime)
    return router


def _bad_request(error: Exception) -> HTTPException:
    return HTTPException(status_code=422, detail=str(error))


def _find_job(runtime: Runtime, uuid: str) -> Job:
    job = runtime.service.engine.store.jobs.get(uuid)
    if job is None:
        raise HTTPException(status_code=404, detail=f"there is no job {uuid}")
    return job


def _add_observation(router: APIRouter, runtime: Runtime) -> None:
    service = runtime.service

    @router.get("/health", summary="Is the simulator up, and how much does it hold?")
    async def health() -> Response:
        jobs = service.engine.store.jobs
        live = sum(job.status not in TERMINAL for job in jobs.values())
        return _json({"ok": True, "jobs": len(jobs), "live_jobs": live, "nonces": len(service.nonces)})

    @router.get("/jobs", summary="All jobs of all accounts: the truth")
    async def list_jobs(
        title_contains: str = "", status: str = "", account: str = "", live: bool | None = None, summary: bool = False
    ) -> Response:
        now_ms = service.advance()
        show = job_summary if summary else job_truth
        return _json(
            [
                show(runtime, job, now_ms)
                for job in service.engine.store.jobs.values()
                if title_contains in job.title
                and status in {"", job.status}
                and account in {"", job.account_uuid}
                and (live is None or live is (job.status not in TERMINAL))
            ]
        )

    @router.get("/jobs/{uuid}", summary="One job: the truth")
    async def read_job(uuid: str) -> Response:
        now_ms = service.advance()
        return _json(job_truth(runtime, _find_job(runtime, uuid), now_ms))

    @router.get("/requests", summary="Every request received")
    async def list_requests(method: str | None = None, path: Annotated[str | None, Query()] = None) -> Response:
        return _json([row.as_json() for row in service.log.select(method=method, path=path)])

    @router.delete("/requests", summary="Forget the requests", status_code=204)
    async def clear_requests() -> Response:
        service.log.clear()
        return Response(status_code=204)


def _add_clock_and_switches(router: APIRouter, runtime: Runtime) -> None:
    def clock_state() -> JsonObject:
        clock = runtime.clock
        now_ms = clock.now_ms()
        return {"now": to_rfc3339(now_ms), "now_ms": now_ms, "rate": clock.rate, "offset_ms": clock.offset_ms}

    @router.get("/clock", summary="The simulated time")
    async def read_clock() -> Response:
        return _json(clock_state())

    @router.post("/clock", summary="Step, set or re-time the clock")
    async def move_clock(change: models.ClockChange) -> Response:
        try:
            if change.set is not None:
                runtime.clock.set_to(parse_instant(change.set))
            if change.rate is not None:
                runtime.clock.set_rate(change.rate)
        except ValueError as error:
            raise _bad_request(error) from None
        if change.advance_seconds is not None:
            runtime.clock.advance(change.advance_seconds)
        runtime.service.advance()
        runtime.save()
        return _json(clock_state())

    @router.get("/switches", summary="The switches as they stand")
    async def read_switches(describe: bool = False) -> Response:
        described: list[JsonValue] = [*describe_switches()]
        return _json({"switches": described} if describe else runtime.service.engine.switches.as_json())

    @router.put("/switches", summary="Turn some switches")
    async def turn_switches(values: AnyObject) -> Response:
        try:
            runtime.service.engine.switches.update(values)
        except ValueError as error:
            raise _bad_request(error) from None
        runtime.save()
        return _json(runtime.service.engine.switches.as_json())


def _add_faults(router: APIRouter, runtime: Runtime) -> None:
    faults = runtime.service.faults

    @router.get("/faults", summary="The fault rules with their hits")
    async def list_faults() -> Response:
        return _json([rule.as_json() for rule in faults.all()])

    @router.post("/faults", summary="Put a fault rule into force", status_code=201)
    async def add_fault(wanted: models.FaultIn) -> Response:
        try:
            rule = faults.add(
                wanted.kind, method=wanted.method, path=wanted.path, times=wanted.times, api_key=wanted.api_key,
                probability=wanted.probability, params=wanted.params,
            )  # fmt: skip
        except ValueError as error:
            raise _bad_request(error) from None
        runtime.save()
        return _json(rule.as_json(), status=201)

    @router.delete("/faults", summary="Take all fault rules out of force", status_code=204)
    async def clear_faults() -> Response:
        faults.clear()
        runtime.holds.release_all()
        runtime.save()
        return Response(status_code=204)

    @router.delete("/faults/{rule_id}", summary="Take a fault rule out of force", status_code=204)
    async def remove_fault(rule_id: str) -> Response:
        try:
            faults.remove(rule_id)
        except KeyError:
            raise HTTPException(status_code=404, detail=f"there is no fault {rule_id}") from None
        runtime.holds.release(rule_id)
        runtime.save()
        return Response(status_code=204)

    @router.post("/faults/{rule_id}/release", summary="Let go of the answers that a stall holds", status_code=204)
    async def release_fault(rule_id: str) -> Response:
        runtime.holds.release(rule_id)
        return Response(status_code=204)


def _add_jobs(router: APIRouter, runtime: Runtime) -> None:
    service, engine = runtime.service, runtime.service.engine

    @router.post("/jobs", summary="Insert a job as a person in the console would", status_code=201)
    async def insert_job(wanted: models.JobIn) -> Response:
        now_ms = service.advance()
        try:
            created_ms = now_ms if wanted.created_at is None else parse_instant(wanted.created_at)
            fate = None if wanted.fate is None else fate_from_json(wanted.fate)
        except ValueError as error:
            raise _bad_request(error) from None
        inserted = InsertedJob(
            account_uuid=wanted.account_uuid or DEMO_ACCOUNT, body=wanted.body(), created_ms=created_ms,
            status=wanted.status, fate=fate,
        )  # fmt: skip
        job = engine.insert_job(inserted, at_ms=now_ms)
        runtime.save()
        return _json(job_truth(runtime, job, now_ms), status=201)

    @router.post("/jobs/{uuid}/status", summary="Put a job into a status")
    async def force_status(uuid: str, wanted: models.StatusIn) -> Response:
        now_ms = service.advance()
        _find_job(runtime, uuid)
        job = engine.force_status(uuid, wanted.status, at_ms=now_ms, hold=wanted.hold)
        runtime.save()
        return _json(job_truth(runtime, job, now_ms))

    @router.put("/jobs/{uuid}/fate", summary="Change what will happen to a job")
    async def set_fate(uuid: str, wanted: AnyObject) -> Response:
        now_ms = service.advance()
        known = flat_to_json(_find_job(runtime, uuid).fate)
        try:
            fate = fate_from_json(_as_json_lines(known) | wanted)
        except ValueError as error:
            raise _bad_request(error) from None
        job = engine.set_fate(uuid, fate, at_ms=now_ms)
        runtime.save()
        return _json(job_truth(runtime, job, now_ms))

    @router.get("/fates", summary="The fates of future jobs")
    async def list_fates() -> Response:
        return _json(
            [{"title_contains": rule.title_contains, "fate": flat_to_json(rule.fate)} for rule in engine.fate_rules]
        )

    @router.post("/fates", summary="Decide the fate of future jobs by their title", status_code=201)
    async def add_fate(wanted: AnyObject) -> Response:
        title = wanted.pop("title_contains", None)
        if not isinstance(title, str):
            raise HTTPException(status_code=422, detail="title_contains is missing")
        try:
            engine.fate_rules.append(FateRule(title, fate_from_json(wanted)))
        except ValueError as error:
            raise _bad_request(error) from None
        runtime.save()
        return _json({"title_contains": title, "fate": wanted}, status=201)

    @router.delete("/fates", summary="Forget the fates of future jobs", status_code=204)
    async def clear_fates() -> Response:
        engine.fate_rules.clear()
        runtime.save()
        return Response(status_code=204)


def _as_json_lines(fate: JsonObject) -> JsonObject:
    lines = fate["log_lines"]
    return fate | {"log_lines": [*lines] if lines is not None else None}  # type: ignore[misc]


def _add_accounts(router: APIRouter, runtime: Runtime) -> None:
    service = runtime.service

    @router.get("/keys", summary="The API keys without their secrets")
    async def list_keys() -> Response:
        return _json([flat_to_json(key) | {"secret": None} for key in service.keys.values()])

    @router.post("/keys", summary="Add, replace or rotate an API key", status_code=201)
    async def add_key(wanted: models.KeyIn) -> Response:
        try:
            expires_ms = None if wanted.expires_at is None else parse_instant(wanted.expires_at)
        except ValueError as error:
            raise _bad_request(error) from None
        service.keys[wanted.public] = ApiKey(
            wanted.public, wanted.secret, wanted.account_uuid or DEMO_ACCOUNT, wanted.revoked, expires_ms,
            wanted.permissions,
        )  # fmt: skip
        runtime.save()
        return _json({"public": wanted.public}, status=201)

    @router.delete("/keys/{public}", summary="Revoke an API key", status_code=204)
    async def revoke_key(public: str) -> Response:
        if public not in service.keys:
            raise HTTPException(status_code=404, detail=f"there is no key {public}")
        service.keys[public].revoked = True
        runtime.save()
        return Response(status_code=204)

    @router.put("/accounts/{uuid}", summary="Set an account's troubles")
    async def set_account(uuid: str, wanted: models.AccountIn) -> Response:
        service.engine.accounts[uuid] = Account(uuid, wanted.out_of_funds)
        runtime.save()
        return _json({"uuid": uuid, "out_of_funds": wanted.out_of_funds})

    @router.post("/reset", summary="Back to the state of a fresh start; clock and keys stay", status_code=204)
    async def reset() -> Response:
        service.reset()
        runtime.holds.release_all()
        if runtime.state_file is not None:
            runtime.state_file.write_snapshot(service)
        return Response(status_code=204)
