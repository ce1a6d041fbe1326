"""ClusterDispersedAccount on a real API server: what is stored, what never changes, what cannot be named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dispersed_devenv.controlplane import ControlPlane, KubectlError
from dispersed_operator.model.account import ClusterDispersedAccountSpec
from tests.integration.crds.objects import Json, shared_account

NAME = "crd-shared"
SELECTOR: Json = {
    "matchLabels": {"dispersed.dev/account": "shared"},
    "matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["prod"]}],
}


@pytest.fixture
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """A plane with the definitions; the object of a test goes with it."""
    yield control_plane
    control_plane.kubectl("delete", "clusterdispersedaccount", NAME, "--ignore-not-found")


def create(plane: ControlPlane, document: Json) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(plane.kubectl("create", "-f", "-", "-o", "json", input=json.dumps(document)))
    return made


def test_what_is_written_is_stored_and_read_back_by_the_model(plane: ControlPlane) -> None:
    spec = create(plane, shared_account(NAME, names=["team-a"], selector=SELECTOR))["spec"]
    assert spec["allowedNamespaces"] == {"names": ["team-a"], "selector": SELECTOR}
    assert ClusterDispersedAccountSpec.from_api(spec).to_api() == spec
    listed = plane.kubectl("get", "cdacct", NAME)
    assert listed.split()[:6] == ["NAME", "READY", "REASON", "HOST", "JOBS", "RATE"]


def test_an_empty_selector_stays_what_it_is_for_it_selects_everything(plane: ControlPlane) -> None:
    spec = create(plane, shared_account(NAME, selector={}))["spec"]
    assert spec["allowedNamespaces"] == {"selector": {}}
    read = ClusterDispersedAccountSpec.from_api(spec).allowed_namespaces
    assert read is not None
    assert read.selector is not None


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"baseURL": "https://other.example.com"}, "create another ClusterDispersedAccount for the other host"),
        ({"credentialsSecretRef": {"name": "other"}}, "put the new key into the same Secret"),
    ],
)
def test_host_and_secret_never_change(plane: ControlPlane, edit: Json, message: str) -> None:
    create(plane, shared_account(NAME))
    with pytest.raises(KubectlError, match=message):
        plane.kubectl("patch", "cdacct", NAME, "--type=merge", "-p", json.dumps({"spec": edit}))
    allowed = {"spec": {"allowedNamespaces": {"names": ["team-b"]}}}
    plane.kubectl("patch", "cdacct", NAME, "--type=merge", "-p", json.dumps(allowed))


def test_no_secret_of_another_namespace_can_be_named(plane: ControlPlane) -> None:
    document = shared_account(NAME)
    document["spec"]["credentialsSecretRef"]["namespace"] = "team-a"
    with pytest.raises(KubectlError, match=r'unknown field "spec\.credentialsSecretRef\.namespace"'):
        create(plane, document)
