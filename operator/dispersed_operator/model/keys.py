"""The name of a unit of work: one resource of one kind. It is what the queue, the store and the logs speak of."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The kinds that the operator serves."""

    JOB = "DispersedJob"
    ACCOUNT = "DispersedAccount"
    CLUSTER_ACCOUNT = "ClusterDispersedAccount"
    ORPHAN = "DispersedOrphan"


NAMESPACED_KINDS = (Kind.JOB, Kind.ACCOUNT)
"""What every installation lists, watches and reconciles. Cluster-wide kinds are for those that serve all namespaces."""

ACCOUNT_KINDS = frozenset({Kind.ACCOUNT, Kind.CLUSTER_ACCOUNT})
"""Accounts, whatever their scope."""


class ResourceKey(NamedTuple):
    """Kind, namespace and name of one resource; the namespace of a cluster-wide one is empty."""

    kind: Kind
    namespace: str
    name: str

    @property
    def scope(self) -> str | None:
        """The namespace as a URL wants it: None for a cluster-wide resource."""
        return self.namespace or None

    def __str__(self) -> str:
        return "/".join(part for part in self if part)
