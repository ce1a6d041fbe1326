"""The service's own retries of a failed job: is a failure final? (failure mode 43)"""

from __future__ import annotations

from collections.abc import Sequence

from dispersed_operator.model.job import DispersedJobSpec
from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.planning.vocabulary import Facts

RETRY_SETTLING_SECONDS = 60.0
UNTOLD_RETRIES = 10
"""How many retries an adopted job may have: nobody told."""


def retry_may_follow(job: RemoteJob, runs: Sequence[RemoteRun], spec: DispersedJobSpec | None, facts: Facts) -> bool:
    """Whether the service may still start another run of a failed job, or has started it: a run of it is not over; or
    its own retries are not used up, and the failure is fresh (API reference §11.3 leaves open what the job's status
    says in between)."""
    retries = spec.retry.remote_retries if spec is not None else 0
    if spec is not None and spec.adopt is not None:
        retries = UNTOLD_RETRIES
    if job.status != "FAILED" or not retries:
        return False
    if any(not run.terminal for run in runs):
        return True
    if len(runs) > retries:
        return False
    ended = max((run.ended_at for run in runs if run.ended_at is not None), default=job.completed_at)
    server_time = facts.account.server_time
    return ended is not None and server_time is not None and server_time < ended.timestamp() + RETRY_SETTLING_SECONDS
