"""Jobs of ours whose resource vanished while they were being created.

A resource whose finalizer was stripped by somebody can be gone by the time its create is answered. Then no object is
left to carry the uuid, but this process still knows it: the job is ended here and now, before it costs more (failure
modes 12, 71).

Invariant: only a uuid that the service gave in answer to our own request is ever taken, and only after a fresh read
showed that its resource is gone or was created anew.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable

from dispersed_operator.accounts import AccountBook
from dispersed_operator.errors import KubernetesError, KubernetesNotFound, RemoteError, RemoteNotFound, TransportFailed
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model.account_names import described
from dispersed_operator.model.intent import AccountMark
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.planning.continuity import is_same_account

REASON = "DispersedJob vanished while its job was being created"
MISSING_SECONDS = 60.0
DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)

_log = logging.getLogger(__name__)


class AbandonedJobs:
    """Ends jobs without a resource, each in a task of its own, until they are terminal or the process stops."""

    def __init__(
        self,
        kube: KubeClient,
        book: AccountBook,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._kube = kube
        self._book = book
        self._monotonic = monotonic
        self._sleep = sleep
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def take(
        self, key: ResourceKey, *, account: ResourceKey, resource_uid: str, uuid: str, accepted_by: AccountMark | None
    ) -> None:
        """Take over the job `uuid`, accepted for the resource `key` of that metadata.uid, which is no longer known.

        Only the account that accepted it can say that it is gone (failure mode 28).
        """
        if uuid in self._tasks:
            return
        _log.error("%s vanished while remote job %s was being created; the job is cancelled", key, uuid)
        ending = self._end(key, account, resource_uid, uuid, accepted_by)
        task = asyncio.create_task(ending, name=f"abandoned-{uuid}")
        self._tasks[uuid] = task
        task.add_done_callback(lambda _: self._tasks.pop(uuid, None))

    async def close(self) -> None:
        """Stop; what is not over yet is said aloud, for it will cost money."""
        for uuid, task in tuple(self._tasks.items()):
            _log.error("remote job %s has no resource and is not confirmed to have ended; cancel it by hand", uuid)
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _end(
        self, key: ResourceKey, account: ResourceKey, resource_uid: str, uuid: str, accepted_by: AccountMark | None
    ) -> None:
        missing: dict[str, float] = {}
        for attempt in itertools.count():
            session = self._book.get(account)  # each time: the key may have been rotated
            try:
                if session is None:
                    raise TransportFailed(f"the {described(account)} is not open")
                if await self._is_still_there(key, resource_uid):
                    _log.info("%s is there after all; it will find remote job %s itself", key, uuid)
                    return
                await session.client.cancel_job(uuid, REASON)
                if (await session.client.get_job(uuid)).terminal:
                    _log.warning("remote job %s, whose resource had vanished, has ended", uuid)
                    return
            except RemoteNotFound as error:
                since = missing.setdefault(session.client.public_key if session is not None else "", self._monotonic())
                facts = self._book.facts(account)
                if not is_same_account(accepted_by, facts) or facts.doubt is not None:
                    _log.error("remote job %s without a resource is unknown to the present key; not given up", uuid)
                elif self._monotonic() - since >= MISSING_SECONDS:
                    _log.warning("remote job %s, whose resource had vanished, is not known any more: %s", uuid, error)
                    return
            except (RemoteError, KubernetesError) as error:
                _log.warning("remote job %s without a resource: %s; tried again", uuid, error)
            await self._sleep(DELAYS[min(attempt, len(DELAYS) - 1)])

    async def _is_still_there(self, key: ResourceKey, resource_uid: str) -> bool:
        try:
            body = await self._kube.get(DISPERSED_JOBS, namespace=key.namespace, name=key.name)
        except KubernetesNotFound:
            return False
        return bool(body["metadata"]["uid"] == resource_uid)
