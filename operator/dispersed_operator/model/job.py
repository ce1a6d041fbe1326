"""DispersedJob: what a user writes to have one job run on the Dispersed network.

A field is here only if this release acts on it. The longest possible life of a Batch job, all retries included, stays
below three years, so that its expiry fits the six digits of the job's title (protocol, Names).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from dispersed_operator.model import cel
from dispersed_operator.model.base import ResourceModel
from dispersed_operator.model.cel import FORBIDDEN, REQUIRED, Rule
from dispersed_operator.model.template import GPU, SSH, EnvVar, JobTemplate, Port, PortProtocol, Resources

__all__ = [
    "GPU",
    "JOB_ROOT_RULES",
    "SSH",
    "AccountRef",
    "Adopt",
    "Connection",
    "Deadlines",
    "DeletionPolicy",
    "DispersedJobSpec",
    "EnvVar",
    "JobTemplate",
    "Limits",
    "Port",
    "PortProtocol",
    "Resources",
    "Retry",
    "Task",
]

LOCKED_FIELDS = ("accountRef", "template", "deadlines", "retry")
"""The immutable block: what shapes the request to the service."""


class Task(StrEnum):
    """How a job runs: to its end, or until it is stopped."""

    BATCH = "Batch"
    PERSISTENT = "Persistent"


class DeletionPolicy(StrEnum):
    """What becomes of the remote job when the resource is deleted."""

    CANCEL = "Cancel"
    ORPHAN = "Orphan"


class AccountRef(ResourceModel):
    """The account that pays for the job."""

    kind: Literal["DispersedAccount", "ClusterDispersedAccount"] = "DispersedAccount"
    """Kind of the account: DispersedAccount, an account in the namespace of the job, or ClusterDispersedAccount, one
    that an administrator shares with this namespace."""

    name: Annotated[
        str,
        cel.resource_name(
            "not a resource name: use the metadata.name of a DispersedAccount of this namespace, or of a "
            "ClusterDispersedAccount"
        ),
    ]
    """Name of the account."""


class Adopt(ResourceModel):
    """A remote job that exists, to be taken over instead of creating one."""

    job_uuid: Annotated[
        str,
        cel.text(
            64,
            cel.matches(
                cel.DNS_LABEL, "not the uuid of a job: copy it from the service's console or a DispersedOrphan"
            ),
        ),
    ]
    """Uuid of the remote job. A DispersedOrphan has it as its name. Immutable."""


class Deadlines(ResourceModel):
    """How long each step may take, in seconds. The service enforces it, also while the operator is down."""

    assign_seconds: Annotated[int, Field(ge=300, le=604800)] = 300
    """Longest wait for a node, in seconds, 300 to 604800 (a week). The job then fails with AssignDeadlineExceeded."""

    start_seconds: Annotated[int, Field(ge=120, le=86400)] = 300
    """Longest time from the assignment until the container starts, the pull of the image included; in seconds, 120 to
    86400 (a day). The job then fails with StartDeadlineExceeded. Large images need more than the default."""

    run_seconds: Annotated[int | None, Field(ge=60, le=7776000)] = None
    """Longest run, in seconds, 60 to 7776000 (90 days). Required for a Batch job, which then fails with
    RunDeadlineExceeded; not allowed for a Persistent one, which runs, and costs money, until it is deleted or
    suspended. To limit it, set `limits.maxLifetimeSeconds`."""


class Retry(ResourceModel):
    """What happens after a failed run."""

    remote_retries: Annotated[int, Field(ge=0, le=10)] = 0
    """How often the service itself starts the job again after a failed run, 0 to 10. Each retry is a new run of the
    same remote job and may cost as much as the first."""


class Connection(ResourceModel):
    """Where the connection data of the job goes."""

    secret_name: Annotated[
        str | None,
        cel.resource_name("not a Secret name: use lower-case letters, digits, '-' and '.', like my-job-connection"),
    ] = None
    """Name of the Secret that the operator writes while the job runs: ssh host, port, user and command, a URL for each
    port, the access token, the uuid of the run. The Secret belongs to the job and goes with it; a Secret of somebody
    else is never overwritten. May be changed at any time. Default: the name of the resource and `-connection`."""


_AMOUNT = r"^(0|[1-9][0-9]{0,6})(\.[0-9]{1,4})?$"


def _amount(example: str) -> Any:
    """A field for US dollars as text: floats differ between the programs that write them."""
    return cel.text(
        12,
        cel.matches(
            _AMOUNT, f"not an amount: write US dollars with a point and at most four decimals, like '{example}'"
        ),
        Rule("!self.matches(r'^[0.]*$')", "an amount of 0 lets nothing run: set spec.suspend to true instead"),
    )


class Limits(ResourceModel):
    """What the job may cost, and how long it may exist. A breach cancels the remote job; the resource is then `Failed`
    and is never run again. The operator enforces the limits while it runs."""

    max_hourly_rate_usd: Annotated[str | None, _amount("1.50")] = None
    """Highest price of a node in US dollars an hour, a decimal number in text form. Checked as soon as the service
    shows the price, which is after it has chosen a node. Unset: any price."""

    max_cost_usd: Annotated[str | None, _amount("25")] = None
    """Highest cost of all runs together in US dollars, attempts before a suspension included; a decimal number in text
    form. The cost is an estimate, rate times duration. Unset: no limit."""

    max_lifetime_seconds: Annotated[int | None, Field(ge=60, le=31536000)] = None
    """Longest life of the remote job in seconds, 60 to 31536000 (a year), counted from the request that created it; a
    job that was resumed counts anew. It also stands in the title of the remote job, where the reaper finds it. Once
    the service has accepted the job it can only be lowered. Unset: a Batch job ends by its deadlines, a Persistent one
    never."""


def _without_adopt(field: str, unset: str, message: str) -> Rule:
    """A field that would silently do nothing beside `adopt`; `unset` holds if it is absent or has its default."""
    return Rule(f"!has(self.adopt) || ({unset})", message, FORBIDDEN, f".{field}")


def _default(path: str, value: int) -> str:
    return f"!({cel.present(f'self.{path}')}) || self.{path} == {value}"


_ADOPT_RULES = (
    cel.immutable("adopt.jobUUID", "adopt can not be added, changed or removed: create another DispersedJob"),
    Rule(
        "has(self.adopt) != has(self.template)",
        "one of template and adopt is needed, and not both: set spec.template to create a job, or spec.adopt to take "
        "over one that exists",
        REQUIRED,
        ".template",
    ),
    _without_adopt(
        "deadlines",
        f"!({cel.present('self.deadlines.runSeconds')}) && ({_default('deadlines.assignSeconds', 300)})"
        f" && ({_default('deadlines.startSeconds', 300)})",
        "deadlines change nothing of an adopted job: remove spec.deadlines; spec.limits.maxLifetimeSeconds holds",
    ),
    _without_adopt(
        "retry",
        _default("retry.remoteRetries", 0),
        "retries change nothing of an adopted job: remove spec.retry, or set template instead of adopt",
    ),
    _without_adopt(
        "connection.secretName",
        f"!({cel.present('self.connection.secretName')})",
        "there is no connection Secret for an adopted job: remove spec.connection.secretName, its ports are not known",
    ),
)


class DispersedJobSpec(ResourceModel):
    """The job to run, or to adopt. Once the service has accepted it, `accountRef`, `template`, `deadlines` and `retry`
    can not be changed, because a remote job can not be edited: suspend the job to edit all but `accountRef`, or delete
    and re-create the resource."""

    model_config = ConfigDict(
        json_schema_extra=cel.rules(
            cel.immutable(
                "task", "task can not be changed: delete the resource and create it again with the other task"
            ),
            Rule(
                "has(self.adopt) || !has(self.task) || self.task != 'Batch'"
                " || (has(self.deadlines) && has(self.deadlines.runSeconds))",
                "a Batch job needs a limit for its run: set spec.deadlines.runSeconds, at least 60",
                REQUIRED,
                ".deadlines.runSeconds",
            ),
            Rule(
                "!has(self.task) || self.task != 'Persistent'"
                " || !(has(self.deadlines) && has(self.deadlines.runSeconds))",
                "a Persistent job has no limit for its run: remove spec.deadlines.runSeconds, or make it a Batch job",
                FORBIDDEN,
                ".deadlines.runSeconds",
            ),
            Rule(
                "has(self.adopt) || !has(self.task) || self.task != 'Persistent' || (has(self.template)"
                " && has(self.template.allowedCIDRs) && size(self.template.allowedCIDRs) > 0)",
                "a Persistent job needs allowedCIDRs: list the address ranges that may connect, "
                "or write 0.0.0.0/0 for everyone",
                REQUIRED,
                ".template.allowedCIDRs",
            ),
            *_ADOPT_RULES,
        )
    )

    task: Task
    """`Batch` runs the container to its end, within `deadlines.runSeconds`. `Persistent` keeps it running, and costs
    money, until the resource is deleted or suspended. Immutable."""

    account_ref: AccountRef | None = None
    """The account that pays for the job. Default: the DispersedAccount named `default` in the namespace of the job, and
    where there is none the ClusterDispersedAccount named `default`. Once a create was signed, a default that appears
    later changes nothing."""

    template: JobTemplate | None = None
    """What the remote service is asked to run. Needed unless `adopt` is set, and not allowed beside it."""

    adopt: Adopt | None = None
    """A remote job that exists, to be taken over: nothing is created, ever. The account must allow it
    (`allowAdoption`), and no other resource may own the job. Deleting the resource then cancels the job, limits hold,
    and a job that was suspended can not be resumed. Excludes `template` and whatever else shapes a request. Immutable.
    """

    deadlines: Deadlines = Deadlines()
    """How long each step may take, in seconds. The service enforces it, also while the operator is down."""

    retry: Retry = Retry()
    """What happens after a failed run."""

    connection: Connection = Field(default_factory=Connection)
    """Where the connection data of the job goes."""

    suspend: bool = False
    """While true, no remote job exists. Setting it on a live job cancels that job, and only when its end is confirmed
    the condition `Suspended` is True. Setting it back runs the job again, from the start, as a new attempt with the
    spec as it is then. A job that has ended stays as it is."""

    limits: Limits = Field(default_factory=Limits)
    """What the job may cost, and how long it may exist."""

    deletion_policy: DeletionPolicy = DeletionPolicy.CANCEL
    """What becomes of a live remote job when the resource is deleted. `Cancel` ends it first. `Orphan` lets it run, and
    cost money, without a resource; a DispersedOrphan with the decision `Keep` remembers it."""

    @model_validator(mode="after")
    def _creates_or_adopts(self) -> Self:
        if (self.template is None) == (self.adopt is None):
            raise ValueError("exactly one of template and adopt")
        return self

    def connection_secret_name(self, resource_name: str) -> str:
        """Name of the connection Secret of the resource `resource_name`, never longer than Kubernetes allows (253)."""
        kept = resource_name[: 253 - len("-connection")].rstrip("-.")
        return self.connection.secret_name or f"{kept}-connection"


_LOCKED = "oldSelf.status.create.locked"
_ENDED = "oldSelf.status.create.ended"
_LIFETIME = "spec.limits.maxLifetimeSeconds"


def _holds(flag: str) -> str:
    return f"({cel.present(flag)} && {flag})"


def _locked_gate(field: str) -> Rule:
    return Rule(
        f"!{_holds(_LOCKED)} || ({cel.unchanged(f'spec.{field}')})",
        f"{field} can not be changed after the service has accepted the job: suspend the job first, "
        "delete and re-create the resource, or revert the edit",
        FORBIDDEN,
        f".spec.{field}",
    )


# The account stays when a job is suspended: only it can show that the job is over.
_ACCOUNT_GATE = Rule(
    f"!({_holds(_LOCKED)} || {_holds(_ENDED)}) || ({cel.unchanged('spec.accountRef')})",
    "accountRef can not be changed after the service has accepted the job: "
    "delete and re-create the resource, or revert the edit",
    FORBIDDEN,
    ".spec.accountRef",
)

_LIFETIME_GATE = Rule(
    f"!{_holds(_LOCKED)} || !({cel.present(f'oldSelf.{_LIFETIME}')})"
    f" || ({cel.present(f'self.{_LIFETIME}')} && self.{_LIFETIME} <= oldSelf.{_LIFETIME})",
    "limits.maxLifetimeSeconds can only be lowered after the service has accepted the job: "
    "write the old value or a smaller one, or delete and re-create the resource",
    FORBIDDEN,
    f".{_LIFETIME}",
)


# The only rules that may stand at the root: the API server does not ratchet rules there, so a new one would make
# stored objects refuse even a status patch.
JOB_ROOT_RULES = (
    _ACCOUNT_GATE,
    *(_locked_gate(field) for field in LOCKED_FIELDS if field != "accountRef"),
    _LIFETIME_GATE,
)
