"""Our own LIST: the barrier before anything acts on absence, and the repair of deletions that the watch missed.

kopf never says that its first listing is complete, and a deletion during a disconnect never arrives. So the operator
lists each kind itself, by quorum and in chunks: once before poller and lookups may conclude anything from what the
store does not hold, and then again and again.

Invariant: `barrier` is set only after every kind was listed completely, in every namespace that is served. `StateLost`
leaves `run`: the process must end.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Collection, Iterable

from dispersed_operator.errors import KubernetesError
from dispersed_operator.kube.client import RESOURCES, KubeClient
from dispersed_operator.model.keys import NAMESPACED_KINDS, Kind, ResourceKey
from dispersed_operator.store import Changes, ResourceStore, parse_version

_log = logging.getLogger(__name__)

_FIRST_BACK_OFF = 1.0
_LONGEST_BACK_OFF = 30.0
_JITTER = 0.1


class Resync:
    """Lists `kinds` into the store. Times are in seconds.

    `namespaces` None means all of them; otherwise the store must have been made with the same ones. `on_changes` gets
    the keys that a listing changed or found gone, at once after each listing. `monotonic` tells seconds, `random` a
    number in [0, 1).
    """

    def __init__(
        self,
        client: KubeClient,
        store: ResourceStore,
        kinds: Iterable[Kind] = NAMESPACED_KINDS,
        *,
        namespaces: Collection[str] | None = None,
        interval: float = 600.0,
        on_changes: Callable[[frozenset[ResourceKey]], None],
        monotonic: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._client = client
        self._store = store
        self.kinds = tuple(kinds)
        self._namespaces: tuple[str | None, ...] = (None,) if namespaces is None else tuple(namespaces)
        self._interval = interval
        self._on_changes = on_changes
        self._monotonic = monotonic
        self._random = random
        self._succeeded_at: float | None = None
        self._attempted_at = monotonic()
        self.barrier = asyncio.Event()

    async def list_once(self) -> Changes:
        """List every kind once and return what changed in all.

        Raises the `Kubernetes…` error of the first listing that failed (what was listed before it counts), and
        `StateLost` if the API server is behind what the store has seen.
        """
        self._attempted_at = self._monotonic()
        changed: set[ResourceKey] = set()
        vanished: set[ResourceKey] = set()
        for kind in self.kinds:
            for namespace in self._namespaces:
                changes = await self._list(kind, namespace)
                changed |= changes.changed
                vanished |= changes.vanished
                if changes.changed or changes.vanished:
                    self._on_changes(changes.changed | changes.vanished)
        self._succeeded_at = self._monotonic()
        self.barrier.set()
        return Changes(frozenset(changed), frozenset(vanished))

    async def run(self) -> None:
        """List for ever. While the server is down or a CRD is missing, try again with back-off."""
        back_off = _FIRST_BACK_OFF
        while True:
            try:
                changes = await self.list_once()
            except KubernetesError as error:
                _log.warning("listing failed, next attempt in about %.0f s: %s", back_off, error)
                await asyncio.sleep(back_off * (0.75 + 0.5 * self._random()))
                back_off = min(_LONGEST_BACK_OFF, back_off * 2)
                continue
            if changes.vanished:
                _log.info("the watch had missed %d deletions", len(changes.vanished))
            back_off = _FIRST_BACK_OFF
            await asyncio.sleep(self._interval * (1.0 + _JITTER * (2.0 * self._random() - 1.0)))

    def age(self) -> float:
        """Seconds since the last complete listing of all kinds; infinite before the first."""
        return float("inf") if self._succeeded_at is None else self._monotonic() - self._succeeded_at

    def idle_for(self) -> float:
        """Seconds since the last attempt began. It grows only if this loop hangs, not while the server is down."""
        return self._monotonic() - self._attempted_at

    async def _list(self, kind: Kind, namespace: str | None) -> Changes:
        floor = self._store.highest_version(kind)  # before the LIST: what comes meanwhile may be newer than it
        read = functools.partial(self._store.wanted, kind)
        items, version = await self._client.list_each(RESOURCES[kind], read, namespace=namespace)
        return self._store.absorb_listing(kind, items, parse_version(version), floor=floor, namespace=namespace)
