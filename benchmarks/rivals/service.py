"""The signed remote API for the rivals: one httpx client, one call.

The signing is ours, because there is no other for this service and it must be right; nothing else of the operator is
used, so that nothing of it helps or hinders a rival.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import Any

import httpx

from dispersed_operator.remote.signing import Credentials, canonical_body, canonical_query, signed_request

Body = dict[str, Any]
ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
LIVE = ("PENDING", "ASSIGNED", "PREPARING", "RUNNING", "FAILING", "CANCELLING")
POLL_SECONDS = 15.0
"""The interval of all contenders: the default of the operator's accounts."""
PHASES = {
    "PENDING": "Queued", "ASSIGNED": "Starting", "PREPARING": "Starting", "RUNNING": "Running",
    "FAILING": "Stopping", "CANCELLING": "Stopping", "COMPLETED": "Succeeded", "FAILED": "Failed",
    "CANCELLED": "Stopped",
}  # fmt: skip


class Service:
    """The service that REMOTE_URL names, with the key pair of REMOTE_PUBLIC_KEY and REMOTE_SECRET_KEY."""

    def __init__(self) -> None:
        self._credentials = Credentials(os.environ["REMOTE_PUBLIC_KEY"], os.environ["REMOTE_SECRET_KEY"])
        self._http = httpx.AsyncClient(base_url=os.environ["REMOTE_URL"], timeout=20.0)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(
        self, method: str, path: str, body: Body | None = None, query: tuple[tuple[str, str], ...] = ()
    ) -> Any:
        """The JSON answer. Raises httpx.HTTPError."""
        request = signed_request(
            self._credentials,
            method=method,
            path=path,
            query=canonical_query(query),
            body=b"" if body is None else canonical_body(body),
            time_ms=int(time.time() * 1000),
            nonce=secrets.token_hex(16),
        )
        answer = await self._http.request(
            method, request.target, content=request.body or None, headers=dict(request.headers)
        )
        answer.raise_for_status()
        return answer.json()


def job_request(name: str, spec: Body) -> Body:
    """The body of a create for a small BATCH job."""
    return {
        "task": "BATCH",
        "title": name,
        "max_timeout_run_ms": int(spec["deadlines"]["runSeconds"]) * 1000,
        "parameters": {"type": "docker", "parameters": {"image": spec["template"]["image"], "tag": "latest"}},
    }
