"""A synchronous twin of the reconciler and its effects, around the real planning code.

Why a twin: an exhaustive search needs the operator as a function from a state to all its successors, with the moment
at which each request reaches the other side in its own hands. Coroutines cannot be copied and branched. So the code
that decides is the real one (`plan_job`, `remembered`, `with_record`, `accepted_record`, `project`, the index of a
listing), and only what carries a decision out is told
again: `effects.py`, `creates.py` and `intents.py` in `requests.py`, and the frame of `reconciler.py` here.

What keeps it honest: an action that has no twin ends the exploration with an error; `test_conformance.py` takes
the real effects through the same stories, action by action, and compares what both leave on the object.

What is left out: reads that fail (the pass ends and begins again), Events, endpoints and Secrets, the server's `Date`
becoming old, holds of accounts. One step is one request; nothing can come between a decision and its request that the
request's own compare-and-swap would not notice, save for a signature, which is therefore a step of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from dispersed_operator.model.intent import Refusal
from dispersed_operator.passes import remembered
from dispersed_operator.planning import vocabulary as say
from tests.exploration.moves import Habits, Move, World, digest_of, written
from tests.exploration.requests import carry_out, end_abandoned, reread, swap
from tests.exploration.state import START, Desk, Doubting, Process, Signing, Waiting, index_of, read
from tests.support.builders import CLUSTER, an_account

LOCAL_STEPS = 12


def facts_for(process: Process, desk: Desk, clock: int) -> say.Facts:
    """The facts of one decision; the account is ready and its clock is known."""
    job = desk.job
    return say.Facts(
        cluster_id=CLUSTER,
        now=float(clock),
        wall=float(START + clock),
        leading_since=process.leading_since,
        account=an_account(server_time=float(START + clock)),
        memory=process.memory,
        digest=digest_of(desk.resource),
        listing=index_of(desk.listing) if desk.listing is not None else None,
        job=job,
        runs=() if job is not None and not isinstance(job, say.Missing) else None,
    )


@dataclass
class Twin:
    """All next steps of one process."""

    habits: Habits = field(default_factory=Habits)

    def moves(self, process: Process, world: World) -> Iterator[Move]:
        """Every step that the process can do now, with every answer that it can get."""
        if process.paused:
            return
        if process.abandoned:
            yield end_abandoned(process, world)
        for move in self._requests(process, world):
            yield self._settled(move, world.clock)

    def _requests(self, process: Process, world: World) -> Iterator[Move]:
        match process.request:
            case Signing():
                yield from swap(self.habits, process, world, process.request)
            case Doubting():
                yield from reread(process, world, process.request)
            case Waiting():
                return
            case None:
                yield from self._next(process, world)

    # --- the frame of a pass ---------------------------------------------------------------------------------------

    def _next(self, process: Process, world: World) -> Iterator[Move]:
        if process.desk is None:
            if not process.told and (process.due is None or process.due > world.clock):
                return
            process = replace(process, told=False, due=None)
            if process.store is None:
                yield Move("bury", _buried(process), world.text, world.remote)
                return
            process = replace(process, desk=Desk(process.store, process.fresh))
        process, action = self.settle(process, world.clock)
        if action is None:
            yield Move("look", process, world.text, world.remote)
            return
        yield from carry_out(self.habits, process, world, action)

    def _settled(self, move: Move, clock: int) -> Move:
        """After its request a process does at once what needs no other request."""
        if move.process.desk is None or move.process.request is not None:
            return move
        process, _ = self.settle(move.process, clock)
        return replace(move, process=process)

    def settle(self, process: Process, clock: int) -> tuple[Process, say.Action | None]:
        """Decide, and do what stays in this process, until a request is due (returned) or the pass is over (None)."""
        for _ in range(LOCAL_STEPS):
            desk = process.desk
            assert desk is not None
            resource = read(desk.resource)
            process = replace(process, memory=remembered(process.memory, resource, float(START + clock), CLUSTER))
            action = self.habits.plan(resource, facts_for(process, desk, clock))
            memory = process.memory
            match action:
                case say.RememberSighting():
                    sightings = (*memory.sightings, action.sighting)[-64:]
                    memory = replace(
                        memory, sightings=sightings, lookups=memory.lookups + 1, next_lookup=action.next_lookup
                    )
                case say.RememberMissing():
                    memory = replace(memory, first_missing=action.server_date)
                case say.SendCreate() if not self._can_send(process, clock):
                    memory = _refused(memory, Refusal.NOT_SENT, "not sent")
                    process = replace(process, unsent=None)
                case say.Rest() if _says_nothing_new(desk, action):
                    due = clock + action.after if action.after is not None else None
                    return replace(process, desk=None, due=due), None
                case _:
                    return process, action
            process = replace(process, memory=memory)
        raise AssertionError("a pass that never asks for anything nor ends")

    def _can_send(self, process: Process, clock: int) -> bool:
        own = process.memory.own
        if own is None or process.unsent is None or f"nonce-{process.unsent}" != own.nonce:
            return False
        return clock - own.won_at <= an_account().windows.send_deadline


def _says_nothing_new(desk: Desk, rest: say.Rest) -> bool:
    if rest.situation is None:
        return True
    return written(desk.resource, rest.situation) == read(desk.resource).status


def _buried(process: Process) -> Process:
    own = process.memory.own
    lost = own.uuid if own is not None and own.state is say.SendState.ACCEPTED else None
    abandoned = (*process.abandoned, lost) if lost is not None else process.abandoned
    return replace(process, memory=say.Memory(), unsent=None, abandoned=abandoned)


def _refused(memory: say.Memory, refusal: Refusal, message: str) -> say.Memory:
    if memory.own is None:
        return memory
    own = replace(memory.own, state=say.SendState.REFUSED, refusal=refusal, message=message)
    return replace(memory, own=own)
