"""The kinds as the API server knows them: names, printer columns, and the definitions made from the models.

Invariant: a definition is a pure function of the models, so equal models give equal bytes.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from dispersed_operator.model.account import ClusterDispersedAccountSpec, DispersedAccountSpec, DispersedAccountStatus
from dispersed_operator.model.base import GROUP, VERSION, ResourceModel
from dispersed_operator.model.cel import Rule
from dispersed_operator.model.job import JOB_ROOT_RULES, DispersedJobSpec
from dispersed_operator.model.orphan import DispersedOrphanSpec, DispersedOrphanStatus
from dispersed_operator.model.status import UNSEEN, DispersedJobStatus
from dispersed_operator.model.structural import structural_schema, tolerant


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column of ``kubectl get``; `wide` ones show with ``-o wide`` only."""

    name: str
    json_path: str
    description: str
    type: str = "string"
    wide: bool = False

    def to_crd(self) -> dict[str, Any]:
        """The entry of `additionalPrinterColumns`."""
        column: dict[str, Any] = {"name": self.name, "type": self.type, "description": self.description}
        if self.wide:
            column["priority"] = 1
        return column | {"jsonPath": self.json_path}


@dataclass(frozen=True, slots=True)
class ResourceDefinition:
    """One kind: names, description, models, rules at the root, printer columns."""

    kind: str
    plural: str
    singular: str
    short_name: str
    categories: tuple[str, ...]
    description: str
    spec: type[ResourceModel]
    status: type[ResourceModel]
    columns: tuple[Column, ...]
    root_rules: tuple[Rule, ...] = ()
    cluster_wide: bool = False

    @property
    def crd_name(self) -> str:
        """metadata.name of the CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"

    @property
    def file_name(self) -> str:
        """Name of the file in ``crds/``."""
        return f"{GROUP}_{self.plural}.yaml"

    def schema(self) -> dict[str, Any]:
        """The structural schema of a whole object."""
        schema: dict[str, Any] = {"description": self.description, "type": "object"}
        if self.root_rules:
            schema["x-kubernetes-validations"] = [rule.to_schema() for rule in self.root_rules]
        return schema | {
            "required": ["spec"],
            "properties": {
                "apiVersion": {"description": f"`{GROUP}/{VERSION}`", "type": "string"},
                "kind": {"description": f"`{self.kind}`", "type": "string"},
                "metadata": {"type": "object"},
                "spec": _described(self.spec),
                "status": tolerant(_described(self.status)) | self._unseen(),
            },
        }

    def _unseen(self) -> dict[str, Any]:
        """The default of the status, where it says which generation it speaks of."""
        return {"default": dict(UNSEEN)} if "observed_generation" in self.status.model_fields else {}

    def to_crd(self) -> dict[str, Any]:
        """The CustomResourceDefinition as a JSON object."""
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.crd_name},
            "spec": {
                "group": GROUP,
                "scope": "Cluster" if self.cluster_wide else "Namespaced",
                "names": {
                    "kind": self.kind,
                    "listKind": f"{self.kind}List",
                    "plural": self.plural,
                    "singular": self.singular,
                    "shortNames": [self.short_name],
                    "categories": list(self.categories),
                },
                "versions": [
                    {
                        "name": VERSION,
                        "served": True,
                        "storage": True,
                        "subresources": {"status": {}},
                        "additionalPrinterColumns": [column.to_crd() for column in self.columns],
                        "schema": {"openAPIV3Schema": self.schema()},
                    }
                ],
            },
        }


def _described(model: type[ResourceModel]) -> dict[str, Any]:
    return {"description": " ".join((inspect.getdoc(model) or "").split())} | structural_schema(model)


def _condition(name: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{name}")].{field}'


_AGE = Column("Age", ".metadata.creationTimestamp", "Time since the resource was created.", "date")

JOB = ResourceDefinition(
    kind="DispersedJob",
    plural="dispersedjobs",
    singular="dispersedjob",
    short_name="djob",
    categories=("all", "dispersed"),
    description="One job on the remote Dispersed network: a Batch job that runs to its end, or a Persistent one that "
    "runs until the resource is deleted or suspended. Deleting the resource cancels the remote job, unless "
    "spec.deletionPolicy keeps it; the resource is gone only when "
    "the end of the remote job is confirmed.",
    spec=DispersedJobSpec,
    status=DispersedJobStatus,
    root_rules=JOB_ROOT_RULES,
    columns=(
        Column("Task", ".spec.task", "Batch or Persistent."),
        Column("Status", ".status.phase", "One word for the state of the job."),
        Column("Ready", _condition("Ready", "status"), "Completed (Batch) or running and reachable (Persistent)."),
        Column(
            "GPU",
            ".spec.template.resources.gpu['name','registryUUID','count']",
            "GPU model asked for, by name or uuid; where any model fits, the number of GPUs.",
        ),
        Column("Endpoint", ".status.endpoints[0].url", "Address of the first published port."),
        Column("Rate", ".status.hourlyRateUSD", "Price of the current run, US dollars an hour."),
        Column("Runtime", ".status.runtime", "How long the job has run, or since when it runs."),
        _AGE,
        Column("UUID", ".status.jobUUID", "Uuid of the remote job.", wide=True),
        Column("Runs", ".status.runCount", "Number of runs so far.", "integer", wide=True),
        Column("Cost", ".status.costUSD", "Cost so far, US dollars.", wide=True),
        Column("Reason", _condition("Ready", "reason"), "Why the job is ready or not.", wide=True),
        Column("Message", _condition("Ready", "message"), "What happened and what to do.", wide=True),
        Column("Account", ".status.account", "Account that pays for the job.", wide=True),
    ),
)

_ACCOUNT_COLUMNS = (
    Column("Ready", _condition("Ready", "status"), "Whether the key is accepted and the clock within bounds."),
    Column("Reason", _condition("Ready", "reason"), "Why the account is ready or not."),
    Column("Host", ".spec.baseURL", "Address of the API."),
    Column("Jobs", ".status.liveJobs", "Live remote jobs.", "integer"),
    Column("Rate", ".status.hourlyRateUSD", "Sum of their prices, US dollars an hour."),
    Column("Key", ".status.keyFingerprint", "Digest of the API key in use."),
    _AGE,
)

ACCOUNT = ResourceDefinition(
    kind="DispersedAccount",
    plural="dispersedaccounts",
    singular="dispersedaccount",
    short_name="dacct",
    categories=("dispersed",),
    description="An account of the remote Dispersed network: the address of its API and the Secret with the API key. "
    "Jobs of the same namespace name it in `spec.accountRef`.",
    spec=DispersedAccountSpec,
    status=DispersedAccountStatus,
    columns=_ACCOUNT_COLUMNS,
)

CLUSTER_ACCOUNT = ResourceDefinition(
    kind="ClusterDispersedAccount",
    plural="clusterdispersedaccounts",
    singular="clusterdispersedaccount",
    short_name="cdacct",
    categories=("dispersed",),
    cluster_wide=True,
    description="An account of the remote Dispersed network that several namespaces share: the address of its API, the "
    "Secret with the API key, which is in the namespace of the operator, and who may spend with it. Jobs name it in "
    "`spec.accountRef` with its kind. An operator that serves some namespaces only does not know this kind.",
    spec=ClusterDispersedAccountSpec,
    status=DispersedAccountStatus,
    columns=_ACCOUNT_COLUMNS,
)

ORPHAN = ResourceDefinition(
    kind="DispersedOrphan",
    plural="dispersedorphans",
    singular="dispersedorphan",
    short_name="dorph",
    categories=("dispersed",),
    cluster_wide=True,
    description="A live remote job of this cluster that no DispersedJob owns. The operator makes one when it finds "
    "such a job, or when a DispersedJob leaves its remote job behind; the name is the uuid of the job. A person "
    "answers in `spec.decision`. Deleting it ends no job: it forgets the decision, and a job "
    "that still lives is found again.",
    spec=DispersedOrphanSpec,
    status=DispersedOrphanStatus,
    columns=(
        Column("Decision", ".spec.decision", "What is to be done with the job."),
        Column("Phase", ".status.phase", "Open while the job may cost money."),
        Column("Account", ".status.account", "Account that pays for the job."),
        Column("Owner", ".status.owner", "The DispersedJob that it came from, if known."),
        Column("Rate", ".status.hourlyRateUSD", "Price of the current run, US dollars an hour."),
        Column("Cost", ".status.costUSD", "Cost so far, US dollars."),
        Column("Seen", ".status.lastSeen", "When the job was last seen.", "date"),
        _AGE,
        Column("Cause", ".status.cause", "Why no resource owns it.", wide=True),
        Column("Status", ".status.remoteStatus", "Status of the remote job.", wide=True),
        Column("Title", ".status.title", "Title of the remote job.", wide=True),
        Column("Token", ".status.token", "Token of the create.", wide=True),
    ),
)

DEFINITIONS = (ACCOUNT, CLUSTER_ACCOUNT, JOB, ORPHAN)
