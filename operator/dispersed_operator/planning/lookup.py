"""C7: the outcome of a create is unknown. Find the job, or prove that it does not exist.

Flow: list; a row that verifies is conclusive at once. No row is only conclusive when the listing is complete, was read
from the account that the request was signed for, after the server's clock passed the request's "not after" plus a
margin, and twice, apart, with different page sizes. Until then the resource waits; a second POST is never an option
(failure modes 2 to 7, 22, 37 to 40, 51, 53 to 55, 65).

The caller says what follows a proof of absence: another attempt, or the end of a deletion.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dispersed_operator.model.naming import Identity
from dispersed_operator.model.observed import JobResource, PendingCreate
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import Phase
from dispersed_operator.planning import adoption
from dispersed_operator.planning.continuity import is_same_account
from dispersed_operator.planning.creation import UNSEEN_ATTEMPTS, history_since
from dispersed_operator.planning.matching import Match, is_history, matches
from dispersed_operator.planning.vocabulary import (
    Action,
    Created,
    Facts,
    Problem,
    ReadListing,
    RememberSighting,
    Rest,
    Sighting,
    Situation,
)

DELAYS = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
PAGE_SIZES = (50, 49)
OLD_HISTORY_SECONDS = 24 * 3600
INCONCLUSIVE_AFTER_SECONDS = 900


class Proof(Enum):
    """The lookup's conclusion when no action is left: the job certainly does not exist."""

    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for. `signed_at` is the latest moment at which the request can have been signed."""

    pending: PendingCreate
    identities: tuple[Identity, ...]
    signed_at: int
    phase: Phase


def plan_lookup(resource: JobResource, facts: Facts, question: Question) -> Action | Proof:
    """The next step of a lookup, or the proof that nothing was created."""
    if not facts.account.reachable:
        problem = facts.account.blocker or Problem(Reason.INVALID_REFERENCE, "the account has no key")
        return _unknown(question, problem, account_problem=problem)
    if facts.listing is not None and facts.listing.listing.begun > facts.memory.last_post:
        rows = _rows(resource, facts, question)
        found = [row for row in rows if _can_be(row, question.pending)]
        if found:
            others = [row for row in rows if row not in found]
            return adoption.adopt(facts, found, question.pending, others=others, phase=question.phase)
        if _proven(facts, question):
            return Proof.ABSENT
        sighting = Sighting(facts.listing.listing.server_date, facts.listing.listing.page_size, facts.account.mark)
        if sighting not in facts.memory.sightings:
            return RememberSighting(sighting, next_lookup=facts.now + _delay(facts, question))
        return _unknown(question, _why_unknown(facts, question), after=max(0.2, facts.memory.next_lookup - facts.now))
    if facts.now < facts.memory.next_lookup and not facts.forced:
        return _unknown(question, _why_unknown(facts, question), after=facts.memory.next_lookup - facts.now)
    last = facts.memory.sightings[-1].page_size if facts.memory.sightings else PAGE_SIZES[1]
    page_size = next(size for size in PAGE_SIZES if size != last)
    return ReadListing(since=_since(resource, question), begun_after=facts.now, page_size=page_size)


def _since(resource: JobResource, question: Question) -> int:
    """How far back to list: to the signature, and to before the resource's creation, as C0 wants it. So the listing
    that proves absence serves the create that follows; with another one in between the two might never agree."""
    created = history_since(resource)
    signed_at = question.pending.signed_at
    return created if signed_at is None else min(signed_at, created)


def latest_signature(resource: JobResource, facts: Facts, pending: PendingCreate) -> int:
    """When the request was signed; if every record of that is lost, the latest moment at which it can have been (D2):
    the latest of creation, deletion and first sight of the loss."""
    if pending.signed_at is not None:
        return pending.signed_at
    first_seen = facts.memory.first_seen
    seen = first_seen if first_seen is not None else int(facts.account.server_time or facts.wall)
    return max(resource.created_at, resource.deleting_since or 0, seen)


def _rows(resource: JobResource, facts: Facts, question: Question) -> tuple[Match, ...]:
    """All rows of the resource, whatever their attempt."""
    assert facts.listing is not None
    pending = question.pending
    attempts = range(1, max(pending.attempt, resource.highest_attempt()) + UNSEEN_ATTEMPTS + 1)
    rows = matches(facts.listing, question.identities, attempts)
    return tuple(match for match in rows if not is_history(match, resource))


def _can_be(match: Match, pending: PendingCreate) -> bool:
    """Whether a row can be the pending create's job. Where every record was lost, any row of the resource can."""
    return pending.token is None or match.claimed.attempt >= pending.attempt


def _proven(facts: Facts, question: Question) -> bool:
    """Whether this listing, after an earlier one, proves absence."""
    assert facts.listing is not None
    probed = facts.account.expiry_enforced is True
    return probed and _obstacle(facts, question) is None and _two_agree(facts, question)


def _two_agree(facts: Facts, question: Question) -> bool:
    """Two negatives of the same account, late enough, far enough apart, with different page sizes (ties cannot hide one
    row twice)."""
    assert facts.listing is not None
    last = facts.listing.listing
    windows = facts.account.windows
    late = question.signed_at + windows.absence_after
    return any(
        first.server_date >= late
        and last.server_date - first.server_date >= windows.second_sighting
        and first.page_size != last.page_size
        and first.account == facts.account.mark
        for first in facts.memory.sightings
    )


def _obstacle(facts: Facts, question: Question) -> Problem | None:
    """Why no negative can ever be conclusive here, None if it can."""
    if facts.account.expiry_enforced is False:
        return Problem(
            Reason.EXPIRY_NOT_ENFORCED,
            "the service accepts replayed or stale signatures, so no listing can prove that the request was lost",
        )
    signed_for = question.pending.account
    if signed_for is not None and not is_same_account(signed_for, facts.account):
        return Problem(
            Reason.ACCOUNT_MISMATCH,
            "the create was signed for another host or key, and nothing shows that it is the same account; if the key "
            "or spec.accountRef was changed meanwhile, put it back",
        )
    if facts.listing is not None and facts.account.server_time is not None:
        old = facts.account.server_time - question.signed_at > OLD_HISTORY_SECONDS
        oldest = facts.listing.listing.oldest_created_at()
        if old and (oldest is None or oldest.timestamp() >= question.signed_at):
            return Problem(
                Reason.CREATE_OUTCOME_UNKNOWN,
                "the request is older than a day and the service lists nothing older, so its history may be gone",
            )
    return None


def _delay(facts: Facts, question: Question) -> float:
    """Seconds to the next lookup: 1, 2, 5 … 40, and not later than the next moment that can conclude something."""
    assert facts.listing is not None
    delay = DELAYS[min(facts.memory.lookups, len(DELAYS) - 1)]
    windows, date = facts.account.windows, facts.listing.listing.server_date
    late = question.signed_at + windows.absence_after
    conclusive = (late - date) if date < late else windows.second_sighting
    return max(1.0, min(delay, conclusive + 1.0)) if facts.memory.lookups >= len(DELAYS) else delay


def _why_unknown(facts: Facts, question: Question) -> Problem:
    obstacle = _obstacle(facts, question)
    if obstacle is not None:
        return obstacle
    server_time = facts.account.server_time
    late = question.signed_at + facts.account.windows.absence_after
    if server_time is not None and server_time > late + INCONCLUSIVE_AFTER_SECONDS:
        return Problem(
            Reason.CREATE_OUTCOME_UNKNOWN,
            "no listing could settle for long whether the create request was carried out",
        )
    return Problem(
        Reason.CREATING,
        "the create request was not answered; the service's listing is searched for the job until it is found or "
        "its absence is proven",
    )


def _unknown(
    question: Question, problem: Problem, after: float | None = None, account_problem: Problem | None = None
) -> Rest:
    stalled = problem.reason in {Reason.CREATE_OUTCOME_UNKNOWN, Reason.EXPIRY_NOT_ENFORCED, Reason.ACCOUNT_MISMATCH}
    situation = Situation(
        phase=question.phase,
        reason=problem.reason,
        message=problem.message,
        created=Created.UNKNOWN,
        stalled=stalled and question.phase is not Phase.STOPPING,
        account_problem=account_problem,
    )
    return Rest(situation, 15.0 if after is None else after)
