"""What happens to the cluster as a whole: another key, an account that is deleted, an etcd that goes back in time."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from dispersed_operator.kube.resources import DISPERSED_ACCOUNTS, SECRETS
from tests.simulation.apiserver import Snapshot
from tests.simulation.plan import Trouble
from tests.simulation.remote_side import KEYS

if TYPE_CHECKING:
    from tests.simulation.world import World

SECRET_NAME, ACCOUNT_NAME = "api-key", "default"


class Incidents:
    """Lets incidents happen to one world. One that makes no sense at its moment does nothing."""

    def __init__(self, world: World, namespace: str) -> None:
        self._world = world
        self._namespace = namespace
        self._key = 0
        self._snapshot: Snapshot | None = None

    @property
    def account_serves(self) -> bool:
        """Whether the account exists and is not going: without it nothing new is created."""
        account = self._account()
        return account is not None and not account["metadata"].get("deletionTimestamp")

    @property
    def account_is_gone(self) -> bool:
        """Whether nobody has a key any more."""
        return self._account() is None

    def _account(self) -> dict[str, Any] | None:
        return self._world.api.find(DISPERSED_ACCOUNTS, self._namespace, ACCOUNT_NAME)

    def happen(self, trouble: Trouble) -> None:
        """One incident."""
        happened = {
            Trouble.ROTATE_KEY: self._rotate_key,
            Trouble.DELETE_ACCOUNT: self._delete_account,
            Trouble.BACKUP_ETCD: self._back_up,
            Trouble.RESTORE_ETCD: self._restore,
        }[trouble]()
        if happened:
            self._world.count[f"incident-{trouble}"] += 1
            self._world.trace.write("cluster", trouble.value)
            self._world.watches.changed()

    def make_good(self) -> None:
        """An account that is gone is made again; one that is still going stays as it is."""
        if self._world.api.find(DISPERSED_ACCOUNTS, self._namespace, ACCOUNT_NAME) is None:
            self._world.create_account()
            self._world.watches.changed()

    def _rotate_key(self) -> bool:
        """The Secret gets the other key of the same account."""
        self._key = 1 - self._key
        plain = dict(zip(("publicKey", "secretKey"), KEYS[self._key], strict=True))
        data = {name: base64.b64encode(text.encode()).decode() for name, text in plain.items()}
        self._world.api.patch(SECRETS, self._namespace, SECRET_NAME, {"data": data})
        return True

    def _delete_account(self) -> bool:
        if not self.account_serves:
            return False
        self._world.api.delete(DISPERSED_ACCOUNTS, self._namespace, ACCOUNT_NAME)
        return True

    def _back_up(self) -> bool:
        self._snapshot = self._world.api.snapshot()
        return True

    def _restore(self) -> bool:
        """All objects and the version go back; every watch is deaf from now on."""
        if self._snapshot is None:
            return False
        self._world.history.observe()
        self._world.api.restore(self._snapshot)
        self._world.history.went_back()
        return True
