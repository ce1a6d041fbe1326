"""The newest known body of every resource.

Three sources write here: the watch, the answers to our own writes, and our own LIST. They arrive in any order (of the
watch events that follow a PATCH answer, some are older than it), so the store lets versions only grow: an older body
put over a newer one would make the operator forget an intent and create the job again.

Invariants:

* the body of a key never gets an older resourceVersion, and a deleted one does not come back by a late event;
* an object that a LIST at version L does not show, and that is not newer than L, is gone;
* a LIST or GET older than what was known when it began means that etcd was restored: `StateLost`, the process must end
  (protocol, Identity);
* with a `keeps` a body that it refuses leaves nothing behind, and one that it refuses by now is gone: a shard does not
  see every job, so what is not here may exist (`census.py`).

resourceVersions are compared as integers, which Kubernetes guarantees to be meaningful within one kind.
What is held is packed (model/reading.py); bodies are shared, not copied: nobody changes one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dispersed_operator.errors import StateLost
from dispersed_operator.model.keys import ACCOUNT_KINDS, Kind, ResourceKey
from dispersed_operator.model.reading import UNOUTLINED, Body, JobOutline, Reading, read, state_of

Keeps = Callable[[ResourceKey, str, Sequence[ResourceKey]], bool]
"""Whether to hold the job of this key, uid and accounts that it can mean."""

AT_HAND = 256
"""How many bodies are not packed: those that came or were asked for last. Twice as many as there are workers."""


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


@dataclass(slots=True)
class _KindState:
    """What is known of one kind. `floors` are the versions of the last listing per namespace (None: all of them)."""

    highest: int = 0
    floors: dict[str | None, int] = field(default_factory=dict)
    held: dict[ResourceKey, Reading] = field(default_factory=dict)
    tombstones: dict[ResourceKey, int] = field(default_factory=dict)

    def floor(self, namespace: str) -> int:
        return max(self.floors.get(None, 0), self.floors.get(namespace, 0))


class ResourceStore:
    """Newest bodies by key, without managedFields and kubectl's last-applied annotation.

    `namespaces` are those that the operator serves, `keeps` tells which jobs are held; None means all. Not to be used
    from several threads.
    """

    def __init__(self, *, namespaces: Iterable[str] | None = None, keeps: Keeps | None = None) -> None:
        self._keeps = keeps
        self._scopes: frozenset[str | None] = frozenset([None]) if namespaces is None else frozenset(namespaces)
        self._kinds = {kind: _KindState() for kind in Kind}
        self._by_uuid: dict[str, tuple[ResourceKey, ...]] = {}
        self._by_account: dict[ResourceKey, set[ResourceKey]] = {}
        self._by_uid: dict[str, ResourceKey] = {}
        self._at_hand: OrderedDict[ResourceKey, Reading] = OrderedDict()
        self.changes = 0
        """Grows whenever something else is held."""

    # Bodies.

    def put(self, key: ResourceKey, body: Body) -> bool:
        """Take a body from the watch or from an answer; False if nothing newer came with it.

        Raises `StateLost` for a resourceVersion that is not a number.
        """
        state, version = self._kinds[key.kind], version_of(body)
        held = state.held.get(key)
        if held is not None and (version < held.version or _is_held_already(body, version, held)):
            return False
        reading = read(key, body, version)
        if not self._take(reading, max(state.tombstones.get(key, 0), state.floor(key.namespace))):
            return False
        if state.held.get(key) is reading:
            self._keep_at_hand(reading)
        return True

    def get(self, key: ResourceKey) -> Body | None:
        """The newest body, or None. To ask something of many resources, use `outlines`."""
        held = self._kinds[key.kind].held.get(key)
        if held is None:
            return None
        self._keep_at_hand(held)
        return held.unpack()

    def holds(self, key: ResourceKey) -> bool:
        """Whether there is a body."""
        return key in self._kinds[key.kind].held

    def amount(self, kind: Kind, namespace: str | None = None) -> int:
        """How many resources of a kind are held, of all namespaces or of one."""
        held = self._kinds[kind].held
        return len(held) if namespace is None else sum(key.namespace == namespace for key in held)

    def reading(self, key: ResourceKey) -> Reading | None:
        """What is held, as it is held: nothing is unpacked."""
        return self._kinds[key.kind].held.get(key)

    def readings(self, kind: Kind) -> tuple[Reading, ...]:
        """All resources of a kind as they are held."""
        return tuple(self._kinds[kind].held.values())

    def outlines(self) -> Iterator[JobOutline]:
        """What is asked of all jobs. Nothing may be written meanwhile."""
        return (held.outline for held in self._kinds[Kind.JOB].held.values())

    def outline(self, job: ResourceKey) -> JobOutline:
        """What is asked of all jobs, of this one; an empty outline if it is not held."""
        held = self._kinds[job.kind].held.get(job)
        return held.outline if held is not None else UNOUTLINED

    def settled(self, key: ResourceKey) -> bool:
        """Whether a job only waits for what the service does next: its remote job is recorded, and it stays."""
        held = self._kinds[key.kind].held.get(key)
        return held is not None and not held.deleting and bool(held.outline.job_uuid) and not held.outline.unknown

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
        held = (account for kind in ACCOUNT_KINDS for account in self._kinds[kind].held.values())
        return frozenset(item.key for item in held if item.deleting and item.key.namespace in {namespace, ""})

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

    def outlines_of_account(self, account: ResourceKey) -> Iterator[JobOutline]:
        """What is asked of all jobs, of those that refer to this account. Nothing may be written meanwhile."""
        held = self._kinds[Kind.JOB].held
        return (held[job].outline for job in self._by_account.get(account, ()))

    # Listings.

    @property
    def sees_all(self) -> bool:
        """Whether every object that can be seen is held."""
        return self._keeps is None

    @property
    def scopes(self) -> tuple[str | None, ...]:
        """The namespaces that are served; only None if all are."""
        return tuple(self._scopes)

    def serves(self, namespace: str) -> bool:
        """Whether the objects of this namespace can be seen."""
        return None in self._scopes or namespace in self._scopes

    def highest_version(self, kind: Kind) -> int:
        """The highest version that the API server has shown for a kind; 0 before the first."""
        return self._kinds[kind].highest

    def synced(self, kind: Kind) -> bool:
        """Whether a complete listing of the kind was absorbed, for each namespace that is served."""
        return self._scopes <= self._kinds[kind].floors.keys()

    def listed(self, kind: Kind, body: Body) -> Reading:
        """An item of a listing, packed: for whoever must have all of them. What is held in the same state is not
        packed again. Raises `StateLost` for a resourceVersion that is not a number."""
        metadata, version = body["metadata"], version_of(body)
        key = ResourceKey(kind, metadata.get("namespace") or "", metadata["name"])
        held = self._kinds[kind].held.get(key)
        same = held is not None and version == held.version and state_of(body) == held.state
        return held if held is not None and same else read(key, body, version).pack()

    def wanted(self, kind: Kind, body: Body) -> Reading | None:
        """`listed`, or None for a job that is not to be held."""
        reading = self.listed(kind, body)
        return reading if self._is_kept(reading) else None

    def listed_job(self, body: Body) -> Reading:
        """`listed` for a DispersedJob."""
        return self.listed(Kind.JOB, body)

    def absorb_listing(
        self,
        kind: Kind,
        items: Iterable[Body | Reading],
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
        readings = (item if isinstance(item, Reading) else self.listed(kind, item) for item in items)
        listed = {reading.key: reading for reading in readings}
        if list_version < known or any(self._is_overtaken(reading, known) for reading in listed.values()):
            raise StateLost(f"the API server listed {kind} at a version older than one it had shown before")
        # What the listing shows existed at its version: only a deletion seen since overrules it.
        later = {key: version for key, version in state.tombstones.items() if version > list_version}
        changed = frozenset(key for key, reading in listed.items() if self._take(reading, later.get(key, 0)))
        vanished = frozenset(
            key
            for key, held in state.held.items()
            if key not in listed and held.version <= list_version and namespace in (None, key.namespace)
        )
        for key in vanished:
            self._bury(key, list_version)
        state.highest = max(state.highest, list_version)
        # From here on the listing says the same as every tombstone that it is newer than.
        state.floors[namespace] = max(list_version, state.floors.get(namespace, 0))
        state.tombstones = {k: v for k, v in state.tombstones.items() if v > state.floor(k.namespace)}
        return Changes(changed, vanished)

    def _is_kept(self, reading: Reading) -> bool:
        if self._keeps is None or reading.key.kind is not Kind.JOB:
            return True
        return self._keeps(reading.key, reading.uid, reading.outline.accounts)

    def _is_overtaken(self, reading: Reading, known: int) -> bool:
        held = self._kinds[reading.key.kind].held.get(reading.key)
        return held is not None and reading.version < held.version <= known

    def _take(self, reading: Reading, absent_at: int) -> bool:
        """Hold the reading if it is newer than the one held, or than `absent_at` if none is. Raises `StateLost` if it
        is another state of the object under the version that is held: a restored etcd gives versions out twice."""
        key, state = reading.key, self._kinds[reading.key.kind]
        held = state.held.get(key)
        if held is not None and reading.version == held.version and _is_another_state(reading, held):
            raise StateLost(f"the API server gave out version {reading.version} of {key} twice")
        if reading.version <= (held.version if held is not None else absent_at):
            return False
        if not self._is_kept(reading):
            state.highest = max(state.highest, reading.version)
            return held is not None and self._bury(key, reading.version)
        if held is not None:
            self._unindex(held)
        state.highest = max(state.highest, reading.version)
        state.tombstones.pop(key, None)
        state.held[key] = reading
        self._index(reading)
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
        self._at_hand.pop(key, None)
        self._unindex(held)
        return True

    def _index(self, reading: Reading) -> None:
        self.changes += 1
        key = reading.key
        if reading.uid:
            self._by_uid[reading.uid] = key
        for uuid in reading.outline.uuids:
            self._by_uuid[uuid] = (*self._by_uuid.get(uuid, ()), key)
        for account in reading.outline.accounts:
            self._by_account.setdefault(account, set()).add(key)

    def _unindex(self, held: Reading) -> None:
        self.changes += 1
        key = held.key
        if self._by_uid.get(held.uid) == key:
            del self._by_uid[held.uid]
        for uuid in held.outline.uuids:
            left = tuple(other for other in self._by_uuid[uuid] if other != key)
            if left:
                self._by_uuid[uuid] = left
            else:
                del self._by_uuid[uuid]
        for account in held.outline.accounts:
            jobs = self._by_account[account]
            jobs.discard(key)
            if not jobs:
                del self._by_account[account]

    def _keep_at_hand(self, held: Reading) -> None:
        self._at_hand[held.key] = held
        self._at_hand.move_to_end(held.key)
        if len(self._at_hand) > AT_HAND:
            _, rested = self._at_hand.popitem(last=False)
            rested.pack()


def _is_another_state(reading: Reading, held: Reading) -> bool:
    """Whether two readings of one version cannot be of the same state. The answer to the write that takes the last
    finalizer off a deleting object has the version from before it, so those are not compared."""
    return not (reading.deleting and held.deleting) and reading.state != held.state


def _is_held_already(body: Body, version: int, held: Reading) -> bool:
    """Whether a body says what is held; then it need not be packed."""
    both_go = held.deleting and bool(body["metadata"].get("deletionTimestamp"))
    return version == held.version and (both_go or state_of(body) == held.state)
