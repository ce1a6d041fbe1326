"""Who may lead: what a Lease of the API server says to a process that wants to hold it, or holds it.

As Kubernetes' own components read it (client-go, leaderelection). Clocks of different machines are never compared: a
Lease is over when its version has not changed for its duration *since this process first saw that version*, on this
process's monotonic clock. The holder gives up earlier than anybody may take over, counted from the moment before its
last successful write was sent.

Invariant: nothing rests on this but liveness. Two processes that both believe that they lead do no harm (protocol C2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds: how long a Lease lasts that nobody renews, when its holder gives up, and how often both try."""

    duration: float = 15.0
    give_up: float = 10.0
    retry: float = 2.0


@dataclass(frozen=True, slots=True)
class SeenLease:
    """A Lease as it was read. `since`: the monotonic moment at which this version was first seen."""

    version: str
    holder: str
    duration: float
    transitions: int
    since: float


def see(body: Mapping[str, Any], before: SeenLease | None, *, now: float) -> SeenLease:
    """What was read at `now`; a version that was seen before keeps the moment at which it was."""
    spec = body.get("spec") or {}
    seen = SeenLease(
        version=str(body["metadata"]["resourceVersion"]),
        holder=str(spec.get("holderIdentity") or ""),
        duration=float(spec.get("leaseDurationSeconds") or Terms().duration),
        transitions=int(spec.get("leaseTransitions") or 0),
        since=now,
    )
    return replace(seen, since=before.since) if before is not None and before.version == seen.version else seen


def is_free(seen: SeenLease, *, now: float) -> bool:
    """Whether a process that does not lead may take the Lease. A holder of its own name is somebody else: that of a
    process before this one, or of one that was given the same name by mistake."""
    return free_in(seen, now=now) <= 0


def free_in(seen: SeenLease, *, now: float) -> float:
    """Seconds until the Lease may be taken if nobody renews it; 0 or less if it may be taken now."""
    return seen.since + seen.duration - now if seen.holder else 0.0


def taken(me: str, terms: Terms, seen: SeenLease | None, *, wall: float) -> Document:
    """The spec with which this process becomes the holder; `seen` None: of a Lease that it creates."""
    moment = _micro_time(wall)
    return _held(me, terms, wall) | {
        "acquireTime": moment,
        "leaseTransitions": seen.transitions + 1 if seen is not None else 0,
    }


def renewed(me: str, terms: Terms, *, wall: float) -> Document:
    """The part of the spec with which the holder says that it is there."""
    return _held(me, terms, wall)


def released(*, wall: float) -> Document:
    """The part of the spec with which the holder lets anybody take over at once."""
    return {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time(wall)}


def _held(me: str, terms: Terms, wall: float) -> Document:
    return {
        "holderIdentity": me,
        "leaseDurationSeconds": round(terms.duration),
        "renewTime": _micro_time(wall),
    }


def _micro_time(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
