"""Watches: readers of the log, who decide themselves when an event arrives, and whether it does.

A real watch delivers every event of an object, in order, unless the connection breaks; whoever then lists anew misses
what happened in between, deletions above all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from tests.simulation.cluster.etcd import Entry, Etcd, Key, Stored
from tests.simulation.cluster.failures import Json
from tests.simulation.cluster.kinds import KindSpec


@dataclass(frozen=True, slots=True, eq=False)
class WatchEvent:
    """One event: ADDED, MODIFIED, DELETED, or None for an object of a listing, as kopf tells them.

    `version` is the resourceVersion of the body, for DELETED that of the deletion. `at` is the time of the write (of
    the listing), wall-clock seconds. `body` is a fresh copy at each access. Two events are equal only if they are one.
    """

    type: str | None
    namespace: str | None
    name: str
    at: float
    _stored: Stored = field(repr=False)

    @property
    def version(self) -> int:
        """The resourceVersion."""
        return self._stored.version

    @property
    def body(self) -> Json:
        """The body."""
        body: Json = json.loads(self._stored.text)
        return body


class Subscription:
    """One process's watch of one kind: a reader of the server's log. It delivers nothing by itself."""

    def __init__(self, etcd: Etcd, spec: KindSpec, namespace: str | None) -> None:
        self._etcd = etcd
        self._spec = spec
        self._namespace = namespace or ""
        self._epoch = -1
        self._read = 0
        self._connected = False
        self._pending: list[WatchEvent] = []

    @property
    def needs_relist(self) -> bool:
        """True at first, and after a restore of etcd: nothing is pending until `relist`."""
        return self._epoch != self._etcd.epoch

    def relist(self) -> list[WatchEvent]:
        """Connect: all objects that exist now, type None. What the log holds until now will not be delivered any more:
        a deletion that was pending is missed."""
        self._epoch, self._connected = self._etcd.epoch, True
        self._read = len(self._etcd.log(self._spec))
        self._pending.clear()
        now = self._etcd.now()
        return [_event(None, key, held, now) for key, held in self._etcd.sorted(self._spec, self._namespace)]

    def disconnect(self) -> None:
        """The stream breaks: nothing is pending until `relist` or `resume`."""
        self._connected = False

    def resume(self) -> None:
        """Connect again where it broke, as kopf does within the server's history: nothing is lost."""
        if self.needs_relist:
            raise ValueError("this history is gone: relist")
        self._connected = True

    def pending(self) -> list[WatchEvent]:
        """Events not delivered yet, oldest first."""
        if self.needs_relist or not self._connected:
            return []
        log = self._etcd.log(self._spec)
        if self._read < len(log):
            self._pending += [_of(entry) for entry in log[self._read :] if self._sees(entry)]
            self._read = len(log)
        return list(self._pending)

    def heads(self) -> list[WatchEvent]:
        """The oldest pending event of each object: any of them may come next without breaking an object's order."""
        oldest: dict[tuple[str | None, str], WatchEvent] = {}
        for event in self.pending():
            oldest.setdefault((event.namespace, event.name), event)
        return list(oldest.values())

    def take(self, event: WatchEvent | None = None) -> WatchEvent:
        """Deliver one of `heads()`; without `event` the oldest pending one. It is not pending any more."""
        pending = self.pending()
        chosen = pending[0] if event is None else event
        if event is not None and event not in self.heads():
            raise ValueError("an earlier event of this object is pending")
        self._pending.remove(chosen)
        return chosen

    def _sees(self, entry: Entry) -> bool:
        return not self._namespace or entry.key.namespace == self._namespace


def events_after(etcd: Etcd, spec: KindSpec, namespace: str | None, version: int) -> list[WatchEvent]:
    """What a real watch from `version` on would have got until now."""
    log = etcd.log(spec)
    return [_of(e) for e in log if e.stored.version > version and (not namespace or e.key.namespace == namespace)]


def _of(entry: Entry) -> WatchEvent:
    return _event(entry.type, entry.key, entry.stored, entry.at)


def _event(type_: str | None, key: Key, stored: Stored, at: float) -> WatchEvent:
    return WatchEvent(type_, key.namespace or None, key.name, at, stored)
