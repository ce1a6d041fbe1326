"""Reading a key pair, judging a clock, and the status of an account."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from dispersed_operator.model import naming
from dispersed_operator.model.account import DispersedAccountStatus
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.account import (
    AccountView,
    ProbeResult,
    clock_problem,
    is_held,
    key_fingerprint,
    project_account,
    read_credentials,
)
from dispersed_operator.planning.conformance import Check, echo_findings, passed, probe_findings, title_lost
from dispersed_operator.planning.vocabulary import Problem
from tests.support.builders import NOW


def _secret(**values: str | bytes | None) -> dict[str, Any]:
    given = {"publicKey": "pk_one", "secretKey": "sk_secret", **values}
    raw = {key: value.encode() if isinstance(value, str) else value for key, value in given.items()}
    return {"data": {key: base64.b64encode(value).decode() for key, value in raw.items() if value is not None}}


def test_a_key_pair_is_read_without_the_line_end_that_editors_add() -> None:
    found = read_credentials(_secret(secretKey="sk_secret\n"), "key")
    assert not isinstance(found, Problem)
    assert (found.public_key, found.secret_key) == ("pk_one", "sk_secret")


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ({}, "no key publicKey"),
        ({"data": None}, "no key publicKey"),
        (_secret(publicKey=None), "no key publicKey"),
        (_secret(secretKey=None), "no key secretKey"),
        (_secret(secretKey=""), "no key secretKey"),
        (_secret(secretKey=b"sk_\xff"), "is not ASCII text"),
        (_secret(secretKey="sk_ä"), "is not ASCII text"),
        ({"data": {"publicKey": "???", "secretKey": "c2s="}}, "is not ASCII text"),
        (_secret(secretKey="sk one"), "no usable key pair"),
        (_secret(secretKey=" \n"), "no usable key pair"),
        (_secret(publicKey="pk|one"), "no usable key pair"),
    ],
)
@pytest.mark.reason("InvalidReference")
def test_a_secret_without_a_usable_pair_names_what_is_wrong_and_never_the_value(
    secret: dict[str, Any], says: str
) -> None:
    found = read_credentials(secret, "api-key")
    assert isinstance(found, Problem)
    assert found.reason is Reason.INVALID_REFERENCE
    assert says in found.message
    assert "api-key" in found.message
    assert "sk" not in found.message.replace("secretKey", "")


@pytest.mark.parametrize(
    ("offset", "trusted"), [(None, True), (0.0, True), (60.0, True), (60.1, False), (-60.1, False)]
)
@pytest.mark.failure_mode(37)
@pytest.mark.reason("ClockSkew")
def test_a_clock_is_trusted_within_its_limit(offset: float | None, trusted: bool) -> None:
    problem = clock_problem(offset, 60.0)
    assert (problem is None) is trusted
    assert problem is None or problem.reason is Reason.CLOCK_SKEW


@pytest.mark.parametrize(
    ("metadata", "held", "because"),
    [
        ({"finalizers": [naming.HOLD_FINALIZER]}, True, "it carries our hold"),
        ({"finalizers": [naming.HOLD_FINALIZER], "deletionTimestamp": "2026-11-23T14:00:00Z"}, False, "it is going"),
        ({"finalizers": [naming.JOB_FINALIZER]}, False, "another finalizer is no hold"),
        ({"finalizers": None}, False, "none is no hold"),
        ({}, False, "none is no hold"),
    ],
)
@pytest.mark.failure_mode(67)
def test_only_a_living_object_with_our_hold_is_held(metadata: dict[str, Any], held: bool, because: str) -> None:
    assert is_held(metadata) is held, because


def test_the_fingerprint_tells_keys_apart_and_hides_them() -> None:
    assert key_fingerprint("pk_one") != key_fingerprint("pk_two")
    assert len(key_fingerprint("pk_one")) == 12


# --- status ---


def _view(**changes: Any) -> AccountView:
    fields = {
        "problem": None,
        "public_key": "pk_one",
        "identity": None,
        "clock_offset": 1.4,
        "live_jobs": 2,
        "hourly_rate_usd": "0.7",
        "probes": ProbeResult(True, True, 300, (401,), NOW),
        **changes,
    }
    return AccountView(**fields)


def _project(status: dict[str, Any] | None = None, *, at: int = NOW, **changes: Any) -> dict[str, Any]:
    body = {"metadata": {"generation": 3}, "status": status}
    return project_account(body, _view(**changes), wall=float(at))


def test_an_account_that_is_ready_says_all_that_is_known() -> None:
    status = _project()
    assert status["conditions"][0]["status"] == "True"
    assert status["clockOffsetSeconds"] == 1
    assert (status["liveJobs"], status["hourlyRateUSD"], status["observedGeneration"]) == (2, "0.7", 3)
    assert status["probes"]["expirySeconds"] == 300
    assert "pk_one" not in str(status)
    DispersedAccountStatus.model_validate(status)


@pytest.mark.parametrize(
    "reason",
    [
        pytest.param(Reason.CREDENTIALS_REJECTED, marks=pytest.mark.reason("CredentialsRejected")),
        pytest.param(Reason.RATE_LIMITED, marks=pytest.mark.reason("RateLimited")),
        pytest.param(Reason.ACCOUNT_PROBING, marks=pytest.mark.reason("AccountProbing")),
    ],
)
def test_an_account_with_a_problem_is_not_ready_and_says_which(reason: Reason) -> None:
    condition = _project(problem=Problem(reason, "the reason"))["conditions"][0]
    assert (condition["status"], condition["reason"]) == ("False", reason)


def test_projecting_again_changes_nothing() -> None:
    once = _project()
    assert _project(once, at=NOW + 999, probes=ProbeResult(True, True, 300, (401,), NOW + 900)) == once


@pytest.mark.parametrize(
    ("old", "offset", "written", "because"),
    [
        (10, 14.9, 10, "a few seconds are noise"),
        (10, 15.0, 15, "five are not"),
        (10, 5.1, 10, "in both directions"),
        (10, None, 10, "what was heard last stays"),
        (None, None, None, "nothing was heard yet"),
        ("10", 3.2, 3, "a text is no offset"),
    ],
)
def test_the_clock_offset_is_steady(old: object, offset: float | None, written: int | None, because: str) -> None:
    status = _project({"clockOffsetSeconds": old} if old is not None else None, clock_offset=offset)
    assert status.get("clockOffsetSeconds") == written, because


def test_an_identity_that_was_seen_once_is_kept() -> None:
    assert _project({"accountUUID": "acc"})["accountUUID"] == "acc"
    assert _project({"accountUUID": "acc"}, identity="other")["accountUUID"] == "other"


@pytest.mark.reason("ExpiryNotEnforced")
def test_probes_that_found_something_else_are_written_with_their_time() -> None:
    status = _project(_project(), probes=ProbeResult(False, True, None, (401,), NOW + 900))
    assert status["probes"]["replayRefused"] is False
    assert "expirySeconds" not in status["probes"]
    assert status["probes"]["checkedAt"] != _project()["probes"]["checkedAt"]


def conformant(status: dict[str, Any]) -> dict[str, Any]:
    (found,) = [item for item in status["conditions"] if item["type"] == "Conformant"]
    return dict(found)


UNSEEN = (*probe_findings(replay_refused=True, window_seconds=300), *echo_findings([]))


@pytest.mark.reason("Conformant")
def test_nothing_is_said_of_conformance_before_anything_was_examined() -> None:
    assert [item["type"] for item in _project()["conditions"]] == ["Ready"]
    assert (conformant(_project(findings=UNSEEN))["status"], conformant(_project(findings=UNSEEN))["reason"]) == (
        "True",
        "Conformant",
    )


def test_what_was_found_out_stands_until_it_is_examined_anew() -> None:
    once = _project(findings=probe_findings(replay_refused=False, window_seconds=300))
    assert conformant(once)["reason"] == "ExpiryNotEnforced"
    assert conformant(_project(once, at=NOW + 999)) == conformant(once)
    assert conformant(_project(once, findings=UNSEEN))["status"] == "True"


@pytest.mark.failure_mode(41)
@pytest.mark.reason("TitleNotEchoed")
def test_a_title_that_was_lost_once_is_remembered_until_a_job_shows_it_whole() -> None:
    lost = _project(findings=(title_lost(),))
    assert conformant(lost)["reason"] == "TitleNotEchoed"
    assert conformant(_project(lost, findings=UNSEEN))["reason"] == "TitleNotEchoed"
    seen = passed(Check.TITLE, "the title of a job comes back as sent")
    assert conformant(_project(lost, findings=(seen,)))["status"] == "True"


def test_without_a_session_the_last_probes_stay() -> None:
    assert _project(_project(), probes=None)["probes"] == _project()["probes"]
