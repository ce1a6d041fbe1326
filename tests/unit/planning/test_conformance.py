"""What is made of what an account showed: safety or information, and what the operator does about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.planning.conformance import (
    Check,
    Finding,
    Result,
    SeenPages,
    blocking_problem,
    clock_finding,
    echo_findings,
    listing_findings,
    probe_findings,
    readable_finding,
    refused_listing,
    summary,
    with_echo,
    worst,
)
from tests.support.builders import IDENTITY, NOW, SIGNED, moment

TOKEN = naming.create_token(IDENTITY, 1)
TITLE = naming.remote_title(IDENTITY, attempt=1, signed_at=SIGNED, expiry=0, user_title="Train the model")
DESCRIPTION = naming.remote_description(token=TOKEN, digest="0" * 64, title="Train the model", description="")


def rows(count: int, *, newest_first: bool = True, **changes: Any) -> tuple[RemoteJob, ...]:
    made = [
        replace(
            RemoteJob(
                uuid=f"job-{number}", status="RUNNING", created_at=moment(NOW - 60 * number), account_uuid="account"
            ),
            **changes,
        )
        for number in range(count)
    ]
    return tuple(made if newest_first else made[::-1])


def pages(**changes: Any) -> SeenPages:
    fields: dict[str, Any] = {
        "rows": rows(50), "more_rows": (), "asked": 50, "reported_limit": 50, "total": 50, **changes,
    }  # fmt: skip
    return SeenPages(**fields)


def result(findings: tuple[Finding, ...], check: Check) -> Result:
    (found,) = [finding for finding in findings if finding.check is check]
    return found.result


@pytest.mark.parametrize(
    ("replay", "window", "results", "because"),
    [
        (True, 300, (Result.PASSED, Result.PASSED), "as documented"),
        (True, 600, (Result.PASSED, Result.DIFFERS), "a longer life is waited for"),
        (True, None, (Result.PASSED, Result.DEVIATES), "no absence can ever be proven"),
        (False, 300, (Result.DEVIATES, Result.PASSED), "a copy may be carried out a second time"),
    ],
)
@pytest.mark.reason("ExpiryNotEnforced")
def test_signatures_that_do_not_expire_deviate_and_longer_ones_are_waited_for(
    replay: bool, window: int | None, results: tuple[Result, Result], because: str
) -> None:
    findings = probe_findings(replay_refused=replay, window_seconds=window)
    assert (result(findings, Check.REPLAY), result(findings, Check.EXPIRY)) == results, because
    reasons = {finding.reason for finding in findings if finding.result is Result.DEVIATES}
    assert reasons <= {Reason.EXPIRY_NOT_ENFORCED}
    assert blocking_problem(findings) is None, "creates go on; only unknown ones wait for a person"


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(None, Result.NOT_SEEN), (0.0, Result.PASSED), (-300.0, Result.PASSED), (301.0, Result.DEVIATES)],
)
@pytest.mark.failure_mode(37)
@pytest.mark.reason("ClockSkew")
def test_clocks_may_differ_within_the_limit(offset: float | None, expected: Result) -> None:
    assert clock_finding(offset, 300.0).result is expected


LISTINGS: list[tuple[SeenPages, Check, Result, str]] = [
    (pages(), Check.ORDER, Result.PASSED, "newest first"),
    (pages(rows=rows(50, newest_first=False)), Check.ORDER, Result.DIFFERS, "every page is read then"),
    (pages(rows=rows(25), more_rows=rows(50)[:1]), Check.ORDER, Result.DIFFERS, "a later page holds a newer row"),
    (pages(rows=rows(1), total=1), Check.ORDER, Result.NOT_SEEN, "one row has no order"),
    (pages(rows=rows(9, created_at=moment(NOW)), total=9), Check.ORDER, Result.NOT_SEEN, "rows of one moment neither"),
    (pages(rows=rows(9, created_at=None), total=9), Check.ORDER, Result.NOT_SEEN, "nor rows without a time"),
    (pages(), Check.TIMES, Result.PASSED, "each row has its moment"),
    (pages(rows=rows(9, created_at=None), total=9), Check.TIMES, Result.DIFFERS, "times are missing"),
    (pages(rows=rows(9, created_at_is_date=True), total=9), Check.TIMES, Result.DIFFERS, "dates only"),
    (pages(rows=(), total=0), Check.TIMES, Result.NOT_SEEN, "an empty account"),
    (pages(), Check.PAGE_SIZE, Result.PASSED, "50 asked, 50 served"),
    (pages(rows=rows(3), total=3), Check.PAGE_SIZE, Result.PASSED, "the service says that its limit is 50"),
    (pages(rows=rows(20), more_rows=rows(22)[20:], reported_limit=20, total=90), Check.PAGE_SIZE, Result.DIFFERS,
     "the service serves 20 and says so"),
    (pages(rows=rows(20), more_rows=rows(22)[20:], total=90), Check.PAGE_SIZE, Result.DIFFERS, "it says nothing of it"),
    (pages(rows=rows(80), total=80), Check.PAGE_SIZE, Result.DIFFERS, "it ignores the limit"),
    (pages(rows=rows(3), reported_limit=None, total=None), Check.PAGE_SIZE, Result.NOT_SEEN, "too few rows to tell"),
    (pages(), Check.TOTAL, Result.PASSED, "the total is told"),
    (pages(total=None, reported_limit=None), Check.TOTAL, Result.DIFFERS, "lists are read to an empty page"),
    (pages(), Check.LISTING, Result.PASSED, "rows and total agree"),
    (pages(more_rows=rows(60)[50:]), Check.LISTING, Result.DEVIATES, "60 rows where the total says 50"),
    (pages(), Check.IDENTITY, Result.PASSED, "rows name the account"),
    (pages(rows=rows(50, account_uuid=None)), Check.IDENTITY, Result.DIFFERS, "continuity is shown otherwise"),
    (pages(rows=(), total=0), Check.IDENTITY, Result.NOT_SEEN, "an empty account"),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "check", "expected", "because"), LISTINGS)
def test_a_listing_is_judged_check_by_check(seen: SeenPages, check: Check, expected: Result, because: str) -> None:
    assert result(listing_findings(seen), check) is expected, because


@pytest.mark.parametrize(
    "findings",
    [
        pytest.param(listing_findings(pages(total=3)), marks=pytest.mark.reason("ListingUnreliable")),
        pytest.param(refused_listing("HTTP 400"), marks=pytest.mark.reason("ListingUnreliable")),
        pytest.param(
            (readable_finding(Check.RUNS, "HTTP 403"),), marks=pytest.mark.reason("PermissionRefused")
        ),
    ],
)  # fmt: skip
def test_what_makes_an_end_or_an_absence_invisible_blocks_creates(findings: tuple[Finding, ...]) -> None:
    problem = blocking_problem(findings)
    assert problem is not None
    assert problem.reason in {Reason.LISTING_UNRELIABLE, Reason.PERMISSION_REFUSED}
    assert "nothing is created" in problem.message


def test_no_difference_that_the_code_handles_makes_an_account_unusable() -> None:
    odd = pages(rows=rows(20, newest_first=False, account_uuid=None), total=None, reported_limit=20)
    findings = (*probe_findings(replay_refused=True, window_seconds=1200), *listing_findings(odd))
    assert {finding.result for finding in findings} == {Result.PASSED, Result.DIFFERS}
    assert worst(findings) is None
    assert "rows do not come newest first" in summary(findings)


def job(**changes: Any) -> RemoteJob:
    standard = RemoteJob(uuid="job", status="RUNNING", title=TITLE, description=DESCRIPTION, env_token=TOKEN)
    return replace(standard, **changes)


P, D, X = Result.PASSED, Result.DIFFERS, Result.DEVIATES


@pytest.mark.failure_mode(41)
@pytest.mark.reason("TitleNotEchoed")
@pytest.mark.parametrize(
    ("changes", "results", "blocks", "because"),
    [
        ({}, (P, P, P), False, "all three came back"),
        ({"title": TITLE[:51]}, (P, P, P), False, "only the user's words were cut"),
        ({"title": TITLE[:40]}, (X, P, P), False, "the machine part was cut"),
        ({"title": TITLE.upper()}, (X, P, P), False, "the title was rewritten"),
        ({"description": ""}, (P, D, P), False, "title and env decide"),
        ({"env_token": None}, (P, P, D), False, "env values may be masked"),
        ({"description": "", "env_token": None}, (P, D, D), False, "the title is enough"),
        ({"title": "x", "description": "", "env_token": None}, (X, D, D), True, "no create could be found again"),
    ],
)
def test_the_echo_of_the_first_create_is_compared(
    changes: dict[str, Any], results: tuple[Result, ...], blocks: bool, because: str
) -> None:
    findings = echo_findings([job(**changes)], token=TOKEN)
    assert tuple(finding.result for finding in findings) == results, because
    assert (blocking_problem(findings) is not None) is blocks, because


def test_a_job_of_another_token_is_no_echo_of_ours() -> None:
    assert result(echo_findings([job()], token="another"), Check.TITLE) is Result.DEVIATES


def test_a_listing_without_a_job_of_ours_shows_no_echo() -> None:
    findings = echo_findings([RemoteJob(uuid="x", status="RUNNING", title="notebook"), *rows(2)])
    assert {finding.result for finding in findings} == {Result.NOT_SEEN}


def test_the_echo_of_a_certain_job_replaces_that_of_a_listing() -> None:
    shown = (*listing_findings(pages()), *echo_findings([]))
    merged = with_echo(shown, echo_findings([job(title="x")], token=TOKEN))
    assert result(merged, Check.TITLE) is Result.DEVIATES
    assert len(merged) == len(shown)
    assert with_echo(shown, ()) == shown


def test_a_deviation_is_told_before_what_merely_differs() -> None:
    findings = (*listing_findings(pages(total=None)), *probe_findings(replay_refused=False, window_seconds=300))
    text = summary(findings)
    assert text.index("ReplayRefused") < text.index("TotalCount")
    assert summary(listing_findings(pages())) == "the service behaves as the operator relies on"
