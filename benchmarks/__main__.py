"""`python -m benchmarks run`, `report`, `gate`, `costs`: see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from benchmarks import meters, plot, profiles, ratios, report, run
from benchmarks.cells import Ledger, read_ledger
from benchmarks.contenders import CONTENDERS
from benchmarks.plans import FULL_SIZES, SCENARIOS, SMALL, SMALL_SIZES, plan

LATENCY_MS = 100.0


def main() -> int:
    """0 if all is well, 1 if a ratio has fallen."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True)
    _add_run(commands.add_parser("run", help="measure"))
    table = commands.add_parser("report", help="the table of a result, printed or written into a page with its picture")
    table.add_argument("result", type=Path)
    table.add_argument("--page", type=Path)
    table.set_defaults(work=_report)
    gate = commands.add_parser("gate", help="fail if a ratio fell below half of what is recorded")
    gate.add_argument("result", type=Path)
    gate.add_argument("recorded", type=Path)
    gate.add_argument("--record", action="store_true", help="record the ratios that are better than before instead")
    gate.set_defaults(work=_gate)
    costs = commands.add_parser("costs", help="the largest costs in a profile")
    costs.add_argument("profile", type=Path)
    costs.set_defaults(work=_costs)
    wanted = parser.parse_args()
    return int(wanted.work(wanted))


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--result", type=Path, required=True, help="write every cell here")
    parser.add_argument("--resume", action="store_true", help="keep what the result has already")
    parser.add_argument("--full", action="store_true", help="all scenarios and sizes")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of resources")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--scenarios", nargs="+", choices=tuple(SCENARIOS))
    parser.add_argument("--latency-ms", type=float, default=LATENCY_MS, help="of the service (default: %(default)s)")
    parser.add_argument("--window", type=float, default=60.0, help="seconds of rest that are looked at")
    parser.add_argument("--profile", type=Path, help="a folder for profiles; the figures are then not comparable")
    parser.set_defaults(work=_run)


def _run(wanted: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that processes and folders are cleared away
    sizes = wanted.sizes or (FULL_SIZES if wanted.full else SMALL_SIZES)
    names = wanted.scenarios or (tuple(SCENARIOS) if wanted.full else SMALL)
    cores = meters.split_cores(frozenset(os.sched_getaffinity(0)))
    result: Path = wanted.result
    command = "python -m benchmarks " + " ".join(sys.argv[1:])
    conditions = run.conditions(cores, wanted.latency_ms)
    if wanted.resume and result.exists():
        ledger = read_ledger(result)
        ledger.go_on(command, conditions)
    else:
        ledger = Ledger(command, conditions)
    run.measure(
        ledger, plan(sizes, wanted.contenders, names), result=result, cores=cores, latency_ms=wanted.latency_ms,
        window=wanted.window, profile=wanted.profile,
    )  # fmt: skip
    return 0


def _report(wanted: argparse.Namespace) -> int:
    if wanted.page is None:
        sys.stdout.write(report.render(read_ledger(wanted.result)) + "\n")
        return 0
    page: Path = wanted.page
    page.write_text(report.with_report(page.read_text(), report.part_of_page(wanted.result)))
    plot.draw(read_ledger(wanted.result), page.with_name(report.PICTURE))
    return 0


def _gate(wanted: argparse.Namespace) -> int:
    found = ratios.ratios(read_ledger(wanted.result))
    if wanted.record:
        ratios.write_ratios(wanted.recorded, ratios.raised(found, ratios.read_ratios(wanted.recorded)))
        return 0
    recorded = ratios.read_ratios(wanted.recorded)
    if not recorded:
        sys.stdout.write("nothing is recorded yet, so nothing can be kept: record a run with --record\n")
        return 1
    sentences = ratios.fallen(found, recorded)
    sys.stdout.write("".join(f"fallen below half: {sentence}\n" for sentence in sentences))
    sys.stdout.write(f"{len(recorded) - len(sentences)} of {len(recorded)} recorded ratios hold\n")
    return 1 if sentences else 0


def _costs(wanted: argparse.Namespace) -> int:
    sys.stdout.write(profiles.costs(wanted.profile.read_text().splitlines()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
