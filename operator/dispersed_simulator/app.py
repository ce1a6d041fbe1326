"""The HTTP face: routes for the API of reference §4, its OpenAPI document, and the start and end of the process.

The routes only carry bytes to the service and back; every decision about a request is made there.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from dispersed_simulator import __version__
from dispersed_simulator import openapi_models as shapes
from dispersed_simulator.auth import SignedRequest
from dispersed_simulator.control import control_router
from dispersed_simulator.runtime import Runtime
from dispersed_simulator.transport import TransportResponse

logger = logging.getLogger(__name__)

REFERENCE = "#/components/schemas/{model}"
_SIGNATURE_HEADERS = ("X-API-Key", "X-Time", "X-Nonce", "X-Signature")
_LIST_PARAMETERS = ("page", "limit", "sort")
_JOB_FILTERS = (
    "status", "task", "uuid", "created_at", "cpu_count", "min_ram_gb", "min_storage_gb", "min_vram_gb",
)  # fmt: skip
_RUN_FILTERS = ("job_uuid", "status")


def _documented(
    *, answer: str, status: str = "200", body: str | None = None, query: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The part of an operation's document that the routes cannot tell by their types."""
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}} for name in _SIGNATURE_HEADERS
    ]
    parameters += [{"name": name, "in": "query", "required": False, "schema": {"type": "string"}} for name in query]
    responses = {status: _content(answer, "Success")}
    responses |= {code: _content("Error", "Refused") for code in ("400", "401", "403", "404", "429")}
    document: dict[str, Any] = {"parameters": parameters, "responses": responses}
    if body is not None:
        document["requestBody"] = _content(body, "JSON, signed in its canonical form")
    return document


def _content(model: str, description: str) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(model=model)}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _filters(names: tuple[str, ...]) -> tuple[str, ...]:
    return (*_LIST_PARAMETERS, *(f"filter[{name}]" for name in names))


class SimulatorApp(FastAPI):
    """FastAPI whose document also describes the bodies, which the routes take as raw bytes."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            document = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            models = [
                (model, "serialization")
                for model in (shapes.JobCreate, shapes.JobCancel, shapes.Job, shapes.JobRun, shapes.JobList,
                              shapes.JobRunList, shapes.Error)
            ]  # fmt: skip
            _, definitions = models_json_schema(models, ref_template=REFERENCE)  # type: ignore[arg-type]
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(definitions["$defs"])
            self.openapi_schema = document
        return self.openapi_schema


def _end_if_failed(ticker: asyncio.Task[None], runtime: Runtime) -> None:
    """A simulator whose time stands still, or whose state cannot be written, must not go on answering."""
    if not ticker.cancelled() and ticker.exception() is not None:
        runtime.failed = True
        logger.critical("the simulated world stopped", exc_info=ticker.exception())
        signal.raise_signal(signal.SIGTERM)


def build_app(runtime: Runtime) -> SimulatorApp:
    """The application around one runtime."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        ticker = asyncio.create_task(runtime.tick_forever(), name="simulator-ticker")
        ticker.add_done_callback(lambda done: _end_if_failed(done, runtime))
        yield
        ticker.cancel()
        await asyncio.wait({ticker})
        runtime.close()

    app = SimulatorApp(
        title="Dispersed compute API (simulator)",
        version=__version__,
        description="Jobs and job runs, as far as the public sources describe them. Requests are signed.",
        lifespan=lifespan,
        docs_url=None,  # its page would load scripts from the internet
        redoc_url=None,
    )
    if runtime.settings.control:
        app.include_router(control_router(runtime))
    _add_api(app, runtime)
    return app


def _add_api(app: SimulatorApp, runtime: Runtime) -> None:
    async def answer(request: Request) -> Response:
        body = await request.body()
        raw_path: bytes = request.scope["raw_path"]
        query: bytes = request.scope["query_string"]
        signed = SignedRequest(
            method=request.method,
            path=raw_path.decode("latin-1"),
            query=query.decode("latin-1"),
            headers={name.lower(): value for name, value in request.headers.items() if name.lower() in _CARRIED},
            body=body,
        )
        reply = runtime.receive(signed)
        return TransportResponse(reply, holds=runtime.holds, latency_seconds=runtime.settings.latency_seconds)

    routes: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        ("POST", "/v1/jobs", "Create a job", _documented(answer="Job", status="201", body="JobCreate")),
        ("GET", "/v1/jobs", "List the account's jobs", _documented(answer="JobList", query=_filters(_JOB_FILTERS))),
        ("GET", "/v1/jobs/{uuid}", "Read a job", _documented(answer="Job")),
        ("PUT", "/v1/jobs/{uuid}/cancel", "Cancel a job", _documented(answer="Job", body="JobCancel")),
        ("GET", "/v1/job-runs", "List job runs (without logs)",
         _documented(answer="JobRunList", query=_filters(_RUN_FILTERS))),
        ("GET", "/v1/job-runs/{uuid}", "Read a job run with its logs", _documented(answer="JobRun")),
    )  # fmt: skip
    for method, path, summary, document in routes:
        app.add_api_route(path, answer, methods=[method], summary=summary, openapi_extra=document, tags=["api"],
                          operation_id=f"{method.lower()}_{path}")  # fmt: skip
    app.add_api_route("/v1/{rest:path}", answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                      include_in_schema=False)  # fmt: skip


_CARRIED = frozenset({"x-api-key", "x-time", "x-nonce", "x-signature", "content-type"})
