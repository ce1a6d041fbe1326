"""A recorded job answers 404. Is it gone, or are we asking the wrong account?

A key that was rotated to another account makes every job look gone (failure mode 28). So a 404 counts only if the
account that recorded the job is the one asked, a second read some time later agrees, and a complete listing shows no
such job (protocol D3, which overrules the API reference's "404 is done").
"""

from __future__ import annotations

from enum import Enum

from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.continuity import is_same_account
from dispersed_operator.planning.vocabulary import (
    Action,
    Created,
    Facts,
    Missing,
    Problem,
    ReadListing,
    RememberMissing,
    Rest,
    Situation,
)

SECOND_READ_POLL_SECONDS = 10.0
DOUBT_AGAIN_SECONDS = 60.0


class Gone(Enum):
    """The conclusion: the service certainly does not know the job any more."""

    GONE = "gone"


def judge_missing(resource: JobResource, facts: Facts, uuid: str, missing: Missing) -> Action | Problem | Gone:
    """The next step towards believing a 404; the problem that forbids it; or that it is proven."""
    if facts.account.doubt is not None:
        # So many vanished at once that the account is in question: not even a first 404 counts (failure mode 28).
        told = facts.account.doubt.reason is Reason.ACCOUNT_MISMATCH  # who closes the breaker wakes its jobs
        after = DOUBT_AGAIN_SECONDS if told else SECOND_READ_POLL_SECONDS
        return facts.account.doubt if resource.deleting else Rest(_doubtful(uuid), after)
    recorded = resource.record.account if resource.record is not None else None
    if not is_same_account(
        recorded or (resource.intent.account if resource.intent is not None else None), facts.account
    ):
        return Problem(Reason.ACCOUNT_MISMATCH, _other_account(resource, facts, uuid))
    first = facts.memory.first_missing
    if first is None:
        return RememberMissing(missing.server_date)
    apart = facts.account.windows.second_sighting
    if missing.server_date - first < apart:
        return Rest(_doubtful(uuid), SECOND_READ_POLL_SECONDS)
    if facts.listing is None:
        return ReadListing(since=_since(resource), begun_after=facts.now)
    if uuid in facts.listing.uuids:
        return Problem(Reason.ACCOUNT_MISMATCH, f"remote job {uuid} answers 404 but stands in the account's listing")
    return Gone.GONE


def _other_account(resource: JobResource, facts: Facts, uuid: str) -> str:
    text = f"remote job {uuid} was created with another key or host, and the present account does not know it"
    accepted_by = resource.status.get("account")
    if accepted_by in {None, facts.account.name}:
        return text
    return f"{text}; the account {accepted_by} accepted it: set spec.accountRef back to that one"


def _since(resource: JobResource) -> int:
    """An hour before the job can have been created: a restored resource is younger than its job."""
    signed_at = resource.record.signed_at if resource.record is not None else 0
    return max(0, min(resource.created_at, signed_at or resource.created_at) - 3600)


def _doubtful(uuid: str) -> Situation:
    return Situation(
        phase=Phase.UNKNOWN,
        reason=Reason.API_UNAVAILABLE,
        message=f"the service answered 404 for remote job {uuid}; a second read must agree before that is believed",
        created=Created.YES,
    )
