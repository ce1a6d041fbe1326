"""The bodies that the control surface accepts; unknown fields are refused, so that a typo in a test shows."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from dispersed_simulator.wire import JsonObject


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClockChange(_Strict):
    """What to do to the clock; several at once are done in the order set, rate, advance."""

    advance_seconds: float | None = None
    rate: float | None = None
    set: str | None = None


class FaultIn(_Strict):
    """A fault rule. method and path default to what suits the kind; times null is without end."""

    kind: str
    method: str | None = None
    path: str | None = None
    times: int | None = 1
    api_key: str | None = None
    probability: float = 1.0
    params: dict[str, Any] = {}


class JobIn(_Strict):
    """A job to insert. parameters: the container object."""

    title: str
    description: str | None = None
    task: str = "BATCH"
    status: str = "PENDING"
    created_at: str | None = None
    account_uuid: str | None = None
    max_timeout_run_ms: int | None = 3_600_000
    parameters: dict[str, Any] = {"image": "example/console", "tag": "latest"}
    fields: dict[str, Any] = {}
    fate: dict[str, Any] | None = None

    def body(self) -> JsonObject:
        """The create body that such a job would have had."""
        body: dict[str, Any] = {
            "title": self.title, "task": self.task, "parameters": {"type": "docker", "parameters": self.parameters},
            "max_timeout_run_ms": None if self.task == "PERSISTENT" else self.max_timeout_run_ms,
        }  # fmt: skip
        if self.description is not None:
            body["description"] = self.description
        return body | self.fields


class StatusIn(_Strict):
    """A status to put a job into; hold keeps it there until it is cancelled or forced again."""

    status: str
    hold: bool = True


class KeyIn(_Strict):
    """An API key. permissions null allows everything."""

    public: str
    secret: str
    account_uuid: str | None = None
    revoked: bool = False
    expires_at: str | None = None
    permissions: list[str] | None = None


class AccountIn(_Strict):
    """An account's troubles."""

    out_of_funds: bool = False
