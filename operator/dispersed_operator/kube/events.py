"""Kubernetes Events: what `kubectl describe` tells a person about a resource.

Events are for people, best effort, and few: the same event of the same object within ten minutes counts up instead of
being written again, and a count is written at most once a minute.

Invariant: a failure to record never reaches the caller. What an operator does must not depend on its talking about it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from dispersed_operator.errors import KubernetesError, KubernetesNotFound
from dispersed_operator.kube.client import EVENTS, KubeClient

WINDOW = 600.0
"""Seconds within which an identical event counts up."""
WRITE_INTERVAL = 60.0
"""Shortest time between two writes of a count, in seconds."""
MESSAGE_LIMIT = 1024
"""Bytes that the API server accepts as a message."""
CLUSTER_EVENTS_NAMESPACE = "default"
"""Where the Events of a cluster-wide object stand, as kubectl describe expects it."""

_REMEMBERED = 4096
_NAME_LIMIT = 240  # leaves room for the suffix that the server adds

_log = logging.getLogger(__name__)

_Identity = tuple[str, str, str]


@dataclass(slots=True)
class _Recorded:
    """One event as written: its name, the count, the wall-clock times in seconds."""

    name: str
    count: int
    first: float
    written: float


class EventRecorder:
    """Writes core/v1 Events.

    `clock` tells wall-clock seconds; `on_success` hears of each new Event, `on_failure` gets the
    reason of each failure, for a metric.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        component: str = "dispersed-operator",
        instance: str,
        clock: Callable[[], float],
        on_success: Callable[[], None] = lambda: None,
        on_failure: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self._client = client
        self._component = component
        self._instance = instance
        self._clock = clock
        self._on_success = on_success
        self._on_failure = on_failure
        self._recorded: OrderedDict[_Identity, _Recorded] = OrderedDict()

    async def record(
        self,
        *,
        regarding: Mapping[str, Any],
        type_: Literal["Normal", "Warning"],
        reason: str,
        message: str,
        action: str,
    ) -> None:
        """Record one event about an object, given as its body or as anything with kind, apiVersion and metadata.

        `reason` and `action` are words in CamelCase. `message` is for people, must hold no secret, and is cut at 1,024
        bytes.
        """
        message = message.encode()[:MESSAGE_LIMIT].decode(errors="ignore")
        metadata = regarding["metadata"]
        identity = (str(metadata.get("uid", "")), reason, message)
        namespace = metadata.get("namespace") or CLUSTER_EVENTS_NAMESPACE
        now = self._clock()
        known = self._recorded.get(identity)
        try:
            if known is not None and await self._count(namespace, known, now):
                return
            words = {"type": type_, "reason": reason, "message": message, "action": action}
            event = self._event(regarding, now) | words
            created = await self._client.create(EVENTS, namespace=namespace, body=event)
            self._remember(identity, _Recorded(created["metadata"]["name"], 1, now, now))
            self._on_success()
        except KubernetesError as error:
            _log.warning("event %s not recorded: HTTP %s %s", reason, error.status, error.reason)
            self._on_failure(error.reason or str(error.status))

    async def _count(self, namespace: str, known: _Recorded, now: float) -> bool:
        """Count one more; False if a new event is due: this one is old, or gone (events are kept for an hour)."""
        if now - known.first >= WINDOW:
            return False
        known.count += 1
        if now - known.written < WRITE_INTERVAL:
            return True
        body = {"count": known.count, "lastTimestamp": _timestamp(now)}
        try:
            await self._client.patch(EVENTS, namespace=namespace, name=known.name, body=body)
        except KubernetesNotFound:
            return False
        known.written = now
        return True

    def _remember(self, identity: _Identity, recorded: _Recorded) -> None:
        self._recorded.pop(identity, None)
        self._recorded[identity] = recorded
        while len(self._recorded) > _REMEMBERED:
            self._recorded.popitem(last=False)

    def _event(self, regarding: Mapping[str, Any], now: float) -> dict[str, Any]:
        metadata = regarding["metadata"]
        reference = {"apiVersion": regarding.get("apiVersion"), "kind": regarding.get("kind")} | {
            field: metadata.get(field) for field in ("namespace", "name", "uid", "resourceVersion")
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "generateName": f"{metadata['name'][:_NAME_LIMIT]}.",
                "namespace": metadata.get("namespace") or CLUSTER_EVENTS_NAMESPACE,
            },
            "involvedObject": {field: value for field, value in reference.items() if value},
            "count": 1,
            "firstTimestamp": _timestamp(now),
            "lastTimestamp": _timestamp(now),
            "source": {"component": self._component, "host": self._instance},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
        }


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
