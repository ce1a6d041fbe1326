"""The stage of the benchmarks is real, and each of the three can do what is asked of it there."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from benchmarks.contenders import CONTENDERS
from benchmarks.meters import Cores
from benchmarks.scenarios import burst, mass_delete
from benchmarks.stage import Stage

SIZE = 3


@pytest.fixture(params=CONTENDERS)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    everywhere = frozenset(os.sched_getaffinity(0))
    with Stage(request.param, Cores(everywhere, everywhere), latency_ms=1.0, window=1.0) as made:
        yield made


def test_each_contender_creates_follows_and_cancels_on_a_stage_of_its_own(stage: Stage) -> None:
    created = burst(stage, SIZE)
    assert (created["missing"], created["doubles"]) == (0, 0)
    deleted = mass_delete(stage, SIZE)
    assert (deleted["missing"], deleted["left"], deleted["leaks"]) == (0, 0, 0)
