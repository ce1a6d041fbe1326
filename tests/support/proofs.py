"""Looks and proofs: having the operator look at a resource, and stepping the service's clock past the proof windows."""

from __future__ import annotations

import time

from dispersed_devenv.controlplane import KubectlError
from tests.support.world import World, wait_for


def look(world: World, name: str) -> None:
    """Ask for a reconcile now, and wait until it was done or the object is gone."""
    stamp = str(time.monotonic_ns())

    def handled() -> bool:
        body = world.get(name)
        return body is None or (body.get("status") or {}).get("lastHandledReconcileAt") == stamp

    try:
        world.annotate(name, reconcile_requested_at=stamp)
    except KubectlError as error:
        if "(NotFound)" not in error.stderr:
            raise
    wait_for(handled, what=f"{name} was looked at")


def prove_absence(world: World, name: str, *, after: float = 430.0, apart: float = 31.0) -> None:
    """Step the service's clock past the windows, with the two looks that a proof of absence needs."""
    for seconds in (after, apart):
        world.control.advance(seconds)
        look(world, name)
