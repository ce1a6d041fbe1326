"""A namespace for the tests of one module; each test gives its objects names of their own."""

import uuid

import pytest

from dispersed_devenv.controlplane import ControlPlane


@pytest.fixture(scope="module")
def namespace(control_plane: ControlPlane) -> str:
    name = f"crds-{uuid.uuid4().hex[:8]}"
    control_plane.kubectl("create", "namespace", name)
    return name
