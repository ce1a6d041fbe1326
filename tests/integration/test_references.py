"""Reading what a template names from a real API server: each value once, hidden from then on, and rights that lack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.kube.client import CONFIG_MAPS, DISPERSED_JOBS, SECRETS, KubeClient
from dispersed_operator.model.observed import parse_job
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.redaction import MASK, Redactor
from dispersed_operator.passes import Pass
from dispersed_operator.planning.resolved import Resolved
from dispersed_operator.planning.vocabulary import Memory, Problem
from dispersed_operator.references import References
from dispersed_operator.store import ResourceStore
from tests.integration.crds.objects import job
from tests.integration.kube.harness import client_for, new_namespace
from tests.support.effects import statuses_on

Json = dict[str, Any]
TEMPLATE: Json = {
    "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}],
    "envFrom": [{"configMapRef": {"name": "site"}}],
}


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    return new_namespace(control_plane)


@pytest.fixture
async def kube(control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    async with client_for(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture
def redactor() -> Redactor:
    return Redactor()


@pytest.fixture
def references(kube: KubeClient, redactor: Redactor) -> References:
    return references_with(kube, redactor)


@pytest.fixture
async def desk(kube: KubeClient, namespace: str) -> Pass:
    created = await kube.create(DISPERSED_JOBS, namespace=namespace, body=job("train", template=TEMPLATE))
    return Pass(resource=parse_job(created), memory=Memory(), session=None, forced=False)


def references_with(kube: KubeClient, redactor: Redactor) -> References:
    statuses = statuses_on(kube, ResourceStore())
    return References(kube=kube, statuses=statuses, redactor=redactor, monotonic=lambda: 100.0)


async def add(kube: KubeClient, namespace: str) -> None:
    """The Secret, with the consent, and the ConfigMap that the template names."""
    metadata = {"name": "db", "labels": {"dispersed.dev/egress": "allowed"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": "marked-password"}}
    await kube.create(SECRETS, namespace=namespace, body=secret)
    site: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "site"}, "data": {"REGION": "europe"}}
    await kube.create(CONFIG_MAPS, namespace=namespace, body=site | {"binaryData": {"BINARY": "AAEC"}})


async def test_values_lie_on_the_desk_and_what_is_secret_is_hidden_until_the_resource_is_gone(
    kube: KubeClient, namespace: str, desk: Pass, references: References, redactor: Redactor
) -> None:
    await add(kube, namespace)
    await references.resolve(desk)
    assert isinstance(desk.references, Resolved)
    assert desk.references.env == {"REGION": "europe", "PASSWORD": "marked-password"}
    assert "marked" not in repr(desk)
    assert redactor.clean_outside("marked-password in europe") == f"{MASK} in europe"
    references.forget(desk.resource.key)
    assert redactor.clean_outside("marked-password") == "marked-password"


async def test_what_lacks_is_remembered_with_the_time_of_the_next_look_and_forgotten_once_it_is_there(
    kube: KubeClient, namespace: str, desk: Pass, references: References
) -> None:
    for due in (105.0, 110.0, 120.0):
        await references.resolve(desk)
        assert isinstance(desk.references, Problem)
        assert desk.references.reason is Reason.INVALID_REFERENCE
        assert desk.memory.unresolved is not None
        assert desk.memory.unresolved.due == due
    await add(kube, namespace)
    await references.resolve(desk)
    assert isinstance(desk.references, Resolved)
    assert desk.memory.unresolved is None


@pytest.mark.reason("InvalidReference")
async def test_an_object_that_the_operator_may_not_read_is_named_with_the_right_that_lacks(
    control_plane: ControlPlane, kube: KubeClient, namespace: str, desk: Pass, tmp_path: Path
) -> None:
    await add(kube, namespace)
    control_plane.kubectl("create", "serviceaccount", "powerless", "-n", namespace)
    token = control_plane.service_account_token(namespace, "powerless")
    async with client_for(control_plane.write_kubeconfig(tmp_path / "kubeconfig", token=token)) as powerless:
        await references_with(powerless, Redactor()).resolve(desk)
    assert isinstance(desk.references, Problem)
    assert "may not be read by the operator: grant its service account the verb get" in desk.references.message
    assert "marked" not in desk.references.message
