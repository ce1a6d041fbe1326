"""The control plane that all tests of a session share."""

from collections.abc import Iterator

import pytest

from dispersed_devenv.binaries import find_or_build
from dispersed_devenv.controlplane import ControlPlane
from tests.support.controlplane import shared_control_plane


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the programs before the first test that needs them: a build takes longer than a test may."""
    wanted = any("control_plane" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        find_or_build(report=None if terminal is None else terminal.write_line)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A running Kubernetes control plane with the project's CRDs. Give every test a namespace of its own."""
    with shared_control_plane() as plane:
        yield plane
