"""A call failed. What does the resource say meanwhile?

An outage changes nothing about a job that exists: its status stays as it was and only the account's condition moves.
What is not created yet waits; what is going stays; what is unknown stays unknown.
"""

from __future__ import annotations

from dispersed_operator.errors import (
    CredentialsRefused,
    FundsInsufficient,
    PermissionRefused,
    RateLimited,
    RemoteError,
    UnsignableRequest,
)
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.vocabulary import Created, Kept, Problem, Situation


def problem_of(error: RemoteError) -> Problem:
    """The reason and the words for a failed call to the remote API; the error's text holds nothing secret."""
    match error:
        case CredentialsRefused():
            return Problem(Reason.CREDENTIALS_REJECTED, f"the service refuses the API key ({error})")
        case PermissionRefused():
            return Problem(Reason.PERMISSION_REFUSED, f"the service refuses the request ({error})")
        case FundsInsufficient():
            return Problem(Reason.INSUFFICIENT_FUNDS, f"the service refuses the request ({error})")
        case RateLimited():
            return Problem(Reason.RATE_LIMITED, "the service asks for fewer requests")
        case UnsignableRequest():
            return Problem(Reason.REMOTE_VALIDATION_FAILED, str(error))
        case _:
            return Problem(Reason.API_UNAVAILABLE, "the Dispersed API cannot be reached or does not answer properly")


def situation_in_trouble(resource: JobResource, problem: Problem) -> Situation | Kept:
    """What to say about a resource while a call fails."""
    if resource.deleting:
        return Situation(
            phase=Phase.STOPPING,
            reason=problem.reason,
            message=f"the end of the remote job cannot be confirmed: {problem.message}",
            created=Created.YES if resource.job_uuid else Created.UNKNOWN,
            account_problem=problem,
        )
    pending = resource.pending_create()
    if pending is None and resource.job_uuid:
        return Kept(problem)
    return Situation(
        phase=Phase.PENDING if pending is None else Phase.CREATING,
        reason=problem.reason,
        message=problem.message,
        created=Created.NO if pending is None else Created.UNKNOWN,
        account_problem=problem,
    )
