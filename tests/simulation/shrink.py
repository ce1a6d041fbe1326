"""Makes a failing plan small: items are left out as long as it goes on failing in the same way."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.plan import Plan

LARGEST_EFFORT = 150
"""So many episodes at most."""


def shrink(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """The smallest plan found. Chunks first, single items last (delta debugging)."""
    kept, effort = list(plan.kept), 0
    size = max(1, len(kept) // 2)
    while size and effort < LARGEST_EFFORT:
        start, smaller = 0, False
        while start < len(kept) and effort < LARGEST_EFFORT:
            candidate = kept[:start] + kept[start + size :]
            effort += 1
            if fails(plan.only(candidate)):
                kept, smaller = candidate, True
            else:
                start += size
        if size == 1 and not smaller:
            break
        size = max(1, size // 2) if not smaller or size > 1 else 1
    return plan.only(kept)
