"""C3 to C6 for an intent that this very process won: the journal in memory knows more than the object.

Everything is retried from the journal (a failed status patch never repeats the POST). When the journal does not know
the outcome, nothing here does, and the lookup takes over.
"""

from __future__ import annotations

from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.observed import PendingCreate
from dispersed_operator.planning.vocabulary import (
    Action,
    Facts,
    RecordCreate,
    RefuseIntent,
    SendCreate,
    SendState,
)


def plan_own_attempt(facts: Facts, pending: PendingCreate, *, may_send: bool) -> Action | None:
    """The next step for our own intent, or None if only a lookup can tell.

    With `may_send` False (the resource is going) an intent that was not sent is marked refused: there is nothing to
    prove.
    """
    own = facts.memory.own
    if own is None or own.nonce != pending.nonce:
        return None
    if own.state is SendState.WON:
        if not may_send:
            return RefuseIntent(Refusal.NOT_SENT, "not sent: the resource was deleted first")
        if facts.now - own.won_at > facts.account.windows.send_deadline:
            return RefuseIntent(Refusal.NOT_SENT, "not sent: too much time passed between intent and request")
        return SendCreate(own.nonce)
    if own.state is SendState.REFUSED and own.refusal is not None:
        return RefuseIntent(own.refusal, own.message)
    if own.state is SendState.ACCEPTED and own.uuid and pending.token and pending.account is not None:
        return RecordCreate(
            uuid=own.uuid,
            attempt=pending.attempt,
            token=pending.token,
            signed_at=pending.signed_at or 0,
            body_sha256=pending.body_sha256 or "",
            account=pending.account,
            job=own.job,
            adopted=False,
        )
    return None
