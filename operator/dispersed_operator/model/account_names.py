"""Which account a job means, and how accounts are spelled.

A job names its account, or takes the default: the DispersedAccount `default` of its namespace if there is one, else the
ClusterDispersedAccount `default`. Invariant: once a create was signed, what it was signed for is on the object, and
that decides. A default that appears later takes no job over, and one that vanishes sends no second create elsewhere.

A ClusterDispersedAccount is spelled with its kind and a slash, which no name of a resource can hold, so it is never
taken for a DispersedAccount.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispersed_operator.model import naming
from dispersed_operator.model.intent import IntentState, parse_intent
from dispersed_operator.model.keys import Kind, ResourceKey

Body = Mapping[str, Any]

DEFAULT_ACCOUNT = "default"
CLUSTER_DEFAULT = ResourceKey(Kind.CLUSTER_ACCOUNT, "", DEFAULT_ACCOUNT)


def accounts_of(body: Body) -> tuple[ResourceKey, ...]:
    """The accounts that a DispersedJob can mean, the first that exists being the one: two where the default is open,
    else one. It is known even if the spec does not fit the schema, because the account must be held for the job."""
    namespace = body["metadata"]["namespace"]
    spec = body.get("spec")
    reference = spec.get("accountRef") if isinstance(spec, Mapping) else None
    name = reference.get("name") if isinstance(reference, Mapping) else None
    if isinstance(reference, Mapping) and isinstance(name, str) and name:
        return (_named(reference.get("kind"), namespace, name),)
    recorded = _recorded(body)
    own_default = ResourceKey(Kind.ACCOUNT, namespace, DEFAULT_ACCOUNT)
    if recorded is None:
        return own_default, CLUSTER_DEFAULT
    return (CLUSTER_DEFAULT if recorded == spelled(CLUSTER_DEFAULT) else own_default,)


def spelled(account: ResourceKey) -> str:
    """The account as a job's status and intent name it: the bare name of a DispersedAccount of the job's namespace."""
    return account.name if account.kind is Kind.ACCOUNT else str(account)


def read_spelling(text: str, namespace: str) -> ResourceKey | None:
    """The account that a job of this namespace spells so; None if it is not the spelling of one."""
    prefix, slash, name = text.rpartition("/")
    if not name or (slash and prefix != Kind.CLUSTER_ACCOUNT):
        return None
    return _named(prefix, namespace, name)


def full_name(account: ResourceKey) -> str:
    """The account as a DispersedOrphan names it: with its namespace, or with its kind if it has none."""
    return f"{account.namespace}/{account.name}" if account.kind is Kind.ACCOUNT else str(account)


def described(account: ResourceKey) -> str:
    """The account in a sentence."""
    place = f"{account.namespace}/" if account.namespace else ""
    return f"{account.kind} {place}{account.name}"


def annotate_command(account: ResourceKey) -> str:
    """The beginning of the command with which a person sets an annotation of the account."""
    if account.kind is Kind.CLUSTER_ACCOUNT:
        return f"kubectl annotate --overwrite cdacct {account.name}"
    return f"kubectl -n {account.namespace} annotate --overwrite dacct {account.name}"


def _named(kind: object, namespace: str, name: str) -> ResourceKey:
    if kind == Kind.CLUSTER_ACCOUNT:
        return ResourceKey(Kind.CLUSTER_ACCOUNT, "", name)
    return ResourceKey(Kind.ACCOUNT, namespace, name)


def _recorded(body: Body) -> str | None:
    """What was recorded with the create: by the record, or before there is one by the intent whose end is open."""
    status = body.get("status")
    account = status.get("account") if isinstance(status, Mapping) else None
    if isinstance(account, str) and account:
        return account
    metadata = body["metadata"]
    text = (metadata.get("annotations") or {}).get(naming.INTENT_ANNOTATION)
    intent = parse_intent(text) if isinstance(text, str) else None
    if intent is None or intent.state is IntentState.REFUSED:
        return None
    # The intent of another object, in a copy, says nothing of this one.
    own = intent.origin.namespaced_name == f"{metadata['namespace']}/{metadata['name']}"
    return (intent.payer or DEFAULT_ACCOUNT) if own else None
