"""The checker of the chaos finds what it is there to find: every rule is broken here once, and only that rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.naming import Identity
from tests.chaos_real.checker import Rule, breaches, momentary_breaches, overlaps, remainders
from tests.chaos_real.evidence import Evidence, Job, Post, Resource, claim_in

CLUSTER = "8f4c2f6e-2f0b-4a53-9d0c-6f6f1f0a7b11"
SERVER = Resource(
    uid="0b9d7c52-1f2e-4c1a-8a55-2d1f4e6a9c03", namespace="chaos", name="server", task="Persistent", deleting=False,
    held=True, recorded="job-1", shown="job-1", phase="Running",
)  # fmt: skip
BATCH = replace(SERVER, uid="77e5a1c0-0000-4000-8000-00000000beef", name="batch", task="Batch", recorded="job-2",
                shown="job-2", phase="Succeeded")  # fmt: skip


def title_of(resource: Resource, attempt: int = 1) -> str:
    """A title as the operator writes it."""
    identity = Identity(CLUSTER, resource.namespace, resource.name, resource.uid)
    return naming.remote_title(identity, attempt=attempt, signed_at=1_795_000_000, expiry=0, user_title="words")


def job_for(resource: Resource, uuid: str, *, attempt: int = 1, live: bool = True, request: str = "req-1-1") -> Job:
    return Job(uuid, title_of(resource, attempt), live, 1_000, None if live else 5_000, request)


SERVER_JOB = job_for(SERVER, "job-1")
BATCH_JOB = job_for(BATCH, "job-2", live=False, request="req-1-2")
STRANGER = Job("stranger", "a person's own job", True, 500, None, "console")
POSTS = (Post("req-1-1", "nonce-1", 201, None, "job-1"), Post("req-1-2", "nonce-2", 201, None, "job-2"))
GOOD = Evidence(
    CLUSTER, (SERVER, BATCH), (SERVER_JOB, BATCH_JOB, STRANGER), POSTS, strangers=frozenset({"stranger"})
)  # fmt: skip

SECOND = job_for(SERVER, "job-3", attempt=2, request="req-1-3")
SECOND_POST = Post("req-1-3", "nonce-3", 201, None, "job-3")
LATER = replace(GOOD, jobs=(*GOOD.jobs, SECOND), posts=(*POSTS, SECOND_POST))

BREACHES = {
    "the same attempt made two jobs, one of which has ended": (
        {Rule.ONE_JOB_PER_ATTEMPT},
        replace(LATER, jobs=(*GOOD.jobs, job_for(SERVER, "job-3", live=False, request="req-1-3")),
                asked_again={SERVER.mark: 1}),
    ),
    "an ended job was run again, though nobody asked": (
        {Rule.ONE_JOB_PER_RESOURCE},
        replace(LATER, jobs=(SERVER_JOB, BATCH_JOB, STRANGER, job_for(BATCH, "job-3", attempt=2, request="req-1-3"))),
    ),
    "a signed request was sent again": (
        {Rule.SENT_ONCE},
        replace(GOOD, posts=(*POSTS, Post("req-1-9", "nonce-1", 401, None, None))),
    ),
    "the service doubled a request, and the operator sent it once more": (
        {Rule.SENT_ONCE},
        replace(GOOD, posts=(*POSTS, *(Post(f"req-1-{n}", "nonce-9", 401, "duplicate_delivery", None) for n in "789"))),
    ),
    "a job is there that no request has made": (
        {Rule.MADE_BY_A_REQUEST},
        replace(GOOD, jobs=(*GOOD.jobs, Job("planted", "somebody's", False, 1, 2, "console"))),
    ),
    "a request has made a job that is not there": (
        {Rule.MADE_BY_A_REQUEST},
        replace(GOOD, posts=(*POSTS, Post("req-1-9", "nonce-9", "dropped", None, "job-9"))),
    ),
    "a stranger was asked to stop": (
        {Rule.STRANGERS_UNTOUCHED},
        replace(GOOD, jobs=(SERVER_JOB, BATCH_JOB, replace(STRANGER, cancel_requests=1))),
    ),
    "a status names a job that does not exist": (
        {Rule.RECORD_IS_TRUE},
        replace(GOOD, resources=(replace(SERVER, recorded="nowhere"), BATCH)),
    ),
    "a status names the job of another resource": (
        {Rule.RECORD_IS_TRUE},
        replace(GOOD, resources=(SERVER, replace(BATCH, recorded="job-1", shown="job-1"))),
    ),
    "a status shows the job of a person": (
        {Rule.RECORD_IS_TRUE},
        replace(GOOD, resources=(replace(SERVER, shown="stranger"), BATCH)),
    ),
}  # fmt: skip

REMAINDERS = {
    "a job lives and its resource is gone": ({Rule.LIVE_IS_WANTED}, replace(GOOD, resources=(BATCH,))),
    "a job was planted under a title of ours": (
        {Rule.LIVE_IS_WANTED}, replace(GOOD, jobs=(*GOOD.jobs, job_for(BATCH, "planted", request="console"))),
    ),
    "a second job lives beside the recorded one": ({Rule.LIVE_IS_WANTED}, LATER),
    "a deleted resource is still there, and so is its job": (
        {Rule.DELETED_IS_GONE, Rule.LIVE_IS_WANTED},
        replace(GOOD, resources=(replace(SERVER, deleting=True), BATCH)),
    ),
    "a suspended resource has a live job": (
        {Rule.LIVE_IS_WANTED}, replace(GOOD, resources=(replace(SERVER, suspended=True), BATCH)),
    ),
    "a server has no live job": (
        {Rule.WANTED_EXISTS}, replace(GOOD, jobs=(replace(SERVER_JOB, live=False), BATCH_JOB, STRANGER)),
    ),
    "a batch job was never made": (
        {Rule.WANTED_EXISTS}, replace(GOOD, resources=(SERVER, replace(BATCH, recorded=None, shown=None))),
    ),
    "a live job's resource is not held": (
        {Rule.WANTED_EXISTS}, replace(GOOD, resources=(replace(SERVER, held=False), BATCH)),
    ),
}  # fmt: skip


def test_nothing_is_wrong_with_good_evidence() -> None:
    assert breaches(GOOD) == remainders(GOOD) == []


@pytest.mark.parametrize(("rules", "evidence"), BREACHES.values(), ids=BREACHES)
def test_a_breach_is_found(rules: set[Rule], evidence: Evidence) -> None:
    assert {item.rule for item in breaches(evidence)} == rules


@pytest.mark.parametrize(("rules", "evidence"), REMAINDERS.values(), ids=REMAINDERS)
def test_a_remainder_is_found(rules: set[Rule], evidence: Evidence) -> None:
    assert {item.rule for item in remainders(evidence)} == rules


def test_a_job_that_has_ended_needs_no_finalizer() -> None:
    assert remainders(replace(GOOD, resources=(SERVER, replace(BATCH, held=False)))) == []


def test_a_second_attempt_that_somebody_asked_for_is_no_breach() -> None:
    assert breaches(replace(LATER, asked_again={SERVER.mark: 1})) == []


def test_a_copy_that_the_service_delivered_itself_is_no_second_request() -> None:
    copies = (Post("req-1-8", "nonce-9", 201, "duplicate_delivery", None), Post("req-1-9", "nonce-9", 401, None, None))
    assert not [item for item in breaches(replace(GOOD, posts=(*POSTS, *copies))) if item.rule is Rule.SENT_ONCE]


def test_only_a_job_of_a_start_whose_log_was_lost_may_lack_its_request() -> None:
    one_lost = replace(GOOD, posts=POSTS[1:])
    assert {item.rule for item in breaches(one_lost)} == {Rule.MADE_BY_A_REQUEST}
    assert breaches(replace(one_lost, lost_log=frozenset({"1"}))) == []
    assert breaches(replace(one_lost, lost_log=frozenset({"2"}))) != []


KNOWN = {SERVER.mark: "server"}


def test_a_job_that_outlives_its_resource_is_found_in_the_middle_of_the_chaos() -> None:
    found = momentary_breaches([SERVER_JOB], [BATCH], [SERVER_JOB], known=KNOWN)
    assert [item.rule for item in found] == [Rule.NOT_BEFORE_ITS_END]


def test_a_live_job_whose_resource_is_not_held_is_found_in_the_middle_of_the_chaos() -> None:
    bare = replace(SERVER, held=False)
    found = momentary_breaches([SERVER_JOB], [bare], [SERVER_JOB], known=KNOWN)
    assert [item.rule for item in found] == [Rule.HELD_WHILE_LIVE]
    assert momentary_breaches([SERVER_JOB], [bare], [SERVER_JOB], known=KNOWN, unheld=frozenset({SERVER.uid})) == []


def test_a_job_that_came_or_ended_between_two_looks_proves_nothing() -> None:
    ended = replace(SERVER_JOB, live=False)
    assert momentary_breaches([SERVER_JOB], [BATCH], [ended], known=KNOWN) == []
    assert momentary_breaches([], [BATCH], [SERVER_JOB], known=KNOWN) == []


def test_double_and_leak_are_measured() -> None:
    first = replace(SERVER_JOB, live=False, created_ms=1_000, ended_ms=10_000)
    second = replace(SECOND, live=False, created_ms=8_000, ended_ms=9_500)
    lengths = overlaps([first, second, STRANGER], gone_ms={SERVER.mark: 7_000}, now_ms=60_000)
    assert (lengths.longest_double, lengths.longest_leak) == (1.5, 3.0)
    calm = overlaps([first], gone_ms={SERVER.mark: 11_000}, now_ms=60_000)
    assert (calm.longest_double, calm.longest_leak) == (0.0, 0.0)


def test_a_title_of_ours_is_read_as_the_operator_wrote_it() -> None:
    claim = claim_in(title_of(SERVER, 37))
    assert claim is not None
    assert (claim.attempt, claim.uid_mark) == (37, SERVER.mark)
    assert SERVER.owns(claim, CLUSTER)
    assert not SERVER.owns(claim, "another cluster")
    assert not BATCH.owns(claim, CLUSTER)
    assert claim_in("kd1-by-hand") is None
