"""What the operator reports about a DispersedJob.

Invariant: the schema made from these models refuses nothing that the operator may want to say. There is no bound, no
enumeration, no format and no required field in a status, because a status patch that is refused hides a running, paid
job. All times are RFC 3339 texts in UTC, all money decimal texts in US dollars.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from dispersed_operator.model.base import ResourceModel, optional_list

KEPT_RUNS = 5
UNSEEN = {"observedGeneration": -1}
"""The status of an object that no operator has seen yet, given by the schema. kstatus takes an object without any
status for settled, so whoever waits with it (Helm, Flux) would not wait for one that was just made."""


class Phase(StrEnum):
    """The one word for people. Programs read conditions."""

    PENDING = "Pending"
    SUSPENDED = "Suspended"
    CREATING = "Creating"
    QUEUED = "Queued"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"
    UNKNOWN = "Unknown"


class CreateState(StrEnum):
    """What is known about the newest create request."""

    UNKNOWN = "Unknown"
    ACCEPTED = "Accepted"
    REFUSED = "Refused"


class ConditionType(StrEnum):
    """The conditions of a job; an account has `Ready` and `Conformant`."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    COMPLETE = "Complete"
    FAILED = "Failed"
    SUSPENDED = "Suspended"
    REMOTE_CREATED = "RemoteCreated"
    ACCOUNT_READY = "AccountReady"
    CONFORMANT = "Conformant"


class Condition(ResourceModel):
    """One observed fact, in the usual form of Kubernetes conditions."""

    type: str
    """Name of the condition."""

    status: str
    """True, False or Unknown."""

    reason: str
    """One word from the closed list of reasons; each has a page in docs/reasons/."""

    message: str = ""
    """What happened, who has to do what, and the page to read."""

    last_transition_time: str | None = None
    """When `status` last changed."""

    observed_generation: int | None = None
    """The metadata.generation that this condition speaks of."""


class AccountStamp(ResourceModel):
    """The account under which the create request was signed."""

    host: str | None = None
    """Host of the API."""

    public_key: str | None = None
    """Public part of the API key. The secret part never appears anywhere."""

    identity: str | None = None
    """Account uuid as the service reports it, where it does."""


class CreateRecord(ResourceModel):
    """Record of the newest create request: it ties the resource to the remote job. Written by the operator only;
    without it a second job could be paid for."""

    token: str | None = None
    """Token that the remote job carries in its title, its description and its environment."""

    attempt: int | None = None
    """Number of the attempt, from 1."""

    uuid: str | None = None
    """Uuid of the remote job that this attempt created."""

    state: str | None = None
    """Accepted, Refused, or Unknown while it is not established whether the request created a job."""

    locked: bool | None = None
    """While true, `accountRef`, `template`, `deadlines` and `retry` of the spec can not be changed, and
    `limits.maxLifetimeSeconds` can only be lowered. False again once the job is suspended and its end confirmed."""

    signed_at: str | None = None
    """When the request was signed, by the clock of the service."""

    not_after: str | None = None
    """Five minutes after `signedAt`: from then on the service refuses copies of the request, by its own clock. Where
    the account's `status.probes.expirySeconds` is larger, that time holds instead, and proofs wait for it."""

    account: AccountStamp | None = None
    """The account under which the request was signed."""

    body_sha256: str | None = None
    """SHA-256 of the request's canonical body without title, description and token."""

    expires_at: str | None = None
    """The expiry in the title of the remote job: from then on the reaper may end the job without asking this cluster.
    `never` for a job without a longest lifetime, which nobody reaps."""

    ending: str | None = None
    """Why the operator decided to end this job: Suspended, RateLimitExceeded, CostLimitExceeded or LifetimeExceeded.
    Written before the cancel is sent."""

    ending_message: str | None = None
    """What led to `ending`, with the amount."""

    ended: bool | None = None
    """True once a suspended job and all its runs are confirmed to be over: a new attempt may follow. `accountRef` still
    can not be changed, as the end must stay provable."""

    settled_attempts: int | None = None
    """All attempts up to this number are over; what the service lists of them is history."""

    prior_cost_usd: str | None = None
    """Cost of the attempts before this one, in US dollars; part of `costUSD`. A decimal number in text form."""


class Run(ResourceModel):
    """One execution of the remote job on one node."""

    uuid: str | None = None
    """Uuid of the run."""

    status: str | None = None
    """Status as the service reports it, for example PREPARING or RUNNING."""

    started_at: str | None = None
    """When the run started."""

    ended_at: str | None = None
    """When the run ended."""

    reason: str | None = None
    """What the service says about the end of the run."""


class Endpoint(ResourceModel):
    """One published port, as reachable from outside. Access tokens are in the connection Secret only."""

    name: str | None = None
    """Name of the port in the spec; `ssh` for ssh."""

    container_port: int | None = None
    """Port inside the container."""

    protocol: str | None = None
    """http, tcp or ssh."""

    host: str | None = None
    """Host name to connect to."""

    port: int | None = None
    """Port to connect to: chosen by the service, not that of the container."""

    tls: bool | None = None
    """Whether the endpoint speaks TLS."""

    url: str | None = None
    """The whole address: http://, https://, tcp:// or ssh://user@host:port."""


class SecretRef(ResourceModel):
    """A Secret in the namespace of the resource."""

    name: str | None = None
    """Name of the Secret."""


class DispersedJobStatus(ResourceModel):
    """What the operator knows about the job. Written by the operator only."""

    observed_generation: int | None = None
    """The metadata.generation that this status answers; -1 until the operator has seen the object."""

    phase: str | None = None
    """One word for people: Pending, Suspended, Creating, Queued, Starting, Running, Stopping, Succeeded, Failed,
    Stopped, Unknown. Programs read the conditions."""

    job_uuid: str | None = None
    """Uuid of the remote job."""

    account: str | None = None
    """The account that pays for the job: the name of a DispersedAccount of this namespace, or
    `ClusterDispersedAccount/` and the name of a shared one."""

    create: CreateRecord | None = None
    """Record of the newest create request: it ties the resource to the remote job."""

    start_time: str | None = None
    """When the first run started."""

    completion_time: str | None = None
    """When the job ended, well or not."""

    runtime: str | None = None
    """How long the job has run, in words that stay true between updates: `since 2026-11-23T14:02Z` while it runs,
    `9m12s` once it has ended."""

    active: int | None = None
    """1 while the remote job lives, else 0."""

    succeeded: int | None = None
    """1 once the job has completed, else 0."""

    failed: int | None = None
    """1 once the job has failed, else 0."""

    current_run: Run | None = None
    """The newest run."""

    runs: tuple[Run, ...] = optional_list()
    """The last five runs, newest first."""

    run_count: int | None = None
    """Number of runs so far, remote retries included."""

    endpoints: tuple[Endpoint, ...] = optional_list()
    """The published ports, as reachable from outside."""

    connection_secret_ref: SecretRef | None = None
    """The Secret with the connection data; absent while there is none."""

    hourly_rate_usd: str | None = None
    """Price of the current run in US dollars an hour, a decimal number in text form."""

    cost_usd: str | None = None
    """Cost of all runs so far in US dollars, computed from rate and duration; renewed on transitions and at most every
    15 minutes. A decimal number in text form."""

    log_tail: str | None = None
    """The end of the output of a failed run, redacted. `dispersed-operator logs` prints all of it."""

    last_handled_reconcile_at: str | None = None
    """The last value of the annotation dispersed.dev/reconcile-requested-at that was acted on."""

    conditions: tuple[Condition, ...] = optional_list()
    """Ready, Reconciling, Stalled, Complete, Failed, Suspended, RemoteCreated, AccountReady."""


def timestamp(moment: datetime) -> str:
    """An aware time as the API server writes it: RFC 3339, UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str | None) -> datetime | None:
    """The aware time of an RFC 3339 text, or None if there is none or it makes no sense (anyone may write a status)."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def runtime_text(started: datetime | None, ended: datetime | None) -> str | None:
    """The value of `status.runtime`: true until the next transition, so that no time needs to be written meanwhile."""
    if started is None:
        return None
    if ended is None:
        return started.astimezone(UTC).strftime("since %Y-%m-%dT%H:%MZ")
    return _duration_text(max(ended - started, timedelta()))


def _duration_text(duration: timedelta) -> str:
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    return "".join(f"{number}{unit}" for number, unit in parts)
