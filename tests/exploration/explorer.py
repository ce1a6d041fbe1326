"""The search: every state that can be reached, breadth first, each once, and what must hold in all of them.

The rules of `rules.py` are checked in every state, and at every end.

Liveness
    From every state some end can be reached without a fault.

Two processes are alike, so states that differ by who is who are one state. A step of a process depends on nothing but
the process, the object, the service and the clock; it is computed once for each such combination.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Generic, TypeVar

from tests.exploration.environment import Deed, People, State, deeds, deletion, deliveries, next_moment, turns
from tests.exploration.moves import Habits, Move, World
from tests.exploration.rules import broken_rule, wrong_end
from tests.exploration.state import Mark, Process, Remote, new_object
from tests.exploration.twin import Twin

HORIZON = 4000
T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is explored: how many processes, how many faults and deletions, what people do, how the processes work."""

    operators: int = 2
    faults: int = 1
    deletions: int = 1
    people: People = field(default_factory=People)
    habits: Habits = field(default_factory=Habits)


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule and the shortest way to it."""

    rule: str
    steps: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.rule}: " + " → ".join(self.steps)


@dataclass(slots=True)
class Report:
    """What an exploration found. `faults` counts the steps that spent a fault, by name."""

    states: int = 0
    transitions: int = 0
    depth: int = 0
    ends: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    violation: Violation | None = None

    def __str__(self) -> str:
        return f"{self.states} states, {self.transitions} transitions, depth {self.depth}, {self.ends} ends"


class Shelf(Generic[T]):
    """Gives each value a number, so that a state is a short tuple."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}
        self.values: list[T] = []

    def put(self, value: T) -> int:
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


Packed = tuple[int, ...]
"""Numbers of text and service, clock, faults left, deletions left, marks, numbers of the processes in order."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one process in numbers; what follows for the others is worked out where it is taken."""

    name: str
    fault: bool
    process: int
    text: int
    remote: int
    marks: int
    wrong: str


class Explorer:
    """Explores one scenario completely, or until the first violation."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._twin = Twin(scenario.habits)
        self._texts: Shelf[str | None] = Shelf()
        self._processes: Shelf[Process] = Shelf()
        self._remotes: Shelf[Remote] = Shelf()
        self._steps: dict[tuple[int, int, int, int], list[Step]] = {}
        self._outdated: dict[int, int] = {}
        self._busy: dict[tuple[int, int], bool] = {}
        self._deeds: dict[Packed, list[Deed]] = {}
        self._numbers: dict[Packed, int] = {}
        self._states: list[Packed] = []
        self._parents = array("l")
        self._sources, self._targets = array("l"), array("l")
        self._ends: list[int] = []
        self.report = Report()

    def run(self) -> Report:
        """Explore; the report says how much there was, and the first rule that was broken."""
        text = self._texts.put(new_object())
        process = self._processes.put(Process(leading_since=-1.0, store=new_object()))
        chosen = self._scenario
        processes = [process] * chosen.operators
        first = (text, self._remotes.put(Remote()), 0, chosen.faults, chosen.deletions, 0, *processes)
        self._add(first, parent=-1)
        level = [0]
        while level and self.report.violation is None:
            following: list[int] = []
            for current in level:
                if self._expand(current, following):
                    break
            self.report.depth += 1
            level = following
        self.report.states = len(self._states)
        if self.report.violation is None:
            self._check_liveness()
        return self.report

    # --- one state -------------------------------------------------------------------------------------------------

    def _expand(self, number: int, following: list[int]) -> bool:
        """Add all successors; whether a rule is broken."""
        packed = self._states[number]
        world, marks = self._world(packed), Mark(packed[5])
        broken = broken_rule(world, marks, operators=self._scenario.operators)
        if broken:
            return self._violated(broken, number)
        free = False
        for name, after, wrong in self._successors(packed):
            if wrong:
                return self._violated(wrong, number, name)
            self.report.transitions += 1
            known = self._numbers.get(after)
            if known is None:
                known = self._add(after, parent=number)
                following.append(known)
            if after[3] < packed[3]:
                self.report.faults[_kind(name)] += 1
            elif after[4] == packed[4]:
                free = True
                self._sources.append(known)
                self._targets.append(number)
        if not free:
            self._ends.append(number)
            self.report.ends += 1
            unwanted = wrong_end(world, marks)
            return bool(unwanted) and self._violated(unwanted, number)
        return world.clock > HORIZON and self._violated("no end in sight", number)

    def _successors(self, packed: Packed) -> Iterator[tuple[str, Packed, str]]:
        """Every next state, with the name of the step and what is wrong with it in itself."""
        faults, processes = packed[3], packed[6:]
        for index, process in enumerate(processes):
            for step in self._steps_of(process, packed):
                if step.fault > faults:
                    continue
                others = [*processes[:index], *processes[index + 1 :]]
                if step.text != packed[0]:
                    others = [self._outdate(other) for other in others]
                spent = (packed[2], faults - step.fault, packed[4], packed[5] | step.marks)
                yield (
                    f"{index} {step.name}",
                    _ordered(step.text, step.remote, *spent, step.process, *others),
                    step.wrong,
                )
        world = self._world(packed)
        if faults:
            for deed in self._deeds_in(packed, world):
                yield deed.name, self._after_deed(packed, deed, faults - 1, packed[4]), ""
        ordered = deletion(world) if packed[4] else None
        if ordered is not None:
            yield ordered.name, self._after_deed(packed, ordered, faults, packed[4] - 1), ""
        if world.remote.posts:
            yield from self._delivered(packed, self._state(packed))
        if not any(self._is_busy(process, packed[2]) for process in processes):
            later = next_moment(self._state(packed))
            if later is not None:
                yield f"clock {later}", (*packed[:2], later, *packed[3:]), ""

    def _delivered(self, packed: Packed, state: State) -> Iterator[tuple[str, Packed, str]]:
        faults = packed[3]
        for delivery in deliveries(state):
            if delivery.fault > faults:
                continue
            heard = list(packed[6:])
            if delivery.waiting is not None:
                heard[delivery.waiting[0]] = self._processes.put(delivery.waiting[1])
            remote, spent = self._remotes.put(delivery.remote), faults - delivery.fault
            after = _ordered(packed[0], remote, packed[2], spent, packed[4], packed[5] | delivery.marks, *heard)
            yield delivery.name, after, ""

    def _is_busy(self, process: int, clock: int) -> bool:
        known = self._busy.get((process, clock))
        if known is None:
            known = self._processes.values[process].is_busy(clock)
            self._busy[process, clock] = known
        return known

    def _deeds_in(self, packed: Packed, world: World) -> list[Deed]:
        known = self._deeds.get(packed[:2])
        if known is None:
            known = list(deeds(world, self._scenario.people))
            self._deeds[packed[:2]] = known
        return known

    def _steps_of(self, process: int, packed: Packed) -> list[Step]:
        key = (process, packed[0], packed[1], packed[2])
        known = self._steps.get(key)
        if known is None:
            acting, world = self._processes.values[process], self._world(packed)
            known = [self._numbered(move) for move in (*self._twin.moves(acting, world), *turns(acting, world))]
            self._steps[key] = known
        return known

    def _numbered(self, move: Move) -> Step:
        return Step(
            name=move.name,
            fault=move.fault,
            process=self._processes.put(move.process),
            text=self._texts.put(move.text),
            remote=self._remotes.put(move.remote),
            marks=int(move.marks),
            wrong=move.wrong,
        )

    def _after_deed(self, packed: Packed, deed: Deed, faults: int, deletions: int) -> Packed:
        text, remote, processes = self._texts.put(deed.text), self._remotes.put(deed.remote), list(packed[6:])
        if text != packed[0]:
            processes = [self._outdate(process) for process in processes]
        if deed.tells:
            processes = [
                self._processes.put(replace(self._processes.values[process], told=True)) for process in processes
            ]
        return _ordered(text, remote, packed[2], faults, deletions, packed[5] | int(deed.marks), *processes)

    def _outdate(self, process: int) -> int:
        """The process after somebody else wrote the object."""
        known = self._outdated.get(process)
        if known is None:
            known = self._processes.put(self._processes.values[process].outdated())
            self._outdated[process] = known
        return known

    def _state(self, packed: Packed) -> State:
        world = self._world(packed)
        return State(world.text, tuple(self._processes.values[item] for item in packed[6:]), world.remote, world.clock)

    def _world(self, packed: Packed) -> World:
        return World(self._texts.values[packed[0]], self._remotes.values[packed[1]], packed[2])

    # --- bookkeeping -----------------------------------------------------------------------------------------------

    def _add(self, packed: Packed, *, parent: int) -> int:
        number = len(self._states)
        self._numbers[packed] = number
        self._states.append(packed)
        self._parents.append(parent)
        return number

    def _violated(self, rule: str, number: int, last: str = "") -> bool:
        way = [number]
        while self._parents[way[-1]] >= 0:
            way.append(self._parents[way[-1]])
        way.reverse()
        steps = [self._name_between(one, other) for one, other in pairwise(way)]
        self.report.violation = Violation(rule, tuple([*steps, last] if last else steps))
        return True

    def _name_between(self, one: int, other: int) -> str:
        for name, after, _ in self._successors(self._states[one]):
            if self._numbers.get(after) == other:
                return name
        raise AssertionError("a state without a way to it")

    def _check_liveness(self) -> None:
        """Go back from the ends along the free steps; who is not met can never come to rest."""
        begins = array("l", bytes(array("l").itemsize * (len(self._states) + 2)))
        for source in self._sources:
            begins[source + 2] += 1
        for number in range(2, len(begins)):
            begins[number] += begins[number - 1]
        before = array("l", self._targets)
        for source, target in zip(self._sources, self._targets, strict=True):
            before[begins[source + 1]] = target
            begins[source + 1] += 1
        met, open_ = bytearray(len(self._states)), list(self._ends)
        for end in open_:
            met[end] = 1
        while open_:
            number = open_.pop()
            for position in range(begins[number], begins[number + 1]):
                earlier = before[position]
                if not met[earlier]:
                    met[earlier] = 1
                    open_.append(earlier)
        stuck = met.find(0)
        if stuck >= 0:
            self._violated("no way to an end", stuck)


def _ordered(*packed: int) -> Packed:
    """A state in which the processes, which are alike, stand in the order of their numbers."""
    return (*packed[:6], *sorted(packed[6:]))


def _kind(name: str) -> str:
    """A fault's name without the numbers of process and request."""
    return " ".join(word for word in name.split() if not word.rstrip(":").isdigit())
