"""What a test leaves on the shared control plane is removed, finalizers by force.

Its simulator goes with it, so there is nothing to leak.
"""

from __future__ import annotations

from dispersed_devenv.controlplane import ControlPlane, KubectlError

OPERATOR_NAMESPACE = "dispersed-system"
SHARED_ACCOUNTS = "clusterdispersedaccounts"
LEFT = 'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\\n"}{end}'


def strip_namespace(plane: ControlPlane, namespace: str) -> None:
    """Jobs, accounts and Secrets of a namespace go."""
    for kind in ("dispersedjobs", "dispersedaccounts", "secrets"):
        for name in plane.kubectl("-n", namespace, "get", kind, "-o", "name").split():
            _strip(plane, "-n", namespace, name)


def strip_shared(plane: ControlPlane, secret: str) -> None:
    """All shared accounts go, where the kind is served at all, and the Secret of the test's own."""
    if SHARED_ACCOUNTS in plane.kubectl("api-resources", "--api-group=dispersed.dev", "-o", "name"):
        for name in plane.kubectl("get", SHARED_ACCOUNTS, "-o", "name").split():
            _strip(plane, name)
    _strip(plane, "-n", OPERATOR_NAMESPACE, f"secret/{secret}")


def strip_all_jobs(plane: ControlPlane) -> None:
    """The jobs of all namespaces go, for a test whose account may be that of any of them."""
    plane.kubectl("delete", "dispersedjobs", "--all", "--all-namespaces", "--wait=false")
    left = plane.kubectl("get", "dispersedjobs", "--all-namespaces", "-o", LEFT)
    for line in left.splitlines():
        namespace, name = line.split()
        _strip(plane, "-n", namespace, f"dispersedjob/{name}")


def _strip(plane: ControlPlane, *place: str) -> None:
    try:
        plane.kubectl("patch", *place, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        plane.kubectl("delete", *place, "--wait=false", "--ignore-not-found")
    except KubectlError as error:
        if "not found" not in error.stderr:
            raise
