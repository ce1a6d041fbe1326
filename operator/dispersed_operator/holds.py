"""Who needs an account, or a Secret with a key? What the release of a hold rests on, computed anew each time.

Invariants: the jobs come from a LIST begun now, never from the store, which lags and in a shard does not hold all of
them; whether another account still stays with the same Secret is read now, so that of two that go at the same time, in
two processes perhaps, at least one sees the other go (protocol, Holds).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dispersed_operator.errors import KubernetesNotFound
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import DISPERSED_JOBS, RESOURCES
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.observed import parse_job
from dispersed_operator.planning.account import needs_account
from dispersed_operator.store import ResourceStore


class Holds:
    """Tells what may be let go. `operator_namespace` has the Secrets of cluster-wide accounts."""

    def __init__(self, store: ResourceStore, kube: KubeClient, *, operator_namespace: str) -> None:
        self._store = store
        self._kube = kube
        self._operator_namespace = operator_namespace

    def home(self, key: ResourceKey) -> str:
        """The namespace of the account's Secret."""
        return key.namespace or self._operator_namespace

    def users_of(self, namespace: str, secret_name: str) -> set[ResourceKey]:
        """All accounts that use this Secret: a DispersedAccount in the operator's namespace may share that of a
        cluster-wide one."""
        bodies = ((key, self._store.get(key)) for key in self._store.accounts() if self.home(key) == namespace)
        return {
            key
            for key, body in bodies
            if body is not None and body["spec"]["credentialsSecretRef"]["name"] == secret_name
        }

    async def jobs_need(self, accounts: Collection[ResourceKey]) -> bool:
        """Whether a LIST begun now shows a job with our finalizer that needs one of these accounts: its spec names it,
        or did when the job was accepted, or when a create was signed whose outcome is not known."""
        scopes = {account.scope for account in accounts}
        bodies = [self._store.get(account) or {} for account in accounts]
        keys = {str((body.get("status") or {}).get("keyFingerprint")) for body in bodies}
        for scope in {None} if None in scopes else scopes:
            found, _ = await self._kube.list_each(
                DISPERSED_JOBS, lambda item: needs_account(parse_job(item), accounts, keys) or None, namespace=scope
            )
            if found:
                return True
        return False

    async def secret_is_free(self, going: ResourceKey, secret_name: str) -> bool:
        """Whether nobody but `going` needs the Secret: other accounts with it are going or gone, and so are their
        jobs. The last of them releases it."""
        others = self.users_of(self.home(going), secret_name) - {going}
        for other in sorted(others):
            if not _is_going(self._store.get(other)) and not await self._is_going_now(other):
                return False
        return not others or not await self.jobs_need(others)

    async def _is_going_now(self, account: ResourceKey) -> bool:
        try:
            body = await self._kube.get(RESOURCES[account.kind], namespace=account.scope, name=account.name)
        except KubernetesNotFound:
            return True
        return _is_going(body)


def _is_going(body: Mapping[str, Any] | None) -> bool:
    return body is not None and bool(body["metadata"].get("deletionTimestamp"))
