"""The name of a unit of work: one resource of one kind. It is what the queue, the store and the logs speak of."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The kinds that the operator reconciles."""

    JOB = "DispersedJob"
    ACCOUNT = "DispersedAccount"


class ResourceKey(NamedTuple):
    """Kind, namespace and name of one resource."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"
