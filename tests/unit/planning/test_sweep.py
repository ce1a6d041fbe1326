"""The verdicts of the sweep: each rule of the protocol's page "Sweep", in its order, as a table of cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from dispersed_operator.model.intent import IntentState, Origin, Refusal
from dispersed_operator.model.naming import Identity, create_token
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.orphan import OrphanDecision, OrphanPolicy, orphan_name
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.planning.sweep import (
    FirstSight,
    Standing,
    SweepPlan,
    SweepRules,
    SweepView,
    cancel_cap,
    is_duplicate,
    is_of_cluster,
    plan_sweep,
    recorded_uuids,
    refusal,
)
from tests.support.builders import (
    CLUSTER,
    IDENTITY,
    JOB,
    OTHER_JOB,
    SIGNED,
    a_job,
    a_row,
    an_intent,
    moment,
    refused,
    stranger,
)

LATE = SIGNED + 2000
RULES = SweepRules(cluster_id=CLUSTER, policy=OrphanPolicy.REPORT, cluster_wide=True)
CANCELLING = replace(RULES, policy=OrphanPolicy.CANCEL)
NAMESPACED = replace(CANCELLING, cluster_wide=False)
ELSEWHERE = replace(IDENTITY, cluster_id="another-cluster")
EARLIER_SELF = replace(IDENTITY, uid="99999999-1f2e-4c1a-8a55-2d1f4e6a9c03")
RECORDED = a_job().created().resource
ROW = a_row(status="RUNNING")
SECOND = a_row(uuid=OTHER_JOB, status="RUNNING")


def sweep(
    *rows: RemoteJob,
    resources: tuple[JobResource, ...] = (),
    rules: SweepRules = RULES,
    at: int = LATE,
    decisions: Mapping[str, OrphanDecision] | None = None,
    sightings: Mapping[str, FirstSight] | None = None,
) -> SweepPlan:
    recorded = {uuid: item.key for item in resources for uuid in recorded_uuids(item)}
    return plan_sweep(SweepView(rows, at, recorded, resources, decisions or {}, sightings or {}), rules)


def seen_before(standing: Standing, *uuids: str, at: int = LATE - 30) -> dict[str, FirstSight]:
    return {uuid: FirstSight(standing, at) for uuid in uuids}


@dataclass(frozen=True)
class Case:
    """One live row, the resources beside it, how it stands, and why that is right."""

    reason: str
    row: RemoteJob
    standing: Standing
    resources: tuple[JobResource, ...] = ()
    rules: SweepRules = RULES
    at: int = LATE


ABANDONED = a_job().intent(refused(Refusal.ABANDONED)).resource
RESTORED = a_job().intent(an_intent(origin=Origin(EARLIER_SELF.uid, IDENTITY.namespaced_name, CLUSTER)))
CASES = [
    Case("rule 1: the resource records this uuid", ROW, Standing.OWNED, (RECORDED,)),
    Case("rule 1: a record counts also while its object is being deleted", ROW, Standing.OWNED,
         (a_job().created().deleting().resource,)),
    Case("rule 1: whoever records a job is asked first; a title cut short is then no matter", replace(ROW, title="kd1"),
         Standing.OWNED, (RECORDED,)),
    Case("rule 2: the owner's intent is open, so a lookup decides", ROW, Standing.LOOKUP, (a_job().intent().resource,)),
    Case("rule 2: nothing is recorded any more, so the resource must look", ROW, Standing.LOOKUP, (a_job().resource,)),
    Case("rule 2: an attempt above the recorded one is not known to its owner", a_row(uuid=OTHER_JOB, attempt=2),
         Standing.LOOKUP, (RECORDED,)),
    Case("rule 2: a create that was proven absent was carried out late, and nothing else is recorded", ROW,
         Standing.LOOKUP, (a_job().intent(refused(Refusal.ABSENT)).resource,)),
    Case("rule 2: a record with a token of somebody else says nothing about this job", SECOND, Standing.LOOKUP,
         (a_job().record(token="abcdefghijkl").resource,)),
    Case("rule 2 comes before rule 3: the owner's lookup knows what a copy is",
         replace(SECOND, created_at=moment(LATE)), Standing.LOOKUP, (a_job().intent().resource,)),
    Case("rule 3: created after the title's signature had expired, so by a person",
         replace(SECOND, created_at=moment(SIGNED + 421)), Standing.COPY, (RECORDED,)),
    Case("rule 3: created before the title was signed", replace(SECOND, created_at=moment(SIGNED - 301)), Standing.COPY,
         (RECORDED,)),
    Case("rule 3: a copy of a title whose resource is gone is a person's job as well",
         replace(ROW, created_at=moment(SIGNED + 421)), Standing.COPY),
    Case("rule 3: without a time nothing tells it from a copy", replace(SECOND, created_at=None), Standing.COPY,
         (RECORDED,)),
    Case("rule 3: a date without a time of day does not either", replace(SECOND, created_at_is_date=True),
         Standing.COPY, (RECORDED,)),
    Case("rule 3: a longer signature window of the account widens the time in which a job can be ours",
         replace(SECOND, created_at=moment(SIGNED + 600)), Standing.DUPLICATE, (RECORDED,),
         replace(RULES, signature_window=630.0)),
    Case("rule 4: another uuid is recorded for this attempt", SECOND, Standing.DUPLICATE, (RECORDED,)),
    Case("rule 4: another uuid is recorded for a later attempt", SECOND, Standing.DUPLICATE,
         (a_job().intent(an_intent(attempt=2)).record(attempt=2).resource,)),
    Case("rule 4: the job of the origin is the restored object's, and so is its duplicate",
         a_row(uuid=OTHER_JOB, identity=EARLIER_SELF), Standing.DUPLICATE,
         (RESTORED.record(token=create_token(EARLIER_SELF, 1)).resource,)),
    Case("rule 5: nobody owns it, and it had time enough to be recorded", ROW, Standing.ORPHAN),
    Case("rule 5: not in its first quarter of an hour", ROW, Standing.YOUNG, at=SIGNED + 1 + 900),
    Case("rule 5: and right after it", ROW, Standing.ORPHAN, at=SIGNED + 1 + 901),
    Case("rule 5: a resource of the same name with another uid is not its owner", ROW, Standing.ORPHAN,
         (a_job().metadata(uid="99999999-1f2e-4c1a-8a55-2d1f4e6a9c03").resource,)),
    Case("rule 5: a person abandoned this very create, so its resource has nothing to do with the job", ROW,
         Standing.ORPHAN, (ABANDONED,)),
    Case("rule 5: a namespaced installation calls it an orphan too", ROW, Standing.ORPHAN, rules=NAMESPACED),
    Case("rule 6: another cluster's title", a_row(identity=ELSEWHERE), Standing.FOREIGN),
    Case("rule 6: no title of ours", stranger(), Standing.FOREIGN),
    Case("rule 6: a title whose check characters do not fit", replace(ROW, title=ROW.title.replace("kd1-", "kd1-a", 1)),
         Standing.FOREIGN),
    Case("rule 6: a title cut short", replace(ROW, title=ROW.title[:40]), Standing.FOREIGN),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_a_job_stands_as_the_rules_say(case: Case) -> None:
    (verdict,) = sweep(case.row, resources=case.resources, rules=case.rules, at=case.at).verdicts
    assert verdict.standing is case.standing, verdict.reason


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_nothing_is_cancelled_at_its_first_sighting(case: Case) -> None:
    rules = replace(case.rules, policy=OrphanPolicy.CANCEL)
    assert sweep(case.row, resources=case.resources, rules=rules, at=case.at).cancels == ()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_only_duplicates_and_orphans_are_ever_cancelled(case: Case) -> None:
    rules = replace(case.rules, policy=OrphanPolicy.CANCEL, cluster_wide=True)
    for standing in Standing:
        before = seen_before(standing, case.row.uuid, at=0)
        plan = sweep(case.row, resources=case.resources, rules=rules, at=case.at, sightings=before)
        to_end = case.standing in {Standing.DUPLICATE, Standing.ORPHAN} and standing is case.standing
        assert bool(plan.cancels) is to_end


def test_a_job_that_has_ended_is_nobodys_business() -> None:
    assert sweep(a_row(status="COMPLETED"), a_row(uuid=OTHER_JOB, status="CANCELLED")).verdicts == ()


@pytest.mark.failure_mode(47)
def test_an_unknown_status_counts_as_alive() -> None:
    (verdict,) = sweep(a_row(status="MIGRATING")).verdicts
    assert verdict.standing is Standing.ORPHAN


@pytest.mark.failure_mode(8)
@pytest.mark.failure_mode(9)
def test_a_duplicate_is_cancelled_at_its_second_sighting_whatever_the_policy() -> None:
    first = sweep(SECOND, resources=(RECORDED,))
    assert first.waiting
    assert not first.cancels
    early = sweep(SECOND, resources=(RECORDED,), sightings=first.sightings, at=LATE + 29)
    assert early.waiting
    assert not early.cancels
    second = sweep(SECOND, resources=(RECORDED,), sightings=early.sightings, at=LATE + 30)
    assert [verdict.job.uuid for verdict in second.cancels] == [OTHER_JOB]
    assert not second.waiting


def test_a_job_that_stood_differently_in_between_is_seen_for_the_first_time_again() -> None:
    before = seen_before(Standing.ORPHAN, OTHER_JOB)
    plan = sweep(SECOND, resources=(RECORDED,), sightings=before)
    assert not plan.cancels
    assert plan.sightings[OTHER_JOB] == FirstSight(Standing.DUPLICATE, LATE)


def test_a_sighting_later_than_now_is_forgotten() -> None:
    before = seen_before(Standing.DUPLICATE, OTHER_JOB, at=LATE + 100)
    plan = sweep(SECOND, resources=(RECORDED,), sightings=before)
    assert plan.sightings[OTHER_JOB].server_date == LATE


def test_a_job_that_is_not_seen_any_more_leaves_no_sighting_behind() -> None:
    assert sweep(sightings=seen_before(Standing.ORPHAN, JOB)).sightings == {}


BY_UUID, BY_TOKEN = orphan_name(uuid=JOB, token=None), orphan_name(uuid=None, token=create_token(IDENTITY, 1))
DECISIONS = [
    pytest.param(RULES, {}, False, id="report: nobody decided, so it is only told"),
    pytest.param(CANCELLING, {}, True, id="cancel: nobody decided, so the policy does"),
    pytest.param(RULES, {BY_UUID: OrphanDecision.CANCEL}, True, id="a person's Cancel stands above report"),
    pytest.param(CANCELLING, {BY_UUID: OrphanDecision.KEEP}, False, id="a person's Keep stands above cancel"),
    pytest.param(CANCELLING, {BY_UUID: OrphanDecision.ADOPT}, False, id="who is to adopt it must find it alive"),
    pytest.param(CANCELLING, {BY_UUID: OrphanDecision.REPORT}, True, id="Report is no decision against the policy"),
    pytest.param(CANCELLING, {BY_TOKEN: OrphanDecision.KEEP}, False, id="what was left by token holds for its job"),
    pytest.param(
        CANCELLING,
        {BY_TOKEN: OrphanDecision.KEEP, BY_UUID: OrphanDecision.CANCEL},
        True,
        id="the answer about the very job is the nearer one",
    ),
    pytest.param(
        CANCELLING,
        {BY_TOKEN: OrphanDecision.KEEP, BY_UUID: OrphanDecision.REPORT},
        False,
        id="Report on the very job is no decision against the one on its create",
    ),
    pytest.param(NAMESPACED, {}, False, id="a namespaced operator only reports"),
    pytest.param(NAMESPACED, {BY_UUID: OrphanDecision.CANCEL}, False, id="a namespaced operator knows no decisions"),
]


@pytest.mark.failure_mode(58)
@pytest.mark.failure_mode(60)
@pytest.mark.parametrize(("rules", "decisions", "ends"), DECISIONS)
def test_an_orphan_is_cancelled_only_where_policy_or_person_say_so(
    rules: SweepRules, decisions: dict[str, OrphanDecision], ends: bool
) -> None:
    plan = sweep(ROW, rules=rules, decisions=decisions, sightings=seen_before(Standing.ORPHAN, JOB))
    assert bool(plan.cancels) is ends


@pytest.mark.failure_mode(65)
@pytest.mark.parametrize("undated", [{"created_at": None}, {"created_at_is_date": True}])
def test_an_orphan_whose_age_the_service_does_not_tell_is_told_and_only_a_person_ends_it(
    undated: dict[str, Any],
) -> None:
    row, before = replace(ROW, **undated), seen_before(Standing.ORPHAN, JOB)
    plan = sweep(row, rules=CANCELLING, sightings=before)
    (verdict,) = plan.verdicts
    assert (verdict.standing, verdict.confirmed, plan.cancels) == (Standing.ORPHAN, True, ())
    assert "does not tell when it was made" in verdict.reason
    assert sweep(row, rules=RULES, sightings=before, decisions={BY_UUID: OrphanDecision.CANCEL}).cancels
    (young,) = sweep(row, at=SIGNED + 900).verdicts
    assert young.standing is Standing.YOUNG


@pytest.mark.failure_mode(60)
def test_a_duplicate_that_a_person_keeps_is_not_cancelled() -> None:
    decisions = {orphan_name(uuid=OTHER_JOB, token=None): OrphanDecision.KEEP}
    before = seen_before(Standing.DUPLICATE, OTHER_JOB)
    assert not sweep(SECOND, resources=(RECORDED,), decisions=decisions, sightings=before).cancels


def test_a_job_that_is_ending_is_not_cancelled_again() -> None:
    before = seen_before(Standing.ORPHAN, JOB)
    assert not sweep(a_row(status="CANCELLING"), rules=CANCELLING, sightings=before).cancels


@pytest.mark.failure_mode(50)
def test_what_earlier_sweeps_of_the_interval_cancelled_counts_towards_the_cap() -> None:
    rows = [a_row(uuid=f"orphan-{number}", identity=_vanished(number)) for number in range(7)]
    view = SweepView(rows, LATE, {}, (), {}, seen_before(Standing.ORPHAN, *(row.uuid for row in rows)), spent=3)
    plan = plan_sweep(view, CANCELLING)
    assert (len(plan.cancels), plan.held_back) == (2, 5)
    assert plan_sweep(replace(view, spent=9), CANCELLING).cancels == ()


@pytest.mark.failure_mode(50)
@pytest.mark.parametrize(("live", "cap"), [(0, 5), (7, 5), (59, 5), (60, 6), (1000, 100)])
def test_the_cap_is_five_or_a_tenth(live: int, cap: int) -> None:
    assert cancel_cap(live) == cap


@pytest.mark.failure_mode(50)
def test_the_cap_holds_cancels_back_and_duplicates_go_first_then_decisions_then_the_oldest() -> None:
    orphans = [
        a_row(uuid=f"orphan-{number}", identity=_vanished(number), signed_at=SIGNED + number) for number in range(7)
    ]
    decided = orphans[6].uuid
    rows = [*orphans, SECOND, *(stranger(f"foreign-{number}") for number in range(100))]
    before = seen_before(Standing.ORPHAN, *(row.uuid for row in orphans)) | seen_before(Standing.DUPLICATE, OTHER_JOB)
    plan = sweep(
        *rows,
        resources=(RECORDED,),
        rules=CANCELLING,
        sightings=before,
        decisions={decided: OrphanDecision.CANCEL},
    )
    assert [verdict.job.uuid for verdict in plan.cancels] == [OTHER_JOB, decided, "orphan-0", "orphan-1", "orphan-2"]
    assert plan.held_back == 3


def _vanished(number: int) -> Identity:
    return replace(IDENTITY, uid=f"{number:08d}-1f2e-4c1a-8a55-2d1f4e6a9c03")


CONFIRMATIONS = [
    pytest.param(RECORDED, SECOND, True, id="another uuid is recorded still"),
    pytest.param(a_job().created().record(uuid=OTHER_JOB).resource, SECOND, False, id="it was recorded meanwhile"),
    pytest.param(a_job().intent().resource, SECOND, False, id="the record was stripped meanwhile: a lookup is due"),
    pytest.param(
        a_job().intent(an_intent(attempt=2)).record().resource, SECOND, False, id="a new attempt began meanwhile"
    ),
    pytest.param(ABANDONED, SECOND, False, id="a person abandoned the create meanwhile"),
    pytest.param(RECORDED, a_row(uuid=OTHER_JOB, identity=_vanished(1)), False, id="the title is another resource's"),
    pytest.param(
        RECORDED, replace(SECOND, created_at=moment(SIGNED + 421)), False, id="it is a person's copy of the title"
    ),
    pytest.param(
        a_job().record(token="abcdefghijkl").resource, SECOND, False, id="the record is not this resource's own"
    ),
]


@pytest.mark.failure_mode(42)
@pytest.mark.failure_mode(59)
@pytest.mark.parametrize(("resource", "row", "holds"), CONFIRMATIONS)
def test_a_duplicate_is_confirmed_by_the_resource_as_it_is_now(
    resource: JobResource, row: RemoteJob, holds: bool
) -> None:
    assert is_duplicate(row, resource, RULES) is holds


def test_a_title_of_this_cluster_verifies_and_no_other() -> None:
    assert is_of_cluster(ROW, CLUSTER)
    assert not is_of_cluster(a_row(identity=ELSEWHERE), CLUSTER)
    assert not is_of_cluster(stranger(), CLUSTER)


REFUSALS = [
    pytest.param(a_row(identity=ELSEWHERE), (), "another cluster", id="another cluster's job"),
    pytest.param(stranger(), (), "not one of this operator's", id="somebody's job"),
    pytest.param(ROW, (RECORDED,), "team-a/train", id="a job that a resource owns"),
    pytest.param(replace(ROW, created_at=moment(LATE)), (), "a copy made by a person", id="a person's copy"),
    pytest.param(ROW, (), None, id="an orphan"),
    pytest.param(replace(ROW, created_at=moment(SIGNED + 300)), (), None, id="an orphan that is too young still"),
    pytest.param(SECOND, (RECORDED,), None, id="a duplicate, which ends anyway"),
]


@pytest.mark.parametrize(("row", "resources", "words"), REFUSALS)
def test_a_cancel_that_will_never_be_carried_out_is_refused_with_the_reason(
    row: RemoteJob, resources: tuple[JobResource, ...], words: str | None
) -> None:
    at = SIGNED + 1000 if words is None else LATE
    (verdict,) = sweep(row, resources=resources, at=at).verdicts
    text = refusal(verdict)
    assert (text is None) if words is None else (words in str(text))


def test_refused_intents_of_any_other_kind_cut_no_tie() -> None:
    for kind in set(Refusal) - {Refusal.ABANDONED}:
        resource = a_job().intent(an_intent(state=IntentState.REFUSED, refusal=kind, message="no")).resource
        (verdict,) = sweep(ROW, resources=(resource,)).verdicts
        assert verdict.owner == resource
