"""The table of failure modes in docs/failure-modes.md, made from the marks of the tests.

`python -m tests.support.failure_modes docs` writes the page; with `--check` it only says whether it is up to date.
The marks are read by pytest's own collection, so that a mark on one case of a test counts and one on a helper does not.

Invariant: every number of the protocol's table has a row, and every row has a test or names the feature it waits for.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PAGE: Final = "failure-modes.md"


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to fail. `handled`: the step of the protocol that answers it. `waits`: the feature without which it
    cannot happen, where that feature does not exist yet."""

    failure: str
    handled: str
    waits: str = ""


MODES: Final[Mapping[int, Mode]] = {
    1: Mode("A crash before the intent is won", "nothing was begun; C0 starts over"),
    2: Mode("A crash between intent and request", "C7: absence is proven, then the next attempt"),
    3: Mode("A crash after the request, before its job is recorded", "C7: adoption"),
    4: Mode("The answer to a committed create times out", "C7: adoption"),
    5: Mode("A create times out and was never carried out", "C7: absence is proven"),
    6: Mode("A create is answered with success but without a uuid", "C4: unknown; C7"),
    7: Mode("A create is answered 5xx although it was committed", "C4: unknown; C7"),
    8: Mode("A proxy delivers one create twice", "C4: a replay's refusal is unknown; Match policy; Sweep 4"),
    9: Mode("A create commits later than the margin allows for", "Match policy, Sweep 4"),
    10: Mode("The status cannot be written for long", "C5: the journal; C7 after a restart"),
    11: Mode("The intent is stripped from the object", "the record in the status; the token is computed anew"),
    12: Mode("Our finalizer is stripped", "it is put back; D1 on any trace; Sweep 5"),
    13: Mode("A backup is restored without its status", "Identity"),
    14: Mode("Intent and status are both lost", "C0: the listing"),
    15: Mode("etcd is restored to an older state", "C0: the listing; Sweep 5"),
    16: Mode("Two operators work in one cluster", "C2: compare-and-swap"),
    17: Mode("A process wakes up late with a signed request", "C3: the send deadline; the signature's expiry"),
    18: Mode("A resource is handled twice at once", "one pass per key; C2: compare-and-swap"),
    19: Mode("The store is stale and shows no intent", "C2: compare-and-swap"),
    20: Mode("The spec is edited between building and sending", "C2: compare-and-swap"),
    21: Mode("The resource is deleted during the request", "C2: finalizer first; D2"),
    22: Mode("The resource is deleted while the outcome is unknown", "D2"),
    23: Mode("A cancel is lost, or is accepted and the job goes on", "D4: repeated until the job has ended"),
    24: Mode("A cancel is answered 404 or 409", "D3, D4: only a read counts"),
    25: Mode("A job stays in CANCELLING", "D4, D5: no finalizer goes by a time-out"),
    26: Mode("The service is down during a deletion", "D7"),
    27: Mode("The key is revoked or has expired", "D7; running jobs go on"),
    28: Mode("The key is changed to one of another account", "D3; Identity: continuity, circuit breaker"),
    29: Mode("The key's Secret is deleted while jobs live", "Holds"),
    30: Mode("The namespace is deleted", "D1 to D6; Holds"),
    31: Mode("The CRD is deleted while a job runs", "D1 to D6, for as long as an operator runs"),
    32: Mode("The operator is uninstalled while jobs live", "a hook before the uninstallation"),
    33: Mode("No operator runs for long", "the records on the objects; the expiry in the title; reaper"),
    34: Mode("The cluster is destroyed", "reaper"),
    35: Mode("One manifest is applied in two clusters of one account", "Names: the cluster is in the token"),
    36: Mode("A resource is copied with its annotations", "Identity"),
    37: Mode("The clocks of cluster and service differ", "C2: the server's time; a condition of the account"),
    38: Mode("A nonce is used twice", "C4: unknown; C7"),
    39: Mode("Pages shift while they are listed", "Complete listing"),
    40: Mode("A listing lags behind a create", "C7: margin and two sightings"),
    41: Mode("The service cuts or changes the title", "Names: check characters, description, env"),
    42: Mode("A person copies our title", "Sweep 3; Match policy"),
    43: Mode("The service starts another run of a job that failed", "D5: the job's status and all its runs"),
    44: Mode("Retries of the service multiply with those of the operator", "a rule of the CRD", waits="attempts"),
    45: Mode("A suspension races with the start of the job", "the cancel is verified before the suspension is said"),
    46: Mode("A time-to-live deletes a resource that GitOps makes anew", "refused where tracked", waits="time to live"),
    47: Mode("The service reports a status that nobody knows", "it counts as alive"),
    48: Mode("The job lands on a node that costs too much", "the limit is checked at the first sight of a run"),
    49: Mode("The container runs and its ports never appear", "the job waits, and says for what"),
    50: Mode("A mistake would cancel many jobs at once", "Sweep: cap, two sightings, a fresh list"),
    51: Mode("No listing can be completed for long", "C7: unknown stays unknown; a person's answer"),
    52: Mode("A tenant names another tenant's job", "Identity: the title must verify"),
    53: Mode("The uuid of one attempt is taken for that of the next", "Names: resolved by token"),
    54: Mode("The first answer is lost and a replay's refusal arrives", "C4: unknown; C7"),
    55: Mode("The account changes while the outcome is unknown", "C7: the intent names its account; continuity"),
    56: Mode("The records go back to an earlier attempt", "C0: the listing"),
    57: Mode("A job lives whose attempt is above the recorded one", "C0 and C7: adoption; Sweep 2"),
    58: Mode("Two namespaced operators share account and cluster", "Sweep 5: reports"),
    59: Mode("A re-run in the console copies everything that names us", "Sweep 3"),
    60: Mode("The sweeper meets a job that was left on purpose", "the decision Keep"),
    61: Mode("A copy with status is deleted", "D4; Identity"),
    62: Mode("An answer of a person stays in Git", "Identity: it names its token"),
    63: Mode("A title is cut and its expiry misread", "Names: check characters, fixed width"),
    64: Mode("A process that was replaced writes", "fenced writes"),
    65: Mode("Rows without times, ties across pages, answers from a cache", "Complete listing"),
    66: Mode("The wall clock jumps by years", "C2: the server's time and monotonic time"),
    67: Mode("Account or Secret is deleted just before the request", "C3; Holds"),
    68: Mode("Two operators choose different survivors among duplicates", "Match policy: the choice is recorded first"),
    69: Mode("The store refuses everything after an etcd restore", "Identity: the process ends and starts clean"),
    70: Mode("A snapshot of the cluster is started beside it", "Identity: wait for a confirmation"),
    71: Mode("Our finalizer is stripped during the deletion", "D1 on any trace; Sweep 5"),
    72: Mode("The spec is edited between request and record", "Match policy: the intent's digest; the lock"),
}

HEAD: Final = """# Failure modes

What can go wrong between Kubernetes and the service, what answers it, and the tests that prove it. "C", "D" and the
other words in the third column are the steps of the create, cancel and sweep protocol. `pytest -m failure_mode` runs
all of these tests.

This page is generated from the marks of the tests by `python -m tests.support.failure_modes docs`.

"""


class _Collector:
    """Takes the marks from a collection."""

    def __init__(self) -> None:
        self.tests: defaultdict[int, set[str]] = defaultdict(set)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """All tests are known."""
        for item in session.items:
            name = item.nodeid.partition("[")[0]
            for mark in item.iter_markers("failure_mode"):
                for number in mark.args:
                    self.tests[number].add(name)


def collected() -> dict[int, list[str]]:
    """The tests of each number, by name, as `path::test`. Not to be called within a test run."""
    collector, output = _Collector(), io.StringIO()
    arguments = ["--collect-only", "--quiet", "-p", "no:cacheprovider", "-m", "failure_mode", f"--rootdir={ROOT}"]
    with contextlib.redirect_stdout(output):
        code = pytest.main([*arguments, str(ROOT / "tests")], plugins=[collector])
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"the tests cannot be collected: {output.getvalue()[-2000:]}")
    return {number: sorted(names) for number, names in collector.tests.items()}


def page(tests: Mapping[int, Iterable[str]]) -> str:
    """The whole page."""
    rows = ["| # | Failure | Answered by | Tests |", "| --- | --- | --- | --- |"]
    rows += [_row(number, mode, sorted(tests.get(number, ()))) for number, mode in sorted(MODES.items())]
    return HEAD + "\n".join(rows) + "\n"


def untested(tests: Mapping[int, Iterable[str]]) -> list[int]:
    """The numbers that neither have a test nor wait for a feature."""
    return [number for number, mode in MODES.items() if not mode.waits and not list(tests.get(number, ()))]


def unknown(tests: Mapping[int, Iterable[str]]) -> list[int]:
    """The numbers that tests claim and the table does not know."""
    return sorted(number for number in tests if number not in MODES)


def tests_on(text: str) -> dict[int, list[str]]:
    """The tests of each number as a page names them."""
    rows = re.finditer(r"^\| (\d+) \|.*\| ([^|]*) \|$", text, re.MULTILINE)
    return {int(row[1]): re.findall(r"`([^`]+)`", row[2]) for row in rows}


def _row(number: int, mode: Mode, names: list[str]) -> str:
    shown = [f"`{name}`" for name in names]
    if mode.waits:
        shown.insert(0, f"waits for: {mode.waits}")
    return f"| {number} | {mode.failure} | {mode.handled} | {'<br>'.join(shown)} |"


def main(arguments: list[str]) -> int:
    """Write or check the page in the folder that the arguments name; 1 if something is missing or out of date."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.failure_modes", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    chosen = parser.parse_args(arguments)
    tests = collected()
    target, text = chosen.folder / PAGE, page(tests)
    problems = [f"failure mode {number} has no test" for number in untested(tests)]
    problems += [f"a test claims failure mode {number}, which does not exist" for number in unknown(tests)]
    if not chosen.check:
        target.write_text(text)
    elif not target.exists() or target.read_text() != text:
        problems.append(f"{PAGE} is out of date; run python -m tests.support.failure_modes docs")
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201 - a command speaks
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
