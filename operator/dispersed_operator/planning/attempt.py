"""C3 to C6 for an intent that this very process won: the journal in memory knows more than the object.

Everything is retried from the journal (a failed status patch never repeats the POST). When the journal does not know
the outcome, nothing here does, and the lookup takes over.
"""

from __future__ import annotations

from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.observed import LOST_RECORD, JobResource, PendingCreate
from dispersed_operator.planning.vocabulary import (
    Action,
    Facts,
    Memory,
    OwnAttempt,
    RecordCreate,
    RefuseIntent,
    SendCreate,
    SendState,
)


def newest_pending(resource: JobResource, memory: Memory) -> PendingCreate | None:
    """The newest unresolved attempt by the object and by our own journal: an intent that was stripped from the object
    while its request was under way is still unresolved (failure mode 11). Without our intent there, another process may
    have proven our request lost, sent the next one, and lost its intent, too: no time of ours bounds it."""
    known = resource.pending_create() or swept_create(resource, memory) or _bared_create(resource, memory)
    pending, own = known, memory.own
    if own is None or own.intent is None or own.state not in {SendState.ACCEPTED, SendState.UNKNOWN}:
        return pending
    record = resource.record
    overtaken = (
        resource.intent is not None
        and resource.intent.attempt >= own.intent.attempt  # an older one was put back by somebody, and says nothing
        and not _carries(resource, own)
    )
    if resource.highest_attempt() > own.intent.attempt or overtaken:
        return pending
    if _carries(resource, own) or (record is not None and record.token == own.intent.token and record.uuid):
        return pending
    return PendingCreate(
        attempt=own.intent.attempt,
        token=own.intent.token,
        signed_at=own.intent.signed_at if own.state is SendState.ACCEPTED else None,
        nonce=own.nonce,
        body_sha256=own.intent.body_sha256,
        account=own.intent.account,
    )


def _bared_create(resource: JobResource, memory: Memory) -> PendingCreate | None:
    """What may have been created for a resource that this process saw with a trace of us, and that has none any more:
    somebody took them all, perhaps while a request was under way (failure mode 11)."""
    bare = resource.intent is None and resource.record is None and not resource.inherited and resource.adopts is None
    return LOST_RECORD if memory.traced and bare else None


def swept_create(resource: JobResource, memory: Memory) -> PendingCreate | None:
    """A create whose live job the sweep saw while the resource records none for that attempt or a later one: it is as
    unresolved as any other (protocol, Sweep 2; failure mode 57)."""
    swept, record = memory.swept, resource.record
    if swept is None or (record is not None and record.uuid and record.attempt >= swept.attempt):
        return None
    return swept


def _carries(resource: JobResource, own: OwnAttempt) -> bool:
    return resource.intent is not None and resource.intent.nonce == own.nonce


def plan_own_attempt(facts: Facts, pending: PendingCreate, *, may_send: bool) -> Action | None:
    """The next step for our own intent, or None if only a lookup can tell.

    With `may_send` False (the resource is going, or suspended) an intent that was not sent is marked refused: there is
    nothing to prove.
    """
    own = facts.memory.own
    if own is None or own.nonce != pending.nonce:
        return None
    if own.state is SendState.WON:
        if not may_send:
            return RefuseIntent(Refusal.NOT_SENT, "not sent: the resource was deleted or suspended first")
        if facts.now - own.won_at > facts.account.windows.send_deadline:
            return RefuseIntent(Refusal.NOT_SENT, "not sent: too much time passed between intent and request")
        if not facts.account.reachable:
            return RefuseIntent(Refusal.NOT_SENT, "not sent: the account was closed first")
        return SendCreate()
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
            account_name=own.account_name,
        )
    return None
