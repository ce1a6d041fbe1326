"""Which cells a run measures, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmarks import scenarios, troubles
from benchmarks.cells import Cell
from benchmarks.contenders import CONTENDERS, LOOP, OPERATOR
from benchmarks.scenarios import Scenario

SCENARIOS: Mapping[str, Scenario] = {
    "burst": scenarios.burst,
    "steady": scenarios.steady,
    "arrivals": scenarios.arrivals,
    "restart": scenarios.restart,
    "storm": scenarios.storm,
    "outage": troubles.outage,
    "failover": troubles.failover,
    "departures": scenarios.departures,
    "mass_delete": scenarios.mass_delete,
}
"""In the order in which they follow each other on one stage; the burst needs an empty one."""
SMALL = ("burst", "steady", "arrivals", "storm", "mass_delete")
FULL_SIZES = (100, 1_000, 5_000, 10_000)
SMALL_SIZES = (200,)
OUTAGE_SIZE = 1_000


def plan(
    sizes: Iterable[int], contenders: Iterable[str] = CONTENDERS, names: Iterable[str] = tuple(SCENARIOS)
) -> list[Cell]:
    """The cells of a run. Only the operator has replicas; the outage is measured at one size, and the bare loop ends
    with the first error that it meets."""
    wanted = set(names)
    return [
        Cell(size, contender, name)
        for size in sizes
        for contender in contenders
        for name in SCENARIOS
        if name in wanted and _makes_sense(size, contender, name)
    ]


def _makes_sense(size: int, contender: str, name: str) -> bool:
    if name == "failover":
        return contender == OPERATOR
    if name == "outage":
        return contender != LOOP and size == OUTAGE_SIZE
    return True
