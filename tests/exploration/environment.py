"""Everything that happens around the operators: the network, the clock, watches, crashes, and people.

A step here is free if the world may always do it (accept a request, deliver a watch event, let time pass) and spends a
fault if something breaks or somebody meddles. The deletion that a person may order is counted by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from dispersed_operator.model.intent import Refusal
from dispersed_operator.planning.vocabulary import SendState
from tests.exploration.moves import Move, World
from tests.exploration.requests import answered
from tests.exploration.state import (
    START,
    Job,
    Mark,
    Post,
    Process,
    Remote,
    Signing,
    Waiting,
    annotated,
    changed,
    read,
    row_of,
    text_of,
    timestamp,
)

SIGNATURE_SECONDS = 300
BOUNDS = (21, 301, 421, 452, 483)


@dataclass(frozen=True, slots=True)
class State:
    """The whole world at one moment."""

    text: str | None
    processes: tuple[Process, ...]
    remote: Remote
    clock: int


@dataclass(frozen=True, slots=True)
class People:
    """What third parties may do besides deleting; each deed spends a fault. `replace` takes intent and finalizer off in
    one go, as a `kubectl replace` by the first manifest does."""

    strip_finalizer: bool = True
    strip_records: bool = False
    replace: bool = False
    edit: bool = True
    job_ends: bool = True


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody else does to the object or to the service. `tells`: the operators hear of it by their poller."""

    name: str
    text: str | None
    remote: Remote
    marks: Mark = Mark.NOTHING
    tells: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the network does with a request. `waiting`: which process hears of it, and as what it goes on."""

    name: str
    remote: Remote
    waiting: tuple[int, Process] | None = None
    fault: bool = False
    marks: Mark = Mark.NOTHING


# --- network --------------------------------------------------------------------------------------------------------


def deliveries(state: State) -> Iterator[Delivery]:
    """What can become of every request that is under way."""
    for post in state.remote.posts:
        waiting = next((i for i, item in enumerate(state.processes) if item.request == Waiting(post.serial)), None)
        gone = replace(state.remote, posts=tuple(item for item in state.remote.posts if item != post))
        fresh = state.clock - post.signed_at <= SIGNATURE_SECONDS
        if fresh:
            yield from _accepted(state, post, gone, waiting)
        if waiting is None:
            yield Delivery(f"post {post.serial}: vanishes", gone)
            continue
        unknown = _heard(state, waiting, SendState.UNKNOWN)
        if not fresh:
            yield Delivery(f"post {post.serial}: too old", gone, unknown)
            continue
        yield Delivery(f"post {post.serial}: given up", state.remote, unknown, fault=True)
        yield Delivery(f"post {post.serial}: lost", gone, unknown, fault=True)
        for refusal in (Refusal.VALIDATION, Refusal.NOT_SENT):
            refused = _heard(state, waiting, SendState.REFUSED, refusal=refusal, message="refused")
            yield Delivery(f"post {post.serial}: {refusal.value}", gone, refused, fault=True)


def _accepted(state: State, post: Post, gone: Remote, waiting: int | None) -> Iterator[Delivery]:
    job = Job(f"job-{post.serial}", post.attempt, post.signed_at, post.digest, state.clock)
    remote = gone.with_job(job)
    if waiting is None:
        yield Delivery(f"post {post.serial}: accepted late", remote)
        return
    known = _heard(state, waiting, SendState.ACCEPTED, uuid=job.uuid, job=row_of(job))
    yield Delivery(f"post {post.serial}: accepted", remote, known)
    unknown = _heard(state, waiting, SendState.UNKNOWN)
    yield Delivery(f"post {post.serial}: accepted, answer lost", remote, unknown, fault=True)
    twice = remote.with_job(replace(job, uuid=f"job-{post.serial}-again"))
    name = f"post {post.serial}: accepted twice, a refusal answered"
    yield Delivery(name, twice, unknown, fault=True, marks=Mark.ACCEPTED_TWICE)


def _heard(state: State, index: int, outcome: SendState, **journal: Any) -> tuple[int, Process]:
    return index, answered(state.processes[index], state.clock, state=outcome, **journal)


# --- processes ------------------------------------------------------------------------------------------------------


def turns(process: Process, world: World) -> Iterator[Move]:
    """What happens to a process without its doing: its watch delivers, it is paused, deafened, or killed."""

    def turn(name: str, after: Process, *, fault: bool = False, marks: Mark = Mark.NOTHING) -> Move:
        return Move(name, after, world.text, world.remote, fault=fault, marks=marks)

    if not process.fresh and not process.deaf and not process.paused:
        yield turn("watch", replace(process, store=world.text, fresh=True, told=True))
    if process.paused:
        yield turn("wakes", replace(process, paused=False))
    else:
        yield turn("paused", replace(process, paused=True), fault=True)
    if process.deaf:
        yield turn("hears again", replace(process, deaf=False))
    else:
        yield turn("deaf", replace(process, deaf=True), fault=True)
    new = Process(leading_since=float(world.clock), store=world.text)
    yield turn("killed", new, fault=True, marks=Mark.CRASHED)


# --- people ---------------------------------------------------------------------------------------------------------


def deeds(world: World, people: People) -> Iterator[Deed]:
    """What third parties can do now."""
    text, remote = world.text, world.remote
    if people.job_ends:
        for job in remote.live:
            ended = remote.with_job(replace(job, status="COMPLETED"))
            yield Deed("job ends", text, ended, Mark.ENDED_BY_ITSELF, tells=True)
    if text is None:
        return
    resource = read(text)
    if people.strip_finalizer and resource.has_finalizer:
        yield Deed("strip finalizer", changed(text, finalizers=[]), remote, Mark.FINALIZER_STRIPPED)
    if people.strip_records and resource.intent is not None:
        yield Deed("strip intent", annotated(text, None), remote, Mark.RECORDS_STRIPPED)
    if people.replace and resource.intent is not None:
        both = Mark.RECORDS_STRIPPED | Mark.FINALIZER_STRIPPED
        yield Deed("replace", annotated(text, None, finalizers=[]), remote, both)
    if people.strip_records and resource.status:
        yield Deed("strip status", changed(text, status={}), remote, Mark.RECORDS_STRIPPED)
    locked = resource.record is not None and resource.record.locked
    if people.edit and not locked and not resource.deleting and resource.generation == 1:
        yield Deed("edit", _edited(text), remote)


def _edited(text: str) -> str:
    body = json.loads(text)
    body["spec"]["template"]["tag"] = "v2"
    body["metadata"]["generation"] = 2
    return text_of(body)


def deletion(world: World) -> Deed | None:
    """The order to delete the resource, if it can still be given."""
    if world.text is None or read(world.text).deleting:
        return None
    return Deed("delete", changed(world.text, deletionTimestamp=timestamp(world.clock)), world.remote)


# --- time -----------------------------------------------------------------------------------------------------------


def next_moment(state: State) -> int | None:
    """The next moment at which time alone can change a decision: a bound of an open signature or of the first sight of
    a loss; where there is none, half a minute if somebody waits for it. None: time changes nothing any more.

    Asked only when no process is busy: whoever has something to do does it before time passes. To be slower than that
    is a fault (a pause, a request that is given up while it is under way, a watch that delivers nothing).
    """
    bounds = {anchor + bound for anchor in _anchors(state) for bound in BOUNDS}
    due = any(process.due is not None and not process.paused for process in state.processes)
    later = [bound for bound in bounds if bound > state.clock]
    if later:
        return min(later)
    return state.clock + 31 if due else None


def _anchors(state: State) -> Iterator[int]:
    yield from (post.signed_at for post in state.remote.posts)
    for process in state.processes:
        if isinstance(process.request, Signing):
            yield process.request.signed_at
        own, first_seen = process.memory.own, process.memory.first_seen
        if own is not None and own.intent is not None:
            yield own.intent.signed_at - START
        if process.memory.lookup_for.endswith(":undated") and first_seen is not None:
            yield first_seen - START
    if state.text is not None:
        pending = read(state.text).pending_create()
        if pending is not None and pending.signed_at is not None:
            yield pending.signed_at - START
