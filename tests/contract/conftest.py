"""Each test of the contract runs twice: on the real API server, and on the one in the process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dispersed_devenv.controlplane import ControlPlane
from tests.contract.clusters import Cluster, process_cluster, real_cluster


@pytest.fixture(params=["real", "in-process"])
async def cluster(request: pytest.FixtureRequest, control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    """A cluster with a namespace of the test's own."""
    if request.param == "real":
        async with real_cluster(control_plane) as real:
            yield real
    else:
        yield process_cluster()
