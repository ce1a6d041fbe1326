"""Where objects live: one counter of versions, the objects of each kind, and the log that watches read.

Invariants: each write gets the next version, whatever its kind; a stored body is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.simulation.cluster.failures import Json
from tests.simulation.cluster.kinds import KindSpec

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Key(NamedTuple):
    """Where an object lives within its kind; the namespace is empty for kinds without."""

    namespace: str
    name: str


class Stored:
    """One version of one object. `body` is to be read only; `text` is the same as JSON, made when first asked for.

    `bare`: what is stored lacks the default status that the body shows, because a create drops the status and a read
    fills it in. So the first update writes a version even if it changes nothing.
    """

    __slots__ = ("_text", "bare", "body", "version")

    def __init__(self, body: Json, version: int, *, bare: bool = False) -> None:
        self.body = body
        self.version = version
        self.bare = bare
        self._text = ""

    @property
    def text(self) -> str:
        """The body as JSON text."""
        if not self._text:
            self._text = _encode(self.body)
        return self._text


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log: what a watch tells. `at` is the time of the write, wall-clock seconds."""

    type: str
    key: Key
    stored: Stored
    at: float


@dataclass(slots=True)
class _Shelf:
    """The objects of one kind and their log."""

    objects: dict[Key, Stored] = field(default_factory=dict)
    log: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of etcd at a moment."""

    version: int
    objects: dict[str, dict[Key, Stored]]


class Etcd:
    """The store. `now` tells wall-clock seconds. `epoch` grows with each restore."""

    def __init__(self, now: Callable[[], float], first_version: int) -> None:
        self.now = now
        self.version = first_version
        self.epoch = 0
        self._shelves: dict[str, _Shelf] = {}

    def get(self, spec: KindSpec, key: Key) -> Stored | None:
        """The object, or None."""
        return self._shelf(spec).objects.get(key)

    def sorted(self, spec: KindSpec, namespace: str = "") -> list[tuple[Key, Stored]]:
        """Objects by key, of one namespace or of all."""
        objects = self._shelf(spec).objects
        return [(key, objects[key]) for key in sorted(objects) if not namespace or key.namespace == namespace]

    def everything(self) -> Iterator[tuple[str, Key, Stored]]:
        """All objects: the name of the kind as `shelf_of` gives it, key, object."""
        for name, shelf in self._shelves.items():
            for key, stored in list(shelf.objects.items()):
                yield name, key, stored

    def put(self, spec: KindSpec, key: Key, body: Json, *, bare: bool = False) -> Stored:
        """Store a body, whose metadata this completes by the next version. The body now belongs to the store."""
        shelf = self._shelf(spec)
        stored = self._next(body, bare=bare)
        shelf.log.append(Entry("MODIFIED" if key in shelf.objects else "ADDED", key, stored, self.now()))
        shelf.objects[key] = stored
        return stored

    def remove(self, spec: KindSpec, key: Key) -> None:
        """Remove an object. Watches get its last body, with the version of the deletion."""
        shelf = self._shelf(spec)
        last = shelf.objects.pop(key).body
        shelf.log.append(Entry("DELETED", key, self._next({**last, "metadata": dict(last["metadata"])}), self.now()))

    def log(self, spec: KindSpec) -> list[Entry]:
        """The log of a kind, oldest first. To be read only; a restore begins a new one."""
        return self._shelf(spec).log

    def snapshot(self) -> Snapshot:
        """The state now."""
        return Snapshot(self.version, {name: dict(shelf.objects) for name, shelf in self._shelves.items()})

    def restore(self, snapshot: Snapshot) -> None:
        """Put the state and the counter of versions back; the logs begin anew."""
        self.version = snapshot.version
        self.epoch += 1
        self._shelves = {name: _Shelf(dict(objects)) for name, objects in snapshot.objects.items()}

    def _next(self, body: Json, *, bare: bool = False) -> Stored:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        return Stored(body, self.version, bare=bare)

    def _shelf(self, spec: KindSpec) -> _Shelf:
        name = shelf_of(spec)
        shelf = self._shelves.get(name)
        if shelf is None:
            shelf = self._shelves[name] = _Shelf()
        return shelf


def shelf_of(spec: KindSpec) -> str:
    """The name under which a kind's objects are stored."""
    return f"{spec.plural}.{spec.group}"
