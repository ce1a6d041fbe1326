"""CPU and memory of a process, and the core that it may use.

A pod of one core and 512 MiB is imitated by affinity: the contender has one core for itself, everything else shares
the others. Its memory is not limited but read from the kernel, which keeps the peak; a peak above 512 MiB is a pod
that would have been ended.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

POD_MIB = 512
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores the contender has, and which the rest: driver, control plane, simulator."""

    contender: frozenset[int]
    rest: frozenset[int]

    def describe(self) -> str:
        """For the result."""
        if self.contender == self.rest:
            return "one core for everything, by affinity; memory measured, not limited"
        return (
            f"one core for the contender, {len(self.rest)} for everything else, by affinity; "
            "memory measured, not limited"
        )


def split_cores(available: frozenset[int]) -> Cores:
    """The last core is the contender's."""
    last = frozenset({max(available)})
    return Cores(contender=last, rest=(available - last) or last)


def pin(pid: int, cores: frozenset[int]) -> None:
    """Tie every thread of a process to cores; children and new threads inherit it."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def starved_seconds(pid: int) -> float:
    """How long the threads of a process could have run and had no core. Beside nothing else it stays near zero: where
    it does not, somebody else used the machine, and latencies say nothing."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[1]) for task in tasks) / 1e9


def resident_mib(pid: int) -> float:
    """Resident memory now."""
    return _kib(Path(f"/proc/{pid}/smaps_rollup").read_text(), "Rss") / 1024


def peak_mib(pid: int) -> float:
    """The most resident memory that the process ever had."""
    return _kib(Path(f"/proc/{pid}/status").read_text(), "VmHWM") / 1024


def _kib(text: str, name: str) -> int:
    line = next(line for line in text.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])
