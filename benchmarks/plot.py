"""The picture: latency and memory against the number of resources. Needs the extra `bench`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cells import Cell, Ledger
from benchmarks.contenders import CONTENDERS

_PANELS = (
    ("100 more: apply → POST received, p95, in seconds", "arrivals", "apply_to_post_p95_s"),
    ("100 of N: delete → cancel received, p95, in seconds", "departures", "delete_to_cancel_p95_s"),
    ("At rest: memory in MiB", "steady", "memory_mib"),
)


def points(ledger: Ledger, contender: str, scenario: str, figure: str) -> list[tuple[int, float]]:
    """Size and value of every cell that has the figure."""
    sizes = sorted({cell.size for cell in ledger.cells})
    found = ((size, ledger.figure(Cell(size, contender, scenario), figure)) for size in sizes)
    return [(size, value) for size, value in found if value is not None]


def draw(ledger: Ledger, path: Path) -> None:
    """Write the picture as PNG."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only who draws needs it

    figure = Figure(figsize=(13, 4), layout="constrained")
    for place, (title, scenario, name) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        lines = {contender: points(ledger, contender, scenario, name) for contender in CONTENDERS}
        for contender, line in lines.items():
            place.plot([size for size, _ in line], [value for _, value in line], marker="o", label=contender)
        scale = "log" if any(lines.values()) else "linear"
        place.set_title(title, fontsize=10)
        place.set(xlabel="resources", xscale=scale, yscale=scale)
        place.grid(visible=True, which="both", alpha=0.3)
        place.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
