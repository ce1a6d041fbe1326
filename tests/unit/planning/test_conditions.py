"""Conditions as kubectl, kstatus and GitOps tools read them."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.conditions import job_conditions, ready_condition, with_times
from dispersed_operator.planning.vocabulary import Created, Problem, Situation

PROBLEM = Problem(Reason.CREDENTIALS_REJECTED, "the service refuses the API key")


def _read(**changes: Any) -> dict[str, dict[str, Any]]:
    fields = {
        "phase": Phase.RUNNING,
        "reason": Reason.RUNNING,
        "message": "the container runs",
        "created": Created.YES,
        **changes,
    }
    return {item["type"]: item for item in job_conditions(Situation(**fields))}


@pytest.mark.parametrize(
    ("changes", "expected", "because"),
    [
        ({}, "Reconciling", "a job that is under way is work in progress"),
        ({"ready": True}, None, "a ready job is settled"),
        ({"stalled": True}, "Stalled", "a person has to act"),
        ({"ready": True, "ended": True}, None, "a completed job is settled"),
        ({"stalled": True, "ended": False}, "Stalled", "a failed job is no work in progress"),
    ],
)
def test_reconciling_and_stalled_follow_kstatus(changes: dict[str, Any], expected: str | None, because: str) -> None:
    found = _read(**changes)
    held = {name for name in ("Reconciling", "Stalled") if found[name]["status"] == "True"}
    assert held == ({expected} if expected else set()), because


@pytest.mark.parametrize(("ended", "shown"), [(None, set()), (True, {"Complete"}), (False, {"Failed"})])
def test_complete_and_failed_appear_only_once_true(ended: bool | None, shown: set[str]) -> None:
    found = _read(ended=ended)
    assert {"Complete", "Failed"} & found.keys() == shown
    assert all(found[name]["status"] == "True" for name in shown)


@pytest.mark.parametrize("created", Created)
def test_remote_created_says_what_is_known_of_the_create(created: Created) -> None:
    condition = _read(created=created)["RemoteCreated"]
    assert condition["status"] == created.value
    assert (condition["reason"] == "Accepted") is (created is Created.YES)


@pytest.mark.reason("Accepted")
def test_account_ready_is_a_condition_of_its_own() -> None:
    assert _read()["AccountReady"]["status"] == "True"
    assert _read()["AccountReady"]["reason"] == "Accepted"
    refused = _read(account_problem=PROBLEM)["AccountReady"]
    assert (refused["status"], refused["reason"]) == ("False", "CredentialsRejected")
    assert "docs/reasons/CredentialsRejected.md" in refused["message"]


@pytest.mark.reason("Accepted")
def test_an_account_has_ready_alone() -> None:
    assert ready_condition(None)["status"] == "True"
    assert ready_condition(PROBLEM)["reason"] == "CredentialsRejected"


def test_ready_carries_a_message_with_its_page() -> None:
    assert _read()["Ready"]["message"].endswith("See docs/reasons/Running.md")


OLD = "2026-11-23T10:00:00Z"
NEW = "2026-11-23T11:00:00Z"


@pytest.mark.parametrize(
    ("before", "moved", "because"),
    [
        ([], NEW, "a new condition begins now"),
        ([{"type": "Ready", "status": "False", "reason": "Creating", "lastTransitionTime": OLD}], OLD,
         "another reason is no transition"),
        ([{"type": "Ready", "status": "True", "lastTransitionTime": OLD}], NEW, "another status is"),
        ([{"type": "Ready", "status": "False"}], NEW, "a time that was lost begins anew"),
        ([{"type": "Stalled", "status": "False", "lastTransitionTime": OLD}], NEW, "another condition has its own"),
        ([{}], NEW, "an entry of somebody else may hold nothing"),
    ],
)  # fmt: skip
def test_transition_times_move_with_the_status_alone(before: list[dict[str, str]], moved: str, because: str) -> None:
    ready = {"type": "Ready", "status": "False", "reason": "Running", "message": ""}
    dated = with_times([ready], before, now=NEW, generation=4)
    assert dated == [ready | {"lastTransitionTime": moved, "observedGeneration": 4}], because
