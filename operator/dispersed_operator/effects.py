"""The effects: what each planned action does to the two APIs. One method, one step; planning decides what to do.

Intents are in `intents.py` and the POST in `creates.py`, because they have rules of their own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from dispersed_operator.accounts import AccountBook, AccountSession
from dispersed_operator.admissions import Admissions
from dispersed_operator.census import Census
from dispersed_operator.connection import ConnectionSecrets
from dispersed_operator.creates import Creates
from dispersed_operator.errors import KubernetesNotFound, MalformedAnswer, RemoteError, RemoteNotFound
from dispersed_operator.intents import Intents
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model import naming
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.observed import parse_job
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.model.status import UNSEEN
from dispersed_operator.origins import inspect_origin
from dispersed_operator.orphans import Orphans
from dispersed_operator.passes import Pass
from dispersed_operator.planning import vocabulary as say
from dispersed_operator.planning.breaker import after_read
from dispersed_operator.planning.contest import judge_contest, rivals_of
from dispersed_operator.planning.continuity import proven_key
from dispersed_operator.planning.matching import ListingIndex
from dispersed_operator.planning.records import with_ending
from dispersed_operator.references import References
from dispersed_operator.statuses import StatusWriter
from dispersed_operator.store import ResourceStore
from dispersed_operator.telemetry.metrics import Metrics
from dispersed_operator.telemetry.vocabulary import CancelResult, LookupResult, ResolveAnswer

EXTRA_MISSING_SECONDS = 30.0

_log = logging.getLogger(__name__)


class Effects:
    """Carries actions out and leaves what was learnt on the desk (`Pass`)."""

    def __init__(
        self,
        *,
        store: ResourceStore,
        kube: KubeClient,
        book: AccountBook,
        intents: Intents,
        creates: Creates,
        statuses: StatusWriter,
        connections: ConnectionSecrets,
        orphans: Orphans,
        redactor: Redactor,
        metrics: Metrics,
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._kube = kube
        self._book = book
        self._admissions = Admissions(store, kube)
        self._census = Census(store, kube, monotonic=monotonic)
        self._intents = intents
        self._creates = creates
        self._statuses = statuses
        self._connections = connections
        self._orphans = orphans
        self._redactor = redactor
        self._metrics = metrics
        self._monotonic = monotonic
        self._references = References(kube=kube, statuses=statuses, redactor=redactor, monotonic=monotonic)

    async def carry_out(self, work: Pass, action: say.Action) -> None:  # noqa: C901, PLR0912 - one line per action
        """Do one step. Raises RemoteError or KubernetesError; what was learnt before that stays on the desk."""
        match action:
            case say.ReadServerTime():
                await self._read_server_time(work)
            case say.ReadListing():
                await self._read_listing(work, action)
            case say.ReadJob():
                await self._read_job(work, action)
            case say.ReadRun():
                await self._read_run(work, action.uuid)
            case say.ResolveReferences():
                await self._references.resolve(work)
            case say.InspectAdmission():
                await self._inspect_admission(work)
            case say.ClaimIntent():
                await self._intents.claim(work, action.attempt)
            case say.RestoreFinalizer():
                await self._restore_finalizer(work)
            case say.SendCreate():
                await self._creates.send(work)
            case say.RefuseIntent():
                await self._intents.refuse(work, action)
            case say.RecordCreate():
                await self._creates.record(work, action)
            case say.RememberSighting():
                self._remember_sighting(work, action)
            case say.RememberMissing():
                work.memory = replace(work.memory, first_missing=action.server_date)
            case say.RecordEnding():
                await self._record_ending(work, action)
            case say.CancelJob():
                await self._cancel(work, action)
            case say.ApplySecret():
                work.secret = await self._connections.apply(work.resource, action.name, action.data)
                work.memory = replace(work.memory, reads=0)
            case say.DeleteSecret():
                await self._connections.delete(work.resource, action.name)
                work.secret = say.SecretState.REMOVED
            case say.LeaveOrphan():
                await self._leave_orphan(work, action)
            case say.DropFinalizer():
                await self._drop_finalizer(work, action)
            case say.ApplyAnswer():
                await self._answer(work, action)
            case say.InspectOrigin():
                alive = await inspect_origin(
                    action, work.resource, store=self._store, census=self._census, kube=self._kube
                )
                inspected = say.Inspected(action.subject, alive=alive, at=self._monotonic())
                work.memory = replace(work.memory, inspected=inspected)
            case say.ForgetInheritance():
                work.resource = await self._statuses.replace(work.resource, dict(UNSEEN))
                _log.warning("the status spoke of another object's job; it was cleared")
            case say.InspectContest():
                await self._inspect_contest(work, action)
            case say.HoldAdopted():
                await self._hold_adopted(work, action)
            case say.RefuseAnswer():
                work.memory = replace(work.memory, refused_answers=(*work.memory.refused_answers, action.text)[-8:])
                await self._statuses.tell(work.resource, EventReason.ANSWER_REFUSED, action.message, warning=True)
            case say.Rest():
                raise AssertionError("a rest is not an effect")

    def forget(self, key: ResourceKey) -> None:
        """The resource is gone."""
        self._intents.forget(key)
        self._references.forget(key)
        self._statuses.forget(key)

    async def refresh(self, key: ResourceKey) -> None:
        """Read a resource afresh into the store (after a conflict or a 404).

        Raises StateLost if the API server is behind what it has shown before: every write would conflict for ever.
        """
        before = self._store.version(key)
        try:
            body = await self._kube.get(DISPERSED_JOBS, namespace=key.namespace, name=key.name)
        except KubernetesNotFound:
            self._store.gone(key, before)
            return
        self._store.renew(key, body, before)

    async def _read_server_time(self, work: Pass) -> None:
        session = work.require_session()
        await session.client.page_jobs(page=1, limit=1)
        age = session.client.clock.age()
        if age is None or age > session.windows.server_date_max_age:
            raise MalformedAnswer("the service's answers carry no Date of their own, so no create can be timed")

    async def _read_listing(self, work: Pass, action: say.ReadListing) -> None:
        session = work.require_session()
        listing = await session.listings.get(
            since=action.since, begun_after=action.begun_after, page_size=action.page_size
        )
        before = session.newest_index
        work.listing = session.index(listing)
        if work.listing is not before:
            self._learn_continuity(session, work.listing)

    def _learn_continuity(self, session: AccountSession, listing: ListingIndex) -> None:
        """A job recorded under an earlier key that this listing shows proves that the keys are of one account."""
        for row in listing.listing.rows:
            for key in self._store.by_uuid(row.uuid):
                if self._store.outline(key).public_key in {None, *session.continuous_keys}:
                    continue  # nothing to learn, and there may be thousands
                body = self._store.get(key)
                recorded = proven_key(parse_job(body), row) if body is not None else None
                if recorded is not None:
                    session.continuous_keys.add(recorded)

    async def _read_job(self, work: Pass, action: say.ReadJob) -> None:
        session, uuid = work.require_session(), action.uuid
        begun = self._monotonic()
        work.contest = None
        listed = session.view.take_ended(uuid, now=begun)
        try:
            job, begun = listed if listed is not None else (await session.client.get_job(uuid), begun)
        except RemoteNotFound as error:
            now = session.client.clock.now()
            date = error.server_date if error.server_date is not None else int(now or 0)
            work.job, work.runs = say.Missing(date), None
            session.judge(after_read(session.breaker, uuid, found=False))
            return
        session.judge(after_read(session.breaker, uuid, found=True))
        work.memory = replace(work.memory, first_missing=None)
        work.job, work.runs = job, None
        if action.runs or job.terminal:
            work.runs = await session.client.list_runs(uuid)
            session.view.record(job, work.runs, seen=begun)

    async def _read_run(self, work: Pass, uuid: str) -> None:
        memory = work.memory
        if isinstance(work.job, RemoteJob) and work.job.terminal:
            work.memory = replace(memory, log_reads=memory.log_reads + 1)
        else:
            work.memory = replace(memory, reads=memory.reads + 1)
        try:
            run = await work.require_session().client.get_run(uuid)
        except (RemoteNotFound, MalformedAnswer) as error:
            _log.info("run %s cannot be read: %s", uuid, error)
            run = RemoteRun(uuid=uuid, job_uuid=work.resource.job_uuid or "", status="")
        work.run = replace(run, logs=self._cleaned(work.resource.key, run, work.runs or ())) if run.logs else run

    def _cleaned(self, key: ResourceKey, run: RemoteRun, runs: Sequence[RemoteRun]) -> str:
        """What a container printed, without its access tokens and whatever else it was given."""
        tokens = (token for item in (run, *runs) for token in item.access_tokens)
        return self._redactor.clean_outside(Redactor(tokens).without_values(run.logs or ""), holder=str(key))

    def _remember_sighting(self, work: Pass, action: say.RememberSighting) -> None:
        memory = work.memory
        work.memory = replace(
            memory,
            sightings=(*memory.sightings, action.sighting)[-64:],
            lookups=memory.lookups + 1,
            next_lookup=action.next_lookup,
        )
        self._metrics.looked_up(LookupResult.NOT_YET_CONCLUSIVE)

    async def _record_ending(self, work: Pass, action: say.RecordEnding) -> None:
        """Before the cancel: whoever finds the job cancelled later knows that it was us, and why."""
        work.resource = await self._statuses.replace(work.resource, with_ending(work.resource, action))
        _log.info("the remote job is to end: %s", action.message)

    async def _cancel(self, work: Pass, action: say.CancelJob) -> None:
        """D4: whatever the cancel answers, the job is read again; only that read counts."""
        session = work.require_session()
        first = work.memory.cancels == 0
        now = self._monotonic()
        work.memory = replace(work.memory, last_extra=now) if action.extra else replace(work.memory, last_cancel=now)
        try:
            await session.client.cancel_job(action.uuid, action.reason)
            self._metrics.cancelled(CancelResult.SENT)
        except RemoteError as error:
            _log.warning("cancel of %s: %s", action.uuid, error)
            self._metrics.cancelled(CancelResult.FAILED)
        if action.extra:
            await self._follow_extra(work, session, action.uuid)
            return
        work.memory = replace(work.memory, cancels=work.memory.cancels + 1, cancelled_by_us=True)
        work.forget_reads()
        if first:
            await self._statuses.tell(work.resource, EventReason.CANCELLING, f"cancelling remote job {action.uuid}")

    async def _follow_extra(self, work: Pass, session: AccountSession, uuid: str) -> None:
        others = tuple(item for item in work.memory.extras if item != uuid)
        work.memory = replace(work.memory, extras=(*others, uuid))  # one that will not end must not hold up the others
        try:
            over = (await session.client.get_job(uuid)).terminal
        except RemoteNotFound:
            over = session.doubt is None and self._missing_for_long(work, uuid)
        if over:
            work.memory = replace(work.memory, extras=others)
            text = f"remote job {uuid}, a duplicate, was cancelled"
            await self._statuses.tell(work.resource, EventReason.DUPLICATE_CANCELLED, text, warning=True)

    def _missing_for_long(self, work: Pass, uuid: str) -> bool:
        """Whether a duplicate has answered 404 for some time; one 404 is not believed."""
        now, known = self._monotonic(), dict(work.memory.extra_missing)
        since = known.setdefault(uuid, now)
        work.memory = replace(work.memory, extra_missing=tuple(known.items()))
        return now - since >= EXTRA_MISSING_SECONDS

    async def _restore_finalizer(self, work: Pass) -> None:
        resource = work.resource
        finalizers = [*resource.finalizers, naming.JOB_FINALIZER]
        patch = {"metadata": {"resourceVersion": resource.resource_version, "finalizers": finalizers}}
        answer = await self._kube.patch(
            DISPERSED_JOBS, namespace=resource.key.namespace, name=resource.key.name, body=patch
        )
        self._store.put(resource.key, answer)
        work.resource = parse_job(answer)
        _log.warning("the finalizer had been taken off while a remote job may live; it is back")

    async def _inspect_contest(self, work: Pass, action: say.InspectContest) -> None:
        known = await self._census.readings(work.resource)
        allowed = {
            rival.uid: await self._admissions.may_adopt(self._book.account_of(rival), rival)
            for rival in (work.resource, *rivals_of(work.resource, known))
        }
        work.contest = judge_contest(
            work.resource,
            action.job,
            known,
            cluster_id=action.cluster_id,
            allows=lambda rival: allowed[rival.uid],
        )

    async def _inspect_admission(self, work: Pass) -> None:
        barrier = await self._admissions.problem(work.account, work.resource.key.namespace)
        work.admission = say.Admission(barrier, self._monotonic())

    async def _hold_adopted(self, work: Pass, action: say.HoldAdopted) -> None:
        resource = work.resource
        finalizers = dict.fromkeys((*resource.finalizers, naming.JOB_FINALIZER))
        metadata = {
            "resourceVersion": resource.resource_version,
            "finalizers": list(finalizers),
            "annotations": {naming.ADOPTED_ANNOTATION: action.mark},
        }
        answer = await self._kube.patch(
            DISPERSED_JOBS, namespace=resource.key.namespace, name=resource.key.name, body={"metadata": metadata}
        )
        self._store.put(resource.key, answer)
        work.resource = parse_job(answer)
        work.contest = None

    async def _leave_orphan(self, work: Pass, action: say.LeaveOrphan) -> None:
        """The job outlives its resource: say so where sweeper and reaper look, before the finalizer goes."""
        job = work.job if isinstance(work.job, RemoteJob) and work.job.uuid == action.uuid else None
        await self._orphans.leave(
            work.resource,
            account=work.account,
            uuid=action.uuid,
            token=action.token,
            decision=action.decision,
            cause=action.cause,
            job=job,
        )
        work.memory = replace(work.memory, orphan_left=True)

    async def _drop_finalizer(self, work: Pass, action: say.DropFinalizer) -> None:
        """D6: the final cost, then our finalizer, by compare-and-swap."""
        if action.situation is not None:
            server_time = work.session.client.clock.now() if work.session is not None else None
            work.resource = await self._statuses.write(work.resource, action.situation, server_time)
        resource = work.resource
        await self._statuses.tell(resource, action.reason, action.message, warning=action.forced)
        left = [name for name in resource.finalizers if name != naming.JOB_FINALIZER]
        patch = {"metadata": {"resourceVersion": resource.resource_version, "finalizers": left}}
        answer = await self._kube.patch(
            DISPERSED_JOBS, namespace=resource.key.namespace, name=resource.key.name, body=patch
        )
        if action.forced:
            self._metrics.force_finalized()
        if left:
            self._store.put(resource.key, answer)
        else:  # with the last finalizer the object is gone, and the answer carries no newer version
            self._store.gone(resource.key, int(resource.resource_version))
        self._statuses.forget(resource.key)
        work.resource = parse_job(answer)
        work.memory = say.Memory(released=True)
        _log.info("finalizer removed: %s", action.message)

    async def _answer(self, work: Pass, action: say.ApplyAnswer) -> None:
        """A person's resolve-create: act, then tell and count."""
        await self.carry_out(work, action.then)
        work.memory = replace(work.memory, orphan_left=False)  # it speaks of this create, not of a later job
        text = f"the annotation resolve-create answered this create with {action.answer}"
        await self._statuses.tell(work.resource, EventReason.CREATE_RESOLVED, text, warning=True)
        self._metrics.create_resolved(ResolveAnswer(action.answer))
