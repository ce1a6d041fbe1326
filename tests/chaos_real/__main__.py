"""`python -m tests.chaos_real --kills 500`: real processes, killed until the wanted number is reached.

The schedule of blows follows from the seed; the moments at which real processes are hit do not, so a failing seed does
not replay exactly. Its evidence (request log, operator logs, resources) is kept instead.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
from pathlib import Path

from tests.chaos_real.arena import Arena
from tests.chaos_real.ledger import Ledger, read_ledger
from tests.chaos_real.rounds import Chaos

KILLS_OF_A_ROUND = (10, 25)


def main() -> int:
    """0 if no rule was broken, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos_real", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="SIGKILLs in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="seed of the schedule (default: a random one, printed)")
    parser.add_argument("--operators", type=int, default=2, help="operators at once (default: %(default)s)")
    parser.add_argument("--result", type=Path, help="write the figures here after every round")
    parser.add_argument("--resume", type=Path, help="go on with the run of this result file")
    parser.add_argument(
        "--evidence", type=Path, default=Path("build/chaos-real-evidence"),
        help="folder for the evidence of broken rules (default: %(default)s)",
    )  # fmt: skip
    wanted = parser.parse_args()
    if wanted.resume is not None:
        ledger = read_ledger(wanted.resume)
    else:
        seed = wanted.seed if wanted.seed is not None else secrets.randbelow(1_000_000)
        ledger = Ledger(seed=seed, operators=wanted.operators)
    return _run(ledger, kills=wanted.kills, result=wanted.result or wanted.resume, evidence=wanted.evidence)


def _run(ledger: Ledger, *, kills: int, result: Path | None, evidence: Path) -> int:
    _say(f"seed {ledger.seed}; {ledger.kills} of {kills} kills are done")
    with Arena(operators=ledger.operators) as arena:
        chaos = Chaos(arena, seed=ledger.seed, violations_folder=evidence)
        while ledger.kills < kills and not ledger.violations:
            number = len(ledger.rounds) + 1
            size = random.Random(f"{ledger.seed}/{number}/size").randint(*KILLS_OF_A_ROUND)
            ledger.rounds.append(chaos.play(number, kills=min(size, kills - ledger.kills)))
            if result is not None:
                ledger.write(result)
            last = ledger.rounds[-1]
            _say(
                f"round {number}: {last.total_kills} kills in {last.seconds:.0f} s, {last.resources} resources, "
                f"{last.posts} create requests, {last.jobs} jobs, {last.adoptions} adopted, "
                f"{last.steps_to_rest} steps to rest, {len(last.violations)} violations; {ledger.kills} of {kills}"
            )
    _say(ledger.summary())
    if ledger.violations:
        _say(f"evidence is in {evidence}")
    return 1 if ledger.violations else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
