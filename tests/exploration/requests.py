"""What each planned action does to the two APIs, and every answer that it can get: effects.py, creates.py and
intents.py told again as functions from one state to the next ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dispersed_operator.model import naming
from dispersed_operator.model.intent import Intent, IntentState
from dispersed_operator.model.observed import parse_job
from dispersed_operator.model.remote import Listing
from dispersed_operator.planning import vocabulary as say
from dispersed_operator.planning.records import accepted_record
from dispersed_operator.planning.status import project
from dispersed_operator.planning.tracking import first_situation
from tests.exploration.moves import Habits, Move, World, digest_of, written
from tests.exploration.state import (
    START,
    Doubting,
    Mark,
    Post,
    Process,
    Signing,
    Waiting,
    annotated,
    changed,
    read,
    row_of,
)
from tests.support.builders import an_intent

LAG_SECONDS = 120
SHARED_PAGE_SIZE = 50  # the size that C0 asks for; a lookup never takes a listing that others asked for before it


def carry_out(habits: Habits, process: Process, world: World, action: say.Action) -> Iterator[Move]:
    desk = process.desk
    assert desk is not None
    match action:
        case say.Rest():
            due = world.clock + action.after if action.after is not None else None
            assert action.situation is not None
            text = changed(desk.resource, status=written(desk.resource, action.situation))
            done = replace(process.wrote(text), desk=None, due=due)
            yield from _patch("rest", process, world, text, done)
        case say.ReadListing():
            yield from _list(process, world, action)
        case say.ReadJob():
            yield from _read_job(process, world, action.uuid)
        case say.ClaimIntent():
            request = Signing(action.attempt, world.clock)
            yield Move("sign", replace(process, request=request), world.text, world.remote)
        case say.SendCreate():
            yield _send(habits, process, world)
        case say.RefuseIntent():
            yield from _refuse(process, world, action)
        case say.RecordCreate():
            yield from _record(process, world, action)
        case say.RestoreFinalizer():
            finalizers = [*read(desk.resource).finalizers, naming.JOB_FINALIZER]
            text = changed(desk.resource, finalizers=finalizers)
            yield from _patch("restore finalizer", process, world, text, process.wrote(text))
        case say.CancelJob():
            yield from _cancel(process, world, action)
        case say.DropFinalizer():
            yield from _drop(process, world, action)
        case _:
            raise AssertionError(f"no twin of {type(action).__name__}")


def _patch(
    name: str, process: Process, world: World, text: str | None, done: Process, *, marks: Mark = Mark.NOTHING
) -> Iterator[Move]:
    """A patch under compare-and-swap: done; refused because the copy was stale; lost before or after it was
    done."""
    assert process.desk is not None
    if world.text is None or not process.desk.fresh:
        yield Move(f"{name}: conflict", process.failed(refreshed=world.text, refresh=True), world.text, world.remote)
        return
    yield Move(name, done, text, world.remote, marks=marks)
    yield Move(f"{name}: lost before", process.failed(), world.text, world.remote, fault=True)
    yield Move(f"{name}: answer lost", process.outdated().failed(), text, world.remote, fault=True, marks=marks)


def _list(process: Process, world: World, action: say.ReadListing) -> Iterator[Move]:
    desk = process.desk
    assert desk is not None
    known = process.listing
    shared = known is not None and known.begun > action.begun_after and action.begun_after != world.clock
    if known is not None and shared and known.page_size == action.page_size:
        yield Move("list (known)", replace(process, desk=replace(desk, listing=known)), world.text, world.remote)
        return
    lagging = tuple(job for job in world.remote.jobs if job.created_at + LAG_SECONDS < world.clock)
    for jobs, fault in ((world.remote.jobs, False), (lagging, True)):
        if fault and jobs == world.remote.jobs:
            continue
        listing = Listing(
            rows=tuple(row_of(job) for job in jobs),
            server_date=START + world.clock,
            begun=world.clock + 0.5,
            page_size=action.page_size,
            covers_since=0,
        )
        kept = listing if action.page_size == SHARED_PAGE_SIZE else process.listing
        after = replace(process, desk=replace(desk, listing=listing), listing=kept)
        yield Move("list (lagging)" if fault else "list", after, world.text, world.remote, fault=fault)


def _read_job(process: Process, world: World, uuid: str) -> Iterator[Move]:
    assert process.desk is not None
    found = next((job for job in world.remote.jobs if job.uuid == uuid), None)
    missing = replace(process, desk=replace(process.desk, job=say.Missing(START + world.clock)))
    if found is not None:
        memory = replace(process.memory, first_missing=None)
        desk = replace(process.desk, job=row_of(found))
        yield Move("read job", replace(process, memory=memory, desk=desk), world.text, world.remote)
    yield Move("read job: 404", missing, world.text, world.remote, fault=found is not None)


def swap(habits: Habits, process: Process, world: World, request: Signing) -> Iterator[Move]:
    """C2: finalizer and intent in one compare-and-swap."""
    desk = process.desk
    assert desk is not None
    if world.text is None or (habits.compares and not desk.fresh):
        after = _too_late(process, world.clock).failed(refreshed=world.text, refresh=True)
        yield Move("claim: conflict", after, world.text, world.remote)
        return
    serial = world.remote.won + 1
    base = desk.resource if habits.compares else world.text
    finalizers = list(dict.fromkeys([*read(base).finalizers, naming.JOB_FINALIZER]))
    text = annotated(base, _intent(request, serial, base).to_annotation(), finalizers=finalizers)
    remote = replace(world.remote, won=serial)
    assert text is not None, "an object with our finalizer stays"
    won = _won(process.wrote(text), request, serial)
    yield Move("claim", won, text, remote)
    doubt = replace(process, request=Doubting(request.attempt, request.signed_at, 0))
    yield Move("claim: lost before", doubt, world.text, world.remote, fault=True)
    doubt = replace(process.outdated(), request=Doubting(request.attempt, request.signed_at, serial))
    yield Move("claim: answer lost", doubt, text, remote, fault=True)


def reread(process: Process, world: World, request: Doubting) -> Iterator[Move]:
    late = _too_late(process, world.clock)
    yield Move("claim: unreadable", late.failed(), world.text, world.remote, fault=True)
    found = read(world.text).intent if world.text is not None else None
    if found is None or found.nonce != f"nonce-{request.serial}":
        yield Move("claim: not ours", late.failed(refreshed=world.text, refresh=True), world.text, world.remote)
        return
    signing = Signing(request.attempt, request.signed_at)
    move = Move("claim: ours", _won(process.wrote(world.text), signing, request.serial), world.text, world.remote)
    yield move


def _too_late(process: Process, clock: int) -> Process:
    """A claim failed: nothing that was read before counts."""
    return replace(process, memory=replace(process.memory, last_post=clock + 0.4))


def _send(habits: Habits, process: Process, world: World) -> Move:
    """C3: the request leaves. What becomes of it is the network's business."""
    own, serial = process.memory.own, process.unsent
    assert own is not None
    assert own.intent is not None
    assert serial is not None
    intent = own.intent
    wrong = ""
    if serial in world.remote.sent:
        wrong = f"nonce {serial} was sent twice"
    held = read(world.text).intent if world.text is not None else None
    if held is not None and (held.nonce != own.nonce or held.state is IntentState.REFUSED):
        wrong = wrong or f"nonce {serial} was sent for an intent that is refused or another's"
    post = Post(serial, intent.attempt, intent.signed_at - START, intent.body_sha256)
    remote = replace(world.remote, posts=(*world.remote.posts, post), sent=(*world.remote.sent, serial))
    memory = replace(process.memory, own=replace(own, state=say.SendState.UNKNOWN))
    unsent = serial if habits.keeps_signed else None
    after = replace(process, memory=memory, unsent=unsent, request=Waiting(serial))
    return Move(f"post {serial}", after, world.text, remote, wrong=wrong)


def _refuse(process: Process, world: World, action: say.RefuseIntent) -> Iterator[Move]:
    """C6, `Intents.refuse`."""
    assert process.desk is not None
    desk = process.desk
    resource, own = read(desk.resource), process.memory.own
    process = replace(process, unsent=None)
    intent, record = resource.intent, resource.record
    if intent is None or (record is not None and record.attempt > intent.attempt):
        intent = own.intent if own is not None else None
    if intent is None:
        assert record is not None
        intent = an_intent(attempt=record.attempt, signed_at=record.signed_at, nonce="made-anew")
    marked = replace(intent, state=IntentState.REFUSED, refusal=action.refusal, message=action.message[:300])
    text = annotated(desk.resource, marked.to_annotation())
    extras = process.memory.extras if resource.job_uuid else ()
    done = replace(process.wrote(text), memory=replace(process.memory, own=None, extras=extras))
    yield from _patch(f"refuse ({action.refusal.value})", process, world, text, done)


def _record(process: Process, world: World, action: say.RecordCreate) -> Iterator[Move]:
    """C5, `Creates.record`."""
    desk, job = process.desk, action.job
    assert desk is not None
    if process.store is None:
        yield Move("record: gone", process.failed(), world.text, world.remote)
        return
    resource = read(desk.resource)
    fields = accepted_record(resource, action)
    body = json.loads(desk.resource)
    recorded = parse_job({**body, "status": {**resource.status, **fields}})
    status = dict(recorded.status)
    telling = job is not None and bool(job.title) and not job.terminal
    if job is not None and telling:
        situation = first_situation(job, is_new=not action.adopted)
        status = project(recorded, situation, wall=START, server_time=START, cost_due=True)
    memory = replace(process.memory, extras=tuple(dict.fromkeys((*process.memory.extras, *action.extras))))
    process = replace(process, memory=memory)
    text = changed(desk.resource, status=status)
    done = replace(process.wrote(text), memory=replace(memory, own=None))
    assert done.desk is not None
    shown = job if telling and not action.adopted else None
    done = replace(done, desk=replace(done.desk.without_reads(), job=shown))
    name = "adopt" if action.adopted else "record"
    yield from _patch(name, process, world, text, done)


def _cancel(process: Process, world: World, action: say.CancelJob) -> Iterator[Move]:
    """D4: whatever it answers, only a read counts."""
    desk, memory = process.desk, process.memory
    assert desk is not None
    found = next((job for job in world.remote.jobs if job.uuid == action.uuid), None)
    if not action.extra:
        memory = replace(memory, last_cancel=float(world.clock), cancels=memory.cancels + 1, cancelled_by_us=True)
        desk = desk.without_reads()
    else:
        memory = replace(memory, last_extra=float(world.clock))
    for fault in (False, True):
        remote = world.remote
        if found is not None and found.live and not fault:
            remote = remote.with_job(replace(found, status="CANCELLED"))
        elif fault and (found is None or not found.live):
            continue
        over = found is None or not next(job for job in remote.jobs if job.uuid == action.uuid).live
        after = memory
        if action.extra:
            others = tuple(uuid for uuid in memory.extras if uuid != action.uuid)
            after = replace(memory, extras=others if over else (*others, action.uuid))
        name = "cancel extra" if action.extra else "cancel"
        moved = replace(process, memory=after, desk=desk)
        yield Move(f"{name}: lost" if fault else name, moved, world.text, remote, fault=fault)


def _drop(process: Process, world: World, action: say.DropFinalizer) -> Iterator[Move]:
    """D6: the last words, a request of their own, then the finalizer."""
    desk = process.desk
    assert desk is not None
    if action.situation is not None:
        status = written(desk.resource, action.situation)
        text = changed(desk.resource, status=status)
        if text != desk.resource:
            yield from _patch("last words", process, world, text, process.wrote(text))
            return
    left = [name for name in read(desk.resource).finalizers if name != naming.JOB_FINALIZER]
    text = changed(desk.resource, finalizers=left)
    done = replace(process.wrote(text), memory=say.Memory(released=True), desk=None)
    yield from _patch("drop finalizer", process, world, text, done)


def end_abandoned(process: Process, world: World) -> Move:
    uuid, *others = process.abandoned
    if world.text is not None:
        return Move("abandoned: is there", replace(process, abandoned=tuple(others)), world.text, world.remote)
    found = next(job for job in world.remote.jobs if job.uuid == uuid)
    remote = world.remote.with_job(replace(found, status="CANCELLED")) if found.live else world.remote
    return Move("abandoned: cancel", replace(process, abandoned=tuple(others)), world.text, remote)


def answered(process: Process, clock: int, **outcome: Any) -> Process:
    """The POST of this process was answered, or given up: the journal knows, and nothing read before counts."""
    own = process.memory.own
    assert own is not None
    memory = replace(process.memory, own=replace(own, **outcome), last_post=clock + 0.4)
    desk = process.desk.without_reads() if process.desk is not None else None
    return replace(process, memory=memory, desk=desk, request=None)


def _intent(request: Signing, serial: int, base: str) -> Intent:
    return an_intent(
        attempt=request.attempt,
        signed_at=START + request.signed_at,
        nonce=f"nonce-{serial}",
        body_sha256=digest_of(base),
    )


def _won(process: Process, request: Signing, serial: int) -> Process:
    assert process.desk is not None
    intent = read(process.desk.resource).intent
    own = say.OwnAttempt(f"nonce-{serial}", float(request.signed_at), intent=intent)
    return replace(process, memory=replace(process.memory, own=own), unsent=serial, request=None)
