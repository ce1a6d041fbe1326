"""The control plane that all tests of a session share."""

from collections.abc import Iterator

import hypothesis
import pytest

from dispersed_devenv.binaries import find_or_build
from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.flux import Flux, find_or_build_flux
from dispersed_devenv.tools import Tools, find_or_build_tools
from tests.support.controlplane import shared_control_plane

# A busy machine is no failure: no example is timed.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the programs before the first test that needs them: a build takes longer than a test may."""
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if session.config.option.collectonly:
        return
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    report = None if terminal is None else terminal.write_line
    if "control_plane" in wanted:
        find_or_build(report=report)
    if "tools" in wanted:
        find_or_build_tools(report=report)
    if "flux" in wanted:
        find_or_build_flux(report=report)


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Helm and kubeconform."""
    return find_or_build_tools()


@pytest.fixture(scope="session")
def flux() -> Flux:
    """Flux's kustomize-controller and its definitions."""
    return find_or_build_flux()


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A running Kubernetes control plane with the project's CRDs. Give every test a namespace of its own."""
    with shared_control_plane() as plane:
        yield plane
