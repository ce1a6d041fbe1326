"""Which jobs the reaper ends, each verdict with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.naming import Identity
from dispersed_operator.model.orphan import orphan_name
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.planning.reap import Verdict, Wanted, duration_text, judge, plan_reap
from tests.support.builders import CLUSTER, IDENTITY, JOB, NOW, SIGNED, moment

EXPIRY = SIGNED + 3600
AFTER = EXPIRY + 60
HERE = naming.cluster_mark(CLUSTER)
NEIGHBOUR = Identity(CLUSTER, "team-b", "train", "77777777-1f2e-4c1a-8a55-2d1f4e6a9c03")
NAMESAKE = Identity(CLUSTER, "team-b", "train", IDENTITY.uid)
TOKEN = naming.create_token(IDENTITY, 1)


def title(*, expiry: int = EXPIRY, signed_at: int = SIGNED) -> str:
    return naming.remote_title(IDENTITY, attempt=1, signed_at=signed_at, expiry=expiry, user_title="Train")


def row(**changes: Any) -> RemoteJob:
    standard = RemoteJob(uuid=JOB, status="RUNNING", title=title(), created_at=moment(SIGNED + 2))
    return replace(standard, **changes)


def cut(text: str, length: int) -> str:
    return text[:length]


EXPIRY_CASES: list[tuple[RemoteJob, int, Verdict, str]] = [
    (row(), AFTER, Verdict.CANCEL, "its verified expiry has passed on the service's clock"),
    (row(), EXPIRY, Verdict.CANCEL, "the moment of the expiry is the end of the lifetime"),
    (row(), EXPIRY - 1, Verdict.LEAVE, "a second is left"),
    (row(status="MIGRATING"), AFTER, Verdict.CANCEL, "a status that is not known may be alive and cost money"),
    (row(status="CANCELLING"), AFTER, Verdict.CANCEL, "a cancel that does not come to an end is repeated"),
    (row(status="COMPLETED"), AFTER, Verdict.LEAVE, "it has ended by itself"),
    (row(title=title(expiry=0)), AFTER, Verdict.LEAVE, "000000 stands for no expiry, not for one long ago"),
    (row(title=title(expiry=SIGNED)), AFTER, Verdict.LEAVE, "an expiry without any lifetime is no expiry of ours"),
    (row(title=title(expiry=SIGNED - 9)), AFTER, Verdict.LEAVE, "no job of ours expires before it was signed"),
    (row(created_at=moment(SIGNED + 421)), AFTER, Verdict.LEAVE, "too late for our request: a person's copy"),
    (row(created_at=moment(SIGNED - 301)), AFTER, Verdict.LEAVE, "too early for our request: a person's copy"),
    (row(created_at=None), AFTER, Verdict.CANCEL, "without a time of creation the title decides"),
]


@pytest.mark.failure_mode(33)
@pytest.mark.failure_mode(34)
@pytest.mark.parametrize(("job", "now", "verdict", "because"), EXPIRY_CASES)
def test_a_job_ends_when_the_expiry_in_its_title_has_passed(
    job: RemoteJob, now: int, verdict: Verdict, because: str
) -> None:
    assert judge(job, Wanted(), now=now).verdict is verdict, because


@pytest.mark.failure_mode(63)
@pytest.mark.failure_mode(41)
@pytest.mark.parametrize("length", range(52))
def test_a_title_that_was_cut_is_never_reaped_wherever_it_was_cut(length: int) -> None:
    shortened = cut(title(), length)
    whole = naming.parse_title(shortened) is not None
    verdict = judge(row(title=shortened), Wanted(cluster=HERE, everything=True), now=AFTER).verdict
    assert (verdict is Verdict.CANCEL) is whole
    assert whole is (length >= len(title().split(" ")[0])), "only the words of the user may be missing"


@pytest.mark.failure_mode(63)
def test_an_expiry_that_was_changed_by_a_digit_is_never_reaped() -> None:
    machine = title().split(" ")[0]
    position = machine.rindex("-") - 1
    other = machine[:position] + ("0" if machine[position] != "0" else "1") + machine[position + 1 :]
    assert judge(row(title=other), Wanted(), now=AFTER * 2).verdict is Verdict.IGNORE


WANTED_CASES: list[tuple[Wanted, int, Verdict, str]] = [
    (Wanted(cluster=HERE), AFTER, Verdict.CANCEL, "it is a job of that cluster and has expired"),
    (Wanted(cluster=HERE), NOW, Verdict.LEAVE, "a cluster id alone narrows, it does not widen"),
    (Wanted(cluster=HERE, everything=True), NOW, Verdict.CANCEL, "every live job of that cluster was asked for"),
    (Wanted(cluster="aaaaaa"), AFTER, Verdict.IGNORE, "another cluster's job, though it has expired"),
    (Wanted(cluster="aaaaaa", everything=True), AFTER, Verdict.IGNORE, "another cluster's job, whatever is asked"),
    (Wanted(owners=(IDENTITY,)), AFTER, Verdict.CANCEL, "a resource of that namespace owns it"),
    (Wanted(owners=(IDENTITY,)), NOW, Verdict.LEAVE, "a namespace alone narrows, it does not widen"),
    (Wanted(owners=(IDENTITY,), everything=True), NOW, Verdict.CANCEL, "every job of that namespace was asked for"),
    (Wanted(owners=(NEIGHBOUR,), everything=True), AFTER, Verdict.LEAVE, "a resource of another namespace owns it"),
    (Wanted(owners=(NAMESAKE,), everything=True), AFTER, Verdict.LEAVE, "the readable marks fit, the token does not"),
    (Wanted(owners=(), everything=True), AFTER, Verdict.LEAVE, "the namespace has no resource at all"),
    (
        Wanted(owners=(), left_behind=frozenset({JOB}), everything=True),
        NOW,
        Verdict.CANCEL,
        "a resource of that namespace left it behind",
    ),
    (Wanted(kept=frozenset({JOB})), AFTER, Verdict.LEAVE, "a person wants it kept, known by its uuid"),
    (
        Wanted(kept=frozenset({orphan_name(uuid=None, token=TOKEN)}), cluster=HERE, everything=True),
        AFTER,
        Verdict.LEAVE,
        "a person wants it kept, known by its token, though everything was asked for",
    ),
]


@pytest.mark.failure_mode(34)
@pytest.mark.parametrize(("wanted", "now", "verdict", "because"), WANTED_CASES)
def test_what_a_person_asks_for_narrows_and_only_all_widens(
    wanted: Wanted, now: int, verdict: Verdict, because: str
) -> None:
    assert judge(row(), wanted, now=now).verdict is verdict, because


@pytest.mark.failure_mode(59)
def test_a_copy_by_a_person_is_left_alone_even_where_everything_was_asked_for() -> None:
    copy = row(created_at=moment(SIGNED + 86_400))
    found = judge(copy, Wanted(cluster=HERE, everything=True), now=AFTER)
    assert found.verdict is Verdict.LEAVE
    assert "by hand" in found.because


def test_a_plan_shows_live_jobs_of_ours_and_counts_the_other_live_ones() -> None:
    rows = [
        row(),
        row(uuid="alive", title=title(expiry=0)),
        row(uuid="over", status="FAILED"),
        row(uuid="console", title="my notebook"),
        row(uuid="console-over", title="my notebook", status="CANCELLED"),
    ]
    plan = plan_reap(rows, Wanted(), now=AFTER)
    assert [item.row.uuid for item in plan.shown] == [JOB, "alive"]
    assert [item.row.uuid for item in plan.chosen] == [JOB]
    assert plan.strangers == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h0m"), (90_000, "1d1h"), (-5, "0s")],
)
def test_a_span_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
