"""The preflight's look at the accounts: their Secrets, and the service as each of their keys sees it.

Invariants: a Secret is read as the operator reads it, by its name in the one namespace where it may be; the service is
asked by GET only; a key that was read is registered with the redactor before it is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from dispersed_operator.config import Settings
from dispersed_operator.conformance import examine_everything
from dispersed_operator.direct import connect
from dispersed_operator.errors import KubernetesError, KubernetesNotFound, RemoteError, SettingsError
from dispersed_operator.kube.client import RESOURCES, SECRETS, KubeClient
from dispersed_operator.model.account import AccountSpec
from dispersed_operator.model.account_names import described
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.planning.account import key_fingerprint, read_credentials
from dispersed_operator.planning.preflight import (
    Line,
    examined_lines,
    fail,
    no_account_line,
    refused_lines,
    secret_line,
    warn,
)
from dispersed_operator.planning.vocabulary import Problem
from dispersed_operator.remote.signing import Credentials

AT_ONCE = 8
Body = Mapping[str, Any]


async def account_lines(kube: KubeClient, settings: Settings, redactor: Redactor) -> list[Line]:
    """All accounts of the namespaces that are served, or of the cluster."""
    lines: list[Line] = []
    found: dict[ResourceKey, Body] = {}
    kinds = (Kind.ACCOUNT,) if settings.namespaces else (Kind.CLUSTER_ACCOUNT, Kind.ACCOUNT)
    for kind in kinds:
        for namespace in settings.namespaces or (None,):
            try:
                bodies, _ = await kube.list_all(RESOURCES[kind], namespace=namespace)
            except KubernetesError as error:
                where = f" of {namespace}" if namespace else ""
                found_out = f"{kind}s{where} cannot be listed ({error})"
                lines.append(fail("accounts", found_out, "mend what is said of kinds and rights"))
                continue
            found |= {_key(kind, body): body for body in bodies}
    if not found and not lines:
        return [no_account_line()]
    means = _Means(kube, settings, redactor, asyncio.Semaphore(AT_ONCE))
    looks = (_look(means, key, body) for key, body in sorted(found.items()))
    return [*lines, *(line for looked in await asyncio.gather(*looks) for line in looked)]


@dataclass(frozen=True, slots=True)
class _Means:
    """With what every account is looked at."""

    kube: KubeClient
    settings: Settings
    redactor: Redactor
    slots: asyncio.Semaphore


async def _look(means: _Means, key: ResourceKey, body: Body) -> tuple[Line, ...]:
    account = described(key)
    if body["metadata"].get("deletionTimestamp"):
        return (warn(account, "it is being deleted", "wait for the end of its jobs"),)
    try:
        spec = AccountSpec.from_api(body.get("spec") or {})
    except ValidationError:
        return (fail(account, "its spec does not fit the schema", "correct it, or create it anew"),)
    where = f"{key.namespace or means.settings.operator_namespace}/{spec.credentials_secret_ref.name}"
    async with means.slots:
        credentials = await _credentials(means.kube, where)
        if isinstance(credentials, str):
            return (secret_line(account, where, credentials),)
        means.redactor.register(credentials.secret_key)
        means.redactor.register(credentials.public_key)
        return (
            secret_line(account, where, None),
            *await _ask(means.settings, account, spec.base_url, where=where, credentials=credentials),
        )


async def _credentials(kube: KubeClient, where: str) -> Credentials | str:
    """The key pair in a Secret, or what is wrong with it."""
    namespace, _, name = where.partition("/")
    try:
        secret = await kube.get(SECRETS, namespace=namespace, name=name)
    except KubernetesNotFound:
        return f"the Secret {where} does not exist"
    except KubernetesError as error:
        return f"the Secret {where} cannot be read ({error})"
    if secret["metadata"].get("deletionTimestamp"):
        return f"the Secret {where} is being deleted"
    found = read_credentials(secret, where)
    return found.message if isinstance(found, Problem) else found


async def _ask(
    settings: Settings, account: str, base_url: str, *, where: str, credentials: Credentials
) -> tuple[Line, ...]:
    try:
        async with connect(settings, base_url=base_url, credentials=credentials) as client:
            try:
                findings = await examine_everything(client, max_offset=settings.max_clock_offset_seconds)
            except RemoteError as error:
                return refused_lines(account, client.host, where, error)
            return examined_lines(account, client.host, key_fingerprint(client.public_key), findings)
    except SettingsError as error:
        return (fail(f"{account}: service", str(error), "correct spec.baseURL, --remote-proxy or --remote-ca-file"),)


def _key(kind: Kind, body: Body) -> ResourceKey:
    metadata = body["metadata"]
    return ResourceKey(kind, metadata.get("namespace") or "", metadata["name"])
