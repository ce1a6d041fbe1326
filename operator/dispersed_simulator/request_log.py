"""Every request that arrived, for tests that ask what a client really sent. Never a secret, never a signature."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from dispersed_simulator.wire import JsonObject, to_rfc3339

KEPT = 50_000


@dataclass(slots=True)
class LoggedRequest:
    """One request. status is the answer's, `dropped` if none was given, None while it is being answered."""

    id: str
    at_ms: int
    method: str
    path: str
    query: str
    api_key: str | None
    nonce: str | None
    x_time: str | None
    status: int | str | None = None
    fault: str | None = None
    job_uuid: str | None = None
    canonical: str | None = None
    error_code: str | None = None

    def as_json(self) -> JsonObject:
        """The row of /_sim/requests."""
        return {
            "id": self.id, "at": to_rfc3339(self.at_ms), "at_ms": self.at_ms, "method": self.method, "path": self.path,
            "query": self.query, "status": self.status, "api_key": self.api_key, "nonce": self.nonce,
            "x_time": self.x_time, "fault": self.fault, "job_uuid": self.job_uuid, "canonical": self.canonical,
            "error_code": self.error_code,
        }  # fmt: skip


class RequestLog:
    """The newest requests in the order of their arrival."""

    def __init__(self, prefix: str = "req") -> None:
        self._prefix = prefix
        self._last = 0
        self._rows: deque[LoggedRequest] = deque(maxlen=KEPT)

    def open(
        self,
        *,
        at_ms: int,
        method: str,
        path: str,
        query: str,
        api_key: str | None,
        nonce: str | None,
        x_time: str | None,
    ) -> LoggedRequest:
        """Note an arrival."""
        self._last += 1
        row = LoggedRequest(f"{self._prefix}-{self._last}", at_ms, method, path, query, api_key, nonce, x_time)
        self._rows.append(row)
        return row

    def select(self, *, method: str | None, path: str | None) -> list[LoggedRequest]:
        """Requests of one method, or whose path contains a text."""
        return [
            row for row in self._rows if (method is None or row.method == method) and (path is None or path in row.path)
        ]

    def clear(self) -> None:
        """Forget all requests."""
        self._rows.clear()
