"""D7: the annotation `force-finalize`, the only way past the proof that the remote job is gone.

It names the first eight characters of the object's uid and a reason, so that an annotation that was copied or left in
Git lets nothing go. What may live on is left behind as a DispersedOrphan, which names only what is this object's own:
whatever a tenant wrote into the status, nobody else's job turns up there (failure mode 52).
"""

from __future__ import annotations

import re

from dispersed_operator.model import naming
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.observed import JobResource, PendingCreate
from dispersed_operator.model.orphan import OrphanCause, OrphanDecision
from dispersed_operator.planning.identity import cancel_identities, derives, identity_of
from dispersed_operator.planning.vocabulary import Action, DropFinalizer, Facts, LeaveOrphan, RefuseAnswer, Rest

_FORCE = re.compile(r"(?P<uid>[0-9a-z]{8}):(?P<reason>.{1,256})", re.DOTALL)


def plan_force(resource: JobResource, facts: Facts, pending: PendingCreate | None) -> Action | None:
    """The next step of a forced end, or None if nobody asks for one. `pending` is the create that is not settled."""
    text = resource.annotations.get(naming.FORCE_FINALIZE_ANNOTATION, "").strip()
    if not text or text in facts.memory.refused_answers:
        return None
    mark = naming.uid_mark(resource.uid)
    match = _FORCE.fullmatch(text)
    if match is None or match["uid"] != mark or not match["reason"].strip():
        return RefuseAnswer(text, f"force-finalize does not name this object and a reason: {mark}:REASON would")
    if not resource.has_finalizer:
        return Rest(None)
    uuid, token = _what_may_live(resource, facts.cluster_id, pending)
    if (uuid or token) and not facts.memory.orphan_left:
        return LeaveOrphan(uuid, token, OrphanDecision.REPORT, OrphanCause.FORCE_FINALIZED)
    message = "the finalizer was removed by force; the remote job was NOT verified to be gone"
    return DropFinalizer(EventReason.FORCE_FINALIZED, message, None, forced=True)


def _what_may_live(
    resource: JobResource, cluster_id: str, pending: PendingCreate | None
) -> tuple[str | None, str | None]:
    """Uuid and token of the job that may live on; a create that is not settled comes before a job that is recorded."""
    identities, record = cancel_identities(resource, cluster_id), resource.record
    if pending is not None:
        own = identity_of(resource, cluster_id)
        attempt = max(1, pending.attempt, resource.highest_attempt())
        known = {naming.create_token(identity, attempt) for identity in identities}
        return None, pending.token if pending.token in known else naming.create_token(own, attempt)
    if record is None or not record.uuid or not any(derives(record, identity) for identity in identities):
        return None, None
    return record.uuid, record.token
