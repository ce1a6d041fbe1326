"""`python -m tests.exploration --faults 2`: explore completely and print the figures."""

from __future__ import annotations

import argparse
import sys
import time

from tests.exploration.environment import People
from tests.exploration.explorer import Explorer, Scenario


def main(arguments: list[str]) -> int:
    """Explore the scenario that the arguments name; 1 if a rule was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.exploration", description=__doc__)
    parser.add_argument("--faults", type=int, default=1, help="how many faults may happen on one way")
    parser.add_argument("--operators", type=int, default=2, choices=(1, 2), help="how many processes work at once")
    parser.add_argument("--deletions", type=int, default=1, choices=(0, 1), help="whether a person deletes")
    parser.add_argument(
        "--strip-records",
        action="store_true",
        help="people strip intent and status, and of two operators not the finalizer",
    )
    chosen = parser.parse_args(arguments)
    alone = chosen.operators == 1  # two cannot know what an object had that lost records and finalizer
    people = People(
        strip_finalizer=alone or not chosen.strip_records,
        strip_records=chosen.strip_records,
        replace=alone and chosen.strip_records,
    )
    scenario = Scenario(chosen.operators, chosen.faults, chosen.deletions, people)
    begun = time.monotonic()
    report = Explorer(scenario).run()
    print(f"{report} in {time.monotonic() - begun:.0f} s")  # noqa: T201 - a command speaks
    for name, count in sorted(report.faults.items()):
        print(f"  {count:>9} {name}")  # noqa: T201
    if report.violation is not None:
        print(f"BROKEN: {report.violation}")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
