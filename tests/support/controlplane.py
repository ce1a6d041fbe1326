"""Control planes for tests: started in a folder that vanishes with them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dispersed_devenv.controlplane import ControlPlane

CRDS = Path(__file__).resolve().parent.parent.parent / "crds"


@contextmanager
def shared_control_plane() -> Iterator[ControlPlane]:
    """A control plane that knows the project's CRDs from its first moment."""
    crds = sorted(CRDS.glob("*.yaml"))
    with temporary_control_plane(*crds) as plane:
        yield plane


@contextmanager
def temporary_control_plane(
    *manifests: Path, audit_log: bool = False, audit_bodies: bool = False
) -> Iterator[ControlPlane]:
    """A control plane of a test's own, `manifests` applied before its controllers start."""
    with tempfile.TemporaryDirectory(prefix="dispersed-controlplane-") as folder:
        plane = ControlPlane(Path(folder), audit_log=audit_log, audit_bodies=audit_bodies)
        plane.start(apply_before_controllers=manifests)
        try:
            yield plane
        finally:
            plane.stop()
