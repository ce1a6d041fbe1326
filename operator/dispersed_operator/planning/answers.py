"""A person's answer to a create whose outcome is unknown: the annotation `resolve-create`.

It names the token that it answers, so an answer left in Git answers nothing else (failure mode 62), and it is acted on
only after the request can no longer be carried out. `adopt` needs a job whose title verifies against this very
resource; any other is refused with an Event, and the lookup goes on as if nothing had been said (mode 52).
"""

from __future__ import annotations

import re

from dispersed_operator.model import naming
from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.observed import JobResource, PendingCreate
from dispersed_operator.model.orphan import OrphanCause, OrphanDecision
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.planning.identity import claimed_by
from dispersed_operator.planning.lookup import latest_signature
from dispersed_operator.planning.vocabulary import (
    Action,
    ApplyAnswer,
    Facts,
    LeaveOrphan,
    Missing,
    ReadJob,
    RecordCreate,
    RefuseAnswer,
    RefuseIntent,
)

_ANSWER = re.compile(r"(?P<token>[a-z2-7]{12}):(?:adopt=(?P<uuid>[0-9a-fA-F-]{1,64})|(?P<word>retry|abandon))")


def plan_answer(resource: JobResource, facts: Facts, pending: PendingCreate) -> Action | None:
    """What a valid answer asks for, or None if there is none that is valid and due."""
    text = resource.annotations.get(naming.RESOLVE_CREATE_ANNOTATION, "").strip()
    if not text or text in facts.memory.refused_answers:
        return None
    match = _ANSWER.fullmatch(text)
    if match is None:
        return RefuseAnswer(text, "resolve-create is none of TOKEN:adopt=UUID, TOKEN:retry, TOKEN:abandon")
    if match["token"] != pending.token:
        return None  # it answers another create, and may be left in Git
    if not _due(resource, facts, pending):
        return None
    if match["word"] == "retry":
        return ApplyAnswer("retry", RefuseIntent(Refusal.ABSENT, "a person said that the request was lost"))
    if match["word"] == "abandon":
        if not facts.memory.orphan_left:  # first: whoever dies in between leaves the report behind, not the job
            return LeaveOrphan(None, pending.token, OrphanDecision.REPORT, OrphanCause.ABANDONED)
        return ApplyAnswer("abandon", RefuseIntent(Refusal.ABANDONED, "a person abandoned this create"))
    return _adopt(resource, facts, pending, match["uuid"], text)


def _due(resource: JobResource, facts: Facts, pending: PendingCreate) -> bool:
    """Whether the server's clock has passed the request's "not after" and the margin."""
    server_time = facts.account.server_time
    signed_at = latest_signature(resource, facts, pending)
    return server_time is not None and server_time > signed_at + facts.account.windows.absence_after


def _adopt(resource: JobResource, facts: Facts, pending: PendingCreate, uuid: str, text: str) -> Action | None:
    if not facts.account.reachable or facts.account.mark is None:
        return None
    if not isinstance(facts.job, RemoteJob) or facts.job.uuid != uuid:
        if isinstance(facts.job, Missing):
            return RefuseAnswer(text, f"resolve-create names remote job {uuid}, which the service does not know")
        return ReadJob(uuid)
    if claimed_by(resource, facts.cluster_id, facts.job, range(1, pending.attempt + 1)) is None:
        return RefuseAnswer(text, f"resolve-create names remote job {uuid}, whose title is not this resource's")
    described = naming.parse_description(facts.job.description)
    record = RecordCreate(
        uuid=uuid,
        attempt=pending.attempt,
        token=pending.token or "",
        signed_at=pending.signed_at or 0,
        body_sha256=(described[1] if described is not None else pending.body_sha256) or "",
        account=facts.account.mark,
        job=facts.job,
        adopted=True,
    )
    return ApplyAnswer("adopt", record)
