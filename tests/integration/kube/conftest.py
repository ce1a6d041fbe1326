"""A namespace and a client for each test, on the control plane that all share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.kube.client import KubeClient
from tests.integration.kube.harness import client_for, new_namespace


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    return new_namespace(control_plane)


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    async with client_for(control_plane.kubeconfig) as client:
        yield client
