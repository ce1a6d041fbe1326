"""The figures of a chaos run: counted up over stops and resumptions, printed, and kept in a result file.

Invariant: a result file names neither host nor path, so that it can be published as it is.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tests.simulation.episode import Result
from tests.simulation.plan import PLAIN, Variant


@dataclass(slots=True)
class Tally:
    """A run so far. Times in seconds, of the virtual clock but for `cpu_seconds`. `failures`: address of each failing
    plan, shrunk, with what it violates. `settled`: those of them that were played again later, without a violation,
    because operator or judge was mended under way. `commits`: how many episodes were played on which tree. `processes`,
    `shards`, `page_rows`: the variant."""

    first_seed: int = 1
    processes: int | None = None
    mutant: str | None = None
    episodes: int = 0
    cpu_seconds: float = 0.0
    virtual_hours: float = 0.0
    jobs_created: int = 0
    posts: int = 0
    excused: int = 0
    longest_double: float = 0.0
    longest_leak: float = 0.0
    injected: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    settled: list[dict[str, Any]] = field(default_factory=list)
    commits: Counter[str] = field(default_factory=Counter)
    shards: bool = False
    page_rows: int = PLAIN.page_rows

    @classmethod
    def begin(cls, first_seed: int, variant: Variant, mutant: str | None) -> Tally:
        """A run without an episode yet."""
        return cls(first_seed, variant.processes, mutant, shards=variant.shards, page_rows=variant.page_rows)

    @property
    def variant(self) -> Variant:
        """In which world it is played."""
        return Variant(self.processes, self.shards, self.page_rows)

    @property
    def options(self) -> str:
        """The variant and the mutant as options of the program, each with a space before it."""
        return (
            (f" --processes {self.processes}" if self.processes is not None else "")
            + (" --shards 2" if self.shards else "")
            + (f" --page-rows {self.page_rows}" if self.page_rows != PLAIN.page_rows else "")
            + (f" --mutant {self.mutant}" if self.mutant is not None else "")
        )

    def add(self, result: Result) -> None:
        """Count one episode."""
        self.episodes += 1
        self.virtual_hours += result.seconds / 3600
        self.jobs_created += result.jobs
        self.posts += result.posts
        self.excused += result.excused
        self.longest_double = max(self.longest_double, result.longest_double)
        self.longest_leak = max(self.longest_leak, result.longest_leak)
        self.injected.update(result.count)

    def merge(self, later: Tally) -> None:
        """Count the episodes that follow directly on these."""
        self.episodes += later.episodes
        self.cpu_seconds += later.cpu_seconds
        self.virtual_hours += later.virtual_hours
        self.jobs_created += later.jobs_created
        self.posts += later.posts
        self.excused += later.excused
        self.longest_double = max(self.longest_double, later.longest_double)
        self.longest_leak = max(self.longest_leak, later.longest_leak)
        self.injected.update(later.injected)
        self.failures += later.failures
        self.settled += later.settled
        self.commits.update(later.commits)

    def settle(self, failures: list[dict[str, Any]]) -> None:
        """These failing plans pass now."""
        self.failures = [failure for failure in self.failures if failure not in failures]
        self.settled += failures

    @property
    def next_seed(self) -> int:
        """The seed of the next episode."""
        return self.first_seed + self.episodes

    @property
    def document(self) -> dict[str, Any]:
        """What the result file holds."""
        return {name: getattr(self, name) for name in _STORED} | {
            "last_seed": self.next_seed - 1,
            "cpu_ms_per_episode": round(self._cpu_ms, 1),
            "kills": self.injected["kill"],
            "violations": len(self.failures),
            "injected": dict(sorted(self.injected.items())),
            "command": f"python -m tests.simulation.chaos --episodes {self.episodes} --seed {self.first_seed}"
            + self.options,
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB of memory",
        }

    def save(self, path: Path) -> None:
        """Write the result file at once, and its folder if there is none."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(path.suffix + ".part")
        fresh.write_text(json.dumps(self.document, indent=2) + "\n")
        fresh.replace(path)

    def summary(self) -> list[str]:
        """The figures as lines of text."""
        seeds = f"seeds {self.first_seed} to {self.next_seed - 1}"
        cost = f"{self._cpu_ms:.0f} ms CPU each, {self.virtual_hours:.0f} virtual hours"
        lines = [
            f"episodes        {self.episodes} ({seeds}, {cost})",
            f"jobs created    {self.jobs_created} by {self.posts} POSTs",
            f"kills           {self.injected['kill']}",
            f"longest double  {self.longest_double:.0f} s",
            f"longest leak    {self.longest_leak:.0f} s",
            f"excused         {self.excused}",
        ]
        lines += [f"  {name:<26}{times}" for name, times in sorted(self.injected.items()) if name != "kill"]
        return [*lines, f"violations      {len(self.failures)} (and {len(self.settled)} that were settled under way)"]

    @property
    def _cpu_ms(self) -> float:
        return 1000 * self.cpu_seconds / max(1, self.episodes)


_STORED = tuple(item.name for item in fields(Tally))


def load(path: Path) -> Tally:
    """The tally of a result file. Raises KeyError if the file is another kind's."""
    document = json.loads(path.read_text())
    stored = {"settled": [], "commits": {}} | {name: document[name] for name in _STORED if name in document}
    return Tally(**stored | {name: Counter(stored[name]) for name in ("injected", "commits")})


def tree() -> str:
    """The commit that is played, short, with `-dirty` if the tree differs from it; empty outside a checkout."""
    asked = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
