"""Who may act, and since when (C0): one process alone, or one of several by a Lease.

Leadership is for liveness only; safety rests on the compare-and-swap of the intent and must hold when two processes
believe that they lead. Invariants: a process that lost its Lease does not take it again, it ends, and a fresh one
starts clean; `leading` is judged by the clock at the moment of the question, so a process that was stopped for a while
knows it before it does anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from dispersed_operator.errors import (
    KubernetesConflict,
    KubernetesError,
    KubernetesForbidden,
    KubernetesNotFound,
    OperatorError,
)
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import LEASES
from dispersed_operator.planning.election import (
    Document,
    SeenLease,
    Terms,
    free_in,
    is_free,
    released,
    renewed,
    see,
    taken,
)

_log = logging.getLogger(__name__)

JITTER = 0.2
LOOKS_PER_RENEWAL = 2


class LeadershipLost(OperatorError):
    """Another process leads, or may lead by now."""


class Leadership(Protocol):
    """Whether this process leads. `acquire` waits until it does, `keep` until it no longer does."""

    @property
    def leading(self) -> bool: ...

    def leading_since(self) -> float:
        """Monotonic time since when this process leads (C0)."""

    def silent_for(self) -> float:
        """Seconds since the election was last heard of; 0 without one."""

    async def acquire(self) -> None:
        """Wait until this process leads."""

    async def keep(self) -> None:
        """Stay the leader. Raises LeadershipLost."""

    async def release(self) -> None:
        """Let another process take over at once, if this one leads."""


class SoleLeader:
    """Leads from the moment it is made."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._since = monotonic()

    @property
    def leading(self) -> bool:
        return True

    def leading_since(self) -> float:
        return self._since

    def silent_for(self) -> float:
        return 0.0

    async def acquire(self) -> None:
        return

    async def keep(self) -> None:
        return

    async def release(self) -> None:
        return


class Election:
    """Leads while it holds the Lease `name` in `namespace`. `me` must differ between processes. Times are monotonic."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        namespace: str,
        name: str,
        me: str,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
        random: Callable[[], float],
        terms: Terms | None = None,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._me = me
        self._monotonic = monotonic
        self._wall = wall
        self._random = random
        self._terms = terms if terms is not None else Terms()
        self._seen: SeenLease | None = None
        self._renewed: float | None = None
        self._since = float("inf")
        self._heard = monotonic()
        self._writing = asyncio.Lock()

    @property
    def leading(self) -> bool:
        return self._renewed is not None and self._left() > 0

    def leading_since(self) -> float:
        return self._since

    def silent_for(self) -> float:
        return self._monotonic() - self._heard

    async def acquire(self) -> None:
        told = ""
        while True:
            try:
                if await self._try():
                    self._since = self._monotonic()
                    _log.info("this process leads: it holds the Lease %s/%s", self._namespace, self._name)
                    return
                words = f"standing by: the Lease is held by {self._seen.holder}" if self._seen is not None else ""
            except KubernetesForbidden as error:
                words = f"standing by without the right to the Lease (get, create, patch of leases): {error}"
            except KubernetesError as error:
                words = f"standing by without an answer about the Lease: {error}"
            if words and words != told:
                _log.info("%s", words)
                told = words
            await asyncio.sleep(self._until_next_try())

    async def keep(self) -> None:
        while self._renewed is not None:
            await asyncio.sleep(min(self._terms.retry, max(self._left(), 0.0)))
            async with self._writing:
                await self._renew()

    async def release(self) -> None:
        async with self._writing:
            if not self.leading or self._seen is None:
                return
            self._renewed = None
            try:
                await self._patch(released(wall=self._wall()), deadline=self._terms.retry)
            except KubernetesError as error:
                _log.warning("the Lease could not be released, the next leader waits for its end: %s", error)
            else:
                _log.info("the Lease is released")

    def _left(self) -> float:
        """Seconds until this process must no longer lead."""
        return (self._renewed if self._renewed is not None else float("-inf")) + self._terms.give_up - self._monotonic()

    def _until_next_try(self) -> float:
        """Seconds. A standby looks twice as often as a leader renews, for the Lease is free so long after the look that
        saw the last renewal; and one that nobody renews is tried as soon as it can be taken."""
        retry = self._terms.retry / LOOKS_PER_RENEWAL * (1 + JITTER * self._random())
        left = free_in(self._seen, now=self._monotonic()) if self._seen is not None else 0.0
        return min(retry, left) if left > 0 else retry

    async def _try(self) -> bool:
        """Take the Lease if it is free; whether it was."""
        try:
            seen = await self._look(deadline=self._terms.give_up)
        except KubernetesNotFound:
            return await self._create()
        if not is_free(seen, now=self._heard):
            return False
        begun = self._monotonic()
        try:
            await self._patch(taken(self._me, self._terms, seen, wall=self._wall()), deadline=self._terms.give_up)
        except KubernetesConflict:
            return False
        self._renewed = begun
        return self.leading

    async def _create(self) -> bool:
        begun = self._monotonic()
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": taken(self._me, self._terms, None, wall=self._wall()),
        }
        try:
            made = await self._kube.create(LEASES, namespace=self._namespace, body=body, deadline=self._terms.give_up)
        except KubernetesConflict:
            return False
        self._note(made)
        self._renewed = begun
        return self.leading

    async def _renew(self) -> None:
        """Say that this process is there. Trouble with the API server is borne until the time to give up."""
        if self._renewed is None:
            return
        left, begun = self._left(), self._monotonic()
        if left <= 0:
            raise LeadershipLost(f"the Lease was not renewed for {self._terms.give_up:g} s")
        try:
            await self._patch(renewed(self._me, self._terms, wall=self._wall()), deadline=left)
        except KubernetesConflict:
            await self._look_who_holds(left)
        except KubernetesNotFound:
            raise LeadershipLost("the Lease was deleted") from None
        except KubernetesError as error:
            _log.warning("the Lease was not renewed: %s", error)
        else:
            self._renewed = begun

    async def _look_who_holds(self, left: float) -> None:
        """Somebody wrote the Lease: another holder, or this process by a request whose answer was lost."""
        try:
            seen = await self._look(deadline=left)
        except KubernetesNotFound:
            raise LeadershipLost("the Lease was deleted") from None
        except KubernetesError as error:
            _log.warning("the Lease was not read: %s", error)
            return
        if seen.holder != self._me:
            raise LeadershipLost(f"the Lease is held by {seen.holder or 'nobody'} now")

    async def _look(self, *, deadline: float) -> SeenLease:
        body = await self._kube.get(LEASES, namespace=self._namespace, name=self._name, deadline=deadline)
        return self._note(body)

    def _note(self, body: Document) -> SeenLease:
        self._heard = self._monotonic()
        self._seen = see(body, self._seen, now=self._heard)
        return self._seen

    async def _patch(self, spec: Document, *, deadline: float) -> None:
        """Write this part of the spec over the version that was seen. Raises KubernetesConflict if that is old."""
        version = self._seen.version if self._seen is not None else ""
        body = {"metadata": {"resourceVersion": version}, "spec": spec}
        answer = await self._kube.patch(
            LEASES, namespace=self._namespace, name=self._name, body=body, deadline=deadline
        )
        self._note(answer)
