"""A call failed: which reason that is, and what the resource says meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator import errors
from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.trouble import problem_of, situation_in_trouble
from dispersed_operator.planning.vocabulary import Created, Kept, Problem, Situation
from tests.support.builders import JobBuilder, a_job, refused

OUTAGE = Problem(Reason.API_UNAVAILABLE, "the Dispersed API cannot be reached")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(errors.CredentialsRefused(status=401), Reason.CREDENTIALS_REJECTED,
                     marks=pytest.mark.reason("CredentialsRejected")),
        pytest.param(errors.PermissionRefused(status=403), Reason.PERMISSION_REFUSED,
                     marks=pytest.mark.reason("PermissionRefused")),
        pytest.param(errors.FundsInsufficient(status=402), Reason.INSUFFICIENT_FUNDS,
                     marks=pytest.mark.reason("InsufficientFunds")),
        pytest.param(errors.RateLimited(status=429), Reason.RATE_LIMITED, marks=pytest.mark.reason("RateLimited")),
        (errors.UnsignableRequest("not ASCII"), Reason.REMOTE_VALIDATION_FAILED),
        (errors.ServiceFailed(status=503), Reason.API_UNAVAILABLE),
        (errors.RemoteNotFound(status=404), Reason.API_UNAVAILABLE),
        (errors.RemoteConflict(status=409), Reason.API_UNAVAILABLE),
        (errors.RequestRejected(status=400), Reason.API_UNAVAILABLE),
        (errors.NotSent("connection refused"), Reason.API_UNAVAILABLE),
        (errors.TransportFailed("time-out"), Reason.API_UNAVAILABLE),
        pytest.param(errors.MalformedAnswer("HTML"), Reason.API_UNAVAILABLE,
                     marks=pytest.mark.reason("APIUnavailable")),
    ],
)  # fmt: skip
def test_every_failure_of_the_service_has_a_reason(error: errors.RemoteError, reason: Reason) -> None:
    assert problem_of(error).reason is reason


def _situation(builder: JobBuilder) -> Situation:
    found = situation_in_trouble(builder.resource, OUTAGE)
    assert isinstance(found, Situation)
    assert found.account_problem == OUTAGE
    return found


@pytest.mark.parametrize(
    ("builder", "phase", "created", "because"),
    [
        (a_job(), Phase.PENDING, Created.NO, "what is not created yet waits"),
        (a_job().intent(refused(Refusal.FUNDS)), Phase.PENDING, Created.NO, "so does what was refused"),
        (a_job().intent(), Phase.CREATING, Created.UNKNOWN, "what is unknown stays unknown"),
        (a_job().created().deleting(), Phase.STOPPING, Created.YES, "what is going stays"),
        (a_job().intent().deleting(), Phase.STOPPING, Created.UNKNOWN, "also while the create is unknown"),
    ],
)
def test_what_a_resource_says_during_an_outage(
    builder: JobBuilder, phase: Phase, created: Created, because: str
) -> None:
    situation = _situation(builder)
    assert (situation.phase, situation.created) == (phase, created), because
    assert not situation.ready


@pytest.mark.failure_mode(26)
def test_an_outage_changes_nothing_about_a_job_that_exists() -> None:
    assert situation_in_trouble(a_job().created().resource, OUTAGE) == Kept(OUTAGE)


@pytest.mark.parametrize("error", [errors.CredentialsRefused(status=401, detail="bad key"), errors.NotSent("refused")])
def test_a_problem_names_no_more_than_the_error_says(error: Any) -> None:
    assert problem_of(error).message
