"""The outcome of a create, and the pure rule that decides it (protocol C4).

Why it exists: the one decision on which "never twice" rests is kept apart from all I/O, in one table.
Invariant: `Refused` is said only when the service cannot have created a job; whatever is not certain is `Unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from dispersed_operator.errors import MalformedAnswer, NotSent, RemoteError, UnsignableRequest
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.remote.payloads import ErrorBody, parse_created, parse_error
from dispersed_operator.remote.scrub import Scrubber


class RefusalKind(StrEnum):
    """Why no job was created, as far as the caller must tell refusals apart."""

    VALIDATION = "Validation"
    PERMISSION = "Permission"
    NOT_FOUND = "NotFound"
    FUNDS = "Funds"
    NOT_SENT = "NotSent"


@dataclass(frozen=True, slots=True)
class Accepted:
    """2xx with a uuid: the job exists. Fields of `job` other than `uuid` are what the answer happened to hold."""

    uuid: str
    job: RemoteJob


@dataclass(frozen=True, slots=True)
class Refused:
    """No job was created by this request. `message` is fit for a condition."""

    kind: RefusalKind
    message: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A job may exist: look it up (protocol C7). `status` is the HTTP status, None if no answer came."""

    message: str
    status: int | None = None


CreateOutcome = Accepted | Refused | Unknown

_REFUSALS = {
    400: RefusalKind.VALIDATION,
    402: RefusalKind.FUNDS,
    403: RefusalKind.PERMISSION,
    404: RefusalKind.NOT_FOUND,
    413: RefusalKind.VALIDATION,
    422: RefusalKind.VALIDATION,
}


def classify_create(
    status: int, body: bytes, *, replay_codes: Iterable[str] = (), scrubber: Scrubber | None = None
) -> CreateOutcome:
    """The outcome that an answer to `POST /v1/jobs` means.

    `replay_codes` are the `refusal_key`s with which this account refuses replayed and stale requests: such an answer
    may be for the second copy of a request whose first copy was accepted, so it says nothing.
    """
    cleaner = scrubber or Scrubber()
    if 200 <= status < 300:
        try:
            job = parse_created(body)
        except MalformedAnswer as error:
            return Unknown(f"HTTP {status}, but {error}", status)
        return Accepted(job.uuid, job)
    error_body = parse_error(body)
    message = cleaner.clean(str(error_body)) if error_body is not None else ""
    kind = _REFUSALS.get(status)
    if kind is None or error_body is None or refusal_key(status, error_body) in frozenset(replay_codes):
        return Unknown(f"HTTP {status}" + (f": {message}" if message else " without a readable error"), status)
    return Refused(kind, message)


def classify_failure(error: RemoteError) -> Refused | Unknown:
    """The outcome when no answer came: refused only if no byte left this process."""
    if isinstance(error, NotSent | UnsignableRequest):
        return Refused(RefusalKind.NOT_SENT, str(error))
    return Unknown(str(error))


def refusal_key(status: int, error_body: ErrorBody | None) -> str:
    """What tells one kind of refusal from another: the code of the error body, or the bare status if it has none."""
    return error_body.code if error_body is not None and error_body.code else f"HTTP {status}"
