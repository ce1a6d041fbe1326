"""The words of the twin: how a process works, what it meets, and what one step of it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from dispersed_operator.model.observed import JobResource
from dispersed_operator.planning import vocabulary as say
from dispersed_operator.planning.body import body_digest
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.records import with_record
from dispersed_operator.planning.status import project
from tests.exploration.state import START, Mark, Process, Remote, read

Plan = Callable[[JobResource, say.Facts], say.Action]


@dataclass(frozen=True, slots=True)
class Habits:
    """How a process works. The standard is the real thing; everything else is a mutant."""

    plan: Plan = plan_job
    compares: bool = True
    keeps_signed: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """What a process meets: the object (None: gone), the service, the time."""

    text: str | None
    remote: Remote
    clock: int


@dataclass(frozen=True, slots=True)
class Move:
    """One possible next step: its name, whether it spends a fault, and what is the case after it."""

    name: str
    process: Process
    text: str | None
    remote: Remote
    fault: bool = False
    marks: Mark = Mark.NOTHING
    wrong: str = ""


@cache
def digest_of(text: str) -> str | None:
    """The body digest of the object's spec."""
    spec = read(text).spec
    return body_digest(spec) if spec is not None else None


@cache
def written(text: str, situation: say.Situation | say.Kept) -> dict[str, Any]:
    """The status that the real status writer would want; the wall clock stands still, as no decision reads it."""
    resource = read(text)
    new = project(resource, situation, wall=START, server_time=START, cost_due=True)
    return with_record(resource, new)
