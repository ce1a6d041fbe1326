"""The life of a BATCH job, from apply to gone."""

from __future__ import annotations

import pytest

from tests.support.world import World


def test_a_batch_job_that_exits_zero_becomes_complete_and_is_never_run_again(world: World) -> None:
    world.add_batch()
    complete = world.wait_condition("batch", "Complete")
    assert complete["reason"] == "Completed"
    status = world.status("batch")
    assert status["phase"] == "Succeeded"
    assert (status["succeeded"], status["failed"], status["active"]) == (1, 0, 0)
    assert world.condition("batch", "Ready")["status"] == "True"
    world.delete("batch")
    world.wait_gone("batch")
    assert len(world.posts()) == 1
    assert world.cancels() == []
    world.check_truth()


@pytest.mark.reason("ExitNonZero")
def test_a_batch_job_that_exits_non_zero_fails_with_its_log_tail(world: World) -> None:
    world.control.add_fate("batch", exit_code=3)
    world.add_batch()
    failed = world.wait_condition("batch", "Failed")
    assert failed["reason"] == "ExitNonZero"
    status = world.status("batch")
    assert "3" in status["logTail"].splitlines()[-1]
    assert world.condition("batch", "Stalled")["status"] == "True"
    world.check_truth()
