"""Earlier and later attempts beside each other: none is forgotten, and none is taken for another."""

from __future__ import annotations

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.intent import IntentState, Origin, Refusal, parse_intent
from dispersed_operator.passes import Pass
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    Inspected,
    OwnAttempt,
    ReadListing,
    RecordCreate,
    RefuseIntent,
    SendState,
)
from dispersed_operator.store import ResourceStore
from tests.support.builders import (
    CLUSTER,
    CREATED,
    IDENTITY,
    JOB,
    MONOTONIC,
    NOW,
    OTHER_JOB,
    SIGNED,
    a_job,
    a_listing,
    a_row,
    an_intent,
    facts,
    memory,
    moment,
    refused,
    sighting,
)
from tests.support.effects import effects_on
from tests.unit.kube.scripted import client_of, ok

LATER = SIGNED + 500


@pytest.mark.failure_mode(9)
@pytest.mark.parametrize(
    ("earlier", "extras"),
    [
        pytest.param(a_row(uuid=JOB, attempt=1), (JOB,), id="lives"),
        pytest.param(a_row(uuid=JOB, attempt=1, status="CANCELLED"), (), id="has ended"),
        pytest.param(a_row(uuid=JOB, attempt=1, created_at=moment(SIGNED + 4000)), (), id="is a person's copy"),
    ],
)
def test_a_live_job_of_an_earlier_attempt_is_a_duplicate_of_the_pending_one(
    earlier: object, extras: tuple[str, ...]
) -> None:
    """The newest attempt is what the resource stands for; the late one must not go on costing money unseen."""
    assert isinstance(earlier, type(a_row()))
    resource = a_job().intent(an_intent(attempt=2, signed_at=LATER)).resource
    newest = a_row(uuid=OTHER_JOB, attempt=2, signed_at=LATER)
    listing = a_listing(earlier, newest, date=LATER + 20, begun=MONOTONIC + 1)
    action = plan_job(resource, facts(at=LATER + 20, listing=listing, now=MONOTONIC + 2))
    assert isinstance(action, RecordCreate)
    assert (action.uuid, action.attempt, action.extras) == (OTHER_JOB, 2, extras)
    assert NOW < LATER


@pytest.mark.failure_mode(9)
def test_a_deletion_ends_a_late_job_though_an_attempt_before_it_is_recorded_as_over() -> None:
    """1 was suspended, 2 was thought lost and committed late, 3 made nothing: 2 must not outlive the resource."""
    suspended = {"ended": True, "locked": False, "ending": "Suspended"}
    going = a_job().intent(an_intent(attempt=3, signed_at=LATER)).record(**suspended).deleting().resource
    late_job = a_row(uuid=OTHER_JOB, attempt=2, signed_at=SIGNED + 100, status="RUNNING")
    date = LATER + 460
    listing = a_listing(late_job, a_row(status="CANCELLED"), date=date, page_size=50)
    action = plan_job(going, facts(at=date, memory=memory(sightings=(sighting(LATER + 425),)), listing=listing))
    assert isinstance(action, RecordCreate)
    assert (action.uuid, action.attempt) == (OTHER_JOB, 2)


@pytest.mark.failure_mode(11)
@pytest.mark.failure_mode(53)
@pytest.mark.parametrize("state", [SendState.ACCEPTED, SendState.UNKNOWN])
def test_an_older_intent_that_somebody_puts_back_does_not_hide_the_request_of_this_process(state: SendState) -> None:
    """The annotation of the first attempt comes back out of Git while the second one's request is under way."""
    suspended = {"ended": True, "locked": False, "ending": "Suspended"}
    put_back = a_job().intent(an_intent(attempt=1)).record(**suspended).resource
    newest = an_intent(attempt=2, signed_at=LATER, nonce="nonce-2")
    uuid = OTHER_JOB if state is SendState.ACCEPTED else None
    own = OwnAttempt("nonce-2", MONOTONIC - 1, state=state, intent=newest, uuid=uuid)
    action = plan_job(put_back, facts(at=LATER + 20, memory=memory(own=own)))
    if state is SendState.UNKNOWN:
        assert isinstance(action, ReadListing)
        return
    assert isinstance(action, RecordCreate)
    assert (action.uuid, action.attempt) == (OTHER_JOB, 2)


@pytest.mark.failure_mode(13)
def test_before_a_restored_resource_creates_it_lists_back_to_the_intent_that_it_brought_along() -> None:
    """Its earlier self may have gone on after the backup: that job is older than the restored object."""
    month = 30 * 24 * 3600
    origin = Origin("99999999-0000-4000-8000-000000000000", IDENTITY.namespaced_name, CLUSTER)
    intent = refused(Refusal.FUNDS, origin=origin, signed_at=CREATED - month)
    seen = memory(inspected=Inspected(origin.uid, alive=False, at=MONOTONIC))
    recent = a_listing(begun=MONOTONIC + 1, since=CREATED - 3600)
    action = plan_job(a_job().intent(intent).resource, facts(memory=seen, listing=recent))
    assert isinstance(action, ReadListing)
    assert action.since <= CREATED - month


@pytest.mark.failure_mode(11)
async def test_what_is_proven_absent_is_marked_and_not_the_older_intent_that_was_put_back() -> None:
    builder = a_job().intent(an_intent(attempt=1)).record(ended=True, locked=False, ending="Suspended")
    store = ResourceStore()
    store.put(builder.resource.key, builder.body)
    newest = an_intent(attempt=2, signed_at=LATER, nonce="nonce-2")
    own = OwnAttempt("nonce-2", 0.0, state=SendState.UNKNOWN, intent=newest)
    work = Pass(resource=builder.resource, memory=memory(own=own), session=None, forced=False)
    async with client_of(ok(builder.body)) as (kube, script):
        await effects_on(kube, store).carry_out(work, RefuseIntent(Refusal.ABSENT, "proven absent"))
    written = parse_intent(script.bodies[0]["metadata"]["annotations"][naming.INTENT_ANNOTATION])
    assert written is not None
    assert (written.attempt, written.state) == (2, IntentState.REFUSED)
