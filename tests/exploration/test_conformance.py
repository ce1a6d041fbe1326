"""The twin does what the real effects do: the same stories, step by step, on both.

Compared are the actions that were planned, in order, what stands on the object in the end, and what the process
remembers. A twin that drifts from the effects fails here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model.observed import parse_job
from dispersed_operator.planning.vocabulary import Memory
from dispersed_simulator.wire import JsonValue
from tests.exploration.environment import State, deliveries
from tests.exploration.genuine import KEY, SILENT, Genuine
from tests.exploration.moves import World
from tests.exploration.state import Desk, Process, Remote, changed, new_object, timestamp
from tests.exploration.twin import Twin

STEPS = 60


@dataclass(frozen=True, slots=True)
class _Option:
    """One step that the twin could do next, and what is the case after it."""

    name: str
    fault: bool
    process: Process
    text: str | None
    remote: Remote


@dataclass
class TwinSide:
    """The twin, walking one way: without faults, but for the answers that a story asks for by name."""

    text: str | None = field(default_factory=new_object)
    remote: Remote = field(default_factory=Remote)
    clock: int = 0
    actions: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.process = Process(leading_since=-1.0, store=self.text)
        self.twin = Twin()

    def _note(self) -> None:
        """What the process is about to ask for, if it is about to decide."""
        if self.process.request is not None:
            return
        desk = self.process.desk
        if desk is None:
            assert self.process.store is not None
            desk = Desk(self.process.store, self.process.fresh)
        _, action = self.twin.settle(replace(self.process, desk=desk), self.clock)
        name = type(action).__name__
        if action is not None and name not in SILENT and self.actions[-1:] != [name]:
            self.actions.append(name)

    def deliver(self) -> None:
        self.process = replace(self.process, store=self.text, fresh=True, told=True)

    def written_by_a_person(self, text: str | None) -> None:
        self.text, self.process = text, self.process.outdated()

    def look(self) -> None:
        """One pass, to its end."""
        self.process = replace(self.process, told=True)
        for _ in range(STEPS):
            self._step()
            if self.process.desk is None:
                return
        raise AssertionError("a pass that does not end")

    def _step(self) -> None:
        self._note()
        named = self.faults[0] if self.faults else ""
        state = State(self.text, (self.process,), self.remote, self.clock)
        options = [
            _Option(move.name, move.fault, move.process, move.text, move.remote)
            for move in self.twin.moves(self.process, World(self.text, self.remote, self.clock))
        ]
        options += [
            _Option(item.name, item.fault, item.waiting[1], self.text, item.remote)
            for item in deliveries(state)
            if item.waiting is not None
        ]
        chosen = next((option for option in options if named and named in option.name), None)
        if chosen is not None:
            self.faults.pop(0)
        else:
            chosen = next(option for option in options if not option.fault)
        self.process, self.text, self.remote = chosen.process, chosen.text, chosen.remote


@dataclass
class Both:
    """A story told to both sides at once."""

    real: Genuine = field(default_factory=Genuine)
    twin: TwinSide = field(default_factory=TwinSide)

    async def look(self, *, told: bool = True) -> None:
        if told:
            self.real.deliver()
            self.twin.deliver()
        await self.real.look()
        self.twin.look()
        self.compare()

    def time(self, clock: int) -> None:
        self.real.clock, self.twin.clock = float(clock), clock

    def delete(self) -> None:
        self.real.server.delete(DISPERSED_JOBS, KEY.namespace, KEY.name)
        assert self.twin.text is not None
        self.twin.written_by_a_person(changed(self.twin.text, deletionTimestamp=timestamp(self.twin.clock)))

    def compare(self) -> None:
        assert self.real.actions == self.twin.actions
        assert _object(self.real.body) == _object(json.loads(self.twin.text) if self.twin.text else None)
        assert _memory(self.real.memory) == _memory(self.twin.process.memory)
        jobs = sorted(job.status for job in self.real.remote.jobs())
        assert [status == "CANCELLED" for status in jobs] == [not job.live for job in self.twin.remote.jobs]

    def lose(self, part: str, when: str, name: str) -> None:
        """One request to the API server goes wrong, by its name in the twin."""
        self.real.gate.lose = (part, when)
        self.twin.faults.append(name)

    def strike(self, kind: str, name: str, **params: JsonValue) -> None:
        """The next POST meets this fault of the simulator."""
        self.real.remote.service.faults.add(kind, method="POST", times=1, params=dict(params))
        self.twin.faults.append(name)


def _object(body: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if body is None:
        return None
    job = parse_job(body)
    status = body.get("status") or {}
    intent, record = job.intent, job.record
    return {
        "finalizer": job.has_finalizer,
        "intent": intent and (intent.attempt, intent.state, intent.refusal, intent.body_sha256),
        "record": record and (record.attempt, record.state, bool(record.uuid), record.locked, record.body_sha256),
        "phase": status.get("phase"),
        "conditions": sorted((item["type"], item["status"], item["reason"]) for item in status.get("conditions") or ()),
    }


def _memory(memory: Memory) -> tuple[object, ...]:
    own = memory.own
    return (
        own and (own.state, own.refusal, bool(own.uuid)),
        memory.last_post > float("-inf"),
        len(memory.sightings),
        memory.lookups,
        len(memory.extras),
        memory.cancels,
        memory.cancelled_by_us,
        memory.first_missing is None,
        memory.released,
    )


@pytest.fixture
def both() -> Both:
    return Both()


async def test_a_create_and_a_deletion(both: Both) -> None:
    await both.look()
    assert both.twin.actions == ["ReadListing", "ClaimIntent", "SendCreate", "RecordCreate"]
    both.delete()
    await both.look()
    assert both.twin.actions[-1] == "CancelJob", "whether the job ended is looked at a moment later"
    both.time(1)
    await both.look()
    assert both.real.body is None


async def test_an_answer_that_is_lost_after_the_commit(both: Both) -> None:
    both.strike("drop_after_commit", "accepted, answer lost")
    await both.look()
    assert "RecordCreate" in both.twin.actions


async def test_a_request_that_is_lost_and_proven_absent(both: Both) -> None:
    both.strike("drop_before_commit", "post 1: lost")
    await both.look()
    for clock in (21, 301, 421, 452):
        both.time(clock)
        await both.look()
    record = _object(both.real.body)
    assert record is not None
    assert record["record"][0] == 2


async def test_a_stale_copy_at_the_claim(both: Both) -> None:
    body = both.real.body
    assert body is not None
    both.real.server.patch(DISPERSED_JOBS, KEY.namespace, KEY.name, {"metadata": {"labels": {"a": "b"}}})
    both.twin.written_by_a_person(both.twin.text)
    await both.look(told=False)
    assert both.twin.actions[-1] == "ClaimIntent"
    await both.look(told=False)
    assert both.twin.actions[-1] == "RecordCreate"


@pytest.mark.parametrize(("when", "word"), [("before", "lost before"), ("after", "answer lost")])
@pytest.mark.parametrize(("part", "step"), [("object", "claim"), ("status", "record")])
async def test_a_write_whose_answer_is_lost(both: Both, part: str, step: str, when: str, word: str) -> None:
    both.lose(part, when, f"{step}: {word}")
    await both.look()
    assert both.real.gate.lose is None
    await both.look()
    await both.look()
    found = _object(both.real.body)
    assert found is not None
    assert found["record"][2]
    assert len(both.twin.remote.jobs) == 1
