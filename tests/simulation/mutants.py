"""Deliberate breaks of the protocol: a chaos run that does not find these finds nothing.

Each mutant is an operator process with one part replaced; the operator itself is not touched. `FOUND_WITHIN` says
within how many episodes the run must find each.

Two breaks are not among them, because something else catches them before they cost anything. An intent without the
finalizer: planning puts the finalizer back before the request is sent. A request that is signed when it is sent (C3): a
process that slept between intent and signature finds the deadline of its own call to the API server expired, and starts
over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from dispersed_operator.accounts import AccountSession
from dispersed_operator.creates import Creates
from dispersed_operator.effects import Effects
from dispersed_operator.errors import KubernetesError, RemoteNotFound
from dispersed_operator.intents import Intents, Unsent
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model import naming
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.intent import Intent, Refusal
from dispersed_operator.model.keys import Kind
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.reading import Reading
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.passes import Pass
from dispersed_operator.planning import vocabulary as say
from dispersed_operator.planning.sweep import SweepRules, SweepView, Verdict
from dispersed_operator.remote.outcomes import CreateOutcome, Unknown
from dispersed_operator.sweep_cancels import SweepCancels
from dispersed_operator.sweep_reads import SweepReads
from dispersed_operator.sweeper import Sweeper
from tests.simulation.process import SimulatedProcess
from tests.simulation.world import MakeProcess

P = TypeVar("P")


class _NoIntent(Intents):
    """C2 left out: the finalizer is set, but nothing on the object says that a request was signed."""

    async def _swap(self, resource: JobResource, intent: Intent) -> Mapping[str, Any]:
        finalizers = sorted({*resource.finalizers, naming.JOB_FINALIZER})
        patch = {"metadata": {"resourceVersion": resource.resource_version, "finalizers": finalizers}}
        answer = await self._kube.patch(
            DISPERSED_JOBS, namespace=resource.key.namespace, name=resource.key.name, body=patch
        )
        self._store.put(resource.key, answer)
        annotations = {
            **(answer["metadata"].get("annotations") or {}),
            naming.INTENT_ANNOTATION: intent.to_annotation(),
        }
        return {**answer, "metadata": {**answer["metadata"], "annotations": annotations}}


class SkipTheIntent(SimulatedProcess):
    """POSTs without a trace on the object."""

    def make_intents(self) -> Intents:
        return _rebuilt(super().make_intents(), _NoIntent)


class _NoCompareAndSwap(Intents):
    """C2 from the cache, without a resourceVersion: whoever writes last believes that he won."""

    async def _swap(self, resource: JobResource, intent: Intent) -> Mapping[str, Any]:
        finalizers = sorted({*resource.finalizers, naming.JOB_FINALIZER})
        annotations = {naming.INTENT_ANNOTATION: intent.to_annotation()}
        answer = await self._kube.patch(
            DISPERSED_JOBS,
            namespace=resource.key.namespace,
            name=resource.key.name,
            body={"metadata": {"finalizers": finalizers, "annotations": annotations}},
        )
        self._store.put(resource.key, answer)
        return answer


class TrustTheCache(SimulatedProcess):
    """Believes the store instead of the compare-and-swap."""

    def make_intents(self) -> Intents:
        return _rebuilt(super().make_intents(), _NoCompareAndSwap)


class _PostAgain(Creates):
    """Signs an intent a second time if the first answer says nothing."""

    async def _post(self, session: AccountSession, unsent: Unsent, *, signed_at: int) -> CreateOutcome:
        outcome = await super()._post(session, unsent, signed_at=signed_at)
        if isinstance(outcome, Unknown) and self._again(outcome):
            nonce = f"{int(unsent.nonce, 16) ^ 1:032x}"
            return await super()._post(session, replace(unsent, nonce=nonce), signed_at=signed_at)
        return outcome

    def _again(self, outcome: Unknown) -> bool:
        return outcome.status is None


class SignTheIntentAgain(SimulatedProcess):
    """Repeats a POST that was not answered, with a new nonce."""

    def make_creates(self) -> Creates:
        return _rebuilt(super().make_creates(), _PostAgain)


class _PostAgainAfter502(_PostAgain):
    def _again(self, outcome: Unknown) -> bool:
        return outcome.status is not None and outcome.status >= 500


class RetryThePostOn502(SimulatedProcess):
    """Repeats a POST that a gateway answered."""

    def make_creates(self) -> Creates:
        return _rebuilt(super().make_creates(), _PostAgainAfter502)


class BelieveTheFirstEmptyListing(SimulatedProcess):
    """Waits for no window: one listing without the job proves that there is none."""

    def build(self) -> None:
        super().build()
        self.book.windows_for = lambda _: ProofWindows(proof_margin=-300.0, second_sighting=-1.0)


class _HastyEffects(Effects):
    """Takes the finalizer off as soon as a cancel was sent."""

    async def _cancel(self, work: Pass, action: say.CancelJob) -> None:
        await super()._cancel(work, action)
        if work.resource.deleting and not action.extra:
            await self._drop_finalizer(work, say.DropFinalizer(EventReason.RELEASED, "cancel sent", None))


class DropBeforeTheCancelIsVerified(SimulatedProcess):
    """D6 without D5."""

    def make_effects(self) -> Effects:
        return _rebuilt(super().make_effects(), _HastyEffects)


class _CredulousEffects(Effects):
    """Takes a 404 for the end of the job."""

    async def _read_job(self, work: Pass, action: say.ReadJob) -> None:
        session = work.require_session()
        try:
            await session.client.get_job(action.uuid)
        except RemoteNotFound:
            if work.resource.deleting:
                await self._drop_finalizer(work, say.DropFinalizer(EventReason.RELEASED, "404", None))
                return
        await super()._read_job(work, action)


class BelieveTheFirst404(SimulatedProcess):
    """D3 without the second read and the listing."""

    def make_effects(self) -> Effects:
        return _rebuilt(super().make_effects(), _CredulousEffects)


class _BlindEffects(Effects):
    """C0 without its listing: what the object does not say was never sent."""

    async def _read_listing(self, work: Pass, action: say.ReadListing) -> None:
        await super()._read_listing(work, action)
        if work.listing is not None and work.resource.intent is None and work.resource.record is None:
            session = work.require_session()
            work.listing = session.index(replace(work.listing.listing, rows=()))
            session.newest_index = None


class _ForgetfulCreates(Creates):
    """C5 without its retries: what could not be written down at once is forgotten, and the create is called refused."""

    async def record(self, work: Pass, action: say.RecordCreate) -> None:
        try:
            await super().record(work, action)
        except KubernetesError:
            if not action.adopted:
                await self._intents.refuse(work, say.RefuseIntent(Refusal.NOT_SENT, "not recorded"))


class ForgetWhatCouldNotBeRecorded(SimulatedProcess):
    """A status patch that fails repeats the create."""

    def make_creates(self) -> Creates:
        return _rebuilt(super().make_creates(), _ForgetfulCreates)


class SkipTheListingBeforeTheCreate(SimulatedProcess):
    """C0's listing is not looked at."""

    def make_effects(self) -> Effects:
        return _rebuilt(super().make_effects(), _BlindEffects)


class _HastySweeper(Sweeper):
    """Ends an orphan at the first sighting, however young it is."""

    def _rules(self, session: AccountSession) -> SweepRules:
        return replace(super()._rules(session), second_sighting=-1.0)

    def _view(self, rows: Collection[RemoteJob], server_date: int, *others: Any) -> SweepView:
        return super()._view(rows, server_date + 3600, *others)


class CancelOnOneSighting(SimulatedProcess):
    """The sweep without its second look."""

    def make_sweeper(self) -> Sweeper:
        return _rebuilt(super().make_sweeper(), _HastySweeper)


class _GreedySweeper(Sweeper):
    """Takes every verified title for one of its own cluster's."""

    def _view(self, rows: Collection[RemoteJob], *others: Any) -> SweepView:
        return super()._view([_naturalised(row, self._settings.cluster_id) for row in rows], *others)


class IgnoreTheClusterId(SimulatedProcess):
    """The sweep without rule 6."""

    def make_sweeper(self) -> Sweeper:
        sweeper = _rebuilt(super().make_sweeper(), _GreedySweeper)
        sweeper._cancels = _rebuilt(sweeper._cancels, _GreedyCancels)
        return sweeper


class _GreedyCancels(SweepCancels):
    """Asks no more questions before a cancel."""

    async def end(self, session: AccountSession, verdict: Verdict, _: SweepRules) -> None:
        await session.client.cancel_job(verdict.job.uuid, "orphan")


class _StoredReads(SweepReads):
    """Takes the jobs of this shard for all that there are."""

    async def resources(self, *_: Any, **__: Any) -> list[Reading]:
        return sorted(self._store.readings(Kind.JOB), key=lambda reading: reading.key)


class SweepByTheStore(SimulatedProcess):
    """The sweep without its LIST."""

    def make_sweeper(self) -> Sweeper:
        sweeper = super().make_sweeper()
        sweeper._reads = _rebuilt(sweeper._reads, _StoredReads)
        return sweeper


def _naturalised(row: RemoteJob, cluster_id: str) -> RemoteJob:
    title = naming.parse_title(row.title)
    if title is None:
        return row
    foreign = title.cluster != naming.cluster_mark(cluster_id)
    identity = naming.Identity(cluster_id, "team", "unknown", f"{title.uid}-0000-4000-8000-000000000000")
    mine = naming.remote_title(
        identity, attempt=title.attempt, signed_at=title.signed_at, expiry=title.expiry, user_title=title.user_title
    )
    return replace(row, title=mine) if foreign else row


def _rebuilt(part: P, mutated: type[Any]) -> P:
    """The same part with some of its methods replaced."""
    part.__class__ = mutated
    return part


FOUND_WITHIN = 100
"""Episodes within which a chaos run that begins at the mutant's seed must find it."""

MUTANTS: dict[str, MakeProcess] = {
    "skip-the-intent": SkipTheIntent,
    "trust-the-cache": TrustTheCache,
    "sign-the-intent-again": SignTheIntentAgain,
    "retry-the-post-on-502": RetryThePostOn502,
    "believe-the-first-empty-listing": BelieveTheFirstEmptyListing,
    "forget-what-could-not-be-recorded": ForgetWhatCouldNotBeRecorded,
    "drop-before-the-cancel-is-verified": DropBeforeTheCancelIsVerified,
    "believe-the-first-404": BelieveTheFirst404,
    "skip-the-listing-before-the-create": SkipTheListingBeforeTheCreate,
    "cancel-on-one-sighting": CancelOnOneSighting,
    "ignore-the-cluster-id": IgnoreTheClusterId,
}

SHARD_MUTANTS: dict[str, MakeProcess] = {"trust-the-cache": TrustTheCache, "sweep-by-the-store": SweepByTheStore}
"""What the episodes with shards must find: a shard that rests its safety on being a shard, or on what it sees."""

FIRST_SEEDS: dict[str, int] = {
    "retry-the-post-on-502": 25,
    "believe-the-first-empty-listing": 25,
    "forget-what-could-not-be-recorded": 170,
    "believe-the-first-404": 25,
    "skip-the-listing-before-the-create": 100,
    "cancel-on-one-sighting": 230,
}
"""Where the test of a mutant begins, if not at seed 1: a little before the seed at which the run from seed 1 finds it,
so that the test stays short. `docs/simulation.md` says what that run takes."""

SHARD_FIRST_SEEDS: dict[str, int] = {"trust-the-cache": 100}
"""The same for the episodes with shards."""
