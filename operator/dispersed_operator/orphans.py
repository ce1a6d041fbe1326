"""DispersedOrphans on the API server: left behind by a resource that goes, made, kept and closed by the sweeper.

Invariants: the object of a job is the one that its uuid (or token) names, so making it twice makes one; its decision
stands in the very request that creates it, so a `Keep` cannot be lost between two writes; a decision that a person
made is never overwritten. An installation without cluster-wide rights has no such objects: it logs and counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dispersed_operator.errors import KubernetesConflict
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.merge import merge_patch
from dispersed_operator.kube.resources import DISPERSED_ORPHANS
from dispersed_operator.model.account_names import full_name
from dispersed_operator.model.base import API_VERSION
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.observed import JobResource, rfc3339
from dispersed_operator.model.orphan import OrphanCause, OrphanDecision, OrphanPhase, orphan_name
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.planning.account import key_fingerprint
from dispersed_operator.telemetry.metrics import Metrics

Body = Mapping[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Orphan:
    """One DispersedOrphan as read. A decision that this version does not know counts as `KEEP`: nothing is touched."""

    name: str
    decision: OrphanDecision
    status: Body
    body: Body = field(repr=False)

    @property
    def closed(self) -> bool:
        return self.status.get("phase") == OrphanPhase.CLOSED

    @property
    def refused(self) -> bool:
        return bool(self.status.get("conditions"))


def parse_orphan(body: Body) -> Orphan:
    """Read a DispersedOrphan body."""
    status = body.get("status")
    return Orphan(
        name=body["metadata"]["name"],
        decision=_decision((body.get("spec") or {}).get("decision", OrphanDecision.REPORT.value)),
        status=status if isinstance(status, Mapping) else {},
        body=body,
    )


class Orphans:
    """Reads and writes DispersedOrphans. `cluster_wide` tells whether this installation may. `wall` is in epoch
    seconds."""

    def __init__(self, kube: KubeClient, *, cluster_wide: bool, metrics: Metrics, wall: Callable[[], float]) -> None:
        self._kube = kube
        self._metrics = metrics
        self._wall = wall
        self.cluster_wide = cluster_wide

    async def leave(
        self,
        resource: JobResource,
        *,
        account: ResourceKey,
        uuid: str | None,
        token: str | None,
        decision: OrphanDecision,
        cause: OrphanCause,
        job: RemoteJob | None,
    ) -> None:
        """Make the DispersedOrphan of a job that is to outlive its resource; called before the finalizer goes.

        Safe to repeat. Raises KubernetesError: then the finalizer must stay. With neither `uuid` nor `token` there is
        nothing that a DispersedOrphan could name; that is logged.
        """
        what = f"remote job {uuid}" if uuid else f"the create with token {token}"
        if uuid is None and token is None:
            _log.warning("%s left what cannot be named behind (%s)", resource.key, cause.value)
            return
        _log.warning("%s leaves %s behind (%s, decision %s)", resource.key, what, cause.value, decision.value)
        if self.cluster_wide:
            now = rfc3339(self._wall())
            known = {
                "uuid": uuid,
                "token": token,
                "account": full_name(account),
                "keyFingerprint": _key_fingerprint(resource, token),
                "title": job.title if job is not None else None,
                "remoteStatus": job.status if job is not None else None,
                "owner": f"{resource.key.namespace}/{resource.key.name}",
                "cause": cause.value,
                "firstSeen": now,
                "lastSeen": now if job is not None else None,
                "hourlyRateUSD": _text(resource.status.get("hourlyRateUSD")),
                "costUSD": _text(resource.status.get("costUSD")),
            }
            orphan = await self.open(orphan_name(uuid=uuid, token=token), decision, afresh=True)
            told = {field: value for field, value in known.items() if value is not None}
            before = {name: value for name, value in orphan.status.items() if name != "conditions"}
            await self.write(orphan, {**before, **told, "phase": OrphanPhase.OPEN.value})
        self._metrics.orphan_left(cause)

    async def list(self) -> tuple[dict[str, Orphan], str]:
        """All DispersedOrphans by name, read by quorum, and the resourceVersion of the listing."""
        items, version = await self._kube.list_all(DISPERSED_ORPHANS)
        return {orphan.name: orphan for orphan in map(parse_orphan, items)}, version

    async def open(self, name: str, decision: OrphanDecision, *, afresh: bool = False) -> Orphan:
        """Make the object of this name, or take the one that exists; a decision other than `Report` that stands on it
        stays. Not so a `Cancel` that is over because the object was closed or refused, where a story begins `afresh`:
        it was about the job while that had an owner."""
        body = {"apiVersion": API_VERSION, "kind": Kind.ORPHAN.value, "metadata": {"name": name}}
        try:
            made = await self._kube.create(
                DISPERSED_ORPHANS, namespace=None, body=body | {"spec": {"decision": decision.value}}
            )
            return parse_orphan(made)
        except KubernetesConflict:
            found = parse_orphan(await self._kube.get(DISPERSED_ORPHANS, namespace=None, name=name))
        over = afresh and found.decision is OrphanDecision.CANCEL and (found.closed or found.refused)
        if found.decision is decision or not (over or found.decision is OrphanDecision.REPORT):
            return found
        patch = {
            "metadata": {"resourceVersion": found.body["metadata"]["resourceVersion"]},
            "spec": {"decision": decision.value},
        }
        return parse_orphan(await self._kube.patch(DISPERSED_ORPHANS, namespace=None, name=name, body=patch))

    async def fresh(self, name: str) -> Orphan:
        """Read one by quorum. Raises KubernetesNotFound."""
        return parse_orphan(await self._kube.get(DISPERSED_ORPHANS, namespace=None, name=name))

    async def write(self, orphan: Orphan, status: Body) -> Orphan:
        """Make `status` its status, onto the version that was read; what is None is left out. No write if nothing
        differs. Raises KubernetesConflict if somebody wrote since."""
        wanted = {name: value for name, value in status.items() if value is not None}
        difference = merge_patch(orphan.status, wanted)
        if not difference:
            return orphan
        patch = {"metadata": {"resourceVersion": orphan.body["metadata"]["resourceVersion"]}, "status": difference}
        answer = await self._kube.patch(
            DISPERSED_ORPHANS, namespace=None, name=orphan.name, body=patch, subresource="status"
        )
        self._metrics.status_written(Kind.ORPHAN)
        return parse_orphan(answer)


def _decision(text: object) -> OrphanDecision:
    try:
        return OrphanDecision(str(text))
    except ValueError:
        return OrphanDecision.KEEP


def _key_fingerprint(resource: JobResource, token: str | None) -> str | None:
    """The key under which the create of this token was asked for or answered, if that is known."""
    for known in (resource.record, resource.intent):
        if known is not None and known.token == token and known.account is not None:
            return key_fingerprint(known.account.public_key)
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
