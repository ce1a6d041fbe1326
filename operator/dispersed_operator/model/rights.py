"""Every right that the operator uses on the API server, as data.

Why it exists: the manifests grant these rights and the preflight asks for them; a test compares this table with the
manifests, and another one the manifests with the audit log of a run. Invariant: what stands here is what they grant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dispersed_operator.model.base import GROUP


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """A verb on a resource; the core group is the empty text, and so is no subresource."""

    group: str
    resource: str
    verb: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class ScopedRight:
    """A right where it is needed. `namespace` None: everywhere, or of a kind that belongs to no namespace."""

    right: Right
    namespace: str | None = None

    def __str__(self) -> str:
        """The words that follow `kubectl auth can-i`."""
        right = self.right
        words = [right.verb, f"{right.resource}.{right.group}" if right.group else right.resource]
        if right.subresource:
            words.append(f"--subresource={right.subresource}")
        if self.namespace is not None:
            words.append(f"--namespace={self.namespace}")
        elif right in IN_NAMESPACES:
            words.append("--all-namespaces")
        return " ".join(words)


def _rights(group: str, resources: Iterable[str], verbs: Iterable[str], subresource: str = "") -> tuple[Right, ...]:
    wanted = tuple(verbs)
    return tuple(Right(group, resource, verb, subresource) for resource in resources for verb in wanted)


IN_NAMESPACES = (
    *_rights(GROUP, ("dispersedjobs", "dispersedaccounts"), ("get", "list", "watch", "patch")),
    *_rights(GROUP, ("dispersedjobs", "dispersedaccounts"), ("patch",), "status"),
    *_rights("", ("secrets",), ("get", "create", "patch", "delete")),
    *_rights("", ("configmaps",), ("get",)),
    *_rights("", ("events",), ("create", "patch")),
)
"""What the operator does in each namespace that it serves."""

OVER_THE_CLUSTER = (
    *_rights(GROUP, ("clusterdispersedaccounts",), ("get", "list", "watch", "patch")),
    *_rights(GROUP, ("clusterdispersedaccounts",), ("patch",), "status"),
    *_rights(GROUP, ("dispersedorphans",), ("get", "list", "watch", "create", "patch")),
    *_rights(GROUP, ("dispersedorphans",), ("patch",), "status"),
    *_rights("", ("namespaces",), ("get",)),
    *_rights("apiextensions.k8s.io", ("customresourcedefinitions",), ("list", "watch")),
)
"""What it does besides, unless it serves some namespaces only."""


OF_THE_ELECTION = _rights("coordination.k8s.io", ("leases",), ("get", "create", "patch"))
"""What several replicas do in the operator's own namespace."""


def needed_rights(namespaces: Sequence[str], *, election_in: str | None = None) -> tuple[ScopedRight, ...]:
    """The rights of an installation for these namespaces; empty: for the whole cluster. `election_in`: the operator's
    own namespace, if several replicas elect a leader."""
    election = tuple(ScopedRight(right, election_in) for right in OF_THE_ELECTION) if election_in is not None else ()
    if namespaces:
        return tuple(ScopedRight(right, namespace) for namespace in namespaces for right in IN_NAMESPACES) + election
    return tuple(ScopedRight(right) for right in (*IN_NAMESPACES, *OVER_THE_CLUSTER)) + election
