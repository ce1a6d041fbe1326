"""What the simulator remembers: jobs, runs, keys, accounts, fates. Plain data, no behaviour beyond JSON and derivation.

Invariant: everything here can be written to JSON and read back unchanged, and nothing else is needed to go on after a
restart.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from dispersed_simulator.wire import JsonObject

TERMINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
STATUSES = (
    "PENDING", "ASSIGNED", "PREPARING", "RUNNING", "FAILING", "CANCELLING", "COMPLETED", "FAILED", "CANCELLED",
)  # fmt: skip
DEMO_ACCOUNT = "00000000-0000-4000-8000-000000000001"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the simulated world takes by default, in seconds."""

    assign_seconds: float = 1.0
    accept_seconds: float = 0.2
    prepare_seconds: float = 1.0
    run_seconds: float = 5.0
    endpoints_seconds: float = 1.0
    cancel_seconds: float = 1.0
    hourly_rate_usd: float = 0.35


@dataclass(frozen=True, slots=True)
class Fate:
    """What will happen to one job; None means the default timing.

    bad_runs: exit_code and node_lost_after_seconds strike only the first so many runs, later ones end well.
    """

    exit_code: int = 0
    node_lost_after_seconds: float | None = None
    never_assigned: bool = False
    assign_seconds: float | None = None
    pull_seconds: float | None = None
    run_seconds: float | None = None
    endpoints_late_seconds: float | None = None
    cancel_seconds: float | None = None
    failing_seconds: float = 0.0
    hourly_rate_usd: float | None = None
    log_lines: tuple[str, ...] | None = None
    token_required: bool = False
    bad_runs: int | None = None


@dataclass(slots=True)
class NodeUrl:
    """Where one container port can be reached from outside."""

    container_port: int
    hostname: str
    port: int


@dataclass(slots=True)
class Run:
    """One execution of a job on one node (reference §6.3)."""

    uuid: str
    job_uuid: str
    account_uuid: str
    seq: int
    number: int
    status: str
    created_ms: int
    updated_ms: int
    assigned_ms: int
    access_token: str
    hourly_rate_usd: float
    preparing_ms: int | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    failing_ms: int | None = None
    exit_code: int | None = None
    status_reason: str | None = None
    published: bool = False
    node_urls: list[NodeUrl] = field(default_factory=list)

    def duration_ms(self, now_ms: int) -> int:
        """Time since the container started, until its end or until now."""
        if self.started_ms is None:
            return 0
        end = self.ended_ms if self.ended_ms is not None else now_ms
        return max(0, end - self.started_ms)


@dataclass(slots=True)
class Job:
    """A job with everything that the API shows, and with what only the control surface shows."""

    uuid: str
    account_uuid: str
    seq: int
    title: str
    description: str | None
    task: str
    body: JsonObject
    status: str
    created_ms: int
    updated_ms: int
    pending_since_ms: int
    created_by: str
    status_reason: str | None = None
    started_ms: int | None = None
    completed_ms: int | None = None
    cancel_requests: int = 0
    cancel_reason: str | None = None
    cancel_started_ms: int | None = None
    cancel_seconds: float | None = None
    status_before_cancel: str | None = None
    visible_from_ms: int = 0
    frozen: bool = False
    fate: Fate = field(default_factory=Fate)
    runs: list[Run] = field(default_factory=list)

    @property
    def current_run(self) -> Run | None:
        """The newest run that has not ended."""
        if self.runs and self.runs[-1].status not in TERMINAL:
            return self.runs[-1]
        return None

    @property
    def container(self) -> JsonObject:
        """The container object of the create body (reference §5.1), or an empty one."""
        outer = self.body.get("parameters")
        inner = outer.get("parameters") if isinstance(outer, dict) else None
        return inner if isinstance(inner, dict) else {}

    def number(self, name: str, default: int) -> int:
        """A whole-number field of the create body."""
        value = self.body.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else default


@dataclass(slots=True)
class ApiKey:
    """An API key. permissions None means all; expires_ms None means never."""

    public: str
    secret: str = field(repr=False)
    account_uuid: str = DEMO_ACCOUNT
    revoked: bool = False
    expires_ms: int | None = None
    permissions: list[str] | None = None


@dataclass(slots=True)
class Account:
    """A workspace that owns keys and jobs."""

    uuid: str
    out_of_funds: bool = False


@dataclass(frozen=True, slots=True)
class FateRule:
    """A fate for future jobs whose title or description contains a text."""

    title_contains: str
    fate: Fate


Record = TypeVar("Record", bound="Run | ApiKey | Account | NodeUrl | Fate | Timing")


def flat_to_json(record: Run | Job | ApiKey | Account | NodeUrl | Fate | Timing) -> JsonObject:
    """The fields of a record; values that are records themselves are left to the caller."""
    return {spec.name: getattr(record, spec.name) for spec in fields(record)}


def flat_from_json(kind: type[Record], values: JsonObject) -> Record:
    """Build a record from its fields. Raises TypeError for an unknown or missing one."""
    checked: dict[str, Any] = dict(values)
    return kind(**checked)


def fate_from_json(values: JsonObject) -> Fate:
    """A fate from JSON. Raises ValueError that names an unknown field or a wrong type."""
    known = {spec.name: str(spec.type) for spec in fields(Fate)}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"there is no fate field {name!r}; known are {', '.join(sorted(known))}")
        if name == "log_lines" and value is not None:
            if not isinstance(value, list):
                raise ValueError("log_lines is a list of texts")
            checked[name] = tuple(str(line) for line in value)
            continue
        wants_bool = "bool" in known[name]
        nullable = "None" in known[name]
        good = (value is None and nullable) or (
            isinstance(value, bool) if wants_bool else isinstance(value, int | float) and not isinstance(value, bool)
        )
        if not good:
            raise ValueError(f"fate field {name} wants {known[name]}, not {value!r}")
        checked[name] = value
    return Fate(**checked)


def run_to_json(run: Run) -> JsonObject:
    """A run with its endpoints."""
    return flat_to_json(run) | {"node_urls": [flat_to_json(url) for url in run.node_urls]}


def job_to_json(job: Job) -> JsonObject:
    """A job with its runs and its fate."""
    return flat_to_json(job) | {"fate": flat_to_json(job.fate), "runs": [run_to_json(run) for run in job.runs]}


def job_from_json(values: dict[str, Any]) -> Job:
    """The inverse of job_to_json."""
    runs = [Run(**(run | {"node_urls": [NodeUrl(**url) for url in run["node_urls"]]})) for run in values["runs"]]
    return Job(**(values | {"fate": fate_from_json(values["fate"]), "runs": runs}))
