"""A small synchronous client of the control surface, for tests and the demo.

Every method is one call; a refusal raises httpx.HTTPStatusError with the simulator's explanation in its text.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import httpx

Row = dict[str, Any]


class ControlClient:
    """Sees the truth and bends it. base_url is the simulator's address without a path."""

    def __init__(self, base_url: str, *, timeout_seconds: float = 30.0) -> None:
        self._http = httpx.Client(base_url=f"{base_url}/_sim", timeout=timeout_seconds, trust_env=False)

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _call(self, method: str, path: str, *, body: Any = None, query: dict[str, str] | None = None) -> Any:
        answer = self._http.request(method, path, json=body, params=query)
        if answer.is_error:
            message = f"{method} {path}: {answer.status_code} {answer.text[:500]}"
            raise httpx.HTTPStatusError(message, request=answer.request, response=answer)
        return answer.json() if answer.content else None

    # Observation

    def health(self) -> Row:
        """{ok, jobs, live_jobs, nonces}."""
        return dict(self._call("GET", "/health"))

    def jobs(
        self,
        *,
        title_contains: str = "",
        status: str = "",
        account: str = "",
        live: bool | None = None,
        summary: bool = False,
    ) -> list[Row]:
        """All jobs of all accounts in the order of their creation; live: only those that have (not) ended."""
        query = {"title_contains": title_contains, "status": status, "account": account}
        if live is not None:
            query["live"] = str(live).lower()
        return list(self._call("GET", "/jobs", query=query | {"summary": str(summary).lower()}))

    def job(self, uuid: str) -> Row:
        """One job with its runs, cost, fate and counters."""
        return dict(self._call("GET", f"/jobs/{uuid}"))

    def requests(self, *, method: str | None = None, path: str | None = None) -> list[Row]:
        """Every request received, oldest first; path: a text that the path contains."""
        query = {name: value for name, value in (("method", method), ("path", path)) if value is not None}
        return list(self._call("GET", "/requests", query=query))

    def clear_requests(self) -> None:
        """Forget the requests."""
        self._call("DELETE", "/requests")

    # Clock and switches

    def clock(self) -> Row:
        """{now, now_ms, rate, offset_ms}."""
        return dict(self._call("GET", "/clock"))

    def advance(self, seconds: float) -> Row:
        """Step the clock; everything that was due is played in order."""
        return dict(self._call("POST", "/clock", body={"advance_seconds": seconds}))

    def set_rate(self, rate: float) -> Row:
        """Simulated seconds per real second; 0 freezes the clock."""
        return dict(self._call("POST", "/clock", body={"rate": rate}))

    def set_clock(self, iso: str) -> Row:
        """Set the clock to an RFC 3339 instant."""
        return dict(self._call("POST", "/clock", body={"set": iso}))

    def switches(self) -> Row:
        """All switches as they stand."""
        return dict(self._call("GET", "/switches"))

    def switch(self, **values: bool | float | str) -> Row:
        """Turn some switches."""
        return dict(self._call("PUT", "/switches", body=values))

    # Faults

    def add_fault(
        self,
        kind: str,
        *,
        method: str | None = None,
        path: str | None = None,
        times: int | None = 1,
        api_key: str | None = None,
        probability: float = 1.0,
        **params: Any,
    ) -> str:
        """Put a fault rule into force and return its id. times None is without end; params are the kind's own."""
        body = {
            "kind": kind, "method": method, "path": path, "times": times, "api_key": api_key,
            "probability": probability, "params": params,
        }  # fmt: skip
        return str(self._call("POST", "/faults", body=body)["id"])

    def faults(self) -> list[Row]:
        """The rules with their hits."""
        return list(self._call("GET", "/faults"))

    def fault_hits(self, fault_id: str) -> int:
        """How often a rule has struck."""
        return int(next(rule["hits"] for rule in self.faults() if rule["id"] == fault_id))

    def remove_fault(self, fault_id: str) -> None:
        """Take a rule out of force; what it stalls is let go."""
        self._call("DELETE", f"/faults/{fault_id}")

    def clear_faults(self) -> None:
        """Take all rules out of force."""
        self._call("DELETE", "/faults")

    def release(self, fault_id: str) -> None:
        """Let go of the answers that a stall holds now."""
        self._call("POST", f"/faults/{fault_id}/release")

    # Jobs

    def insert_job(self, title: str, **values: Any) -> Row:
        """Insert a job as a person in the console would: description, task, status, created_at, account_uuid,
        max_timeout_run_ms, parameters (the container object), fields (others of the body), fate."""
        return dict(self._call("POST", "/jobs", body={"title": title, **values}))

    def force_status(self, uuid: str, status: str, *, hold: bool = True) -> Row:
        """Put a job into any status; hold keeps it there until it is cancelled or forced again."""
        return dict(self._call("POST", f"/jobs/{uuid}/status", body={"status": status, "hold": hold}))

    def set_fate(self, uuid: str, **fate: Any) -> Row:
        """Change some fields of a job's fate from now on."""
        return dict(self._call("PUT", f"/jobs/{uuid}/fate", body=fate))

    def add_fate(self, title_contains: str, **fate: Any) -> None:
        """Decide the fate of future jobs whose title or description contains a text; the newest rule wins."""
        self._call("POST", "/fates", body={"title_contains": title_contains, **fate})

    def fates(self) -> list[Row]:
        """The rules for future jobs."""
        return list(self._call("GET", "/fates"))

    def clear_fates(self) -> None:
        """Forget the rules for future jobs."""
        self._call("DELETE", "/fates")

    # Keys and accounts

    def keys(self) -> list[Row]:
        """The keys without their secrets."""
        return list(self._call("GET", "/keys"))

    def add_key(
        self,
        public: str,
        secret: str,
        *,
        account_uuid: str | None = None,
        revoked: bool = False,
        expires_at: str | None = None,
        permissions: list[str] | None = None,
    ) -> None:
        """Add a key, or replace the one with this public part (another secret, another account)."""
        body = {
            "public": public, "secret": secret, "account_uuid": account_uuid, "revoked": revoked,
            "expires_at": expires_at, "permissions": permissions,
        }  # fmt: skip
        self._call("POST", "/keys", body=body)

    def revoke_key(self, public: str) -> None:
        """Revoke a key."""
        self._call("DELETE", f"/keys/{public}")

    def set_account(self, uuid: str, *, out_of_funds: bool) -> None:
        """Give an account its troubles or take them away."""
        self._call("PUT", f"/accounts/{uuid}", body={"out_of_funds": out_of_funds})

    def reset(self) -> None:
        """Forget jobs, nonces, requests, faults, fates and switch settings; keys and clock stay."""
        self._call("POST", "/reset")
