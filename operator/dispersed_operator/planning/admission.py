"""May this namespace create with this shared account? `spec.allowedNamespaces` of a ClusterDispersedAccount.

Invariants: a namespace that nothing allows may not; only what starts something new asks (C0, and adoption, which
reaches a job by its uuid alone). A namespace that is no longer allowed keeps its jobs: they are still watched, shown,
cancelled and deleted (protocol D1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispersed_operator.model.account import (
    AllowedNamespaces,
    ClusterDispersedAccountSpec,
    Comparison,
    LabelSelector,
    Requirement,
)
from dispersed_operator.model.account_names import described
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.vocabulary import Problem

Labels = Mapping[str, str]


def allowed_namespaces(body: Mapping[str, Any]) -> AllowedNamespaces:
    """What a ClusterDispersedAccount allows; nothing where the field is absent."""
    allowed = ClusterDispersedAccountSpec.from_api(body["spec"]).allowed_namespaces
    return allowed if allowed is not None else AllowedNamespaces()


def is_allowed(allowed: AllowedNamespaces, namespace: str, labels: Labels) -> bool:
    """Whether a namespace with these labels is named or selected."""
    return namespace in allowed.names or (allowed.selector is not None and _selects(allowed.selector, labels))


def barred(account: ResourceKey, namespace: str) -> Problem:
    """What a job of a namespace that is not allowed says."""
    return Problem(
        Reason.NAMESPACE_NOT_ALLOWED,
        f"spec.allowedNamespaces of the {described(account)} does not allow the namespace {namespace}: an "
        f"administrator must add {namespace} to its names, or give the namespace labels that its selector matches",
    )


def _selects(selector: LabelSelector, labels: Labels) -> bool:
    named = all(labels.get(key) == value for key, value in selector.match_labels.items())
    return named and all(_meets(requirement, labels) for requirement in selector.match_expressions)


def _meets(requirement: Requirement, labels: Labels) -> bool:
    """As Kubernetes reads a requirement: `NotIn` holds for a namespace without the label, too."""
    value = labels.get(requirement.key)
    match requirement.operator:
        case Comparison.IN:
            return value is not None and value in requirement.values
        case Comparison.NOT_IN:
            return value is None or value not in requirement.values
        case Comparison.EXISTS:
            return value is not None
        case Comparison.DOES_NOT_EXIST:
            return value is None
