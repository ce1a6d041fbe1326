"""The figures of a run, kept in a file that grows round by round, so that a run can be stopped and resumed."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Round:
    """What one round did. Times are in real seconds, double and leak in seconds of the simulated clock."""

    number: int
    kills: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    acts: dict[str, int] = field(default_factory=dict)
    ended_by_themselves: dict[str, int] = field(default_factory=dict)
    resources: int = 0
    posts: int = 0
    jobs: int = 0
    adoptions: int = 0
    steps_to_rest: int = 0
    longest_double: float = 0.0
    longest_leak: float = 0.0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    @property
    def total_kills(self) -> int:
        return sum(self.kills.values())


@dataclass(slots=True)
class Ledger:
    """All rounds of a run. The schedule of a round follows from seed and number; what real processes make of it does
    not."""

    seed: int
    operators: int
    rounds: list[Round] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return sum(item.total_kills for item in self.rounds)

    @property
    def violations(self) -> list[str]:
        return [f"round {item.number}: {text}" for item in self.rounds for text in item.violations]

    def totals(self, name: str) -> dict[str, int]:
        """The sum over all rounds of one of the tables, largest first."""
        counts: Counter[str] = Counter()
        for item in self.rounds:
            counts.update(getattr(item, name))
        return dict(counts.most_common())

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "command": f"python -m tests.chaos_real --kills {self.kills} --seed {self.seed} "
            f"--operators {self.operators}",
            "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
            f"Python {platform.python_version()}",
            "seed": self.seed,
            "operators": self.operators,
            "kills": self.kills,
            "violations": len(self.violations),
            "rounds": [asdict(item) for item in self.rounds],
        }

    def write(self, path: Path) -> None:
        """Replace the file, so that it is whole at every moment."""
        temporary = path.with_name(f"{path.name}.new")
        temporary.write_text(json.dumps(self.document(), indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)

    def summary(self) -> str:
        """The figures for a person."""
        rounds = self.rounds
        seconds = sum(item.seconds for item in rounds)
        double = max((item.longest_double for item in rounds), default=0.0)
        leak = max((item.longest_leak for item in rounds), default=0.0)
        sums = {name: sum(getattr(item, name) for item in rounds) for name in ("resources", "posts", "jobs")}
        adopted = sum(item.adoptions for item in rounds)
        lines = [
            f"seed {self.seed}, {self.operators} operators, {len(rounds)} rounds in {seconds:.0f} s",
            f"kills (SIGKILL)      {self.kills}, {60 * self.kills / max(seconds, 1):.0f} a minute",
            *(f"  {count:5d}  {kind}" for kind, count in self.totals("kills").items()),
            "faults put in force  " + _listed(self.totals("faults")),
            "acts of users        " + _listed(self.totals("acts")),
            "ended by themselves  " + _listed(self.totals("ended_by_themselves")),
            f"resources {sums['resources']}, create requests {sums['posts']}, jobs {sums['jobs']}, adopted {adopted}",
            f"longest double {double:.1f} s, longest leak {leak:.1f} s (simulated clock)",
            f"violations {len(self.violations)}",
            *(f"  {text}" for text in self.violations),
        ]
        return "\n".join(lines)


def read_ledger(path: Path) -> Ledger:
    """A ledger as it was written. Raises KeyError or ValueError for any other file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    rounds = [Round(**row) for row in document["rounds"]]
    return Ledger(seed=document["seed"], operators=document["operators"], rounds=rounds)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
