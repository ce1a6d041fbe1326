"""DispersedJob: what a user writes to have one job run on the Dispersed network.

A field is here only if this release acts on it. The longest possible life of a Batch job, all retries included, stays
below three years, so that its expiry fits the six digits of the job's title (protocol, Names).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from dispersed_operator.model import cel
from dispersed_operator.model.base import ResourceModel
from dispersed_operator.model.cel import FORBIDDEN, REQUIRED, Rule
from dispersed_operator.model.template import GPU, SSH, EnvVar, JobTemplate, Port, PortProtocol, Resources

__all__ = [
    "DEFAULT_ACCOUNT",
    "GPU",
    "JOB_ROOT_RULES",
    "SSH",
    "AccountRef",
    "Connection",
    "Deadlines",
    "DispersedJobSpec",
    "EnvVar",
    "JobTemplate",
    "Port",
    "PortProtocol",
    "Resources",
    "Retry",
    "Task",
]

DEFAULT_ACCOUNT = "default"
LOCKED_FIELDS = ("accountRef", "template", "deadlines", "retry")
"""The immutable block: what shapes the request to the service."""


class Task(StrEnum):
    """How a job runs: to its end, or until it is stopped."""

    BATCH = "Batch"
    PERSISTENT = "Persistent"


class AccountRef(ResourceModel):
    """The account that pays for the job."""

    kind: Literal["DispersedAccount"] = "DispersedAccount"
    """Kind of the account. DispersedAccount, an account in the namespace of the job, is the only one."""

    name: Annotated[
        str,
        cel.resource_name("not a resource name: use the metadata.name of a DispersedAccount of this namespace"),
    ]
    """Name of the DispersedAccount."""


class Deadlines(ResourceModel):
    """How long each step may take, in seconds. The service enforces it, also while the operator is down."""

    assign_seconds: Annotated[int, Field(ge=300, le=604800)] = 300
    """Longest wait for a node, in seconds, 300 to 604800 (a week). The job then fails with AssignDeadlineExceeded."""

    start_seconds: Annotated[int, Field(ge=120, le=86400)] = 300
    """Longest time from the assignment until the container starts, the pull of the image included; in seconds, 120 to
    86400 (a day). The job then fails with StartDeadlineExceeded. Large images need more than the default."""

    run_seconds: Annotated[int | None, Field(ge=60, le=7776000)] = None
    """Longest run, in seconds, 60 to 7776000 (90 days). Required for a Batch job, which then fails with
    RunDeadlineExceeded; not allowed for a Persistent one, which runs, and costs money, until it is deleted."""


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


class DispersedJobSpec(ResourceModel):
    """The job to run. Once the service has accepted it, `accountRef`, `template`, `deadlines` and `retry` can not be
    changed, because a remote job can not be edited: delete and re-create the resource to run something else."""

    model_config = ConfigDict(
        json_schema_extra=cel.rules(
            cel.immutable(
                "task", "task can not be changed: delete the resource and create it again with the other task"
            ),
            Rule(
                "!has(self.task) || self.task != 'Batch' || (has(self.deadlines) && has(self.deadlines.runSeconds))",
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
                "!has(self.task) || self.task != 'Persistent' || (has(self.template) && has(self.template.allowedCIDRs)"
                " && size(self.template.allowedCIDRs) > 0)",
                "a Persistent job needs allowedCIDRs: list the address ranges that may connect, "
                "or write 0.0.0.0/0 for everyone",
                REQUIRED,
                ".template.allowedCIDRs",
            ),
        )
    )

    task: Task
    """`Batch` runs the container to its end, within `deadlines.runSeconds`. `Persistent` keeps it running, and costs
    money, until the resource is deleted. Immutable."""

    account_ref: AccountRef | None = None
    """The account that pays for the job. Default: the DispersedAccount named `default` in the namespace of the job."""

    template: JobTemplate
    """What the remote service is asked to run."""

    deadlines: Deadlines = Deadlines()
    """How long each step may take, in seconds. The service enforces it, also while the operator is down."""

    retry: Retry = Retry()
    """What happens after a failed run."""

    connection: Connection = Field(default_factory=Connection)
    """Where the connection data of the job goes."""

    @property
    def account_name(self) -> str:
        """Name of the DispersedAccount in the namespace of the job."""
        return self.account_ref.name if self.account_ref is not None else DEFAULT_ACCOUNT

    def connection_secret_name(self, resource_name: str) -> str:
        """Name of the connection Secret of the resource `resource_name`, never longer than Kubernetes allows (253)."""
        kept = resource_name[: 253 - len("-connection")].rstrip("-.")
        return self.connection.secret_name or f"{kept}-connection"


_LOCKED = "oldSelf.status.create.locked"


def _locked_gate(field: str) -> Rule:
    return Rule(
        f"!({cel.present(_LOCKED)} && {_LOCKED}) || ({cel.unchanged(f'spec.{field}')})",
        f"{field} can not be changed after the service has accepted the job: "
        "delete and re-create the resource, or revert the edit",
        FORBIDDEN,
        f".spec.{field}",
    )


# The only rules that may stand at the root: the API server does not ratchet rules there, so a new one would make
# stored objects refuse even a status patch.
JOB_ROOT_RULES = tuple(_locked_gate(field) for field in LOCKED_FIELDS)
