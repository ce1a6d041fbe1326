"""DispersedOrphan on a real API server: its default, its decisions, its status, its columns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dispersed_devenv.controlplane import ControlPlane, KubectlError
from dispersed_operator.model.orphan import DispersedOrphanStatus
from dispersed_operator.model.status import Condition

NAME = "9d3c0a52-0000-4000-8000-000000000001"
MOMENT = "2026-11-23T14:02:31Z"
STATUS = DispersedOrphanStatus(
    uuid=NAME,
    token="t" * 12,
    account="team-a/default",
    title="kd1-…",
    owner="team-a/train",
    cause="NoOwner",
    remote_status="RUNNING",
    first_seen=MOMENT,
    last_seen=MOMENT,
    hourly_rate_usd="0.35",
    cost_usd="1.2000",
    phase="Open",
    conditions=(Condition(type="Stalled", status="True", reason="OwnershipAmbiguous", message="m" * 1024),),
)


@pytest.fixture
def orphan(control_plane: ControlPlane) -> Any:
    """A plane with the definitions; the object of a test goes with it."""
    yield control_plane
    control_plane.kubectl("delete", "dispersedorphan", NAME, "--ignore-not-found")


def create(plane: ControlPlane, spec: dict[str, Any]) -> dict[str, Any]:
    body = {"apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedOrphan", "metadata": {"name": NAME}, "spec": spec}
    made: dict[str, Any] = json.loads(plane.kubectl("create", "-f", "-", "-o", "json", input=json.dumps(body)))
    return made


def test_without_a_decision_an_orphan_is_only_reported(orphan: ControlPlane) -> None:
    assert create(orphan, {})["spec"] == {"decision": "Report"}


@pytest.mark.parametrize("decision", ["Report", "Cancel", "Keep", "Adopt"])
def test_a_decision_that_works_is_accepted(orphan: ControlPlane, decision: str) -> None:
    assert create(orphan, {"decision": decision})["spec"] == {"decision": decision}


@pytest.mark.parametrize("decision", ["Sell", "cancel", ""])
def test_a_decision_that_does_not_work_is_refused(orphan: ControlPlane, decision: str) -> None:
    with pytest.raises(KubectlError, match="supported values"):
        create(orphan, {"decision": decision})


def test_everything_that_the_operator_says_fits_the_status_and_shows_in_the_columns(orphan: ControlPlane) -> None:
    create(orphan, {"decision": "Keep"})
    patch = json.dumps({"status": STATUS.to_api()})
    orphan.kubectl("patch", "dorph", NAME, "--subresource=status", "--type=merge", "-p", patch)
    stored = json.loads(orphan.kubectl("get", "dorph", NAME, "-o", "json"))
    assert stored["status"] == STATUS.to_api()
    header, row = orphan.kubectl("get", "dorph", NAME, "-o", "wide").splitlines()
    assert header.split()[:8] == ["NAME", "DECISION", "PHASE", "ACCOUNT", "OWNER", "RATE", "COST", "SEEN"]
    assert row.split()[:7] == [NAME, "Keep", "Open", "team-a/default", "team-a/train", "0.35", "1.2000"]
