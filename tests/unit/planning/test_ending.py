"""How a job ended, from what the service says and, where it says nothing, from the shape of its last run."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.model.job import DispersedJobSpec
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.ending import judge_ending
from tests.support.builders import BATCH, NOW, PERSISTENT, a_row, a_run, moment

SPEC = DispersedJobSpec.from_api(BATCH)  # may run for 600 s
BENCH = DispersedJobSpec.from_api(PERSISTENT)


def _ran(seconds: float, **changes: Any) -> Any:
    ended = {"status": "FAILED", "started_at": moment(NOW - seconds), "ended_at": moment(NOW), **changes}
    return a_run(**ended)


NEVER_STARTED = a_run(status="FAILED", started_at=None)


@pytest.mark.parametrize(
    ("status", "said", "run", "spec", "reason", "because"),
    [
        pytest.param("COMPLETED", None, _ran(60), SPEC, Reason.COMPLETED, "it ended in time",
                     marks=pytest.mark.reason("Completed")),
        ("COMPLETED", None, None, SPEC, Reason.COMPLETED, "nothing speaks against it"),
        ("COMPLETED", None, _ran(6000), BENCH, Reason.COMPLETED, "a Persistent job has no deadline to run"),
        pytest.param("COMPLETED", None, _ran(600), SPEC, Reason.RUN_DEADLINE_EXCEEDED,
                     "a run as long as it was allowed was cut off, whatever the service calls it",
                     marks=pytest.mark.reason("RunDeadlineExceeded")),
        ("COMPLETED", None, a_run(status="COMPLETED", duration_ms=600_000), SPEC, Reason.RUN_DEADLINE_EXCEEDED,
         "the reported duration counts"),
        pytest.param("CANCELLED", "node lost", _ran(60), SPEC, Reason.CANCELLED_EXTERNALLY,
                     "a cancel is a cancel, whatever the words", marks=pytest.mark.reason("CancelledExternally")),
        pytest.param("FAILED", "node lost", _ran(60, exit_code=137), SPEC, Reason.EXIT_NON_ZERO,
                     "an exit code is the best witness", marks=pytest.mark.reason("ExitNonZero")),
        ("FAILED", "container exit code 3", _ran(60), SPEC, Reason.EXIT_NON_ZERO, "the words name an exit code"),
        pytest.param("FAILED", "no node could be assigned in time", None, SPEC, Reason.ASSIGN_DEADLINE_EXCEEDED,
                     "the words name the assignment", marks=pytest.mark.reason("AssignDeadlineExceeded")),
        pytest.param("FAILED", "start timeout", NEVER_STARTED, SPEC, Reason.START_DEADLINE_EXCEEDED,
                     "the words name the start", marks=pytest.mark.reason("StartDeadlineExceeded")),
        ("FAILED", "Run timed out", _ran(60), SPEC, Reason.RUN_DEADLINE_EXCEEDED, "the words name the run"),
        pytest.param("FAILED", "node disconnected", _ran(60), SPEC, Reason.NODE_LOST, "the words name the node",
                     marks=pytest.mark.reason("NodeLost")),
        ("FAILED", None, None, SPEC, Reason.ASSIGN_DEADLINE_EXCEEDED, "no run: never assigned"),
        ("FAILED", None, NEVER_STARTED, SPEC, Reason.START_DEADLINE_EXCEEDED, "a run that never started"),
        ("FAILED", None, _ran(600), SPEC, Reason.RUN_DEADLINE_EXCEEDED, "it ran as long as it was allowed"),
        pytest.param("FAILED", None, _ran(60), SPEC, Reason.REMOTE_FAILED, "nothing gives a cause",
                     marks=pytest.mark.reason("RemoteFailed")),
        ("FAILED", "", _ran(60, exit_code=0), SPEC, Reason.REMOTE_FAILED, "exit code 0 is no cause of a failure"),
        ("FAILED", None, _ran(60, ended_at=None), SPEC, Reason.REMOTE_FAILED, "without an end no duration is known"),
        ("FAILED", None, _ran(60), None, Reason.REMOTE_FAILED, "a spec that cannot be read judges nothing"),
        ("FAILED", None, None, None, Reason.ASSIGN_DEADLINE_EXCEEDED, "the shape needs no spec"),
    ],
)  # fmt: skip
def test_the_reason_of_an_end(
    *, status: str, said: str | None, run: Any, spec: DispersedJobSpec | None, reason: Reason, because: str
) -> None:
    ending = judge_ending(a_row(status=status, status_reason=said), (run,) if run else (), spec)
    assert ending.reason is reason, because
    assert ending.succeeded is (reason is Reason.COMPLETED)
    assert ending.text


def test_the_newest_run_decides() -> None:
    ending = judge_ending(a_row(status="FAILED"), (_ran(60, exit_code=3), NEVER_STARTED), SPEC)
    assert ending.reason is Reason.EXIT_NON_ZERO


def test_a_cancel_of_a_job_that_is_wanted_came_from_outside() -> None:
    ending = judge_ending(a_row(status="CANCELLED"), (), SPEC)
    assert (ending.succeeded, ending.reason) == (False, Reason.CANCELLED_EXTERNALLY)
