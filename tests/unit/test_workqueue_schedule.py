"""The decisions of the queue, on a virtual clock; and the whole of it against a simple model."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dispersed_operator.workqueue import Lane, Schedule

SHARE = 4


def schedule() -> Schedule[str]:
    return Schedule(polling_share=SHARE)


def take(queue: Schedule[str], now: float) -> str | None:
    taken = queue.take(now)
    return taken[0] if taken is not None else None


def test_keys_of_one_lane_are_served_in_the_order_of_their_arrival() -> None:
    queue = schedule()
    for key in "cab":
        queue.add(key, Lane.LIFECYCLE, 0, 0)
    assert [take(queue, 0) for _ in range(4)] == ["c", "a", "b", None]


def test_a_key_added_twice_is_served_once() -> None:
    queue = schedule()
    assert queue.add("a", Lane.LIFECYCLE, 0, 0)
    assert not queue.add("a", Lane.LIFECYCLE, 0, 0)
    assert [take(queue, 0), take(queue, 0)] == ["a", None]


def test_delayed_additions_merge_to_the_earliest() -> None:
    queue = schedule()
    for due in (30, 10, 20):
        queue.add("a", Lane.LIFECYCLE, due, 0)
    assert queue.next_due() == 10
    assert take(queue, 9.9) is None
    assert queue.take(10.5) == ("a", Lane.LIFECYCLE, 0.5)
    queue.done("a", 10.5)
    assert take(queue, 100) is None
    assert queue.next_due() is None


def test_lifecycle_goes_before_polling() -> None:
    queue = schedule()
    queue.add("poll", Lane.POLLING, 0, 0)
    queue.add("create", Lane.LIFECYCLE, 0, 0)
    assert [take(queue, 0), take(queue, 0)] == ["create", "poll"]


def test_every_fourth_service_is_for_polling_as_long_as_polling_waits() -> None:
    queue = schedule()
    for number in range(9):
        queue.add(f"L{number}", Lane.LIFECYCLE, 0, 0)
    for number in range(3):
        queue.add(f"P{number}", Lane.POLLING, 0, 0)
    served = [take(queue, 0) for _ in range(12)]
    assert served == ["L0", "L1", "L2", "P0", "L3", "L4", "L5", "P1", "L6", "L7", "L8", "P2"]


def test_a_polling_key_that_gets_lifecycle_work_changes_the_lane_and_keeps_its_age() -> None:
    queue = schedule()
    queue.add("x", Lane.POLLING, 0, 0)
    queue.add("y", Lane.LIFECYCLE, 1, 1)
    queue.add("x", Lane.LIFECYCLE, 2, 2)
    assert [queue.take(3), queue.take(3), queue.take(3)] == [("y", Lane.LIFECYCLE, 2), ("x", Lane.LIFECYCLE, 3), None]


def test_a_lifecycle_key_does_not_sink_to_polling() -> None:
    queue = schedule()
    queue.add("x", Lane.LIFECYCLE, 0, 0)
    queue.add("x", Lane.POLLING, 0, 0)
    assert queue.take(0) == ("x", Lane.LIFECYCLE, 0)


def test_a_share_that_starves_lifecycle_is_refused() -> None:
    with pytest.raises(ValueError, match="polling_share"):
        Schedule(polling_share=0)


class AgainstAModel(RuleBasedStateMachine):
    """The model: waiting keys with their moment and lane, and keys being worked on."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = schedule()
        self.now = 0.0
        self.waiting: dict[str, tuple[float, Lane]] = {}
        self.processing: set[str] = set()
        self.lifecycle_streak = 0

    def due(self, lane: Lane) -> set[str]:
        return {
            key
            for key, (due, its_lane) in self.waiting.items()
            if due <= self.now and its_lane is lane and key not in self.processing
        }

    @rule(key=st.sampled_from("abcde"), lane=st.sampled_from(Lane), delay=st.sampled_from([0.0, 0.0, 1.0, 2.5, 7.0]))
    def add(self, key: str, lane: Lane, delay: float) -> None:
        is_new = self.queue.add(key, lane, self.now + delay, self.now)
        assert is_new == (key not in self.waiting)
        due, held = self.waiting.get(key, (self.now + delay, lane))
        best = Lane.LIFECYCLE if Lane.LIFECYCLE in (held, lane) else Lane.POLLING
        self.waiting[key] = (min(due, self.now + delay), best)

    @rule()
    def take(self) -> None:
        lifecycle, polling = self.due(Lane.LIFECYCLE), self.due(Lane.POLLING)
        taken = self.queue.take(self.now)
        if taken is None:
            assert not lifecycle, "due work is never held back"
            assert not polling, "due work is never held back"
            return
        key, lane, waited = taken
        assert key in (lifecycle if lane is Lane.LIFECYCLE else polling)
        assert waited == self.now - self.waiting[key][0]
        if lane is Lane.POLLING:
            assert not lifecycle or self.lifecycle_streak >= SHARE - 1, "polling does not overtake without a right"
            self.lifecycle_streak = 0
        else:
            self.lifecycle_streak += 1
            assert not polling or self.lifecycle_streak < SHARE, "polling has its share"
        del self.waiting[key]
        self.processing.add(key)

    @precondition(lambda self: self.processing)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.processing)))
        self.queue.done(key, self.now)
        self.processing.remove(key)

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(delayed_only=st.booleans())
    def drop(self, delayed_only: bool) -> None:
        self.queue.drop_waiting(delayed_only=delayed_only, now=self.now)
        self.waiting = {k: v for k, v in self.waiting.items() if delayed_only and v[0] <= self.now}

    @invariant()
    def figures_agree(self) -> None:
        for lane in Lane:
            due = [key for key, (due, its) in self.waiting.items() if its is lane and due <= self.now]
            assert self.queue.depth(lane, self.now) == len(due)
        oldest = min((due for due, _ in self.waiting.values()), default=self.now)
        assert self.queue.oldest_age(self.now) == max(0.0, self.now - oldest)

    @invariant()
    def the_next_moment_is_known(self) -> None:
        later = [due for key, (due, _) in self.waiting.items() if due > self.now and key not in self.processing]
        if later:
            told = self.queue.next_due()
            assert told is not None
            assert told <= min(later), "a sleeper would miss it"


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
