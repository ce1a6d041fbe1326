"""The line of one lane: whose key is served next, and for whom it may be.

Why it exists: in one common line a burst of 5,000 new jobs makes everybody else wait behind it, and an account whose
service does not answer holds every worker. Keys belong to flows, and flows are served in turn:

* namespaces take turns, for a namespace is a tenant: having many accounts gains it nothing;
* within a namespace its flows take turns: those of each account, and of the accounts themselves;
* within a flow keys keep the order of their arrival. Each key is one unit of work, so turns need no weights.

And nobody holds every worker. A key is taken only while three times what its account holds is less than what is free,
and what its namespace holds is less than three times what is free. So a stalled account ends with a quarter of the
workers, a namespace full of them with three quarters, whoever stalls next with less, and the last workers go to those
that hold none. An account that is throttled gets no more than it can make use of. Each lane counts for itself: creates
that stall leave the statuses of their account some workers.

Invariants: a key is in the line once; what is held back is looked at again whenever a worker has finished, and
whenever nothing else is left to serve, so no key is forgotten. Adding and taking cost the same for any number of keys
and flows; to look again costs a step for each account and namespace that has a worker and wants another.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
N = TypeVar("N", bound=Hashable)
M = TypeVar("M", bound=Hashable)


class Flow(NamedTuple):
    """Whose a key is. `account`: what its work may have to wait for, None if for nobody in particular. `errand` keeps
    apart what should not wait behind each other although it is the same account's."""

    namespace: str
    account: Hashable = None
    errand: str = ""


NOBODY = Flow("")
SHARE = 3  # of the workers: an account's is one part, what is free then `SHARE`; a namespace's the other way round

Limit = Callable[[Hashable], int]
Places = OrderedDict[N, OrderedDict[Flow, None]]


class FairLine(Generic[K]):
    """Keys that are due. `limit` tells how many workers an account can make use of now, at least 1."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._keys: dict[Flow, OrderedDict[K, None]] = {}
        self._turns: Places[str] = OrderedDict()
        self._held_by_account: Places[Hashable] = OrderedDict()
        self._held_by_namespace: Places[str] = OrderedDict()
        self._by_account: Counter[Hashable] = Counter()
        self._by_namespace: Counter[str] = Counter()

    def append(self, key: K, flow: Flow) -> None:
        """Let `key` stand at the end of its flow."""
        keys = self._keys.get(flow)
        if keys is None:
            keys = self._keys[flow] = OrderedDict()
            _join(flow, self._turns, flow.namespace)
        keys[key] = None

    def discard(self, key: K, flow: Flow) -> None:
        """Take `key` out of the line, if it stands there."""
        keys = self._keys.get(flow)
        if keys is None or key not in keys:
            return
        del keys[key]
        if not keys:
            del self._keys[flow]
            self._leave(flow)

    def take(self, free: int) -> tuple[K, Flow] | None:
        """The next key, if there is one for which one of the `free` workers may be taken. It counts as being worked on
        until `release`."""
        while (flow := self._next(free)) is not None:
            if not self._account_may(flow.account, free):
                _move(flow, self._turns, flow.namespace, self._held_by_account, flow.account)
            elif not self._namespace_may(flow.namespace, free):
                _move(flow, self._turns, flow.namespace, self._held_by_namespace, flow.namespace)
            else:
                return self._serve(flow), flow
        return None

    def release(self, flow: Flow) -> None:
        """A worker that was taken for this flow has finished."""
        _count_down(self._by_account, flow.account)
        _count_down(self._by_namespace, flow.namespace)

    def look_again(self, free: int) -> None:
        """Some workers were given back: of each account and each namespace that held flows back, let the first of them
        wait for its turn again."""
        for account, flows in list(self._held_by_account.items()):
            if self._account_may(account, free):
                flow = next(iter(flows))
                _move(flow, self._held_by_account, account, self._turns, flow.namespace)
        for namespace, flows in list(self._held_by_namespace.items()):
            if self._namespace_may(namespace, free):
                _move(next(iter(flows)), self._held_by_namespace, namespace, self._turns, namespace)

    def waiting(self) -> Counter[Hashable]:
        """How many keys wait, by account."""
        counts: Counter[Hashable] = Counter()
        for flow, keys in self._keys.items():
            counts[flow.account] += len(keys)
        return counts

    def _next(self, free: int) -> Flow | None:
        """Whose turn it is."""
        if not self._turns:
            self.look_again(free)
        return next(iter(next(iter(self._turns.values())))) if self._turns else None

    def _account_may(self, account: Hashable, free: int) -> bool:
        """Whether what waits for the account may have one more worker."""
        if account is None:
            return True
        busy = self._by_account[account]
        return busy * SHARE < max(free, 1) and busy < self._limit(account)

    def _namespace_may(self, namespace: str, free: int) -> bool:
        return self._by_namespace[namespace] < SHARE * max(free, 1)

    def _serve(self, flow: Flow) -> K:
        """The first key of the flow. Then it is the turn of others, and of those first that are held back for the same
        reason."""
        keys = self._keys[flow]
        key, _ = keys.popitem(last=False)
        self._by_account[flow.account] += 1
        self._by_namespace[flow.namespace] += 1
        self._leave(flow)
        if not keys:
            del self._keys[flow]
        elif flow.account in self._held_by_account:
            self._held_by_account[flow.account][flow] = None
        elif flow.namespace in self._held_by_namespace:
            self._held_by_namespace[flow.namespace][flow] = None
        else:
            _join(flow, self._turns, flow.namespace)
        if flow.namespace in self._turns:
            self._turns.move_to_end(flow.namespace)
        return key

    def _leave(self, flow: Flow) -> None:
        """Take the flow from where it stands."""
        _take_out(flow, self._turns, flow.namespace)
        _take_out(flow, self._held_by_account, flow.account)
        _take_out(flow, self._held_by_namespace, flow.namespace)


def _join(flow: Flow, places: Places[N], place: N) -> None:
    places.setdefault(place, OrderedDict())[flow] = None


def _take_out(flow: Flow, places: Places[N], place: N) -> None:
    flows = places.get(place)
    if flows is not None and flow in flows:
        del flows[flow]
        if not flows:
            del places[place]


def _move(flow: Flow, places: Places[N], place: N, new_places: Places[M], new_place: M) -> None:
    """To the end of a place elsewhere; a place that is new there is the last of them."""
    _take_out(flow, places, place)
    _join(flow, new_places, new_place)


def _count_down(counts: Counter[N], name: N) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]
