"""Fairness of the queue, on a virtual clock: whose turn it is, and that nobody holds every worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from dispersed_operator.fair_line import Flow
from dispersed_operator.workqueue import Lane, Schedule

Key = tuple[Flow, int]
BURST = 5_000
NOISY = Flow("noisy", "theirs")
QUIET = Flow("quiet", "ours")


def schedule(*, workers: int = 64, limits: dict[Hashable, int] | None = None) -> Schedule[Key]:
    known = {} if limits is None else limits
    return Schedule(workers=workers, flow_of=lambda key: key[0], limit=lambda account: known.get(account, workers))


def add(queue: Schedule[Key], flow: Flow, numbers: Iterable[int], lane: Lane = Lane.LIFECYCLE) -> None:
    for number in numbers:
        queue.add((flow, number), lane, 0.0, 0.0)


def take(queue: Schedule[Key]) -> Key | None:
    taken = queue.take(0.0)
    return taken[0] if taken is not None else None


def serve(queue: Schedule[Key]) -> Key | None:
    """Take the next key and finish with it."""
    key = take(queue)
    if key is not None:
        queue.done(key, 0.0)
    return key


def take_all(queue: Schedule[Key]) -> list[Key]:
    """What workers take until nobody gets anything any more."""
    return list(iter(lambda: take(queue), None))


def flows(keys: Iterable[Key | None]) -> list[Flow | None]:
    return [key[0] if key is not None else None for key in keys]


# --- turns ---


def test_a_burst_of_one_namespace_delays_a_new_job_of_another_by_one_key() -> None:
    queue = schedule()
    add(queue, NOISY, range(BURST))
    served = [serve(queue) for _ in range(100)]
    add(queue, QUIET, [0])
    served = [serve(queue), serve(queue)]
    assert QUIET in flows(served)


def test_namespaces_that_share_an_account_take_turns() -> None:
    queue = schedule()
    add(queue, Flow("noisy", "shared"), range(BURST))
    add(queue, Flow("quiet", "shared"), range(3))
    served = [serve(queue) for _ in range(6)]
    assert Counter(flows(served)) == {Flow("noisy", "shared"): 3, Flow("quiet", "shared"): 3}


def test_many_accounts_gain_a_namespace_nothing() -> None:
    """Whoever may create accounts could otherwise buy turns with them."""
    queue = schedule()
    for number in range(50):
        add(queue, Flow("noisy", number), range(10))
    add(queue, QUIET, range(10))
    served = [serve(queue) for _ in range(20)]
    assert flows(served).count(QUIET) == 10


def test_the_accounts_of_a_namespace_take_turns() -> None:
    queue = schedule()
    add(queue, Flow("team", "first"), range(BURST))
    add(queue, Flow("team", "second"), [0])
    assert Flow("team", "second") in flows([serve(queue), serve(queue)])


def test_the_end_of_a_job_does_not_wait_behind_the_new_jobs_of_its_account() -> None:
    queue = schedule()
    add(queue, NOISY._replace(errand="create"), range(BURST))
    add(queue, NOISY, [0])
    assert (NOISY, 0) in [serve(queue), serve(queue)]


def test_keys_of_one_flow_keep_the_order_of_their_arrival() -> None:
    queue = schedule()
    add(queue, NOISY, [3, 1, 2])
    add(queue, QUIET, [9, 8])
    served = [serve(queue) for _ in range(5)]
    assert [key for key in served if key and key[0] == NOISY] == [(NOISY, 3), (NOISY, 1), (NOISY, 2)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz")), max_size=60))
def test_no_namespace_is_served_twice_while_another_one_waits(pairs: list[tuple[str, str]]) -> None:
    queue = schedule()
    for number, (namespace, account) in enumerate(pairs):
        add(queue, Flow(namespace, account), [number])
    left = Counter(namespace for namespace, _ in pairs)
    since = {namespace: Counter[str]() for namespace in left}
    for _ in pairs:
        key = serve(queue)
        assert key is not None
        namespace = key[0].namespace
        left[namespace] -= 1
        since[namespace].clear()
        for other, counts in since.items():
            if other != namespace and left[other]:
                counts[namespace] += 1
                assert counts[namespace] <= 1
    assert serve(queue) is None


def test_a_key_whose_flow_changes_while_it_waits_is_served_once_and_in_its_new_flow() -> None:
    """A job is deleted while its create waits: it leaves the line of the new jobs."""
    whose = {"job": NOISY._replace(errand="create")}
    queue: Schedule[str] = Schedule(flow_of=lambda key: whose.get(key, NOISY._replace(errand="create")))
    for key in ("other", "another", "job"):
        queue.add(key, Lane.LIFECYCLE, 0.0, 0.0)
    whose["job"] = NOISY
    assert not queue.add("job", Lane.LIFECYCLE, 0.0, 0.0)
    served = [taken[0] for taken in iter(lambda: queue.take(0.0), None)]
    assert served == ["other", "job", "another"]


# --- shares of the workers ---


def test_what_waits_for_one_account_never_holds_every_worker() -> None:
    queue = schedule(workers=64)
    add(queue, NOISY, range(BURST))
    assert len(take_all(queue)) == 64 / 4
    add(queue, QUIET, [0])
    assert take_all(queue) == [(QUIET, 0)]


def test_a_shared_account_that_stalls_never_holds_every_worker_however_many_namespaces_wait_for_it() -> None:
    queue = schedule(workers=64)
    for number in range(500):
        add(queue, Flow(f"team-{number}", "shared"), range(3))
    assert len(take_all(queue)) == 64 / 4
    add(queue, QUIET, [0])
    assert take_all(queue) == [(QUIET, 0)]


def test_a_namespace_whose_many_accounts_all_stall_never_holds_every_worker() -> None:
    queue = schedule(workers=64)
    for number in range(500):
        add(queue, Flow("noisy", number), range(3))
    assert len(take_all(queue)) == 64 * 3 / 4
    add(queue, QUIET, [0])
    assert take_all(queue) == [(QUIET, 0)]


@pytest.mark.parametrize(("apart", "stalled"), [(True, 12), (False, 4)], ids=["namespaces of their own", "one for all"])
def test_with_several_stalled_accounts_the_next_one_still_finds_a_worker(apart: bool, stalled: int) -> None:
    queue, taken = schedule(workers=64), 0
    for number in range(stalled + 1):
        flow = Flow(f"team-{number}" if apart else "team", number)
        add(queue, flow, range(BURST))
        held = take_all(queue)
        assert flow in flows(held), f"after {number} stalled accounts"
        taken += len(held)
    assert taken <= 64


def test_an_account_has_no_more_workers_than_it_can_make_use_of() -> None:
    """Workers that wait at the limiter of a throttled account do nothing there."""
    limits: dict[Hashable, int] = {"theirs": 2}
    queue = schedule(workers=64, limits=limits)
    add(queue, NOISY, range(BURST))
    add(queue, NOISY._replace(namespace="others"), range(BURST))
    held = take_all(queue)
    assert len(held) == 2
    limits["theirs"] = 5
    queue.done(held[0], 0.0)
    assert len(take_all(queue)) == 4, "it grows back"


def test_a_stalled_lane_leaves_the_other_lane_of_the_account_its_workers() -> None:
    """Otherwise an account whose creates stall would never show the state of its running jobs."""
    queue = schedule(workers=64, limits={"theirs": 4})
    add(queue, NOISY, range(BURST))
    assert len(take_all(queue)) == 4
    add(queue, Flow("noisy", "theirs"), range(BURST, 2 * BURST), Lane.POLLING)
    assert len(take_all(queue)) == 4


def test_one_worker_serves_everybody() -> None:
    queue = schedule(workers=1)
    add(queue, NOISY, range(2))
    add(queue, QUIET, range(2))
    assert flows(serve(queue) for _ in range(5)) == [NOISY, QUIET, NOISY, QUIET, None]


def test_namespaces_that_wait_for_a_saturated_account_take_turns_too() -> None:
    queue = schedule(limits={"shared": 1})
    add(queue, Flow("noisy", "shared"), range(BURST))
    held = take(queue)
    assert held is not None
    add(queue, Flow("quiet", "shared"), [0])
    add(queue, Flow("calm", "shared"), [0])
    assert take(queue) is None
    order = []
    for _ in range(4):
        queue.done(held, 0.0)
        held = take(queue)
        assert held is not None
        order.append(held[0].namespace)
    assert order == ["noisy", "quiet", "calm", "noisy"]


def test_a_throttled_account_that_is_always_at_its_bound_cuts_no_line() -> None:
    """What is held back goes to the end of the turns, or an account of quick passes would keep the last worker."""
    queue = schedule(workers=2, limits={"theirs": 1})
    add(queue, NOISY, range(BURST))
    add(queue, QUIET, range(3))
    served = [serve(queue) for _ in range(6)]
    assert flows(served).count(QUIET) == 3


def test_dropping_what_waits_forgets_what_is_held_back() -> None:
    queue = schedule(limits={"theirs": 1})
    add(queue, NOISY, range(10))
    held = take(queue)
    assert held is not None
    assert take(queue) is None
    queue.drop_waiting(delayed_only=False, now=0.0)
    queue.done(held, 0.0)
    assert take(queue) is None
    assert queue.depth(Lane.LIFECYCLE, 0.0) == 0


def test_a_hundred_thousand_keys_behind_one_saturated_account_are_served_one_by_one() -> None:
    """A step whose cost grew with the keys, or with the namespaces held back, would not come to an end here."""
    queue = schedule(limits={"shared": 16})
    for number in range(100_000):
        queue.add((Flow(f"team-{number % 10_000}", "shared"), number), Lane.LIFECYCLE, 0.0, 0.0)
    busy, served = take_all(queue), 0
    while busy:
        queue.done(busy.pop(), 0.0)
        busy.extend(islice(iter(lambda: take(queue), None), 1))
        served += 1
    assert served == 100_000


def test_how_many_keys_wait_is_told_by_account() -> None:
    queue = schedule()
    add(queue, NOISY, range(3))
    add(queue, NOISY._replace(namespace="others"), range(2), Lane.POLLING)
    add(queue, QUIET, [0])
    assert queue.depth_by_account() == {"theirs": 5, "ours": 1}
    serve(queue)
    assert sum(queue.depth_by_account().values()) == 5


# --- against a model ---

WORKERS = 9
FLOWS = [Flow("a", "x"), Flow("a", "y"), Flow("b", "x"), Flow("b", None), Flow("c", "z"), Flow("c", "z", "create")]
LIMITS: dict[Hashable, int] = {"x": 2, "y": 1}


class AgainstAModel(RuleBasedStateMachine):
    """The model: which keys are due in which lane, and which workers are taken. What the rule allows is served, what it
    forbids is not."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = dict(LIMITS)
        self.queue = schedule(workers=WORKERS, limits=self.limits)
        self.due: dict[Key, Lane] = {}
        self.again: dict[Key, Lane] = {}
        self.processing: dict[Key, Lane] = {}

    def allowed(self, flow: Flow, lane: Lane) -> bool:
        busy = [key[0] for key, its in self.processing.items() if its is lane]
        account = 0 if flow.account is None else sum(other.account == flow.account for other in busy)
        namespace = sum(other.namespace == flow.namespace for other in busy)
        free = WORKERS - len(self.processing)
        return account * 3 < free and namespace < free * 3 and account < self.limits.get(flow.account, WORKERS)

    @rule(flow=st.sampled_from(FLOWS), number=st.integers(0, 3), lane=st.sampled_from(Lane))
    def add(self, flow: Flow, number: int, lane: Lane) -> None:
        key = (flow, number)
        self.queue.add(key, lane, 0.0, 0.0)
        where = self.again if key in self.processing else self.due
        where[key] = Lane.LIFECYCLE if Lane.LIFECYCLE in (where.get(key), lane) else Lane.POLLING

    @precondition(lambda self: len(self.processing) < WORKERS)
    @rule()
    def take(self) -> None:
        open_to_take = {key for key, lane in self.due.items() if self.allowed(key[0], lane)}
        taken = self.queue.take(0.0)
        if taken is None:
            assert not open_to_take, "what may be served is not held back"
            return
        key, lane, _ = taken
        assert key in open_to_take
        assert self.due.pop(key) is lane
        self.processing[key] = lane

    @precondition(lambda self: self.processing)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.processing, key=str)))
        self.queue.done(key, 0.0)
        del self.processing[key]
        if key in self.again:
            self.due[key] = self.again.pop(key)

    @rule(account=st.sampled_from("xy"), limit=st.integers(1, 4))
    def throttle(self, account: str, limit: int) -> None:
        self.limits[account] = limit


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
