"""The chaos run: many episodes, one after the other, with figures and a result file.

    python -m tests.simulation.chaos --episodes 100000 --seed 1 --result chaos.json
    python -m tests.simulation.chaos --episodes 100000 --resume chaos.json [--again]
    python -m tests.simulation.chaos --replay 17:0,3,8

A run can be stopped with SIGINT or SIGTERM at any time, or stops itself after some failures: the result file says how
far it came, and `--resume` goes on there. Without such a file it begins one. With `--again` what failed so far is
played once more first, each plan as a whole, and what passes is told apart: somebody mended what was found. Several
workers play rounds of seeds side by side; an episode is the same wherever it is played. The order of Python's sets
depends on the hash seed, so the program starts itself again with a fixed one.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.simulation.episode import Result, play
from tests.simulation.mutants import MUTANTS, SHARD_MUTANTS
from tests.simulation.plan import PLAIN, Plan, Variant, make_plan, parse_address
from tests.simulation.process import SimulatedProcess
from tests.simulation.shrink import shrink
from tests.simulation.tally import Tally, load, tree
from tests.simulation.world import MakeProcess

HASH_SEED = "0"
ALL_MUTANTS = MUTANTS | SHARD_MUTANTS
SAVE_EVERY = 50
ROUND = 50
"""Episodes that a worker plays in one go."""
COLLECT_EVERY = 20
"""Episodes between two garbage collections: an episode leaves many cycles behind, all at once."""


def main() -> int:
    """Parse the command line and run; 0 without violations."""
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        os.execve(  # noqa: S606 - the same program, with the order of sets fixed
            sys.executable,
            [sys.executable, "-m", "tests.simulation.chaos", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": HASH_SEED},
        )
    options = _options()
    gc.disable()
    gc.freeze()
    if options.replay:
        return _replay(options)
    if options.mutants:
        return _print_mutants(options)
    return _Run(options).run()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.chaos")
    parser.add_argument("--episodes", type=int, default=1000, help="how many episodes in all")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first episode; the others follow")
    parser.add_argument("--workers", type=int, default=1, help="how many processes of this machine play episodes")
    parser.add_argument("--processes", type=int, choices=(1, 2), help="operators at once; default: as the seed says")
    parser.add_argument("--shards", type=int, choices=(1, 2), default=1, help="2: processes share two accounts")
    parser.add_argument(
        "--page-rows", type=int, default=PLAIN.page_rows, help="rows that the service gives on a page at most"
    )
    parser.add_argument("--resume", type=Path, help="go on with this result file, or begin it")
    parser.add_argument("--again", action="store_true", help="first play again what failed so far")
    parser.add_argument("--result", type=Path, help="where the result goes")
    parser.add_argument("--replay", help="play one plan and print its trace: SEED or SEED:ITEM,ITEM,…")
    parser.add_argument("--mutant", choices=sorted(ALL_MUTANTS), help="break the protocol in this way")
    parser.add_argument("--stop-after", type=int, default=5, help="stop after so many failing episodes")
    parser.add_argument("--no-shrink", action="store_true", help="do not make failing plans small")
    parser.add_argument("--mutants", action="store_true", help="print after how many episodes each mutant is found")
    return parser.parse_args()


def _variant(options: argparse.Namespace) -> Variant:
    return Variant(options.processes, options.shards > 1, options.page_rows)


@dataclass(frozen=True, slots=True)
class _Round:
    """Seeds that are played one after the other by one worker."""

    first: int
    episodes: int
    variant: Variant
    mutant: str | None
    shrinks: bool


class _Run:
    """Plays episodes until all are done, somebody stops it, or too many fail."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._path: Path | None = options.resume or options.result
        if options.resume is not None and options.resume.exists():
            self._tally = load(options.resume)
        else:
            self._tally = Tally.begin(options.seed, _variant(options), options.mutant)
        self._failed_before = len(self._tally.failures)
        self._tree = tree()
        self._stopped = False

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        if self._options.again:
            self._play_again()
        if self._options.workers == 1:
            self._count(map(_play, self._rounds(length=1)))
        else:
            with multiprocessing.get_context("fork").Pool(self._options.workers, initializer=_ignore_stop) as pool:
                self._count(pool.imap(_play, self._rounds(length=ROUND)))
        self._save()
        _report(self._tally)
        return 1 if self._tally.failures else 0

    def _play_again(self) -> None:
        tally = self._tally
        make = ALL_MUTANTS[tally.mutant] if tally.mutant else SimulatedProcess
        plans = [(failure, int(failure["address"].partition(":")[0])) for failure in tally.failures]
        results = [(failure, play(make_plan(seed, tally.variant), make_process=make)) for failure, seed in plans]
        tally.settle([failure for failure, result in results if not result.violations])
        self._failed_before = len(tally.failures)

    def _rounds(self, *, length: int) -> Iterator[_Round]:
        tally, end = self._tally, self._tally.first_seed + self._options.episodes
        variant, mutant, shrinks = tally.variant, tally.mutant, not self._options.no_shrink
        for first in range(tally.next_seed, end, length):
            yield _Round(first, min(length, end - first), variant, mutant, shrinks)

    def _count(self, done: Iterator[Tally]) -> None:
        """Add up in the order of the seeds, so that the file can be resumed whenever it ends."""
        saved = self._tally.episodes
        while not self._stopped and len(self._tally.failures) - self._failed_before < self._options.stop_after:
            part = next(done, None)
            if part is None:
                return
            self._tally.merge(part)
            self._tally.commits[self._tree] += part.episodes
            if self._tally.episodes - saved >= SAVE_EVERY:
                self._save()
                saved = self._tally.episodes

    def _save(self) -> None:
        if self._path is not None:
            self._tally.save(self._path)

    def _stop(self, *_: object) -> None:
        self._stopped = True


def _ignore_stop() -> None:
    """Workers are ended by the run, not by the key that a person presses."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _play(part: _Round) -> Tally:
    """Play a round; failing plans are made small and told at once."""
    tally = Tally.begin(part.first, part.variant, part.mutant)
    make = ALL_MUTANTS[part.mutant] if part.mutant else SimulatedProcess
    begun = time.process_time()
    for seed in range(part.first, part.first + part.episodes):
        if seed % COLLECT_EVERY == 0:
            gc.collect()
        plan = make_plan(seed, part.variant)
        result = play(plan, make_process=make)
        tally.add(result)
        if result.violations:
            tally.failures.append(_failure(plan, result, make, tally, shrinks=part.shrinks))
    tally.cpu_seconds = time.process_time() - begun
    return tally


def _failure(plan: Plan, result: Result, make: MakeProcess, tally: Tally, *, shrinks: bool) -> dict[str, Any]:
    if shrinks:
        plan = shrink(plan, lambda less: bool(play(less, make_process=make).violations))
        result = play(plan, make_process=make)
        _say(f"seed {plan.seed} fails: " + "; ".join(result.violations))
        _say(f"  replay: {replay_command(plan.address, tally)}")
    return {"address": plan.address, "violations": list(result.violations)}


def replay_command(address: str, tally: Tally) -> str:
    """The one command that plays a plan again."""
    return f"python -m tests.simulation.chaos --replay {address}{tally.options}"


def _replay(options: argparse.Namespace) -> int:
    plan = parse_address(options.replay, _variant(options))
    make = ALL_MUTANTS[options.mutant] if options.mutant else SimulatedProcess
    result = play(plan, make_process=make, logs=True)
    _say("\n".join(result.trace))
    _say(f"\n{result.jobs} jobs, {result.posts} POSTs, trace {result.digest[:16]}")
    for violation in result.violations:
        _say(f"VIOLATION {violation}")
    return 1 if result.violations else 0


def _print_mutants(options: argparse.Namespace) -> int:
    missed, variant = 0, _variant(options)
    for name, make in (SHARD_MUTANTS if variant.shards else MUTANTS).items():
        found = find_mutant(make, first=options.seed, episodes=options.episodes, variant=variant)
        missed += found is None
        _say(f"{name:<38}{'NOT FOUND' if found is None else f'{found[0]:>4}  {found[1]}'}")
    return 1 if missed else 0


def find_mutant(make: MakeProcess, *, first: int, episodes: int, variant: Variant) -> tuple[int, str] | None:
    """After how many episodes a broken operator is found, and by what; None if it is not."""
    for number in range(episodes):
        result = play(make_plan(first + number, variant), make_process=make)
        gc.collect()
        if result.violations:
            return number + 1, result.violations[0]
    return None


def _report(tally: Tally) -> None:
    _say("\n".join(tally.summary()))
    for failure in tally.failures:
        _say(f"  {replay_command(failure['address'], tally)}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
