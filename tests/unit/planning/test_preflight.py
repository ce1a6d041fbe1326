"""What the preflight says of each fact, and when it fails."""

from __future__ import annotations

import json

import pytest

from dispersed_operator.check_command import document, report
from dispersed_operator.errors import CredentialsRefused, NotSent, RemoteError, ServiceFailed
from dispersed_operator.model.orphan import OrphanPolicy
from dispersed_operator.model.rights import needed_rights
from dispersed_operator.planning.conformance import (
    Check,
    Finding,
    clock_finding,
    passed,
    probe_findings,
    readable_finding,
    writes_finding,
)
from dispersed_operator.planning.preflight import (
    Grade,
    cluster_id_line,
    examined_lines,
    fail,
    has_failed,
    kind_line,
    namespace_line,
    no_account_line,
    ok,
    orphan_policy_line,
    refused_lines,
    rights_lines,
    rights_unknown_line,
    secret_line,
    trust_line,
    unreachable_line,
    version_line,
    warn,
)
from dispersed_operator.planning.served import ServedKind

UID = "8f4c2f6e-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("version", "grade"),
    [
        ("v1.36.3", Grade.OK),
        ("v1.30.0-eks-1", Grade.OK),
        ("v1.29.9", Grade.FAIL),
        ("v2.0.0", Grade.OK),
        ("", Grade.WARN),
    ],
)
def test_the_version_of_the_api_server_is_judged(version: str, grade: Grade) -> None:
    assert version_line(version).grade is grade


def test_without_an_answer_nothing_else_is_said_to_be_well() -> None:
    line = unreachable_line("the kubeconfig x", "GET /version: no connection")
    assert line.grade is Grade.FAIL
    assert "nothing else was looked at" in line.found


def test_an_api_server_that_cannot_be_told_from_another_one_is_a_warning() -> None:
    assert trust_line(("ab12",)).grade is Grade.OK
    assert trust_line(()).grade is Grade.WARN


@pytest.mark.parametrize(
    ("configured", "found", "namespaced", "grade"),
    [
        ("mine", None, True, Grade.OK),
        ("mine", None, False, Grade.OK),
        (None, UID, False, Grade.OK),
        (None, UID, True, Grade.WARN),
        (None, None, False, Grade.FAIL),
        (None, None, True, Grade.FAIL),
    ],
)
def test_the_cluster_needs_an_id(configured: str | None, found: str | None, grade: Grade, *, namespaced: bool) -> None:
    assert cluster_id_line(configured=configured, found=found, error="HTTP 403", namespaced=namespaced).grade is grade


@pytest.mark.parametrize(
    ("kind", "grade", "words"),
    [
        (ServedKind("DispersedJob", served=False), Grade.FAIL, "not served"),
        (ServedKind("DispersedJob", served=True), Grade.FAIL, "status subresource"),
        (ServedKind("DispersedJob", served=True, has_status=True), Grade.OK, "schema of this release"),
        (
            ServedKind("DispersedJob", served=True, has_status=True, missing=("a", "b", "c", "d", "e", "f")),
            Grade.FAIL,
            "a, b, c, d and 2 more",
        ),
        (ServedKind("DispersedJob", served=True, has_status=True, different=("spec",)), Grade.WARN, "spec"),
    ],
)
def test_a_kind_must_be_served_with_what_this_release_needs(kind: ServedKind, grade: Grade, words: str) -> None:
    line = kind_line(kind)
    assert line.grade is grade
    assert words in line.found


def test_each_right_that_is_missing_is_a_line_that_kubectl_understands() -> None:
    needed = needed_rights(())
    (line,) = rights_lines("me", needed, set(needed[1:]))
    assert line.grade is Grade.FAIL
    assert line.found == f"me may not: kubectl auth can-i {needed[0]}"
    assert rights_lines("me", needed, set(needed)) == (
        ok("rights", f"me has all {len(needed)} that the operator uses"),
    )


def test_a_namespace_without_any_right_is_one_line() -> None:
    needed = needed_rights(("team-a", "team-b"))
    missing = {needed[0], *(item for item in needed if item.namespace == "team-b")}
    first, second = rights_lines("me", needed, set(needed) - missing)
    assert first.found.endswith("--namespace=team-a")
    assert "none of the" in second.found
    assert "team-b" in second.found


def test_rights_that_could_not_be_asked_for_are_neither_there_nor_missing() -> None:
    assert rights_unknown_line("HTTP 403").grade is Grade.WARN


@pytest.mark.parametrize(
    ("exists", "granted", "grade"),
    [
        (True, False, Grade.OK),
        (False, True, Grade.FAIL),
        (None, True, Grade.OK),
        (None, False, Grade.WARN),
    ],
)
def test_a_namespace_must_exist(grade: Grade, *, exists: bool | None, granted: bool) -> None:
    assert namespace_line("team-a", "served", exists=exists, granted=granted).grade is grade


def test_cancelling_orphans_needs_an_installation_for_the_cluster() -> None:
    assert orphan_policy_line(OrphanPolicy.CANCEL, namespaced=True).grade is Grade.WARN
    assert orphan_policy_line(OrphanPolicy.CANCEL, namespaced=False).grade is Grade.OK
    assert orphan_policy_line(OrphanPolicy.REPORT, namespaced=True).grade is Grade.OK


def test_an_installation_without_an_account_is_fit_and_is_told_what_comes_next() -> None:
    assert no_account_line().grade is Grade.WARN
    assert "docs/install.md" in no_account_line().remedy


def test_a_secret_that_cannot_be_used_fails_and_the_remedy_names_it() -> None:
    assert secret_line("a", "team-a/key", None).grade is Grade.OK
    line = secret_line("a", "team-a/key", "the Secret team-a/key has no key secretKey")
    assert line.grade is Grade.FAIL
    assert "team-a/key" in line.remedy


@pytest.mark.parametrize(
    ("error", "failing", "words"),
    [
        (CredentialsRefused(status=401, code="UNKNOWN_API_KEY"), "a: key", "UNKNOWN_API_KEY"),
        (NotSent("ConnectError"), "a: service", "cannot be reached"),
        (ServiceFailed(status=503), "a: service", "does not answer properly"),
    ],
)
def test_what_the_service_refuses_is_told_from_what_never_arrived(error: RemoteError, failing: str, words: str) -> None:
    lines = refused_lines("a", "host", "team-a/key", error)
    (line,) = (item for item in lines if item.grade is Grade.FAIL)
    assert line.check == failing
    assert words in line.found
    assert line.remedy


def looked(*findings: Finding) -> dict[str, Grade]:
    return {line.check: line.grade for line in examined_lines("a", "host", "0123", findings)}


def test_a_service_as_documented_is_well_and_what_was_not_seen_is_named() -> None:
    probes = probe_findings(replay_refused=True, window_seconds=300)
    findings = (*probes, clock_finding(1.0, 300), passed(Check.JOBS, "x"), writes_finding())
    lines = examined_lines("a", "host", "0123", findings)
    assert {line.grade for line in lines} == {Grade.OK}
    assert [line.check for line in lines] == ["a: service", "a: key", "a: clock", "a: behaviour"]
    assert lines[-1].found == "3 checks passed, not seen yet: CreateAndCancel"


def test_a_clock_too_far_fails_and_one_that_was_not_seen_warns() -> None:
    assert looked(clock_finding(301.0, 300))["a: clock"] is Grade.FAIL
    assert looked(clock_finding(None, 300))["a: clock"] is Grade.WARN


def test_deviations_fail_and_differences_warn() -> None:
    assert looked(readable_finding(Check.RUNS, "HTTP 403"))["a: RunsReadable"] is Grade.FAIL
    probes = probe_findings(replay_refused=False, window_seconds=600)
    assert looked(*probes) | {"a: ReplayRefused": Grade.FAIL, "a: SignatureExpiry": Grade.WARN} == looked(*probes)


LINES = (ok("one", "fine"), warn("two", "odd", "look"), fail("three", "bad\x1b[2J", "mend"))


def test_a_person_gets_a_line_for_each_check_and_what_it_comes_to() -> None:
    assert report(LINES).splitlines() == [
        "ok    one: fine",
        "warn  two: odd. Remedy: look",
        "FAIL  three: bad?[2J. Remedy: mend",
        "1 of 3 checks failed; warnings: 1.",
    ]
    assert report(LINES[:1]).splitlines()[-1] == "Everything that the operator needs is there."


def test_a_program_gets_the_same_as_json() -> None:
    body = json.loads(document(LINES))
    assert body["failed"] is True
    assert body["checks"][0] == {"check": "one", "result": "ok", "found": "fine", "remedy": None}
    assert body["checks"][2]["result"] == "FAIL"


def test_only_a_failure_fails() -> None:
    assert has_failed(LINES)
    assert not has_failed(LINES[:2])
