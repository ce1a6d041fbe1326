"""Answers of the service, parsed tolerantly into the types of `model/remote.py` (API reference §3, §5.2, §6).

Why it exists: neither the envelope nor the fields are settled, so everything that is only decoration is read leniently
(`fields.py`), and everything that a decision rests on strictly. Invariants: a row without a usable uuid and status
fails its page, for a row that vanished from a listing could become a false proof of absence (protocol, Complete
listing); an unknown status survives as the text that was sent; no error text quotes an answer, which may echo env
values.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from dispersed_operator.errors import MalformedAnswer
from dispersed_operator.model.naming import TOKEN_ENV
from dispersed_operator.model.remote import NodeURL, RemoteJob, RemoteRun
from dispersed_operator.remote import fields
from dispersed_operator.remote.fields import Moment

UNSTATED = "UNKNOWN"  # the status of a job that was created by an answer without one: alive, as every unknown status
_UUID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_ERROR_TEXT_LIMIT = 500
_LISTED_ERRORS = 3


def _uuid(value: object) -> object:
    return value.strip() if isinstance(value, str) and _UUID.fullmatch(value.strip()) else None


def _status(value: object) -> object:
    return sys.intern(value.strip().upper()) if isinstance(value, str) and value.strip() else None


def _reason(value: object) -> object:
    return value if isinstance(value, str) and value else None


def token_of_env(value: object) -> object:
    """Our token among the env of a job's `parameters`, None if it did not come back."""
    for key in ("parameters", "env", TOKEN_ENV):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def _account(value: object) -> object:
    return _uuid(value.get("uuid") if isinstance(value, dict) else value)


def _snapshot_uuid(value: object) -> object:
    return _uuid(value.get("uuid")) if isinstance(value, dict) else None


Uuid = Annotated[str, BeforeValidator(_uuid)]
OptionalUuid = Annotated[str | None, BeforeValidator(_uuid)]
Status = Annotated[str, BeforeValidator(_status)]
Text = Annotated[str, BeforeValidator(fields.text)]
Reason = Annotated[str | None, BeforeValidator(_reason)]
Instant = Annotated[Moment | None, BeforeValidator(fields.moment)]
Whole = Annotated[int | None, BeforeValidator(fields.integer)]
Rate = Annotated[Decimal | None, BeforeValidator(fields.decimal)]
Tokens = Annotated[tuple[str, ...], BeforeValidator(fields.tokens)]
Urls = Annotated[tuple[NodeURL, ...], BeforeValidator(fields.node_urls)]
Logs = Annotated[str | None, BeforeValidator(fields.log_text)]


class _Payload(BaseModel):
    """Unknown fields are ignored, and no error text quotes a value."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)


class JobPayload(_Payload):
    """A Job as it comes (API reference §5.2)."""

    uuid: Uuid
    status: Status
    title: Text = ""
    description: Text = ""
    task: Text = ""
    created_at: Instant = None
    started_at: Instant = None
    completed_at: Instant = None
    status_reason: Reason = None
    account_uuid: OptionalUuid = None
    account: Annotated[str | None, BeforeValidator(_account)] = None
    parameters: Annotated[str | None, BeforeValidator(token_of_env)] = Field(default=None, repr=False)
    container_access_tokens: Tokens = Field(default=(), repr=False)

    def job(self) -> RemoteJob:
        """The frozen value that the rest of the operator sees."""
        return RemoteJob(
            uuid=self.uuid,
            status=self.status,
            title=self.title,
            description=self.description,
            task=sys.intern(self.task.upper()),
            created_at=self.created_at.at if self.created_at else None,
            created_at_is_date=self.created_at is not None and self.created_at.is_date,
            started_at=self.started_at.at if self.started_at else None,
            completed_at=self.completed_at.at if self.completed_at else None,
            account_uuid=self.account_uuid or self.account,
            status_reason=self.status_reason,
            env_token=self.parameters,
            access_tokens=self.container_access_tokens,
        )


class CreatedPayload(JobPayload):
    """The answer to a create: the uuid alone proves that the job exists (API reference §5.2, protocol C4)."""

    status: Annotated[str, BeforeValidator(lambda value: _status(value) or UNSTATED)] = UNSTATED


class RunPayload(_Payload):
    """A Job Run as it comes (API reference §6.3)."""

    uuid: Uuid
    status: Status
    job_uuid: OptionalUuid = None
    job_snapshot: Annotated[str | None, BeforeValidator(_snapshot_uuid)] = None
    created_at: Instant = None
    started_at: Instant = None
    started_at_ms: Instant = None
    completed_at: Instant = None
    ended_at_ms: Instant = None
    duration_ms: Whole = None
    hourly_rate_usd: Rate = None
    node_urls: Urls = ()
    container_access_tokens: Tokens = Field(default=(), repr=False)
    status_reason: Reason = None
    exit_code: Whole = None
    exit_code_camel: Whole = Field(default=None, alias="exitCode")
    logs: Logs = Field(default=None, repr=False)

    def run(self) -> RemoteRun:
        """The frozen value that the rest of the operator sees. `job_uuid` is empty if the row does not name its job."""
        started, ended = self.started_at_ms or self.started_at, self.ended_at_ms or self.completed_at
        rate = self.hourly_rate_usd
        return RemoteRun(
            uuid=self.uuid,
            job_uuid=self.job_uuid or self.job_snapshot or "",
            status=self.status,
            created_at=self.created_at.at if self.created_at else None,
            started_at=started.at if started else None,
            ended_at=ended.at if ended else None,
            duration_ms=self.duration_ms,
            hourly_rate_usd=rate if rate is not None and rate >= 0 else None,
            node_urls=self.node_urls,
            access_tokens=self.container_access_tokens,
            status_reason=self.status_reason,
            exit_code=self.exit_code if self.exit_code is not None else self.exit_code_camel,
            logs=self.logs,
        )


JOB_FIELDS = tuple(field.alias or name for name, field in JobPayload.model_fields.items() if name != "parameters")
"""All that is read of a job's row, the parameters apart."""
RUN_FIELDS = tuple(field.alias or name for name, field in RunPayload.model_fields.items() if name != "duration_ms")
"""All that is read of a run's row, the duration apart."""

_P = TypeVar("_P", bound=_Payload)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a JSON error body says (API reference §3.4); unredacted."""

    code: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.code, self.message) if part)


@dataclass(frozen=True, slots=True)
class RawPage:
    """One page before its rows are parsed. `total` and `limit` are None if the service did not say."""

    rows: tuple[object, ...]
    total: int | None
    limit: int | None


_JOB = TypeAdapter(JobPayload)
_CREATED = TypeAdapter(CreatedPayload)
_RUN = TypeAdapter(RunPayload)


def parse_job(body: bytes) -> RemoteJob:
    """A single job, bare or under `data`. Raises MalformedAnswer."""
    return job_of_row(_single(_decoded(body)))


def parse_created(body: bytes) -> RemoteJob:
    """The job of a create answer: a uuid, bare or under `data`, is enough. Raises MalformedAnswer."""
    return _validated(_CREATED, _single(_decoded(body)), "job").job()


def parse_run(body: bytes) -> RemoteRun:
    """A single run with its logs, bare or under `data`. Raises MalformedAnswer."""
    return run_of_row(_single(_decoded(body)))


def parse_page(body: bytes) -> RawPage:
    """A list envelope or a bare array (API reference §3.3). Raises MalformedAnswer."""
    decoded = _decoded(body)
    if isinstance(decoded, list):
        return RawPage(tuple(decoded), None, None)
    rows = decoded.get("data") if isinstance(decoded, dict) else None
    if not isinstance(decoded, dict) or not isinstance(rows, list):
        raise MalformedAnswer("the answer is neither a list envelope nor an array")
    total, limit = fields.integer(decoded.get("total")), fields.integer(decoded.get("limit"))
    return RawPage(
        tuple(rows),
        total if total is not None and total >= 0 else None,
        limit if limit is not None and limit > 0 else None,
    )


def job_of_row(row: object) -> RemoteJob:
    """One row of a job list. Raises MalformedAnswer without a uuid and a status."""
    return _validated(_JOB, row, "job").job()


def run_of_row(row: object) -> RemoteRun:
    """One row of a run list. Raises MalformedAnswer without a uuid and a status."""
    return _validated(_RUN, row, "job run").run()


def parse_error(body: bytes) -> ErrorBody | None:
    """Code and message of a JSON error body, None if the body is not one (API reference §3.4)."""
    try:
        decoded = _decoded(body)
    except MalformedAnswer:
        return None
    if not isinstance(decoded, dict):
        return None
    error = decoded.get("error")
    if isinstance(error, dict) and (found := _code_and_message(error)):
        return found
    if found := _code_and_message(decoded):
        return found
    for value in (error, decoded.get("detail"), decoded.get("errors")):
        if value:
            return ErrorBody(code="", message=_words(value))
    return None


def _code_and_message(holder: Mapping[str, object]) -> ErrorBody | None:
    code, message = holder.get("code"), holder.get("message")
    shown = str(code) if isinstance(code, str | int) and not isinstance(code, bool) else ""
    if not shown and not (isinstance(message, str) and message):
        return None
    return ErrorBody(code=shown[:_ERROR_TEXT_LIMIT], message=fields.text(message)[:_ERROR_TEXT_LIMIT])


def _words(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(_words(item) for item in value[:_LISTED_ERRORS])[:_ERROR_TEXT_LIMIT]
    if isinstance(value, dict):
        return fields.text(value.get("message") or value.get("msg") or value.get("detail"))[:_ERROR_TEXT_LIMIT]
    return str(value)[:_ERROR_TEXT_LIMIT]


def _single(decoded: object) -> object:
    """The object itself, or the one under `data` (API reference §3.1)."""
    if isinstance(decoded, dict) and not decoded.get("uuid") and isinstance(decoded.get("data"), dict):
        return decoded["data"]
    return decoded


def _decoded(body: bytes) -> object:
    try:
        value: object = json.loads(body, parse_float=Decimal, parse_constant=_not_json)
    except (ValueError, RecursionError):
        raise MalformedAnswer("the answer is not JSON") from None
    return value


def _not_json(constant: str) -> NoReturn:
    raise ValueError(constant)


def _validated(adapter: TypeAdapter[_P], row: object, what: str) -> _P:
    try:
        return adapter.validate_python(row)
    except ValidationError as error:
        names = sorted({str(detail["loc"][0]) for detail in error.errors(include_input=False) if detail["loc"]})
        missing = f" without a usable {' and '.join(names)}" if names else " that is no object"
    raise MalformedAnswer(f"a {what}{missing}")
