"""The service's clock as the judge reads it: when did it show a moment, when was a moment reached."""

from __future__ import annotations

from tests.simulation.remote_side import EPOCH, ServerTime


class _Now:
    """The virtual clock, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def _server_ms(seconds: float) -> int:
    return round((EPOCH + seconds) * 1000)


def test_a_jump_over_a_moment_reaches_it_though_it_is_shown_only_after_the_jump_back() -> None:
    now = _Now()
    clock = ServerTime(now)
    now.seconds = 10.0
    clock.step(100.0)
    now.seconds = 20.0
    clock.step(-100.0)
    assert clock.reached(_server_ms(50.0), after=0.0) == 10.0
    assert clock.moments(_server_ms(50.0)) == [50.0]


def test_a_moment_that_the_clock_shows_twice_is_reached_at_the_first_after_the_asked_one() -> None:
    now = _Now()
    clock = ServerTime(now)
    now.seconds = 60.0
    clock.step(-30.0)
    assert clock.moments(_server_ms(50.0)) == [50.0, 80.0]
    assert clock.reached(_server_ms(50.0), after=0.0) == 50.0
    assert clock.reached(_server_ms(50.0), after=65.0) == 80.0
