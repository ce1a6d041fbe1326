"""The cancels of a sweep: the last checks before one, and the read after it.

Invariants: before each cancel the job is read again and must carry this cluster's verified title, and what made it a
suspect is confirmed by a fresh read: the owner's resource, or the decision on the DispersedOrphan. After a cancel the
job is read again: its answer is not believed.
"""

from __future__ import annotations

import contextlib
import logging

from dispersed_operator.accounts import AccountSession
from dispersed_operator.errors import KubernetesNotFound, RemoteError
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.naming import parse_title
from dispersed_operator.model.observed import JobResource, parse_job
from dispersed_operator.model.orphan import orphan_name
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.orphan_keeper import OrphanKeeper
from dispersed_operator.orphans import Orphan, Orphans
from dispersed_operator.planning.sweep import (
    Standing,
    SweepRules,
    Verdict,
    decision_on,
    ends_orphan,
    is_duplicate,
    is_of_cluster,
)
from dispersed_operator.statuses import StatusWriter
from dispersed_operator.telemetry.metrics import Metrics
from dispersed_operator.telemetry.vocabulary import CancelResult

CANCEL_REASONS = {
    Standing.DUPLICATE: "a duplicate of the job of its DispersedJob",
    Standing.ORPHAN: "no DispersedJob owns this job",
}

_log = logging.getLogger(__name__)


class SweepCancels:
    """Ends what a plan of the sweep says, one job at a time."""

    def __init__(
        self, *, kube: KubeClient, orphans: Orphans, keeper: OrphanKeeper, statuses: StatusWriter, metrics: Metrics
    ) -> None:
        self._kube = kube
        self._orphans = orphans
        self._keeper = keeper
        self._statuses = statuses
        self._metrics = metrics

    async def end(self, session: AccountSession, verdict: Verdict, rules: SweepRules) -> None:
        """The last checks, then the cancel, then a read. Raises RemoteError or KubernetesError."""
        uuid = verdict.job.uuid
        job = await session.client.get_job(uuid)
        if job.terminal or not is_of_cluster(job, rules.cluster_id) or session.hands_off is not None:
            return
        if verdict.standing is Standing.DUPLICATE:
            owner = await self._confirmed_owner(verdict, job, rules)
            if owner is not None:
                job = await self._cancel(session, verdict)
                text = f"remote job {uuid} was cancelled by the sweep: {verdict.reason}; it is {job.status}"
                await self._statuses.tell(owner, EventReason.DUPLICATE_CANCELLED, text, warning=True)
            return
        orphan = await self._confirmed_orphan(job, rules)
        if orphan is not None:
            job = await self._cancel(session, verdict)
            now = session.client.clock.now()
            await self._keeper.cancelled(session, orphan, job, now if now is not None else 0.0)

    async def _confirmed_owner(self, verdict: Verdict, job: RemoteJob, rules: SweepRules) -> JobResource | None:
        """The owner, read now, if the job is still a duplicate of what it records (rule 4)."""
        if verdict.owner is None:
            return None
        key = verdict.owner.key
        try:
            owner = parse_job(await self._kube.get(DISPERSED_JOBS, namespace=key.namespace, name=key.name))
        except KubernetesNotFound:
            return None
        return owner if owner.uid == verdict.owner.uid and is_duplicate(job, owner, rules) else None

    async def _confirmed_orphan(self, job: RemoteJob, rules: SweepRules) -> Orphan | None:
        """The DispersedOrphan, read now, if policy or decision still end its job; one that is not there any more says
        that somebody acts at this moment."""
        try:
            orphan = await self._orphans.fresh(orphan_name(uuid=job.uuid, token=None))
        except KubernetesNotFound:
            return None
        decisions = {orphan.name: orphan.decision}
        title = parse_title(job.title)
        if title is not None:
            with contextlib.suppress(KubernetesNotFound):
                of_create = await self._orphans.fresh(orphan_name(uuid=None, token=title.token))
                decisions[of_create.name] = of_create.decision
        return orphan if ends_orphan(job, decision_on(job.uuid, job.title, decisions), rules) else None

    async def _cancel(self, session: AccountSession, verdict: Verdict) -> RemoteJob:
        uuid = verdict.job.uuid
        _log.warning("remote job %s is cancelled by the sweep: %s", uuid, verdict.reason)
        self._metrics.sweep_cancelled(session.key.namespace, session.key.name, verdict.standing)
        try:
            await session.client.cancel_job(uuid, CANCEL_REASONS[verdict.standing])
            self._metrics.cancelled(CancelResult.SENT)
        except RemoteError as error:
            _log.warning("cancel of %s: %s", uuid, error)
            self._metrics.cancelled(CancelResult.FAILED)
        return await session.client.get_job(uuid)
