"""Taking a remote job that exists as the outcome of a create (protocol, Match policy).

The choice among several is recorded by compare-and-swap before anything else is cancelled, so two operators cannot pick
different survivors (failure mode 68). A terminal match is adopted as the finished attempt: it is never run again.
"""

from __future__ import annotations

from collections.abc import Sequence

from dispersed_operator.model import naming
from dispersed_operator.model.observed import PendingCreate
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import Phase
from dispersed_operator.planning.matching import Match, choose, created_in_window
from dispersed_operator.planning.vocabulary import Created, Facts, RecordCreate, Rest, Situation

AMBIGUOUS_AGAIN_SECONDS = 60.0


def adopt(
    facts: Facts,
    candidates: Sequence[Match],
    pending: PendingCreate | None = None,
    *,
    others: Sequence[Match] = (),
    phase: Phase = Phase.PENDING,
) -> RecordCreate | Rest:
    """Record one of `candidates`, all of which verified against this resource, as its job; or say why none can be.

    `others` are verified jobs of earlier attempts: those that still live are duplicates of the one that is recorded.
    """
    genuine = [match for match in candidates if _from_our_signature(match, facts, pending)]
    if not genuine:
        uuids = ", ".join(sorted(match.row.uuid for match in candidates))
        return ambiguous(
            f"remote job {uuids} carries this resource's title but was not created by its request (a re-run by hand?); "
            "nothing is created or cancelled",
            phase,
        )
    chosen = choose(genuine)
    described = naming.parse_description(chosen.row.description)
    sent = pending.body_sha256 if pending is not None else None
    if described is not None and sent is not None and described[1] != sent:
        return ambiguous(
            f"remote job {chosen.row.uuid} carries this resource's title but another body digest than the request had",
            phase,
        )
    assert facts.account.mark is not None, "a listing can only come from an account with a key"
    return RecordCreate(
        uuid=chosen.row.uuid,
        attempt=chosen.claimed.attempt,
        token=chosen.claimed.token,
        signed_at=chosen.claimed.signed_at or (pending.signed_at if pending is not None else None) or 0,
        body_sha256=(described[1] if described is not None else sent) or "",
        account=facts.account.mark,
        job=chosen.row,
        adopted=True,
        extras=tuple(
            match.row.uuid
            for match in (*genuine, *(other for other in others if _surely_ours(other, facts)))
            if match is not chosen and not match.row.terminal
        ),
    )


def ambiguous(message: str, phase: Phase = Phase.PENDING) -> Rest:
    """Stop and ask a person: nothing is created, nothing is cancelled."""
    situation = Situation(
        phase=phase,
        reason=Reason.OWNERSHIP_AMBIGUOUS,
        message=message,
        created=Created.UNKNOWN,
        stalled=True,
    )
    return Rest(situation, AMBIGUOUS_AGAIN_SECONDS)


def _from_our_signature(match: Match, facts: Facts, pending: PendingCreate | None) -> bool:
    signed_at = match.claimed.signed_at or (pending.signed_at if pending is not None else None) or 0
    return created_in_window(match.row, signed_at, facts.account.windows.signature_window)


def _surely_ours(match: Match, facts: Facts) -> bool:
    """Whether a job of an earlier attempt stems from that attempt's own request; without its time nothing shows it."""
    return match.claimed.signed_at > 0 and _from_our_signature(match, facts, None)
