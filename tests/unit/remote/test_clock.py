"""The server's clock: the newest `Date` plus monotonic time, whatever the wall clock does."""

import pytest

from dispersed_operator.remote.clock import ServerClock


class Hands:
    """Two clocks that a test moves."""

    def __init__(self) -> None:
        self.monotonic = 100.0
        self.wall = 1_000_000.0

    def pass_time(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def clock(hands: Hands) -> ServerClock:
    return ServerClock(monotonic=lambda: hands.monotonic, wall=lambda: hands.wall)


def test_before_the_first_date_only_the_wall_clock_signs(clock: ServerClock) -> None:
    assert (clock.now(), clock.age(), clock.offset()) == (None, None, None)
    assert clock.time_ms() == 1_000_000_000


def test_server_time_goes_on_with_monotonic_time(clock: ServerClock, hands: Hands) -> None:
    clock.observe(2_000_000, hands.monotonic)
    hands.pass_time(2.5)
    assert clock.now() == 2_000_002.5
    assert clock.age() == 2.5
    assert clock.time_ms() == 2_000_002_500
    assert clock.offset() == 1_000_000.0


@pytest.mark.failure_mode(66)
def test_a_step_of_the_wall_clock_changes_nothing(clock: ServerClock, hands: Hands) -> None:
    clock.observe(2_000_000, hands.monotonic)
    hands.wall += 10 * 365 * 86_400
    assert clock.now() == 2_000_000.0


def test_the_newest_observation_wins_whatever_the_order_of_arrival(clock: ServerClock, hands: Hands) -> None:
    hands.pass_time(10)
    clock.observe(2_000_010, 110.0)
    clock.observe(1_999_000, 105.0)
    assert clock.now() == 2_000_010.0


def test_an_observation_made_late_is_dated_back(clock: ServerClock, hands: Hands) -> None:
    clock.observe(1_000_050, 100.0)
    assert clock.offset() == 50.0
    hands.pass_time(5)
    clock.observe(1_000_053, 103.0)
    assert clock.now() == 1_000_055.0
    assert clock.offset() == 50.0
