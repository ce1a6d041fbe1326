"""What planning promises whatever is on the table: never twice, never leaked, never somebody else's, never a crash."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dispersed_operator.model import naming
from dispersed_operator.model.intent import IntentState, Origin, Refusal
from dispersed_operator.model.job import Task
from dispersed_operator.model.observed import ENDINGS, JobResource
from dispersed_operator.model.orphan import OrphanCause
from dispersed_operator.model.reasons import REASONS, Reason
from dispersed_operator.model.remote import LIVE_STATUSES, RemoteJob
from dispersed_operator.planning.identity import cancel_identities, claims, has_foreign_origin, has_foreign_record
from dispersed_operator.planning.inheritance import perceive
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.matching import matches
from dispersed_operator.planning.records import with_record
from dispersed_operator.planning.status import project
from dispersed_operator.planning.vocabulary import (
    ApplyAnswer,
    CancelJob,
    ClaimIntent,
    DropFinalizer,
    Facts,
    Inspected,
    Kept,
    LeaveOrphan,
    Missing,
    OwnAttempt,
    Problem,
    RecordCreate,
    RecordEnding,
    Rest,
    SecretState,
    SendCreate,
    SendState,
    Situation,
)
from tests.support.builders import (
    ACCOUNT,
    CLUSTER,
    CREATED,
    IDENTITY,
    JOB,
    MONOTONIC,
    NONCE,
    NOW,
    OTHER_ACCOUNT,
    OTHER_JOB,
    SIGNED,
    JobBuilder,
    a_job,
    a_listing,
    a_row,
    a_run,
    an_account,
    an_intent,
    closed_account,
    digest_of,
    facts,
    memory,
    moment,
    sighting,
    stranger,
)

TOKEN = naming.create_token(IDENTITY, 1)
FOREIGN_TOKEN = naming.create_token(replace(IDENTITY, name="neighbour"), 1)
STATUSES = [*LIVE_STATUSES, "COMPLETED", "FAILED", "CANCELLED", "HIBERNATING"]
DATES = st.sampled_from([NOW, SIGNED + 419, SIGNED + 420, SIGNED + 450, SIGNED + 5000, SIGNED + 90_000])
ORIGINS = [
    Origin(IDENTITY.uid, IDENTITY.namespaced_name, CLUSTER),
    Origin("99999999-0000-4000-8000-000000000000", IDENTITY.namespaced_name, CLUSTER),
    Origin("99999999-0000-4000-8000-000000000000", "team-a/neighbour", CLUSTER),
    Origin(IDENTITY.uid, IDENTITY.namespaced_name, "another cluster"),
]
WISHES: list[dict[str, Any]] = [
    {"suspend": True},
    {"deletionPolicy": "Orphan"},
    {"deletionPolicy": "Orphan", "suspend": True},
    {"limits": {"maxHourlyRateUSD": "0.30"}},
    {"limits": {"maxHourlyRateUSD": "0.40", "maxCostUSD": "5"}},
    {"limits": {"maxLifetimeSeconds": 120}},
]
ANNOTATIONS = [
    (naming.PAUSED_ANNOTATION, "true"),
    (naming.RESOLVE_CREATE_ANNOTATION, f"{TOKEN}:retry"),
    (naming.RESOLVE_CREATE_ANNOTATION, f"{TOKEN}:abandon"),
    (naming.RESOLVE_CREATE_ANNOTATION, f"{TOKEN}:adopt={JOB}"),
    (naming.FORCE_FINALIZE_ANNOTATION, f"{naming.uid_mark(IDENTITY.uid)}:because"),
    (naming.RECONCILE_ANNOTATION, "now"),
]


seldom = st.integers(0, 3).map(lambda number: number == 3)
rarely = st.integers(0, 15).map(lambda number: number == 15)
wishes = st.sampled_from([{}] * 18 + WISHES)
endings = st.fixed_dictionaries(
    {},
    optional={
        "ending": st.sampled_from(ENDINGS).map(str),
        "ended": st.booleans(),
        "settledAttempts": st.just(1),
        "priorCostUSD": st.sampled_from(["0.5000", "7.0000"]),
    },
)


@st.composite
def resources(draw: st.DrawFn) -> JobResource:
    """Any DispersedJob that the API server can hold, traces of us in any state of decay included."""
    builder: JobBuilder = a_job().persistent() if draw(seldom) else a_job()
    builder = builder.spec({**builder.body["spec"], **draw(wishes)})
    kind = draw(st.sampled_from(["none", "open", "refused", "garbled"]))
    if kind in {"open", "refused"}:
        origin = draw(st.sampled_from(ORIGINS)) if draw(seldom) else ORIGINS[0]
        intent = an_intent(origin=origin, attempt=draw(st.sampled_from([1, 1, 1, 2, 1295])))
        if kind == "refused":
            intent = replace(intent, state=IntentState.REFUSED, refusal=draw(st.none() | st.sampled_from(Refusal)))
        builder = builder.intent(intent)
    elif kind == "garbled":
        builder = builder.intent("{")
    if draw(seldom) or kind == "none":
        fields = {
            "uuid": draw(st.sampled_from([None, JOB])),
            "attempt": draw(st.sampled_from([0, 1, 2])),
            "state": draw(st.sampled_from(["Unknown", "Accepted", "Refused"])),
            "signedAt": draw(st.sampled_from([None, "2026-11-18T06:40:10Z"])),
            "locked": draw(st.booleans()),
        } | ({"token": FOREIGN_TOKEN} if draw(seldom) else {})
        builder = builder.record(**fields, **draw(endings))
    if draw(st.booleans()):
        builder = builder.status(connectionSecretRef={"name": "train-connection"}, phase="Running")
    if draw(seldom):
        builder = builder.deleting()
    if draw(seldom):
        builder = builder.metadata(finalizers=draw(st.sampled_from([[naming.JOB_FINALIZER], [], ["other"]])))
    if draw(seldom):
        builder = builder.annotated(*draw(st.sampled_from(ANNOTATIONS)))
    if draw(rarely):
        builder = builder.spec({"task": "Batch"})
    return builder.resource


rows = st.builds(
    a_row,
    uuid=st.sampled_from([JOB, OTHER_JOB]),
    status=st.sampled_from(STATUSES),
    attempt=st.sampled_from([1, 1, 2, 3]),
    identity=st.sampled_from(
        [IDENTITY, replace(IDENTITY, uid=ORIGINS[1].uid), replace(IDENTITY, name="neighbour", uid=ORIGINS[1].uid)]
    ),
    digest=st.sampled_from([digest_of(), "0" * 64]),
    created_at=st.none() | st.sampled_from([SIGNED, SIGNED + 5000]).map(moment),
) | st.builds(stranger, uuid=st.sampled_from([JOB, OTHER_JOB]))
runs = st.lists(
    st.builds(a_run, status=st.sampled_from(STATUSES), ended_at=st.none() | st.just(moment(NOW))), max_size=3
).map(tuple)
owns = st.none() | st.builds(
    OwnAttempt,
    nonce=st.sampled_from([NONCE, NONCE, "another"]),
    won_at=st.sampled_from([MONOTONIC - 1, MONOTONIC - 21]),
    state=st.sampled_from(SendState),
    intent=st.none() | st.just(an_intent()),
    uuid=st.sampled_from([None, JOB]),
    refusal=st.none() | st.sampled_from(Refusal),
)
memories = st.builds(
    memory,
    own=owns,
    last_post=st.sampled_from([float("-inf"), MONOTONIC - 0.5]),
    sightings=st.lists(st.builds(sighting, DATES, st.sampled_from([49, 50])), max_size=2).map(tuple),
    next_lookup=st.sampled_from([float("-inf"), MONOTONIC + 5]),
    lookups=st.integers(0, 20),
    first_seen=st.none() | st.just(NOW),
    cancels=st.integers(0, 9),
    last_cancel=st.sampled_from([float("-inf"), MONOTONIC - 1, MONOTONIC - 60]),
    first_missing=st.none() | st.just(NOW),
    extras=st.sampled_from([(), (OTHER_JOB,)]),
    orphan_left=rarely,
    reads=st.integers(0, 9),
    inspected=st.none()
    | st.builds(
        Inspected,
        subject=st.sampled_from([ORIGINS[1].uid, FOREIGN_TOKEN]),
        alive=st.booleans(),
        at=st.sampled_from([MONOTONIC - 1, MONOTONIC - 60]),
    ),
)
blockers = st.sampled_from([None, None, None, Problem(Reason.CLOCK_SKEW, "not now")])
accounts = st.builds(
    an_account,
    mark=st.sampled_from([ACCOUNT, ACCOUNT, ACCOUNT, OTHER_ACCOUNT]),
    blocker=blockers,
    expiry_enforced=st.sampled_from([True, True, True, False, None]),
    server_time=DATES.map(float),
    server_date_age=st.sampled_from([1.0, 1.0, 1.0, 61.0]),
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[JobResource, Facts]:
    """A resource and any facts about it that can come together."""
    account, resource = closed_account() if draw(rarely) else draw(accounts), draw(resources())
    asked: dict[str, Any] = {}
    if account.reachable:
        listing = st.builds(
            lambda found, date, begun, size, since: a_listing(
                *{row.uuid: row for row in found}.values(), date=date, begun=begun, page_size=size, since=since
            ),
            st.lists(rows, max_size=2),
            DATES,
            st.sampled_from([MONOTONIC - 1, MONOTONIC - 0.1]),
            st.sampled_from([49, 50]),
            st.sampled_from([0, CREATED - 7200, SIGNED]),
        )
        asked = {
            "listing": draw(listing) if draw(st.integers(0, 3)) else None,
            "job": draw(st.none() | rows | st.builds(Missing, st.sampled_from([NOW, NOW + 30]))),
            "runs": draw(st.none() | runs),
            "run": draw(st.none() | st.builds(a_run, status=st.sampled_from(STATUSES))),
            "snapshot_job": draw(st.none() | rows),
            "snapshot_runs": draw(st.none() | runs),
        }
    broken = Problem(Reason.REMOTE_VALIDATION_FAILED, "unreadable") if resource.spec is None else None
    given_ = facts(
        account=account,
        memory=draw(memories),
        digest=None if broken else draw(st.sampled_from([digest_of(), "of an edit"])),
        body_problem=broken,
        secret=draw(st.sampled_from(SecretState)),
        forced=draw(st.booleans()),
        polled=draw(st.booleans()),
        **asked,
    )
    return resource, given_


@settings(max_examples=800)
@given(tables())
def test_planning_never_fails_and_breaks_no_promise(table: tuple[JobResource, Facts]) -> None:
    resource, given_ = table
    action = plan_job(resource, given_)
    resource = perceive(resource, CLUSTER, given_.memory.inspected)
    action = action.then if isinstance(action, ApplyAnswer) else action
    match action:
        case ClaimIntent():
            _nothing_speaks_against_a_create(resource, given_, action)
        case SendCreate():
            _the_request_is_of_the_intent_just_won(resource, given_, action)
        case CancelJob():
            _the_title_of_what_is_cancelled_verifies(resource, given_, action)
        case DropFinalizer():
            _nothing_can_live_any_more(resource, given_, action)
        case RecordCreate():
            _what_is_recorded_belongs_to_the_resource(resource, given_, action)
        case LeaveOrphan():
            _what_is_kept_lives_and_is_ours(resource, given_, action)
        case RecordEnding():
            _somebody_asked_for_the_end(resource, given_, action)
        case Rest() if action.situation is not None:
            _what_is_said_can_be_written(resource, given_, action.situation)


def _nothing_speaks_against_a_create(resource: JobResource, given_: Facts, action: ClaimIntent) -> None:
    assert not resource.deleting
    assert not resource.paused
    assert resource.spec is not None
    assert not resource.suspend_wanted
    assert resource.job_uuid is None or _is_suspended_and_over(resource, given_)
    assert not has_foreign_origin(resource, CLUSTER) or _is_earlier_self(resource)
    assert not has_foreign_record(resource, CLUSTER)
    assert given_.account.blocker is None
    assert given_.listing is not None
    found = matches(given_.listing, cancel_identities(resource, CLUSTER), range(1, action.attempt + 3))
    assert all(match.claimed.attempt < action.attempt for match in found if not match.row.terminal)
    pending = resource.pending_create()
    if pending is not None:
        signed_at = pending.signed_at or max(resource.created_at, given_.memory.first_seen or 0)
        assert given_.account.expiry_enforced
        assert given_.listing.listing.server_date >= signed_at + 450
        assert any(item.server_date >= signed_at + 420 for item in given_.memory.sightings)


def _is_suspended_and_over(resource: JobResource, given_: Facts) -> bool:
    """Whether the recorded attempt was suspended, and this very pass shows that it is over."""
    record = resource.record
    assert record is not None
    return record.ending is Reason.SUSPENDED and record.ended and _is_seen_over(given_)


def _is_seen_over(given_: Facts) -> bool:
    job, listing = given_.job, given_.listing
    ended = isinstance(job, RemoteJob) and job.terminal and all(run.terminal for run in given_.runs or ())
    return ended or (isinstance(job, Missing) and listing is not None and JOB not in listing.uuids)


def _is_earlier_self(resource: JobResource) -> bool:
    return resource.intent is not None and resource.intent.origin == ORIGINS[1]


def _the_request_is_of_the_intent_just_won(resource: JobResource, given_: Facts, action: SendCreate) -> None:
    own, intent = given_.memory.own, resource.intent
    assert own is not None
    assert intent is not None
    assert own.nonce == intent.nonce
    assert own.state is SendState.WON
    assert given_.now - own.won_at <= 20
    assert given_.account.reachable
    assert intent.state is IntentState.OPEN
    assert resource.has_finalizer
    assert not resource.deleting
    assert not resource.suspend_wanted
    assert not has_foreign_origin(resource, CLUSTER) or _is_earlier_self(resource)


def _the_title_of_what_is_cancelled_verifies(resource: JobResource, given_: Facts, action: CancelJob) -> None:
    if action.extra:
        assert action.uuid in given_.memory.extras
        return
    assert resource.deleting or (resource.record is not None and resource.record.ending is not None)
    assert isinstance(given_.job, RemoteJob)
    assert given_.job.uuid == action.uuid == resource.job_uuid
    identities = cancel_identities(resource, CLUSTER)
    assert any(claims(given_.job, identity, range(1, 4)) is not None for identity in identities)


def _nothing_can_live_any_more(resource: JobResource, given_: Facts, action: DropFinalizer) -> None:
    assert resource.deleting
    assert resource.has_finalizer
    if action.forced:
        assert naming.FORCE_FINALIZE_ANNOTATION in resource.annotations
        return
    if given_.memory.orphan_left and resource.spec is not None and resource.spec.deletion_policy == "Orphan":
        return
    listing = given_.listing
    refused = resource.intent is not None and resource.intent.state is IntentState.REFUSED
    recorded_refusal = resource.record is not None and resource.record.state == "Refused"
    nothing = resource.job_uuid is None and (refused or recorded_refusal)
    proven = listing is not None and bool(given_.memory.sightings) and given_.account.expiry_enforced is True
    assert _is_seen_over(given_) or nothing or proven


def _what_is_kept_lives_and_is_ours(resource: JobResource, given_: Facts, action: LeaveOrphan) -> None:
    if action.cause is not OrphanCause.DELETION_POLICY:
        return
    assert resource.deleting
    assert isinstance(given_.job, RemoteJob)
    assert not given_.job.terminal
    assert given_.job.uuid == action.uuid == resource.job_uuid
    found = [claims(given_.job, identity, range(1, 4)) for identity in cancel_identities(resource, CLUSTER)]
    assert action.token in {claimed.token for claimed in found if claimed is not None}


def _somebody_asked_for_the_end(resource: JobResource, given_: Facts, action: RecordEnding) -> None:
    assert not resource.deleting
    assert resource.record is not None
    assert resource.record.ending is None
    assert resource.spec is not None
    suspended = resource.suspend_wanted and action.ending is Reason.SUSPENDED
    assert suspended or resource.spec.limits.model_fields_set or resource.spec.task is Task.PERSISTENT


def _what_is_recorded_belongs_to_the_resource(resource: JobResource, given_: Facts, action: RecordCreate) -> None:
    if not action.adopted:
        assert given_.memory.own is not None
        assert given_.memory.own.uuid == action.uuid
        return
    assert action.job is not None
    identities = cancel_identities(resource, CLUSTER)
    assert any(claims(action.job, identity, range(1, 9)) is not None for identity in identities)


def _what_is_said_can_be_written(resource: JobResource, given_: Facts, situation: Situation | Kept) -> None:
    status = project(resource, situation, wall=given_.wall, server_time=None, cost_due=True)
    written = with_record(resource, status)
    assert None not in written.values()
    for condition in written.get("conditions", ()):
        assert Reason(condition["reason"]) in REASONS
