"""What a shard keeps, works for and counts, and what it must not conclude from what it does not see (ADR 0011)."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.abandoned import AbandonedJobs
from dispersed_operator.accounts import AccountBook
from dispersed_operator.census import SHARED_SECONDS, Census
from dispersed_operator.composition import resource_store
from dispersed_operator.config import Settings, load_settings
from dispersed_operator.errors import SettingsError
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.kube.resync import Resync
from dispersed_operator.model import naming
from dispersed_operator.model.account_names import CLUSTER_DEFAULT
from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.naming import Identity
from dispersed_operator.model.shard import Shard
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.origins import inspect_origin
from dispersed_operator.passes import Pass
from dispersed_operator.planning.vocabulary import InspectContest, InspectOrigin, OwnAttempt, SendState
from dispersed_operator.reconciler import JobReconciler, Outcome
from dispersed_operator.store import ResourceStore
from tests.support.builders import BATCH, CLUSTER, JOB, NONCE, NOW, JobBuilder, a_job, an_intent, memory, refused
from tests.support.effects import effects_on, statuses_on
from tests.unit.kube.scripted import client_of, failure, ok

OWN_DEFAULT = ResourceKey(Kind.ACCOUNT, "team-a", "default")
"""Shard 0/2 owns it, and shard 1/2 the other two."""
OTHER = ResourceKey(Kind.ACCOUNT, "team-a", "other")
PAYER = "ClusterDispersedAccount/default"
KEY = a_job().resource.key
NAMED = {"accountRef": {"name": "default"}}
MOVED = {"accountRef": {"name": "other"}}


def account_body(key: ResourceKey, version: int = 3, **metadata: Any) -> dict[str, Any]:
    place = {"namespace": key.namespace} if key.namespace else {}
    fields = {"name": key.name, "uid": f"uid-of-{key}", "resourceVersion": str(version), **place, **metadata}
    return {"kind": key.kind.value, "metadata": fields, "spec": {"credentialsSecretRef": {"name": "key"}}}


def spec(job: JobBuilder, **changes: Any) -> JobBuilder:
    return job.spec({**BATCH, **changes})


def listing(*jobs: JobBuilder) -> Any:
    return ok({"items": [job.body for job in jobs], "metadata": {"resourceVersion": "50"}})


def at(job: JobBuilder, version: int) -> JobBuilder:
    return job.metadata(resourceVersion=str(version))


class Part:
    """One shard of two: store, book and reconciler, put together as the composition root does it."""

    def __init__(self, index: int, kube: KubeClient, *accounts: ResourceKey) -> None:
        settings = Settings(shard=f"{index}/2")
        self.store = resource_store(settings, lambda: self.jobs)
        self.book = AccountBook(
            windows_for=lambda _: ProofWindows(),
            exists=lambda key: self.store.get(key) is not None,
            shard=settings.part,
        )
        statuses = statuses_on(kube, self.store)
        self.jobs = JobReconciler(
            cluster_id=CLUSTER,
            store=self.store,
            book=self.book,
            effects=effects_on(kube, self.store, book=self.book),
            abandoned=AbandonedJobs(kube, self.book),
            statuses=statuses,
            leading_since=lambda: 0.0,
            monotonic=lambda: 100.0,
            wall=lambda: float(NOW),
        )
        for account in accounts:
            self.add(account)

    def add(self, account: ResourceKey) -> None:
        self.store.put(account, account_body(account))

    def see(self, job: JobBuilder) -> bool:
        return self.store.put(job.resource.key, job.body)

    @property
    def holds(self) -> bool:
        return self.store.get(KEY) is not None

    def owns(self, job: JobBuilder) -> bool:
        return self.book.owns_job(job.resource.accounts)


@pytest.fixture
async def parts() -> Any:
    async with client_of(failure(503, "ServiceUnavailable")) as (kube, _):
        yield Part(0, kube), Part(1, kube)


# --- what it keeps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "kept_by", "because"),
    [
        (spec(a_job(), **NAMED), (True, False), "only the shard of the account that it names"),
        (spec(a_job(), **MOVED), (False, True), "only the shard of the account that it names"),
        (a_job(), (True, True), "the default is open: either shard may have it"),
        (a_job().intent(), (True, False), "the intent says that it is the account of the namespace"),
        (a_job().intent(an_intent(payer=PAYER)), (False, True), "the intent says that it is the shared one"),
        (a_job().created().status(account=PAYER), (False, True), "so does the record"),
        (a_job().intent(refused(Refusal.FUNDS)), (True, True), "a refused intent leaves the default open"),
    ],
)
def test_a_shard_keeps_the_jobs_that_may_be_its_own(
    parts: tuple[Part, Part], job: JobBuilder, kept_by: tuple[bool, bool], because: str
) -> None:
    for part, kept in zip(parts, kept_by, strict=True):
        assert part.see(job) is kept, because
        assert part.holds is kept, because


def test_a_shard_keeps_every_account_because_accounts_decide_what_a_job_means(parts: tuple[Part, Part]) -> None:
    for part in parts:
        for account in (OWN_DEFAULT, OTHER, CLUSTER_DEFAULT):
            part.add(account)
        assert part.store.accounts() == {OWN_DEFAULT, OTHER, CLUSTER_DEFAULT}


def test_a_job_that_moves_to_another_shard_is_gone_here_and_an_older_event_does_not_bring_it_back(
    parts: tuple[Part, Part],
) -> None:
    here, there = parts
    before, after = spec(at(a_job(), 7), **NAMED), spec(at(a_job(), 9), **MOVED)
    assert (here.see(before), there.see(before)) == (True, False)
    assert (here.see(after), there.see(after)) == (True, True), "both are told"
    assert (here.holds, there.holds) == (False, True)
    assert not here.see(spec(at(a_job(), 8), **NAMED))
    assert here.see(spec(at(a_job(), 11), **NAMED)), "it may come back"
    assert here.holds


def test_a_listing_takes_what_is_another_shards_by_now(parts: tuple[Part, Part]) -> None:
    here, there = parts
    here.see(spec(at(a_job(), 7), **NAMED))
    listed = [spec(at(a_job(), 9), **MOVED).body]
    assert here.store.absorb_listing(Kind.JOB, listed, 12).changed == {KEY}
    assert there.store.absorb_listing(Kind.JOB, listed, 12).changed == {KEY}
    assert (here.holds, there.holds) == (False, True)
    assert here.store.highest_version(Kind.JOB) == 12


async def test_a_listing_leaves_the_jobs_of_other_shards_out_as_each_page_comes() -> None:
    """Together they may be more than there is memory."""
    own, others = spec(at(a_job(), 7), **NAMED), spec(at(a_job(), 9), **MOVED).metadata(name="other", uid="other")
    async with client_of(listing(own, others)) as (kube, _):
        part = Part(0, kube)
        found, version = await kube.list_each(DISPERSED_JOBS, lambda item: part.store.wanted(Kind.JOB, item))
        assert ([reading.key for reading in found], version) == ([KEY], "50")
        resync = Resync(
            kube, part.store, (Kind.JOB,), on_changes=lambda _: None, monotonic=lambda: 0.0, random=lambda: 0.0
        )
        assert (await resync.list_once()).changed == {KEY}
    assert part.store.keys(Kind.JOB) == {KEY}


def test_jobs_of_other_shards_still_show_how_far_the_api_server_is(parts: tuple[Part, Part]) -> None:
    here, _ = parts
    assert not here.see(spec(at(a_job(), 90), **MOVED))
    assert here.store.highest_version(Kind.JOB) == 90, "a listing below it comes from a restored etcd"


# --- what it works for ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("existing", "owner", "because"),
    [
        ((OWN_DEFAULT, CLUSTER_DEFAULT), 0, "the account of the namespace comes first"),
        ((CLUSTER_DEFAULT,), 1, "else the shared one"),
        ((), 0, "with neither, the shard of the first one tells the user"),
    ],
)
def test_an_open_default_is_worked_for_by_one_shard_whatever_exists(
    parts: tuple[Part, Part], existing: tuple[ResourceKey, ...], owner: int, because: str
) -> None:
    for part in parts:
        for account in existing:
            part.add(account)
    assert [part.owns(a_job()) for part in parts] == [owner == 0, owner == 1], because


async def test_a_job_of_another_shard_is_left_alone_and_looked_at_again(parts: tuple[Part, Part]) -> None:
    """Every call would fail: the API server of this test answers 503."""
    _, there = parts
    there.add(OWN_DEFAULT)
    there.see(a_job())
    assert await there.jobs.reconcile(KEY) == Outcome(after=60.0)


async def test_a_uuid_that_only_this_process_knows_is_written_down_though_the_job_means_another_account_now() -> None:
    recorded = ok(spec(at(a_job(), 9), **MOVED).intent().record().body)
    async with client_of(recorded) as (kube, script):
        part = Part(0, kube, OWN_DEFAULT, OTHER)
        job = spec(a_job(), **MOVED).intent()
        part.see(spec(at(a_job(), 5), **NAMED))
        own = OwnAttempt(NONCE, 0.0, state=SendState.ACCEPTED, intent=an_intent(), uuid=JOB, account_name="default")
        _remember(part, job, memory(own=own, traced=True))
        assert part.see(job), "what this process knows of a create keeps the job in its store"
        assert await part.jobs.reconcile(KEY) == Outcome(after=60.0)
        written = [body["status"]["create"]["uuid"] for body in script.bodies if body and "status" in body]
    assert written == [JOB], "once, and no status beside it"


def test_a_job_that_this_process_created_is_remembered_until_it_is_gone(parts: tuple[Part, Part]) -> None:
    """Records, finalizer and account are taken off it by somebody, and put back: no listing from before the create may
    count then, and only this process knows when that was."""
    here, _ = parts
    here.see(spec(at(a_job(), 7), **NAMED))
    _remember(here, a_job(), memory(traced=True, last_post=50.0))
    assert here.see(spec(at(a_job(), 9), **MOVED))
    assert here.holds
    assert not here.owns(spec(a_job(), **MOVED))
    anew = spec(at(a_job(), 11), **MOVED).metadata(uid="22222222-0000-4000-8000-000000000000")
    here.see(anew)
    assert not here.holds, "an object that was created anew is another one"


def _remember(part: Part, job: JobBuilder, known: Any) -> None:
    part.jobs._memories[KEY] = _remembered(job.resource.uid, known)


def _remembered(uid: str, known: Any) -> Any:
    from dispersed_operator.reconciler import _Remembered  # noqa: PLC0415 - a test's way to a process with a past

    return _Remembered(uid, OWN_DEFAULT, known)


# --- what it does not see ------------------------------------------------------------------------------------------


ORIGINAL = spec(a_job(), **MOVED).metadata(name="original", uid="99999999-0000-4000-8000-000000000000")
ADOPTER = a_job().spec({"adopt": {"jobUUID": JOB}, "accountRef": {"name": "default"}})


@pytest.mark.failure_mode(36)
@pytest.mark.parametrize("by", ["token", "uid with a forged name"])
async def test_the_original_of_a_copy_is_found_in_another_shard(by: str) -> None:
    identity = Identity(CLUSTER, "team-a", "original", ORIGINAL.resource.uid)
    token = naming.create_token(identity, 1)
    action = InspectOrigin(subject=token, cluster_id=CLUSTER, uid=None, namespaced_name=None, attempt=1)
    if by != "token":
        action = InspectOrigin(
            subject="x", cluster_id=CLUSTER, uid=ORIGINAL.resource.uid, namespaced_name="team-a/never-was", attempt=1
        )
    missing = [failure(404, "NotFound", name="never-was", kind="dispersedjobs")] if by != "token" else []
    async with client_of(*missing, listing(ORIGINAL, a_job()), ok(ORIGINAL.body)) as (kube, script):
        part = Part(0, kube)
        part.see(ORIGINAL)
        part.see(a_job())
        census = Census(part.store, kube, monotonic=lambda: 0.0)
        assert await inspect_origin(action, a_job().resource, store=part.store, census=census, kube=kube)
    assert script.requests[-1].endswith("/dispersedjobs/original"), "only a read that begins now counts"


@pytest.mark.failure_mode(52)
@pytest.mark.parametrize(
    ("other", "owned"),
    [
        (spec(ORIGINAL, **MOVED).status(jobUUID=JOB), True),
        (ORIGINAL.spec(ADOPTER.body["spec"] | MOVED).metadata(creationTimestamp="2020-01-01T00:00:00Z"), True),
        (ORIGINAL, False),
    ],
    ids=["records it", "adopts it, and is older", "has nothing to do with it"],
)
async def test_an_adopter_hears_of_the_resources_of_other_shards(other: JobBuilder, owned: bool) -> None:
    async with client_of(listing(other, ADOPTER)) as (kube, _):
        part = Part(0, kube, OWN_DEFAULT)
        allowing = account_body(OTHER) | {"spec": {"allowAdoption": True, "credentialsSecretRef": {"name": "key"}}}
        part.store.put(OTHER, allowing)
        work = Pass(resource=ADOPTER.resource, memory=memory(), session=None, forced=False)
        await effects_on(kube, part.store, book=part.book).carry_out(work, InspectContest(CLUSTER, None))
    assert work.contest is not None
    assert work.contest.owned is owned


async def test_a_census_is_shared_until_it_is_old_or_does_not_show_who_asks() -> None:
    now = 0.0
    async with client_of(listing(ORIGINAL), listing(ORIGINAL, a_job())) as (kube, script):
        part = Part(0, kube)
        census = Census(part.store, kube, monotonic=lambda: now)
        await census.readings(ORIGINAL.resource)
        await census.readings(ORIGINAL.resource)
        assert len(script.requests) == 1
        seen = await census.readings(a_job().resource)
        assert len(script.requests) == 2, "it was taken before this one was made"
        assert {reading.uid for reading in seen} == {ORIGINAL.resource.uid, a_job().resource.uid}
        now = SHARED_SECONDS + 1
        await census.readings(ORIGINAL.resource)
        assert len(script.requests) == 3


async def test_one_process_alone_asks_its_store() -> None:
    async with client_of(failure(503, "ServiceUnavailable")) as (kube, script):
        store = ResourceStore()
        store.put(KEY, a_job().body)
        assert await Census(store, kube, monotonic=lambda: 0.0).readings(a_job().resource) == store.readings(Kind.JOB)
    assert script.requests == []


# --- settings ------------------------------------------------------------------------------------------------------


def test_each_shard_elects_by_a_lease_of_its_own() -> None:
    assert load_settings().lease == "dispersed-operator"
    assert load_settings({"shard": "0/3"}).lease == "dispersed-operator-0-of-3"
    assert load_settings({"shard": "2/3", "lease_name": "gpu"}).lease == "gpu-2-of-3"
    assert load_settings({"shard": "2/3"}).part == Shard(2, 3)


@pytest.mark.parametrize("text", ["3/3", "dispersed-operator-2/3", "1"])
def test_a_shard_that_makes_no_sense_is_refused_at_start(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--shard \(DISPERSED_OPERATOR_SHARD\): must be index/count"):
        load_settings({"shard": text})
