"""Watching a job that exists: from what the service says to what the resource shows.

Guarantees: the job's own status decides, never a run's (failure mode 43); an unknown status counts as alive (mode 47);
nothing of a job is shown, its connection data least of all, unless its title verifies against this resource (mode 52);
a job that the spec forbids is ended before its data is shown; a job that answers 404 is never created again.
"""

from __future__ import annotations

from collections.abc import Sequence

from dispersed_operator.model import naming
from dispersed_operator.model.job import Task
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import RemoteJob, RemoteRun, is_terminal
from dispersed_operator.model.status import Phase
from dispersed_operator.planning import adoption
from dispersed_operator.planning.cost import refresh_seconds
from dispersed_operator.planning.ending import judge_ending
from dispersed_operator.planning.endpoints import (
    Endpoint,
    connection_data,
    endpoints_of,
    expected_ports,
)
from dispersed_operator.planning.halting import plan_after_suspension, plan_halt
from dispersed_operator.planning.identity import cancel_identities, derives
from dispersed_operator.planning.limits import seconds_to_breach, spending_of
from dispersed_operator.planning.missing import Gone, judge_missing
from dispersed_operator.planning.ownership import claim_on
from dispersed_operator.planning.retries import retry_may_follow
from dispersed_operator.planning.vocabulary import (
    Action,
    ApplySecret,
    CancelJob,
    Created,
    DeleteSecret,
    Facts,
    InspectContest,
    Kept,
    Missing,
    Problem,
    ReadJob,
    ReadRun,
    Rest,
    RestoreFinalizer,
    SecretState,
    Situation,
)

ENDPOINT_DELAYS = (1.0, 2.0, 2.0, 5.0, 5.0, 10.0)
CONFLICT_AGAIN_SECONDS = 60.0
ACCOUNT_AGAIN_SECONDS = 60.0
CONTESTED_AGAIN_SECONDS = 10.0
EXTRA_AGAIN_SECONDS = 2.0
RETRY_AGAIN_SECONDS = 15.0
UNSEEN_AGAIN_SECONDS = 30.0
BREACH_AGAIN_SECONDS = 1.0
FIRST_POLL_SECONDS = 30.0
LOG_READS = 5
DUPLICATE_REASON = "duplicate of another job of the same DispersedJob"

_STAGES = {
    "PENDING": (Phase.QUEUED, Reason.WAITING_FOR_NODE, "the service looks for a node"),
    "ASSIGNED": (Phase.STARTING, Reason.PULLING_IMAGE, "a node was found and prepares the container"),
    "PREPARING": (Phase.STARTING, Reason.PULLING_IMAGE, "the node pulls the image"),
    "RUNNING": (Phase.RUNNING, Reason.RUNNING, "the container runs"),
    "FAILING": (Phase.STOPPING, Reason.STOPPING, "the service is processing a failure"),
    "CANCELLING": (Phase.STOPPING, Reason.STOPPING, "the service is cancelling the job"),
}
_PROGRESS = ("PENDING", "ASSIGNED", "PREPARING", "RUNNING")


def plan_tracking(resource: JobResource, facts: Facts) -> Action:
    """The next step for a resource whose remote uuid is recorded."""
    uuid = resource.job_uuid
    assert uuid is not None
    if facts.memory.extras and facts.account.reachable and facts.now >= facts.memory.last_extra + EXTRA_AGAIN_SECONDS:
        return CancelJob(facts.memory.extras[0], DUPLICATE_REASON, extra=True)
    if _is_over(resource) and facts.job is None:
        return Rest(Kept(), EXTRA_AGAIN_SECONDS if facts.memory.extras else None)
    after_suspension = plan_after_suspension(resource, facts)
    if after_suspension is not None:
        return after_suspension
    if not resource.has_finalizer and _recorded_by_us(resource, facts):
        return RestoreFinalizer()
    if not facts.account.reachable:
        return _without_account(facts)
    if isinstance(facts.job, Missing):
        return plan_halt(resource, facts, facts.job, ()) or _missing(resource, facts, uuid, facts.job)
    if facts.job is None and not facts.polled and not facts.forced and resource.status.get("phase"):
        return Rest(Kept(), FIRST_POLL_SECONDS)
    job = facts.job or facts.snapshot_job
    runs = facts.runs if facts.runs is not None else facts.snapshot_runs
    if job is None or runs is None or (facts.runs is None and (job.terminal or facts.forced)):
        return ReadJob(uuid)
    if facts.job is None and _lost_a_run(resource, runs):
        return ReadJob(uuid)
    return _of_job(resource, facts, job, runs)


def _of_job(resource: JobResource, facts: Facts, job: RemoteJob, runs: tuple[RemoteRun, ...]) -> Action:
    """What follows from a job and its runs as they were seen."""
    claim = claim_on(resource, facts, job)
    if isinstance(claim, InspectContest):
        return claim
    if isinstance(claim, Problem):
        return Rest(_stalled(claim.reason, claim.message), CONTESTED_AGAIN_SECONDS)
    if claim is None:
        text = f"the title of remote job {job.uuid}, which the status records, is not this resource's"
        return adoption.ambiguous(text)
    halt = plan_halt(resource, facts, job, runs)
    if halt is not None:
        return halt
    if job.terminal and not retry_may_follow(job, runs, resource.spec, facts):
        return _ended(resource, facts, job, runs)
    return _alive(resource, facts, job, runs)


def _recorded_by_us(resource: JobResource, facts: Facts) -> bool:
    """Whether the record carries the token of this resource or of its earlier self; a status that somebody made up
    holds nothing back."""
    record = resource.record
    if record is None or not 0 < record.attempt <= naming.MAX_ATTEMPT:
        return False
    return any(derives(record, identity) for identity in cancel_identities(resource, facts.cluster_id))


def _lost_a_run(resource: JobResource, runs: Sequence[RemoteRun]) -> bool:
    """Whether the run that the status shows as alive is missing from a poll, or runs that ended earlier are: a
    page shifted, or this process has only polled yet."""
    current = resource.status.get("currentRun") or {}
    alive = bool(current.get("uuid")) and not is_terminal(str(current.get("status") or ""))
    if alive and all(run.uuid != current["uuid"] for run in runs):
        return True
    shown = resource.status.get("runCount")
    return isinstance(shown, int) and shown > len(runs)


def _without_account(facts: Facts) -> Rest:
    """Nothing can be asked. An account that this process has not looked at yet is no news: a start writes nothing."""
    problem = facts.account.blocker
    if problem is not None and problem.reason is Reason.ACCOUNT_PROBING:
        return Rest(None, ACCOUNT_AGAIN_SECONDS)
    return Rest(Kept(problem), ACCOUNT_AGAIN_SECONDS)


def _account_problem(facts: Facts) -> Problem | None:
    """What a person must know of the account of a job that lives; a check that is under way is no news."""
    problem = facts.account.blocker
    return None if problem is not None and problem.reason is Reason.ACCOUNT_PROBING else problem


def first_situation(job: RemoteJob, *, is_new: bool) -> Situation:
    """What to say of a job in the very write that records it, before its runs were read. One that is new has none yet,
    and saying so now saves a write."""
    phase, reason, message = _stage(job, None)
    runs = () if is_new else None
    return Situation(phase=phase, reason=reason, message=message, created=Created.YES, job=job, runs=runs)


def current_run(runs: Sequence[RemoteRun]) -> RemoteRun | None:
    """The newest run that is not over, else the newest (API reference §11.3); `runs` newest first."""
    return next((run for run in runs if not run.terminal), runs[0] if runs else None)


def _is_over(resource: JobResource) -> bool:
    """Whether the status already says how the job ended and nothing is left to tidy up."""
    ended = {"Complete", "Failed"}
    conditions = resource.status.get("conditions") or ()
    over = any(item.get("type") in ended and item.get("status") == "True" for item in conditions)
    return over and not resource.status.get("connectionSecretRef")


def _missing(resource: JobResource, facts: Facts, uuid: str, missing: Missing) -> Action:
    verdict = judge_missing(resource, facts, uuid, missing)
    if verdict is Gone.GONE:
        return Rest(_stalled(Reason.REMOTE_VANISHED, f"the service does not know remote job {uuid} any more"), 300.0)
    if isinstance(verdict, Problem):
        return Rest(_stalled(verdict.reason, verdict.message), ACCOUNT_AGAIN_SECONDS)
    if isinstance(verdict, Rest):
        return Rest(Kept(_account_problem(facts)), verdict.after)
    return verdict


def _stalled(reason: Reason, message: str) -> Situation:
    return Situation(phase=Phase.UNKNOWN, reason=reason, message=message, created=Created.YES, stalled=True)


def _ended(resource: JobResource, facts: Facts, job: RemoteJob, runs: tuple[RemoteRun, ...]) -> Action:
    secret_name = (resource.status.get("connectionSecretRef") or {}).get("name")
    if secret_name and facts.secret is not SecretState.REMOVED:
        return DeleteSecret(str(secret_name))
    ending = judge_ending(job, runs, resource.spec if resource.adopts is None else None)
    if not ending.succeeded and runs and facts.run is None and facts.memory.log_reads < LOG_READS:
        return ReadRun(runs[0].uuid)
    persistent = resource.spec is not None and resource.spec.task is Task.PERSISTENT
    phase = Phase.SUCCEEDED if ending.succeeded else Phase.FAILED
    return Rest(
        Situation(
            phase=Phase.STOPPED if ending.reason is Reason.CANCELLED_EXTERNALLY else phase,
            reason=ending.reason,
            message=ending.text,
            created=Created.YES,
            ready=ending.succeeded and not persistent,
            stalled=not ending.succeeded or persistent,
            ended=ending.succeeded,
            job=job,
            runs=runs,
            log_tail=facts.run.logs if facts.run is not None else None,
        )
    )


def _alive(resource: JobResource, facts: Facts, job: RemoteJob, runs: tuple[RemoteRun, ...]) -> Action:
    run, spec = current_run(runs), resource.spec
    phase, reason, message = _stage(job, run)
    expected = expected_ports(spec) if spec is not None else ()
    endpoints: tuple[Endpoint, ...] = ()
    running = phase is Phase.RUNNING and run is not None
    if running and spec is not None and run is not None and expected:
        detailed = facts.run if facts.run is not None and facts.run.uuid == run.uuid else run
        endpoints = endpoints_of(spec, detailed)
        step = _publish(resource, facts, job, detailed, endpoints)
        if isinstance(step, Problem):
            reason, message = step.reason, step.message
        elif step is not None:
            return step
    elif (resource.status.get("connectionSecretRef") or {}).get("name") and facts.secret is not SecretState.REMOVED:
        return DeleteSecret(str(resource.status["connectionSecretRef"]["name"]))
    published = len(endpoints) == len(expected) and facts.secret is not SecretState.CONFLICT
    persistent = spec is not None and spec.task is Task.PERSISTENT
    situation = Situation(
        phase=phase,
        reason=reason,
        message=message,
        created=Created.YES,
        ready=persistent and running and published,
        stalled=reason is Reason.CONNECTION_SECRET_CONFLICT,
        account_problem=_account_problem(facts),
        job=job,
        runs=runs,
        endpoints=endpoints,
        secret_name=_wanted_secret(resource) if running and expected and published else None,
    )
    after = _earlier(_look_again(resource, facts, job, run, reason), _to_breach(resource, facts, job, runs))
    return Rest(_with_edit(resource, facts, situation), after)


def _stage(job: RemoteJob, run: RemoteRun | None) -> tuple[Phase, Reason, str]:
    """Phase, reason and words for a live job: the further of job and run, as the two may be read a moment apart."""
    status = job.status
    if run is not None and not run.terminal and status in _PROGRESS and run.status in _PROGRESS:
        status = max(status, run.status, key=_PROGRESS.index)
    if job.terminal:
        return Phase.STARTING, Reason.WAITING_FOR_NODE, "a run failed; the service may start another"
    unknown = (Phase.UNKNOWN, Reason.UNKNOWN_REMOTE_STATUS, f"the service reports the status {job.status}")
    return _STAGES.get(status, unknown)


def _publish(
    resource: JobResource, facts: Facts, job: RemoteJob, run: RemoteRun, endpoints: Sequence[Endpoint]
) -> Action | Problem | None:
    """The next step towards complete endpoints and a connection Secret; what to wait for; or None if both are there."""
    spec = resource.spec
    assert spec is not None
    complete = len(endpoints) == len(expected_ports(spec))
    changed = _connection_changed(resource, run, endpoints) or facts.forced
    if (not complete or changed) and facts.run is None:
        return ReadRun(run.uuid)
    if not complete:
        return Problem(Reason.WAITING_FOR_ENDPOINTS, "the container runs; not all of its ports are published yet")
    name = _wanted_secret(resource)
    old = (resource.status.get("connectionSecretRef") or {}).get("name")
    if old and old != name and facts.secret is SecretState.UNCHECKED:
        return DeleteSecret(str(old))
    if changed and facts.secret in {SecretState.UNCHECKED, SecretState.REMOVED}:
        return ApplySecret(name, connection_data(spec, job, run, endpoints))
    if facts.secret is SecretState.CONFLICT:
        return Problem(
            Reason.CONNECTION_SECRET_CONFLICT, f"the Secret {name} exists and does not belong to this DispersedJob"
        )
    return None


def _connection_changed(resource: JobResource, run: RemoteRun, endpoints: Sequence[Endpoint]) -> bool:
    """Whether the connection Secret that the status names is out of date, or there is none."""
    status = resource.status
    return (
        (status.get("connectionSecretRef") or {}).get("name") != _wanted_secret(resource)
        or (status.get("currentRun") or {}).get("uuid") != run.uuid
        or list(status.get("endpoints") or ()) != [endpoint.as_status() for endpoint in endpoints]
    )


def _wanted_secret(resource: JobResource) -> str:
    assert resource.spec is not None
    return resource.spec.connection_secret_name(resource.key.name)


def _with_edit(resource: JobResource, facts: Facts, situation: Situation) -> Situation:
    """An edit that slipped in between request and record is said aloud: the job runs with the earlier spec (mode
    72).
    """
    record = resource.record
    if record is None or not record.body_sha256 or record.locked or facts.digest in {None, record.body_sha256}:
        return situation
    return Situation(
        phase=situation.phase,
        reason=Reason.IMMUTABLE_FIELD_CHANGED,
        message="the spec was edited while the job was being created; the job runs with the spec before the edit",
        created=situation.created,
        stalled=True,
        account_problem=situation.account_problem,
        job=situation.job,
        runs=situation.runs,
        endpoints=situation.endpoints,
        secret_name=situation.secret_name,
    )


def _to_breach(resource: JobResource, facts: Facts, job: RemoteJob, runs: tuple[RemoteRun, ...]) -> float | None:
    """When a limit of the spec will be reached, and not before the next moment that can show it."""
    if resource.spec is None:
        return None
    due = seconds_to_breach(resource.spec.limits, spending_of(resource, job, runs, facts.account.server_time))
    return max(due, BREACH_AGAIN_SECONDS) if due is not None else None


def _earlier(one: float | None, other: float | None) -> float | None:
    return min((item for item in (one, other) if item is not None), default=None)


def _look_again(
    resource: JobResource, facts: Facts, job: RemoteJob, run: RemoteRun | None, reason: Reason
) -> float | None:
    """When to look again without being told by the poller, which sees live jobs and what changes of them only."""
    if reason is Reason.WAITING_FOR_ENDPOINTS:
        return ENDPOINT_DELAYS[min(facts.memory.reads, len(ENDPOINT_DELAYS) - 1)]
    if reason is Reason.CONNECTION_SECRET_CONFLICT:
        return CONFLICT_AGAIN_SECONDS
    if facts.memory.extras:
        return EXTRA_AGAIN_SECONDS
    if job.terminal:
        return RETRY_AGAIN_SECONDS
    if not facts.listed:
        return UNSEEN_AGAIN_SECONDS
    has_cost = run is not None and run.hourly_rate_usd is not None
    return refresh_seconds(facts.live_jobs, resource.uid) if has_cost else None
