"""What happens in an episode, drawn from its seed before it begins: users, faults, kills and pauses at their moments.

A plan is data, so a failing one can be shrunk by leaving items out, and an address such as `17:0,3,8` names exactly
what is left: seed 17, items 0, 3 and 8.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from tests.simulation.calls import Call, KubeFault, Side
from tests.simulation.shards import Layout, draw_layout

HORIZONS = (60.0, 120.0, 120.0, 300.0, 900.0)
"""Seconds in which users act and faults strike; the longest is twice a proof of absence."""


CREATING = 20.0
"""Seconds in which users create their resources."""


class Verb(StrEnum):
    """What a user does to one resource."""

    CREATE = "create"
    DELETE = "delete"
    FORCE_DELETE = "force-delete"
    STRIP_ANNOTATIONS = "strip-annotations"
    STRIP_STATUS = "strip-status"
    STRIP_FINALIZERS = "strip-finalizers"
    STRIP_ALL = "strip-all"
    REPLACE = "replace"
    EDIT_IMAGE = "edit-image"
    EDIT_CONNECTION = "edit-connection"
    ASK = "ask-for-reconcile"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    SUSPEND = "suspend"
    RESUME = "resume"
    CLONE = "clone"
    CLONE_WITH_STATUS = "clone-with-status"
    BACKUP = "backup"
    RESTORE = "restore"
    RESTORE_WITH_STATUS = "restore-with-status"
    RECREATE = "recreate"
    LIMIT_RATE = "limit-rate"
    LIMIT_LIFETIME = "limit-lifetime"
    KEEP = "keep-when-deleted"
    MOVE = "move-to-the-other-account"


class Trouble(StrEnum):
    """What happens to the cluster as a whole."""

    ROTATE_KEY = "rotate-key"
    DELETE_ACCOUNT = "delete-account"
    BACKUP_ETCD = "backup-etcd"
    RESTORE_ETCD = "restore-etcd"


FOLLOWED_BY = {Verb.BACKUP: (Verb.RESTORE, Verb.RESTORE_WITH_STATUS), Verb.SUSPEND: (Verb.RESUME,)}
"""A verb that half of the time is followed by one of these, on the same resource."""
GENTLE = {
    Verb.DELETE: 6,
    Verb.EDIT_IMAGE: 2,
    Verb.EDIT_CONNECTION: 1,
    Verb.ASK: 2,
    Verb.PAUSE: 1,
    Verb.UNPAUSE: 1,
    Verb.SUSPEND: 3,
    Verb.RESUME: 3,
    Verb.RECREATE: 2,
    Verb.LIMIT_RATE: 1,
    Verb.LIMIT_LIFETIME: 1,
    Verb.KEEP: 1,
}
HOSTILE = GENTLE | {
    Verb.FORCE_DELETE: 2,
    Verb.STRIP_ANNOTATIONS: 3,
    Verb.STRIP_STATUS: 3,
    Verb.STRIP_FINALIZERS: 2,
    Verb.STRIP_ALL: 2,
    Verb.REPLACE: 2,
    Verb.CLONE: 2,
    Verb.CLONE_WITH_STATUS: 2,
    Verb.BACKUP: 3,
    Verb.RESTORE: 2,
    Verb.RESTORE_WITH_STATUS: 2,
}
REMOTE_FAULTS = {
    "drop_before_commit": 4,
    "drop_after_commit": 5,
    "drop_after_first_byte": 2,
    "delayed_commit": 3,
    "duplicate_delivery": 3,
    "listing_lag": 3,
    "not_found_burst": 4,
    "rate_limit": 2,
    "server_error": 4,
    "malformed": 2,
    "cancel_lost": 2,
    "cancel_slow": 2,
    "stall": 2,
    "refused": 2,
    "clock_step": 2,
}


@dataclass(frozen=True, slots=True)
class User:
    """A user does something to the resource number `target`; with `call` at the next such call of `slot`'s process."""

    at: float
    verb: Verb
    target: int
    slot: int = 0
    call: Call | None = None
    side: Side = Side.AFTER


@dataclass(frozen=True, slots=True)
class RemoteFault:
    """A rule of the simulator for the next `times` requests of `method`. `number` is seconds or a status."""

    at: float
    kind: str
    method: str | None
    times: int
    number: int
    flag: bool


@dataclass(frozen=True, slots=True)
class ApiFault:
    """Trouble on the line from the process in `slot` to the API server."""

    at: float
    slot: int
    fault: KubeFault
    call: Call | None
    times: int


@dataclass(frozen=True, slots=True)
class WatchFault:
    """The watch of a slot is late by `lag` seconds for `seconds`, loses events meanwhile, or connects anew."""

    at: float
    slot: int
    kind: str
    seconds: float
    lag: float


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL of a slot's process: at once if `side` is None, else at its next call. It starts again after `down`."""

    at: float
    slot: int
    call: Call | None
    side: Side | None
    down: float


@dataclass(frozen=True, slots=True)
class Pause:
    """SIGSTOP for `seconds`, at once or (with `call`) at the process's next call; SIGTERM and a new start for 0."""

    at: float
    slot: int
    seconds: float
    call: Call | None
    side: Side


@dataclass(frozen=True, slots=True)
class Incident:
    """The whole cluster is concerned."""

    at: float
    trouble: Trouble


Item = User | RemoteFault | ApiFault | WatchFault | Kill | Pause | Incident


@dataclass(frozen=True, slots=True)
class Variant:
    """Another world for the same seeds. `processes`: how many operators, None as the seed says. `shards`: processes
    share the work of two accounts, and users move their resources from one to the other. `page_rows`: how many rows the
    service gives on a page at most; with one of them, a few jobs are a list that is too long to be read whole at each
    look."""

    processes: int | None = None
    shards: bool = False
    page_rows: int = 50


PLAIN = Variant()


@dataclass(frozen=True, slots=True)
class Plan:
    """An episode before it is played. `persistent`: the task of each resource that users make. `layout`: who works for
    what, None if every process works for everything. `page_rows`: as in `Variant`."""

    seed: int
    processes: int
    persistent: tuple[bool, ...]
    run_seconds: float
    items: tuple[Item, ...]
    kept: tuple[int, ...]
    layout: Layout | None = None
    page_rows: int = PLAIN.page_rows

    def only(self, kept: Collection[int]) -> Plan:
        """The plan with these items only, by their numbers in the whole plan."""
        return replace(self, kept=tuple(sorted(kept)))

    @property
    def schedule(self) -> list[tuple[int, Item]]:
        """The items that are kept, in the order of their moments."""
        return sorted(((number, self.items[number]) for number in self.kept), key=lambda pair: (pair[1].at, pair[0]))

    @property
    def address(self) -> str:
        """What names this plan on a command line."""
        if len(self.kept) == len(self.items):
            return str(self.seed)
        return f"{self.seed}:{','.join(map(str, self.kept))}"


def make_plan(seed: int, variant: Variant = PLAIN) -> Plan:
    """The plan of a seed."""
    if variant.shards:
        layout = draw_layout(random.Random(f"shards/{seed}"))
        plain = make_plan(seed, replace(variant, processes=len(layout.slots), shards=False))
        return _with_moves(replace(plain, layout=layout))
    rng = random.Random(f"plan/{seed}")
    drawn = rng.choice((1, 2, 2))
    slots = drawn if variant.processes is None else variant.processes
    count = rng.choice((1, 1, 2, 3, 4))
    horizon = rng.choice(HORIZONS)
    items: list[Item] = [User(rng.uniform(0, CREATING), Verb.CREATE, target) for target in range(count)]
    verbs = HOSTILE if rng.random() < 0.5 else GENTLE
    for _ in range(rng.randint(1, 3 * count + 2)):
        items += _users(rng, horizon, verbs, count, slots)
    items += [_remote_fault(rng, horizon) for _ in range(rng.choice((0, 1, 2, 4, 8)))]
    items += [_api_fault(rng, horizon, slots) for _ in range(rng.choice((0, 0, 1, 3, 6)))]
    items += [_watch_fault(rng, horizon, slots) for _ in range(rng.choice((0, 0, 1, 2)))]
    items += [_kill(rng, horizon, slots) for _ in range(rng.choice((0, 1, 1, 2, 4)))]
    items += [_pause(rng, horizon, slots) for _ in range(rng.choice((0, 0, 0, 1, 2)))]
    items += _incidents(rng, horizon)
    persistent = tuple(rng.random() < 0.6 for _ in range(count))
    run_seconds = rng.choice((5.0, 60.0, 240.0))
    return Plan(
        seed, slots, persistent, run_seconds, tuple(items), tuple(range(len(items))), page_rows=variant.page_rows
    )


def _with_moves(plan: Plan) -> Plan:
    rng = random.Random(f"moves/{plan.seed}")
    moves: list[Item] = []
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        move = User(rng.uniform(0, CREATING), Verb.MOVE, rng.randrange(len(plan.persistent)))
        if rng.random() < 0.4:
            call = rng.choice((Call.INTENT, Call.INTENT, Call.POST, Call.STATUS, Call.KUBE_READ))
            move = replace(move, slot=rng.randrange(plan.processes), call=call, side=rng.choice(list(Side)))
        moves.append(move)
    items = (*plan.items, *moves)
    return replace(plan, items=items, kept=tuple(range(len(items))))


def parse_address(text: str, variant: Variant = PLAIN) -> Plan:
    """The plan that an address names. Raises ValueError if it is none."""
    seed, _, numbers = text.partition(":")
    plan = make_plan(int(seed), variant)
    if not _:
        return plan
    kept = tuple(int(number) for number in numbers.split(",") if number)
    if any(not 0 <= number < len(plan.items) for number in kept):
        raise ValueError(f"seed {seed} has items 0 to {len(plan.items) - 1}")
    return plan.only(kept)


def _moment(rng: random.Random, horizon: float) -> float:
    """Most things happen while creates are under way."""
    return rng.uniform(0, rng.choice((CREATING, CREATING, CREATING, min(90.0, horizon), horizon)))


def _users(rng: random.Random, horizon: float, verbs: dict[Verb, int], count: int, slots: int) -> list[Item]:
    verb = rng.choices(list(verbs), list(verbs.values()))[0]
    first = User(_moment(rng, horizon), verb, rng.randrange(count))
    if rng.random() < 0.3:
        call = rng.choice((Call.POST, Call.POST, Call.INTENT, Call.STATUS, Call.CANCEL, Call.REMOTE_READ))
        first = replace(first, slot=rng.randrange(slots), call=call, side=rng.choice(list(Side)))
    if verb not in FOLLOWED_BY or rng.random() < 0.5:
        return [first]
    return [first, User(first.at + rng.uniform(1, 60), rng.choice(FOLLOWED_BY[verb]), first.target)]


def _incidents(rng: random.Random, horizon: float) -> list[Item]:
    drawn = rng.random()
    if drawn < 0.06:
        return [Incident(_moment(rng, horizon), Trouble.ROTATE_KEY) for _ in range(rng.choice((1, 1, 2)))]
    if drawn < 0.10:
        return [Incident(_moment(rng, horizon), Trouble.DELETE_ACCOUNT)]
    if drawn < 0.14:
        before = _moment(rng, horizon)
        return [
            Incident(before, Trouble.BACKUP_ETCD),
            Incident(before + rng.uniform(1, 60), Trouble.RESTORE_ETCD),
        ]
    return []


def _remote_fault(rng: random.Random, horizon: float) -> RemoteFault:
    kind = rng.choices(list(REMOTE_FAULTS), list(REMOTE_FAULTS.values()))[0]
    method = rng.choice(("POST", "POST", "GET", "PUT", None))
    times = rng.choice((1, 1, 2, 4))
    return RemoteFault(_moment(rng, horizon), kind, method, times, rng.randint(0, 100), rng.random() < 0.5)


def _api_fault(rng: random.Random, horizon: float, slots: int) -> ApiFault:
    call = rng.choice((None, Call.INTENT, Call.INTENT, Call.STATUS, Call.STATUS, Call.KUBE_READ))
    return ApiFault(
        _moment(rng, horizon), rng.randrange(slots), rng.choice(list(KubeFault)), call, rng.choice((1, 1, 2, 5))
    )


def _watch_fault(rng: random.Random, horizon: float, slots: int) -> WatchFault:
    kind = rng.choice(("lag", "lag", "loss", "relist"))
    return WatchFault(
        _moment(rng, horizon), rng.randrange(slots), kind, rng.uniform(5, 120), rng.choice((5.0, 30.0, 120.0))
    )


def _kill(rng: random.Random, horizon: float, slots: int) -> Kill:
    down = rng.choice((0.5, 5.0, 5.0, 60.0, 400.0))
    if rng.random() < 0.25:
        return Kill(_moment(rng, horizon), rng.randrange(slots), None, None, down)
    call = rng.choice((None, Call.POST, Call.POST, Call.INTENT, Call.STATUS, Call.CANCEL, *Call))
    return Kill(_moment(rng, horizon), rng.randrange(slots), call, rng.choice(list(Side)), down)


def _pause(rng: random.Random, horizon: float, slots: int) -> Pause:
    seconds = rng.choice((0.0, 3.0, 25.0, 60.0, 310.0, 600.0))
    call = rng.choice((None, Call.INTENT, Call.INTENT, Call.POST, Call.STATUS))
    return Pause(_moment(rng, horizon), rng.randrange(slots), seconds, call, rng.choice(list(Side)))
