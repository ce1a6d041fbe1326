"""Writing a DispersedJob's status: only for a semantic difference, only onto the version that was read.

Also says aloud what changed: one Kubernetes Event per transition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.events import EventRecorder
from dispersed_operator.kube.merge import merge_patch
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model import reasons
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.observed import JobResource, parse_job
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.planning.cost import refresh_seconds
from dispersed_operator.planning.records import with_record
from dispersed_operator.planning.status import project
from dispersed_operator.planning.vocabulary import Kept, Situation
from dispersed_operator.store import ResourceStore
from dispersed_operator.telemetry.metrics import Metrics

Document = dict[str, Any]


class StatusWriter:
    """Projects situations onto resources and keeps the store current with the answers."""

    def __init__(
        self,
        *,
        store: ResourceStore,
        kube: KubeClient,
        recorder: EventRecorder,
        redactor: Redactor,
        metrics: Metrics,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._kube = kube
        self._recorder = recorder
        self._redactor = redactor
        self._metrics = metrics
        self._monotonic = monotonic
        self._wall = wall
        self._costs_written: dict[ResourceKey, float] = {}

    async def write(
        self, resource: JobResource, situation: Situation | Kept, server_time: float | None, *, live_jobs: int = 0
    ) -> JobResource:
        """Bring the status in line with the situation; the resource as it stands then. `live_jobs`: as in `Facts`.

        Raises KubernetesConflict if somebody wrote since it was read.
        """
        cost_due = self._cost_due(resource, live_jobs)
        new = project(resource, situation, wall=self._wall(), server_time=server_time, cost_due=cost_due)
        return await self.replace(resource, self._cleaned(resource.key, with_record(resource, new)))

    async def replace(self, resource: JobResource, new: Document, *, silently: bool = False) -> JobResource:
        """Make `new` the status by an exact difference with `resourceVersion`; no write if nothing differs. `silently`:
        the caller tells of it, so that one thing that happened is one Event."""
        old = resource.status
        difference = merge_patch(old, new)
        if not difference:
            return resource
        patch = {"metadata": {"resourceVersion": resource.resource_version}, "status": difference}
        answer = await self._kube.patch(
            DISPERSED_JOBS,
            namespace=resource.key.namespace,
            name=resource.key.name,
            body=patch,
            subresource="status",
        )
        self._store.put(resource.key, answer)
        self._metrics.status_written(Kind.JOB)
        if "costUSD" in difference:
            self._costs_written[resource.key] = self._monotonic()
        if not silently:
            await self._tell_transition(answer, old, new)
        return parse_job(answer)

    async def tell(self, resource: JobResource, reason: EventReason, message: str, *, warning: bool = False) -> None:
        """Record an Event about something done."""
        await self._record(self._reference(resource), reason.value, message, warning=warning)

    def _cleaned(self, key: ResourceKey, status: Document) -> Document:
        """The service's own words about a run are text from outside: nothing secret may pass with them."""
        runs = [self._cleaned_run(key, run) for run in status.get("runs") or ()]
        current = status.get("currentRun")
        changed = {"runs": runs or None, "currentRun": self._cleaned_run(key, current) if current else None}
        return status | {name: value for name, value in changed.items() if value is not None}

    def _cleaned_run(self, key: ResourceKey, run: Document) -> Document:
        if not run.get("reason"):
            return run
        return run | {"reason": self._redactor.clean_outside(run["reason"], holder=str(key))}

    def forget(self, key: ResourceKey) -> None:
        """The resource is gone."""
        self._costs_written.pop(key, None)

    async def _tell_transition(self, body: Mapping[str, Any], old: Mapping[str, Any], new: Document) -> None:
        before, after = _ready(old), _ready(new)
        if after is None or (before is not None and before.get("reason") == after.get("reason")):
            return
        info = reasons.REASONS.get(reasons.Reason(after["reason"]))
        warning = info is not None and info.owner in {reasons.Owner.USER, reasons.Owner.ADMIN}
        ended_badly = any(item["type"] == "Failed" for item in new.get("conditions") or ())
        await self._record(body, after["reason"], after.get("message") or "", warning=warning or ended_badly)

    async def _record(self, regarding: Mapping[str, Any], reason: str, message: str, *, warning: bool) -> None:
        type_: Literal["Normal", "Warning"] = "Warning" if warning else "Normal"
        await self._recorder.record(
            regarding=regarding, type_=type_, reason=reason, message=message, action="Reconcile"
        )

    def _reference(self, resource: JobResource) -> Mapping[str, Any]:
        body = self._store.get(resource.key)
        if body is not None:
            return body
        metadata = {"namespace": resource.key.namespace, "name": resource.key.name, "uid": resource.uid}
        return {"apiVersion": "dispersed.dev/v1alpha1", "kind": Kind.JOB.value, "metadata": metadata}

    def _cost_due(self, resource: JobResource, live_jobs: int) -> bool:
        """Whether the cost alone is worth a write. The time is counted from the first look of this process."""
        now = self._monotonic()
        written = self._costs_written.setdefault(resource.key, now)
        return now - written >= refresh_seconds(live_jobs, resource.uid)


def _ready(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    conditions = status.get("conditions") or ()
    return next((item for item in conditions if item.get("type") == "Ready"), None)
