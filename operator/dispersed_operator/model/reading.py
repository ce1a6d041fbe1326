"""A resource as it is kept: its document packed, and beside it the few fields that are asked of all resources at once.

Why it exists: a parsed body takes seventeen kilobytes, packed it takes two, and there may be ten thousand of them. The
poller, the gauges and the sweep look at every resource and need a handful of fields; they find them here and unpack
nothing. Whoever works on one resource unpacks that one.

Invariant: `body()` is what the API server gave, without managedFields and kubectl's last-applied annotation. What
stands beside it is read tolerantly, for anybody may have written a status, and proves nothing.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from dispersed_operator.model import naming
from dispersed_operator.model.account_names import accounts_of
from dispersed_operator.model.intent import parse_intent
from dispersed_operator.model.keys import Kind, ResourceKey

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

Body = Mapping[str, Any]
_NOTHING: Body = {}
_FASTEST = 1


@dataclass(frozen=True, slots=True)
class JobOutline:
    """What is asked of all DispersedJobs, as their status says it, if nothing else is named.

    `job_uuid` and `create_uuid` are the remote job as `status.jobUUID` and `status.create` name it; `token`,
    `public_key` and `ended` (a suspended job is verified to be over) stand in the latter too, and `unknown` is its
    state. `stalled`: the reasons of the conditions `Stalled`. `adopts`: the remote job of `spec.adopt`, empty if that
    names none. `origin_uid`: the uid in the intent, where it is another object's. `accounts`: those that it can mean.
    """

    phase: str = ""
    active: bool = False
    hourly_rate: str | None = None
    job_uuid: str | None = None
    create_uuid: str | None = None
    token: str | None = None
    public_key: str | None = None
    unknown: bool = False
    ended: bool = False
    stalled: tuple[str, ...] = ()
    adopts: str | None = None
    origin_uid: str | None = None
    accounts: tuple[ResourceKey, ...] = ()

    @property
    def uuids(self) -> frozenset[str]:
        """The remote jobs that the status names."""
        return frozenset(uuid for uuid in (self.job_uuid, self.create_uuid) if uuid)


UNOUTLINED = JobOutline()
"""The outline of what is no job."""


@dataclass(slots=True, eq=False)
class Reading:
    """One version of one resource. `state` is a digest of what cannot differ between two readings of one version.

    The document is at hand until `pack` is called and again after `unpack`; nothing else ever changes. Packing costs
    more than all else that is done with a version, and most versions are replaced before anybody needs the room.
    """

    key: ResourceKey
    version: int
    uid: str
    deleting: bool
    state: bytes
    outline: JobOutline
    _document: Body | None = field(repr=False)
    _packed: bytes | None = field(default=None, repr=False)

    def body(self) -> Body:
        """The document; it is not kept at hand if it was packed."""
        if self._document is not None:
            return self._document
        assert self._packed is not None
        document: Body = json.loads(zlib.decompress(self._packed))
        return document

    def unpack(self) -> Body:
        """The document, at hand from now on."""
        self._document = self.body()
        return self._document

    def pack(self) -> Self:
        """Keep the document in its small form only."""
        if self._packed is None:
            text = json.dumps(self._document, separators=(",", ":"), check_circular=False)
            self._packed = zlib.compress(text.encode(), _FASTEST)
        self._document = None
        return self


def read(key: ResourceKey, body: Body, version: int) -> Reading:
    """Read a body, which stays as it is. `version` is its resourceVersion as a number."""
    metadata = body["metadata"]
    return Reading(
        key=key,
        version=version,
        uid=str(metadata.get("uid", "")),
        deleting=bool(metadata.get("deletionTimestamp")),
        state=state_of(body),
        outline=_outline(body) if key.kind is Kind.JOB else UNOUTLINED,
        _document=slim(body),
    )


def slim(body: Body) -> Body:
    """The body without what only other writers need; managedFields alone are often half of it."""
    metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    if LAST_APPLIED in (metadata.get("annotations") or {}):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != LAST_APPLIED}
    return {**body, "metadata": metadata}


def state_of(body: Body) -> bytes:
    """A digest of what cannot differ between two readings of one version. Defaults and pruning are applied when an
    object is read, so spec and status as a whole can, after the definition of the kind has changed."""
    metadata, status = body["metadata"], _mapping(body.get("status"))
    marks = [metadata.get(name) for name in ("uid", "generation", "deletionTimestamp", "finalizers")]
    annotations = {name: text for name, text in (metadata.get("annotations") or {}).items() if name != LAST_APPLIED}
    told = [*marks, annotations, status.get("jobUUID"), status.get("create")]
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), check_circular=False)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _outline(body: Body) -> JobOutline:
    status = _mapping(body.get("status"))
    create = _mapping(status.get("create"))
    adopt = _mapping(body.get("spec")).get("adopt")
    key = _mapping(create.get("account")).get("publicKey")
    rate = status.get("hourlyRateUSD")
    job_uuid, create_uuid = _text(status.get("jobUUID")), _text(create.get("uuid"))
    return JobOutline(
        phase=sys.intern(str(status.get("phase") or "")),
        active=status.get("active") == 1,
        hourly_rate=sys.intern(str(rate)) if rate is not None else None,
        job_uuid=job_uuid,
        create_uuid=job_uuid if create_uuid == job_uuid else create_uuid,  # one text in memory
        token=_text(create.get("token")),
        public_key=sys.intern(key) if isinstance(key, str) else None,
        unknown=create.get("state") == "Unknown",
        ended=create.get("ended") is True,
        stalled=_stalled(status.get("conditions")),
        adopts=None if adopt is None else _text(_mapping(adopt).get("jobUUID")) or "",
        origin_uid=_origin_uid(body["metadata"]),
        accounts=accounts_of(body),
    )


def _stalled(conditions: object) -> tuple[str, ...]:
    found = [_mapping(item) for item in conditions] if isinstance(conditions, list | tuple) else []
    return tuple(sys.intern(str(item.get("reason"))) for item in found if item.get("type") == "Stalled")


def _origin_uid(metadata: Body) -> str | None:
    """The uid in the intent; None if there is none, or if it is this object's own."""
    text = _mapping(metadata.get("annotations")).get(naming.INTENT_ANNOTATION)
    intent = parse_intent(text) if isinstance(text, str) else None
    return intent.origin.uid if intent is not None and intent.origin.uid != metadata.get("uid") else None


def _mapping(value: object) -> Body:
    return value if isinstance(value, Mapping) else _NOTHING


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
