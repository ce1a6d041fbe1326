"""How long a token takes: whoever reserves gives a slow rate limit the time that it needs."""

import pytest

from dispersed_operator.remote.limiter import Limiter
from tests.unit.remote.test_limiter import VirtualTime, limiter


@pytest.mark.parametrize(("per_minute", "seconds"), [(1, 60.0), (4, 15.0), (600, 0.1)])
async def test_the_interval_is_the_wait_for_the_next_token_of_an_empty_bucket(per_minute: int, seconds: float) -> None:
    """A waiter that gives up before the interval has passed never gets a token from an account of one per minute."""
    time = VirtualTime()
    bound = limiter(time, per_minute)
    assert bound.interval == pytest.approx(seconds)
    while not time.slept:
        (await bound.reserve()).release()
    assert sum(time.slept) == pytest.approx(bound.interval)


def test_without_a_rate_limit_there_is_no_interval() -> None:
    """Nobody waits for a token where there is no bucket."""
    assert Limiter().interval == 0.0
