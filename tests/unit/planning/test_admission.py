"""`allowedNamespaces`: who may create with a shared account, and what stands in nobody's way."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.admission import allowed_namespaces, barred, is_allowed
from dispersed_operator.planning.creation import ADMISSION_FRESH_SECONDS
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import (
    Admission,
    ClaimIntent,
    InspectAdmission,
    ReadJob,
    Rest,
    Situation,
)
from tests.support.builders import MONOTONIC, a_job, a_listing, an_account, facts

SHARED = ResourceKey(Kind.CLUSTER_ACCOUNT, "", "shared")
ACCOUNT = an_account(name="ClusterDispersedAccount/shared", shared=True)
ALLOWED = Admission(None, MONOTONIC)
BARRED = Admission(barred(SHARED, "team-a"), MONOTONIC)


def allows(allowed: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    spec = {"credentialsSecretRef": {"name": "key"}} | ({} if allowed is None else {"allowedNamespaces": allowed})
    return is_allowed(allowed_namespaces({"spec": spec}), "team-a", labels)


def wants(key: str, operator: str, *values: str) -> dict[str, Any]:
    requirement = {"key": key, "operator": operator} | ({"values": list(values)} if values else {})
    return {"selector": {"matchExpressions": [requirement]}}


@pytest.mark.parametrize(
    ("allowed", "labels", "expected", "because"),
    [
        (None, {}, False, "without the field, nobody"),
        ({}, {"gpu": "yes"}, False, "with neither names nor selector, nobody"),
        ({"names": ["team-a"]}, {}, True, "named"),
        ({"names": ["team-b"]}, {}, False, "another one is named"),
        ({"selector": {}}, {}, True, "an empty selector selects everything, as in Kubernetes"),
        ({"selector": {"matchLabels": {"gpu": "yes"}}}, {"gpu": "yes", "x": "y"}, True, "labelled"),
        ({"selector": {"matchLabels": {"gpu": "yes"}}}, {"gpu": "no"}, False, "another value"),
        ({"selector": {"matchLabels": {"gpu": "yes", "x": "y"}}}, {"gpu": "yes"}, False, "all labels must match"),
        ({"names": ["team-a"], "selector": {"matchLabels": {"gpu": "yes"}}}, {}, True, "either is enough: named"),
        ({"names": ["x"], "selector": {"matchLabels": {"gpu": "yes"}}}, {"gpu": "yes"}, True, "either: selected"),
        (wants("env", "In", "dev", "test"), {"env": "test"}, True, "one of the values"),
        (wants("env", "In", "dev"), {}, False, "In needs the label"),
        (wants("env", "NotIn", "prod"), {}, True, "NotIn holds without the label"),
        (wants("env", "NotIn", "prod"), {"env": "prod"}, False, "excluded"),
        (wants("env", "Exists"), {"env": ""}, True, "an empty value is a value"),
        (wants("env", "Exists"), {}, False, "absent"),
        (wants("env", "DoesNotExist"), {}, True, "absent"),
        (wants("env", "DoesNotExist"), {"env": "x"}, False, "present"),
    ],
)
def test_a_namespace_is_allowed_by_its_name_or_by_its_labels(
    allowed: dict[str, Any] | None, labels: dict[str, str], expected: bool, because: str
) -> None:
    assert allows(allowed, labels) is expected, because


@pytest.mark.reason("NamespaceNotAllowed")
def test_a_namespace_that_is_not_allowed_creates_nothing_and_says_what_an_administrator_must_do() -> None:
    action = plan_job(a_job().resource, facts(account=ACCOUNT, listing=a_listing(), admission=BARRED))
    assert isinstance(action, Rest)
    assert isinstance(action.situation, Situation)
    assert action.after is not None
    said = action.situation
    assert (said.phase, said.reason, said.stalled) == (Phase.PENDING, Reason.NAMESPACE_NOT_ALLOWED, True)
    for word in ("ClusterDispersedAccount shared", "team-a", "administrator", "allowedNamespaces"):
        assert word in said.message


def test_a_namespace_is_asked_about_before_anything_is_read_and_again_right_before_the_intent() -> None:
    asked = plan_job(a_job().resource, facts(account=ACCOUNT))
    stale = Admission(None, MONOTONIC - ADMISSION_FRESH_SECONDS - 0.1)
    again = plan_job(a_job().resource, facts(account=ACCOUNT, listing=a_listing(), admission=stale))
    assert (asked, again) == (InspectAdmission(), InspectAdmission())
    ready = plan_job(a_job().resource, facts(account=ACCOUNT, listing=a_listing(), admission=ALLOWED))
    assert ready == ClaimIntent(1)


def test_an_account_of_the_namespace_asks_nobody() -> None:
    assert plan_job(a_job().resource, facts(listing=a_listing())) == ClaimIntent(1)


def test_a_namespace_that_is_no_longer_allowed_still_sees_and_ends_its_jobs() -> None:
    running = a_job().created().status(account="ClusterDispersedAccount/shared")
    deleted = plan_job(running.deleting().resource, facts(account=ACCOUNT, admission=BARRED))
    watched = plan_job(running.resource, facts(account=ACCOUNT, admission=BARRED))
    assert isinstance(deleted, ReadJob)
    assert isinstance(watched, ReadJob)
