"""The name of a unit of work: one resource of one kind. It is what the queue, the store and the logs speak of."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The kinds that the operator serves."""

    JOB = "DispersedJob"
    ACCOUNT = "DispersedAccount"
    ORPHAN = "DispersedOrphan"


NAMESPACED_KINDS = (Kind.JOB, Kind.ACCOUNT)
"""What every installation lists, watches and reconciles. Orphans are cluster-wide, and kept by the sweeper alone."""


class ResourceKey(NamedTuple):
    """Kind, namespace and name of one resource; the namespace of a cluster-wide one is empty."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"
