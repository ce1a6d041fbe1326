"""The newest known body of every resource.

Three sources write here: the watch, the answers to our own writes, and our own LIST. They arrive in any order (of the
watch events that follow a PATCH answer, some are older than it), so the store lets versions only grow: an older body
put over a newer one would make the operator forget an intent and create the job again.

Invariants:

* the body of a key never gets an older resourceVersion, and a deleted one does not come back by a late event;
* an object that a LIST at version L does not show, and that is not newer than L, is gone;
* a LIST or GET older than what was known when it began means that etcd was restored: `StateLost`, the process must end
  (protocol, Identity).

resourceVersions are compared as integers, which Kubernetes guarantees to be meaningful within one kind.
Bodies are shared, not copied: nobody changes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dispersed_operator.errors import StateLost
from dispersed_operator.model.account_names import accounts_of
from dispersed_operator.model.keys import ACCOUNT_KINDS, Kind, ResourceKey

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

Body = Mapping[str, Any]
_Name = TypeVar("_Name", str, ResourceKey)


def key_of(body: Body) -> ResourceKey:
    """The key of a body as the API server gives it. Raises `ValueError` for a kind that is not ours."""
    metadata = body["metadata"]
    return ResourceKey(Kind(body["kind"]), metadata.get("namespace") or "", metadata["name"])


def version_of(body: Body) -> int:
    """The resourceVersion of a body. Raises `StateLost` if it is not a number: versions could then not be compared."""
    return parse_version(body["metadata"].get("resourceVersion"))


def parse_version(version: object) -> int:
    """A resourceVersion as a number. Raises `StateLost` if it is none."""
    if isinstance(version, str) and version.isascii() and version.isdigit():
        return int(version)
    raise StateLost("the API server gave a resourceVersion that is not a decimal number; versions cannot be compared")


@dataclass(frozen=True, slots=True)
class Changes:
    """What a listing brought: keys with a new or newer body, and keys whose deletion had been missed."""

    changed: frozenset[ResourceKey]
    vanished: frozenset[ResourceKey]


@dataclass(frozen=True, slots=True)
class _Held:
    """A body, and under which names the indexes know it."""

    version: int
    uid: str
    body: Body
    uuids: frozenset[str]
    accounts: tuple[ResourceKey, ...]


@dataclass(slots=True)
class _KindState:
    """What is known of one kind. `floors` are the versions of the last listing per namespace (None: all of them)."""

    highest: int = 0
    floors: dict[str | None, int] = field(default_factory=dict)
    held: dict[ResourceKey, _Held] = field(default_factory=dict)
    tombstones: dict[ResourceKey, int] = field(default_factory=dict)

    def floor(self, namespace: str) -> int:
        return max(self.floors.get(None, 0), self.floors.get(namespace, 0))


class ResourceStore:
    """Newest bodies by key, without managedFields and kubectl's last-applied annotation.

    `namespaces` are those that the operator serves; None means all. It must be used from one thread only.
    """

    def __init__(self, *, namespaces: Iterable[str] | None = None) -> None:
        self._scopes: frozenset[str | None] = frozenset([None]) if namespaces is None else frozenset(namespaces)
        self._kinds = {kind: _KindState() for kind in Kind}
        self._by_uuid: dict[str, set[ResourceKey]] = {}
        self._by_account: dict[ResourceKey, set[ResourceKey]] = {}
        self._by_uid: dict[str, ResourceKey] = {}

    # Bodies.

    def put(self, key: ResourceKey, body: Body) -> bool:
        """Take a body from the watch or from an answer; False if nothing newer came with it.

        Raises `StateLost` for a resourceVersion that is not a number.
        """
        state = self._kinds[key.kind]
        return self._take(key, body, max(state.tombstones.get(key, 0), state.floor(key.namespace)))

    def get(self, key: ResourceKey) -> Body | None:
        """The newest body, or None."""
        held = self._kinds[key.kind].held.get(key)
        return held.body if held is not None else None

    def version(self, key: ResourceKey) -> int:
        """The resourceVersion held; 0 if there is no body."""
        held = self._kinds[key.kind].held.get(key)
        return held.version if held is not None else 0

    def remove(self, key: ResourceKey, body: Body) -> bool:
        """Take a DELETED event; False if the key is not held, or held in a newer version (it was created again).

        The version of the event stays behind as a tombstone, so that no older event brings the object back.
        """
        version = version_of(body)
        self._kinds[key.kind].highest = max(self._kinds[key.kind].highest, version)
        return self._bury(key, version)

    def renew(self, key: ResourceKey, body: Body, observed_version: int) -> bool:
        """Take a GET's body. `observed_version` is `version(key)` as it was *before* the GET was sent.

        Raises `StateLost` if the body is older than that, or has no resourceVersion that can be compared.
        """
        if version_of(body) < observed_version:
            raise StateLost(f"the API server gave {key} in a version older than one it had shown before")
        return self.put(key, body)

    def gone(self, key: ResourceKey, observed_version: int) -> bool:
        """Take a GET's 404. `observed_version` is `version(key)` as it was *before* the GET was sent.

        What was held then no longer exists. Anything newer may have come into being since, so it stays, and this
        returns False: the watch or the next listing tells.
        """
        return self._bury(key, observed_version) if observed_version else False

    def keys(self, kind: Kind) -> frozenset[ResourceKey]:
        """All keys of a kind."""
        return frozenset(self._kinds[kind].held)

    def accounts(self) -> frozenset[ResourceKey]:
        """All keys of accounts, of both kinds."""
        return frozenset().union(*(self.keys(kind) for kind in ACCOUNT_KINDS))

    def leaving_accounts(self, namespace: str) -> frozenset[ResourceKey]:
        """The accounts that jobs of this namespace can have and that are being deleted."""
        near = ((key, self.get(key)) for key in self.accounts() if key.namespace in {namespace, ""})
        return frozenset(key for key, body in near if body is not None and body["metadata"].get("deletionTimestamp"))

    # Indexes.

    def by_uuid(self, uuid: str) -> frozenset[ResourceKey]:
        """The jobs whose status names this remote job, as `jobUUID` or in `create`. More than one is a conflict."""
        return frozenset(self._by_uuid.get(uuid, ()))

    def by_uid(self, uid: str) -> ResourceKey | None:
        """The resource with this metadata.uid."""
        return self._by_uid.get(uid)

    def jobs_of_account(self, account: ResourceKey) -> frozenset[ResourceKey]:
        """The jobs that refer to this account, those included that do so by default, or may do so."""
        return frozenset(self._by_account.get(account, ()))

    # Listings.

    def serves(self, namespace: str) -> bool:
        """Whether the objects of this namespace can be seen."""
        return None in self._scopes or namespace in self._scopes

    def highest_version(self, kind: Kind) -> int:
        """The highest version that the API server has shown for a kind; 0 before the first."""
        return self._kinds[kind].highest

    def synced(self, kind: Kind) -> bool:
        """Whether a complete listing of the kind was absorbed, for each namespace that is served."""
        return self._scopes <= self._kinds[kind].floors.keys()

    def absorb_listing(
        self,
        kind: Kind,
        items: Iterable[Body],
        list_version: int,
        *,
        floor: int | None = None,
        namespace: str | None = None,
    ) -> Changes:
        """Take a complete quorum LIST of a kind, or of one `namespace` of it: mark and sweep.

        `floor` is `highest_version(kind)` as it was when the LIST began; without it, as it is now, which is right only
        if nothing else wrote meanwhile. Raises `StateLost`, and changes nothing, if the LIST is older than that, or
        shows an object older than it was known then: writes since a restore may have overtaken the version of the LIST.
        """
        state = self._kinds[kind]
        known = state.highest if floor is None else floor
        named = ((item["metadata"].get("namespace") or "", item["metadata"]["name"], item) for item in items)
        bodies = {ResourceKey(kind, home, name): item for home, name, item in named}
        if list_version < known or any(self._is_overtaken(key, body, known) for key, body in bodies.items()):
            raise StateLost(f"the API server listed {kind} at a version older than one it had shown before")
        # What the listing shows existed at its version: only a deletion seen since overrules it.
        later = {key: version for key, version in state.tombstones.items() if version > list_version}
        changed = frozenset(key for key, body in bodies.items() if self._take(key, body, later.get(key, 0)))
        vanished = frozenset(
            key
            for key, held in state.held.items()
            if key not in bodies and held.version <= list_version and namespace in (None, key.namespace)
        )
        for key in vanished:
            self._bury(key, list_version)
        state.highest = max(state.highest, list_version)
        # From here on the listing says the same as every tombstone that it is newer than.
        state.floors[namespace] = max(list_version, state.floors.get(namespace, 0))
        state.tombstones = {k: v for k, v in state.tombstones.items() if v > state.floor(k.namespace)}
        return Changes(changed, vanished)

    def _is_overtaken(self, key: ResourceKey, body: Body, known: int) -> bool:
        held = self._kinds[key.kind].held.get(key)
        return held is not None and version_of(body) < held.version <= known

    def _take(self, key: ResourceKey, body: Body, absent_at: int) -> bool:
        """Hold the body if it is newer than the one held, or than `absent_at` if none is. Raises `StateLost` if it is
        another state of the object under the version that is held: a restored etcd gives versions out twice."""
        version = version_of(body)
        state = self._kinds[key.kind]
        held = state.held.get(key)
        if held is not None and version == held.version and _is_another_state(body, held.body):
            raise StateLost(f"the API server gave out version {version} of {key} twice")
        if version <= (held.version if held is not None else absent_at):
            return False
        if held is not None:
            self._unindex(key, held)
        state.highest = max(state.highest, version)
        state.tombstones.pop(key, None)
        state.held[key] = self._index(key, _slim(body), version)
        return True

    def _bury(self, key: ResourceKey, version: int) -> bool:
        state = self._kinds[key.kind]
        held = state.held.get(key)
        if held is not None and held.version > version:
            return False
        state.tombstones[key] = max(version, state.tombstones.get(key, 0))
        if held is None:
            return False
        del state.held[key]
        self._unindex(key, held)
        return True

    def _index(self, key: ResourceKey, body: Body, version: int) -> _Held:
        uid = str(body["metadata"].get("uid", ""))
        is_job = key.kind is Kind.JOB
        held = _Held(version, uid, body, _uuids(body) if is_job else frozenset(), accounts_of(body) if is_job else ())
        if uid:
            self._by_uid[uid] = key
        for uuid in held.uuids:
            self._by_uuid.setdefault(uuid, set()).add(key)
        for account in held.accounts:
            self._by_account.setdefault(account, set()).add(key)
        return held

    def _unindex(self, key: ResourceKey, held: _Held) -> None:
        if self._by_uid.get(held.uid) == key:
            del self._by_uid[held.uid]
        for uuid in held.uuids:
            _discard(self._by_uuid, uuid, key)
        for account in held.accounts:
            _discard(self._by_account, account, key)


def _is_another_state(body: Body, known: Body) -> bool:
    """Whether two bodies of one version cannot be the same. The answer to the write that takes the last finalizer off a
    deleting object has the version from before it, so those are not compared."""
    if body["metadata"].get("deletionTimestamp") and known["metadata"].get("deletionTimestamp"):
        return False
    return _identity(body) != _identity(known)


def _identity(body: Body) -> tuple[Any, ...]:
    """What cannot differ between two readings of one version. Defaults and pruning are applied when an object is read,
    so spec and status as a whole can, after the definition of the kind has changed."""
    metadata, status = body["metadata"], body.get("status") or {}
    marks = tuple(metadata.get(name) for name in ("uid", "generation", "deletionTimestamp", "finalizers"))
    annotations = {name: text for name, text in (metadata.get("annotations") or {}).items() if name != LAST_APPLIED}
    return *marks, annotations, status.get("jobUUID"), status.get("create")


def _slim(body: Body) -> Body:
    """The body without what only other writers need; managedFields alone are often half of it."""
    metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    if LAST_APPLIED in (metadata.get("annotations") or {}):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != LAST_APPLIED}
    return {**body, "metadata": metadata}


def _uuids(body: Body) -> frozenset[str]:
    status = body.get("status") or {}
    named = (status.get("jobUUID"), (status.get("create") or {}).get("uuid"))
    return frozenset(uuid for uuid in named if isinstance(uuid, str) and uuid)


def _discard(index: dict[_Name, set[ResourceKey]], name: _Name, key: ResourceKey) -> None:
    keys = index[name]
    keys.discard(key)
    if not keys:
        del index[name]
