"""C0: may a job be created now, and which attempt would it be?

Nothing is created while a doubt is left. The account must be ready, the server's clock known, and a complete listing
that began after this process started leading and after any POST of ours for this resource must show no job of this
resource that no record knows of. A row that is found is adopted instead (protocol C0; failure modes 14, 15, 56).
"""

from __future__ import annotations

from dispersed_operator.model.intent import IntentState, Refusal
from dispersed_operator.model.naming import MAX_ATTEMPT
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import Listing
from dispersed_operator.model.status import ConditionType, Phase
from dispersed_operator.planning import adoption
from dispersed_operator.planning.cancellation import suspended
from dispersed_operator.planning.identity import cancel_identities
from dispersed_operator.planning.limits import exhausted
from dispersed_operator.planning.matching import is_history, matches
from dispersed_operator.planning.memory import Unresolved
from dispersed_operator.planning.references import FIRST_RETRY_SECONDS, source_names
from dispersed_operator.planning.resolved import Resolved
from dispersed_operator.planning.vocabulary import (
    Action,
    ClaimIntent,
    Created,
    Facts,
    InspectAdmission,
    Problem,
    ReadListing,
    ReadServerTime,
    ResolveReferences,
    Rest,
    Situation,
)

LISTING_MARGIN_SECONDS = 3600
UNSEEN_ATTEMPTS = 3
ADMISSION_FRESH_SECONDS = 2.0
ACCOUNT_AGAIN_SECONDS = 15.0
LONGEST_RETRY_SECONDS = 3600
RETRY_AFTER_SECONDS = {
    Refusal.VALIDATION: 300,
    Refusal.PERMISSION: 300,
    Refusal.NOT_FOUND: 300,
    Refusal.FUNDS: 300,
    Refusal.NOT_SENT: 30,
}

REFUSAL_REASONS = {
    Refusal.VALIDATION: Reason.REMOTE_VALIDATION_FAILED,
    Refusal.PERMISSION: Reason.PERMISSION_REFUSED,
    Refusal.NOT_FOUND: Reason.REMOTE_VALIDATION_FAILED,
    Refusal.FUNDS: Reason.INSUFFICIENT_FUNDS,
    Refusal.NOT_SENT: Reason.API_UNAVAILABLE,
}


def plan_creation(resource: JobResource, facts: Facts) -> Action:
    """The next step towards a job that certainly does not exist yet."""
    blocked = plan_blocked(resource, facts)
    if blocked is not None:
        return _plan_meanwhile(resource, facts, blocked)
    barred = _plan_admission(facts)
    if barred is not None:
        return barred
    account, known = facts.account, _known_attempts(resource, facts)
    if account.server_time is None or (account.server_date_age or 0.0) > account.windows.server_date_max_age:
        return ReadServerTime()
    if facts.listing is None or not _reaches(facts.listing.listing, resource, facts):
        # Any attempt but the first wants a listing of its own: an older one may miss what the attempt before made, also
        # where somebody took the records of that attempt away.
        again = known or facts.memory.traced
        return ReadListing(history_since(resource), facts.now if again else _listed_after(facts))
    attempts = range(1, min(known + UNSEEN_ATTEMPTS, MAX_ATTEMPT) + 1)
    recorded = resource.record.attempt if resource.record is not None and resource.record.uuid else 0
    rows = matches(facts.listing, cancel_identities(resource, facts.cluster_id), attempts)
    lost = [match for match in rows if match.claimed.attempt > recorded and not is_history(match, resource)]
    if lost:
        return adoption.adopt(facts, lost)
    attempt = 1 + max([known, *(match.claimed.attempt for match in rows)])
    if attempt > MAX_ATTEMPT:
        message = f"all {MAX_ATTEMPT} attempts of this resource were refused"
        return wait_pending(Problem(Reason.BACKOFF_LIMIT_EXCEEDED, message), stalled=True)
    return _resolve_first(resource, facts) or ClaimIntent(attempt)


def _known_attempts(resource: JobResource, facts: Facts) -> int:
    """The highest attempt that the records or this process know of; 0 before the first."""
    own = facts.memory.own
    return max(resource.highest_attempt(), own.intent.attempt if own is not None and own.intent is not None else 0)


def _listed_after(facts: Facts) -> float:
    """The moment (monotonic) after which a listing must have begun to prove anything for a create."""
    return max(facts.leading_since, facts.memory.last_post, facts.account.believed_since)


def _reaches(listing: Listing, resource: JobResource, facts: Facts) -> bool:
    """Whether a listing began late enough, and goes back far enough, to show every job of the resource."""
    return listing.begun > _listed_after(facts) and listing.covers_since <= history_since(resource)


def _plan_meanwhile(resource: JobResource, facts: Facts, blocked: Rest) -> Action:
    """While nothing but the first poll is waited for, the listing of a first attempt is read: at a start these two take
    the longest, and each is of use without the other. Whoever wants a listing of its own reads it later."""
    by_account = isinstance(blocked.situation, Situation) and blocked.situation.account_problem is not None
    if not (by_account and facts.account.awaits_poll):
        return blocked
    own = _known_attempts(resource, facts) or facts.memory.traced
    if own or (facts.listing is not None and _reaches(facts.listing.listing, resource, facts)):
        return Rest(None, blocked.after) if _says_probing(resource) else blocked
    barred = _plan_admission(facts)
    if isinstance(barred, Rest):
        return blocked
    return barred or ReadListing(history_since(resource), _listed_after(facts))


def _says_probing(resource: JobResource) -> bool:
    """Whether the status says already that the account is being looked at: which part of that it is, is no news."""
    conditions = resource.status.get("conditions") or ()
    said = {item.get("type"): item.get("reason") for item in conditions}
    return said.get(ConditionType.READY) == Reason.ACCOUNT_PROBING


def history_since(resource: JobResource) -> int:
    """How far back a job of this resource can have been created: a restored object is younger than the jobs of its
    earlier self, but not than the intent that it brought along."""
    signed_at = resource.intent.signed_at if resource.intent is not None else resource.created_at
    return max(0, min(resource.created_at, signed_at) - LISTING_MARGIN_SECONDS)


def plan_blocked(resource: JobResource, facts: Facts) -> Rest | None:
    """What forbids a create now, as the rest to take; None if nothing does."""
    if resource.suspend_wanted:
        return Rest(suspended(resource, facts))
    if facts.body_problem is not None:
        return wait_pending(facts.body_problem, stalled=True)
    refused = _refusal_to_heed(resource, facts)
    if refused is not None:
        return refused
    spent = exhausted(resource)
    if spent is not None:
        return wait_pending(spent, stalled=True)
    if resource.paused:
        message = f"nothing is created while {resource.key.name} carries the annotation dispersed.dev/paused"
        return wait_pending(Problem(Reason.PAUSED, message))
    if facts.account.blocker is not None:
        return wait_pending(facts.account.blocker, after=ACCOUNT_AGAIN_SECONDS, account=True)
    return _reference_to_mend(resource, facts)


def _reference_to_mend(resource: JobResource, facts: Facts) -> Rest | None:
    """A reference that could not be resolved, until it is due to be read again: nothing watches Secrets, so time, an
    edit of the spec or a person's request decide."""
    known = _unresolved(resource, facts)
    if known is None or isinstance(facts.references, Resolved):
        return None
    if facts.references is None and (facts.forced or facts.now >= known.due):
        return None
    return wait_pending(Problem(known.reason, known.message), after=max(known.due - facts.now, 1.0), stalled=True)


def _unresolved(resource: JobResource, facts: Facts) -> Unresolved | None:
    """What is remembered of the references of the spec as it is now."""
    known = facts.memory.unresolved
    return known if known is not None and known.generation == resource.generation else None


def _plan_admission(facts: Facts) -> Action | None:
    """What stands between the job's namespace and a shared account, or what to ask first; None if nothing does. The
    answer is read again right before an intent, so it must not be older than a moment."""
    if not facts.account.shared:
        return None
    admission = facts.admission
    if admission is None or facts.now - admission.at > ADMISSION_FRESH_SECONDS:
        return InspectAdmission()
    if admission.problem is None:
        return None
    return wait_pending(admission.problem, after=ACCOUNT_AGAIN_SECONDS, stalled=True)


def _resolve_first(resource: JobResource, facts: Facts) -> Action | None:
    """The last step before an intent: the values are read for this attempt, and not kept for another (C1)."""
    if not _has_references(resource) or isinstance(facts.references, Resolved):
        return None
    if isinstance(facts.references, Problem):
        return wait_pending(facts.references, after=FIRST_RETRY_SECONDS, stalled=True)
    return ResolveReferences()


def _has_references(resource: JobResource) -> bool:
    return resource.spec is not None and bool(source_names(resource.spec.template))


def _refusal_to_heed(resource: JobResource, facts: Facts) -> Rest | None:
    """The last refusal, while it still speaks against a new attempt (C6: back off by reason)."""
    intent = resource.intent
    if intent is None or intent.state is not IntentState.REFUSED or intent.refusal in {None, Refusal.ABSENT}:
        return None
    if intent.refusal is Refusal.ABANDONED:
        message = "a person abandoned this create by resolve-create; delete the resource and create it again to run it"
        return wait_pending(Problem(Reason.CREATE_OUTCOME_UNKNOWN, message), stalled=True)
    if facts.forced or facts.references is not None or _unresolved(resource, facts) is not None:
        return None  # the wait is over already: what stands in the way of a new attempt now is a reference, if anything
    if intent.refusal is Refusal.VALIDATION:
        if facts.digest != intent.body_sha256:
            return None
        if not _has_references(resource):
            return wait_pending(Problem(Reason.REMOTE_VALIDATION_FAILED, intent.message), stalled=True)
        # What was refused may be a value that the digest does not speak of, and the Secret was mended: try again.
    assert intent.refusal is not None
    due = intent.signed_at + _retry_after(intent.refusal, intent.attempt)
    remaining = due - (facts.account.server_time if facts.account.server_time is not None else facts.wall)
    if remaining <= 0:
        return None
    reason = REFUSAL_REASONS[intent.refusal]
    stalled = intent.refusal is Refusal.VALIDATION
    return wait_pending(Problem(reason, intent.message), after=min(max(remaining, 1.0), 300.0), stalled=stalled)


def _retry_after(refusal: Refusal, attempt: int) -> int:
    """Seconds until a refused create is tried again; doubling, so that the attempts last for months."""
    base = RETRY_AFTER_SECONDS[refusal]
    return base if refusal is Refusal.NOT_SENT else int(min(base * 2.0 ** min(attempt - 1, 16), LONGEST_RETRY_SECONDS))


def wait_pending(problem: Problem, *, after: float | None = None, stalled: bool = False, account: bool = False) -> Rest:
    """Rest without a job because of `problem`, and look again `after` seconds. `account`: the account is what lacks."""
    situation = Situation(
        phase=Phase.PENDING,
        reason=problem.reason,
        message=problem.message,
        created=Created.NO,
        stalled=stalled,
        account_problem=problem if account else None,
    )
    return Rest(situation, after)
