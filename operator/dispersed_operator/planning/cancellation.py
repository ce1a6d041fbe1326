"""D3 to D5: a remote job is ended, for whatever reason, and its end is verified.

One machine for a deletion, a suspension, a limit that is exceeded and the end of a lifetime: read the job, cancel it,
read it again, until it is terminal with all its runs. Who asked only decides what follows. The newest create is settled
before anybody comes here (D2). Guarantees: a title that does not verify is never cancelled, a cancel's answer is never
believed, and no clock ever ends the waiting (failure modes 23 to 26, 43, 45, 52, 61).
"""

from __future__ import annotations

from dataclasses import dataclass

from dispersed_operator.model.observed import ENDINGS, JobResource
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import ENDING_STATUS, RemoteJob, RemoteRun
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.identity import Claimed
from dispersed_operator.planning.missing import Gone, judge_missing
from dispersed_operator.planning.ownership import claim_on
from dispersed_operator.planning.retries import retry_may_follow
from dispersed_operator.planning.vocabulary import (
    Action,
    CancelJob,
    Created,
    Facts,
    Missing,
    Problem,
    ReadJob,
    Rest,
    SecretState,
    Situation,
)

CANCEL_DELAYS = (2.0, 4.0, 8.0, 16.0, 30.0)
FIRST_LOOK_SECONDS = 1.0
"""A cancel is not looked after at once: what still has to be cancelled goes first."""
BEGUN_STEPS = 2
"""Steps of the back-off that are skipped while the service says that it is cancelling the job."""
CANCEL_TEXTS = {ending: f"DispersedJob ended by its operator: {ending}" for ending in ENDINGS}
"""What the service is told of a job that ends although its resource was not deleted."""

UNREACHABLE_AGAIN_SECONDS = 30.0
ADOPTED_ENDED = "the adopted job was ended by spec.suspend; without spec.template there is nothing to run again"


@dataclass(frozen=True, slots=True)
class Ended:
    """The verified end of a job and of all its runs; `message` says how it is known, for people."""

    message: str


@dataclass(frozen=True, slots=True)
class Alive:
    """A job that lives, as read in this pass, and what proves that it is ours."""

    job: RemoteJob
    claimed: Claimed


def plan_end(resource: JobResource, facts: Facts, uuid: str, why: str) -> Action | Ended:
    """The next step towards the end of the job `uuid`, or its verified end. `why` goes with the cancel (D4)."""
    if facts.job is None and (soon := facts.memory.last_cancel + FIRST_LOOK_SECONDS - facts.now) > 0:
        return Rest(None, soon)
    found = look_at(resource, facts, uuid)
    if not isinstance(found, Alive):
        return found
    due_in = _next_cancel(facts, found.job) - facts.now
    if due_in > 0:
        message = f"remote job {uuid} is {found.job.status}; waiting for it to end"
        return Rest(stopping(resource, facts, message), max(0.5, min(due_in, 2.0)))
    return CancelJob(uuid, why)


def look_at(resource: JobResource, facts: Facts, uuid: str) -> Action | Ended | Alive:
    """D3 and D5: the next step towards knowing whether the job lives; its verified end; or that it is ours and
    alive."""
    if not facts.account.reachable:
        return _unreachable(facts)
    job, runs = facts.job, facts.runs
    if isinstance(job, Missing):
        verdict = judge_missing(resource, facts, uuid, job)
        if verdict is Gone.GONE:
            return Ended(f"the service does not know remote job {uuid} any more")
        return verdict if not isinstance(verdict, Problem) else stuck(verdict)
    if job is None or job.uuid != uuid:
        return ReadJob(uuid, runs=False)  # what lives is ended, whatever its runs say
    if job.terminal:
        if runs is None:
            return ReadJob(uuid)
        if retry_may_follow(job, runs, resource.spec, facts):
            message = f"remote job {uuid} failed; the service may yet start it again"
            return Rest(stopping(resource, facts, message), 2.0)
        if all(run.terminal for run in runs):
            return Ended(f"remote job {uuid} is {job.status}")
        message = f"remote job {uuid} is {job.status}, but a run of it is not over yet"
        return Rest(stopping(resource, facts, message), 2.0)
    claim = claim_on(resource, facts, job)
    if isinstance(claim, Claimed):
        return Alive(job, claim)
    if claim is not None:
        return stuck(claim) if isinstance(claim, Problem) else claim
    message = f"the title of remote job {uuid} is not this resource's, so it is not cancelled"
    return stuck(Problem(Reason.OWNERSHIP_AMBIGUOUS, message))


def stopping(resource: JobResource, facts: Facts, message: str) -> Situation:
    """The job is being ended, and why it is not over yet."""
    return Situation(
        phase=Phase.STOPPING,
        reason=Reason.STOPPING,
        message=message,
        created=Created.YES if resource.job_uuid else Created.NO,
        job=facts.job if isinstance(facts.job, RemoteJob) else None,
        runs=_seen_runs(resource, facts),
        secret_name=connection_secret(resource) if facts.secret is not SecretState.REMOVED else None,
    )


def suspended(resource: JobResource, facts: Facts) -> Situation:
    """No job lives, as asked. Said in the same words each time, so that nothing is written twice."""
    adopted = resource.adopts is not None
    return Situation(
        phase=Phase.SUSPENDED,
        reason=Reason.NOT_RESUMABLE if adopted else Reason.SUSPENDED,
        message=ADOPTED_ENDED if adopted else "spec.suspend is true, and no remote job of this resource lives",
        created=Created.YES if resource.job_uuid else Created.NO,
        suspended=True,
        job=facts.job if isinstance(facts.job, RemoteJob) else None,
        runs=facts.runs,
    )


def stuck(problem: Problem, *, account_problem: Problem | None = None) -> Rest:
    """D7: nothing is let go of, and the resource says why."""
    situation = Situation(
        phase=Phase.STOPPING,
        reason=problem.reason,
        message=f"the remote job cannot be ended: {problem.message}",
        created=Created.YES,
        stalled=True,
        account_problem=account_problem,
    )
    return Rest(situation, UNREACHABLE_AGAIN_SECONDS)


def _seen_runs(resource: JobResource, facts: Facts) -> tuple[RemoteRun, ...] | None:
    """The runs to show, and to count the cost of, while the job ends: as read, else as the poller saw them, unless it
    saw fewer than are shown already."""
    if facts.runs is not None:
        return facts.runs
    polled, shown = facts.snapshot_runs, resource.status.get("runCount")
    return None if polled is None or (isinstance(shown, int) and len(polled) < shown) else polled


def connection_secret(resource: JobResource) -> str | None:
    """Name of the connection Secret that the status records, None if there is none."""
    name = (resource.status.get("connectionSecretRef") or {}).get("name")
    return str(name) if name else None


def _next_cancel(facts: Facts, job: RemoteJob) -> float:
    """When the cancel is to be repeated (D4): 2 to 30 s after the last one, at once if there was none."""
    if facts.memory.cancels == 0:
        return facts.now
    step = facts.memory.cancels + (BEGUN_STEPS if job.status == ENDING_STATUS else 0)
    return facts.memory.last_cancel + CANCEL_DELAYS[min(step, len(CANCEL_DELAYS)) - 1]


def _unreachable(facts: Facts) -> Rest:
    problem = facts.account.blocker or Problem(Reason.INVALID_REFERENCE, "the account has no usable key")
    if problem.reason is Reason.ACCOUNT_PROBING:
        return Rest(None, UNREACHABLE_AGAIN_SECONDS)  # this process has just begun; the account's check wakes its jobs
    return stuck(problem, account_problem=problem)
