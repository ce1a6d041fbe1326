"""A job is ended and its resource stays: suspension, a limit that is exceeded, the end of a lifetime.

The decision is written down before the cancel is sent, so a crash in between cannot make our own cancel look like a
stranger's, and once written it is carried out to the end: a suspension that is taken back meanwhile ends in a new
attempt. Guarantees: `Suspended=True` only after job and runs are over (failure mode 45); a breach is never run again; a
job that ended by itself keeps its own ending, whatever was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.reasons import REASONS, Reason
from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.cancellation import (
    ADOPTED_ENDED,
    CANCEL_DELAYS,
    CANCEL_TEXTS,
    Alive,
    Ended,
    connection_secret,
    look_at,
    plan_end,
    stopping,
    suspended,
)
from dispersed_operator.planning.creation import plan_blocked, plan_creation
from dispersed_operator.planning.limits import breach, spending_of
from dispersed_operator.planning.vocabulary import (
    Action,
    Created,
    DeleteSecret,
    Facts,
    Missing,
    Problem,
    RecordEnding,
    Rest,
    SecretState,
    Situation,
)

RESUME_AGAIN_SECONDS = 0.5


def plan_halt(
    resource: JobResource, facts: Facts, job: RemoteJob | Missing, runs: Sequence[RemoteRun]
) -> Action | None:
    """The next step of ending the recorded job, or None if nothing asks for its end. `job` verified as ours."""
    why = _why_halted(resource, facts, job, runs)
    record = resource.record
    if why is None or record is None or record.uuid is None:
        return None
    if record.ending is None:
        return RecordEnding(why.reason, why.message)
    step = plan_end(resource, facts, record.uuid, CANCEL_TEXTS[why.reason])
    return _conclude(resource, facts, why) if isinstance(step, Ended) else step


def plan_after_suspension(resource: JobResource, facts: Facts) -> Action | None:
    """What follows a suspension whose end was verified: rest, or the next attempt. None if there was none.

    Whatever the status says, the end is verified anew before another attempt: anybody may write a status.
    """
    record = resource.record
    if record is None or record.uuid is None or record.ending is not Reason.SUSPENDED or not record.ended:
        return None
    if facts.snapshot_job is not None and not facts.snapshot_job.terminal:
        return None  # it was said to be over and is not: it is cancelled like any other
    adopted = resource.adopts is not None
    blocked = plan_blocked(resource, facts) if resource.suspend_wanted or not adopted else None
    if blocked is not None:
        return blocked
    step = look_at(resource, facts, record.uuid)
    if isinstance(step, Ended):
        return Rest(_not_resumable()) if adopted else plan_creation(resource, facts)
    if isinstance(step, Alive):
        return None
    return _held_up(step) if isinstance(step, Rest) else step


def _not_resumable() -> Situation:
    """An adopted job that was suspended and is asked for again: it is over, as nothing says what to create."""
    return Situation(
        phase=Phase.STOPPED,
        reason=Reason.NOT_RESUMABLE,
        message=ADOPTED_ENDED,
        created=Created.YES,
        stalled=True,
        ended=False,
    )


def _held_up(step: Rest) -> Rest:
    """The end of the earlier attempt cannot be verified now; the resource says that this is what a resume waits for."""
    situation = step.situation
    if not isinstance(situation, Situation):
        return step
    message = f"the job is resumed once its earlier attempt is proven to be over: {situation.message}"
    return replace(step, situation=replace(situation, phase=Phase.PENDING, message=message))


def _why_halted(
    resource: JobResource, facts: Facts, job: RemoteJob | Missing, runs: Sequence[RemoteRun]
) -> Problem | None:
    record = resource.record
    recorded = Problem(record.ending, record.ending_message) if record is not None and record.ending else None
    if isinstance(job, Missing):
        return recorded
    if job.terminal:
        # What completed or failed by itself before the cancel reached it has its own ending.
        return recorded or _said_by_service(job, runs) if job.status == "CANCELLED" else None
    if recorded is not None:
        return recorded
    if resource.suspend_wanted and not resource.paused:
        return Problem(Reason.SUSPENDED, "spec.suspend was set to true")
    if resource.spec is None:
        return None
    return breach(resource.spec.limits, spending_of(resource, job, runs, facts.account.server_time))


def _said_by_service(job: RemoteJob, runs: Sequence[RemoteRun]) -> Problem | None:
    """The ending that we gave as the reason of the cancel, where the service shows it and our own record is lost."""
    said = " ".join(text for text in (job.status_reason, *(run.status_reason for run in runs[:1])) if text)
    found = next((ending for ending, text in CANCEL_TEXTS.items() if text in said), None)
    return Problem(found, REASONS[found].meaning) if found is not None else None


def _conclude(resource: JobResource, facts: Facts, why: Problem) -> Action:
    """D5 is reached: what the resource says from now on. While a duplicate lives, that no job lives is not true yet."""
    if facts.memory.extras:
        waiting = f"waiting for remote job {facts.memory.extras[0]}, a duplicate, to end"
        return Rest(stopping(resource, facts, waiting), CANCEL_DELAYS[0])
    secret = connection_secret(resource)
    if secret is not None and facts.secret is not SecretState.REMOVED:
        return DeleteSecret(secret)
    if why.reason is Reason.SUSPENDED:
        return Rest(suspended(resource, facts), None if resource.suspend_wanted else RESUME_AGAIN_SECONDS)
    return Rest(
        Situation(
            phase=Phase.FAILED,
            reason=why.reason,
            message=f"{why.message}; remote job {resource.job_uuid} was cancelled",
            created=Created.YES,
            stalled=True,
            ended=False,
            job=facts.job if isinstance(facts.job, RemoteJob) else None,
            runs=facts.runs,
        )
    )
