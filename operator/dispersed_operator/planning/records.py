"""`status.create`: the record of the newest attempt beside the intent, so that losing one of the two loses nothing
(mode 11).

`locked` closes the immutable block for edits: true while a job is accepted whose digest is that of the spec; false
after a refusal, so that a spec can be mended, and false while an edit that slipped in can still be taken back (mode
72). It is open again once a suspended job is verified to be over: the next attempt is built from the spec as it is
then. What later attempts must know of earlier ones, that they are over and what they cost, goes from record to record.
"""

from __future__ import annotations

from typing import Any

from dispersed_operator.model import naming
from dispersed_operator.model.intent import IntentState
from dispersed_operator.model.observed import JobResource, rfc3339
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import ConditionType, CreateState
from dispersed_operator.planning.body import BodyProblem, body_digest, expiry_of
from dispersed_operator.planning.cost import cost_text
from dispersed_operator.planning.limits import expiry_text, spent_before
from dispersed_operator.planning.vocabulary import RecordCreate, RecordEnding

SIGNATURE_SECONDS = 300
ENDING_MESSAGE_LIMIT = 512
OF_ONE_ATTEMPT = frozenset(
    {"startTime", "completionTime", "runtime", "currentRun", "runs", "runCount", "hourlyRateUSD", "logTail"}
)
Document = dict[str, Any]


def with_record(resource: JobResource, status: Document) -> Document:
    """`status` with a record that agrees with the newest intent, and with the lock as it must be now.

    A record that carries a uuid is never replaced here: only the create protocol writes one.
    """
    intent, record = resource.intent, resource.record
    if record is not None and record.uuid and not _is_followed(resource):
        ended = record.ended or (record.ending is Reason.SUSPENDED and _is_suspended(status))
        locked = not ended and _is_as_sent(resource, record.body_sha256, status.get("account"))
        if (locked, ended) == (record.locked, record.ended):
            return status
        changed = {"locked": locked, **({"ended": True} if ended else {})}
        return status | {"create": {**(status.get("create") or {}), **changed}}
    if resource.adopts is not None:
        return status  # it sends no request, so whatever intent it carries says nothing
    if intent is None or intent.origin.uid != resource.uid or (record is not None and record.attempt > intent.attempt):
        return status
    refused = intent.state is IntentState.REFUSED
    create: Document = {
        "token": intent.token,
        "attempt": intent.attempt,
        "state": (CreateState.REFUSED if refused else CreateState.UNKNOWN).value,
        "locked": False,
        "signedAt": rfc3339(intent.signed_at),
        "notAfter": rfc3339(intent.signed_at + SIGNATURE_SECONDS),
        "account": _without_nulls(intent.account.as_json()),
        "bodySHA256": intent.body_sha256,
        **_history(resource, intent.attempt),
    }
    kept = {name: value for name, value in status.items() if name != "jobUUID" or not _is_followed(resource)}
    return kept | {"create": create}


def with_ending(resource: JobResource, action: RecordEnding) -> Document:
    """The status with the decision to end the recorded job. That an earlier attempt was suspended goes: beside this
    decision it would read as the verified end of a job that lives."""
    create = {
        **(resource.status.get("create") or {}),
        "ending": action.ending.value,
        "endingMessage": action.message[:ENDING_MESSAGE_LIMIT],
    }
    said = resource.status.get("conditions") or ()
    conditions = [item for item in said if item.get("type") != ConditionType.SUSPENDED]
    return {**resource.status, "create": create, **({"conditions": conditions} if said else {})}


def accepted_record(resource: JobResource, action: RecordCreate) -> Document:
    """The fields that C5 and adoption write: `create`, `jobUUID`, `account`."""
    account = action.account_name or resource.account_names[0]
    create: Document = {
        "token": action.token,
        "attempt": action.attempt,
        "uuid": action.uuid,
        "state": CreateState.ACCEPTED.value,
        "locked": _is_as_sent(resource, action.body_sha256, account),
        "account": _without_nulls(action.account.as_json()),
        "bodySHA256": action.body_sha256 or None,
        "expiresAt": _expires_at(resource, action),
        **_history(resource, action.attempt),
    }
    if action.signed_at:
        create["signedAt"] = rfc3339(action.signed_at)
        create["notAfter"] = rfc3339(action.signed_at + SIGNATURE_SECONDS)
    return {"create": _without_nulls(create), "jobUUID": action.uuid, "account": account}


def before_attempt(resource: JobResource, attempt: int) -> Document:
    """The status without what belongs to the runs of an earlier attempt, for the record of attempt `attempt`."""
    record = resource.record
    if record is None or not record.ended or attempt <= record.attempt:
        return dict(resource.status)
    return {name: value for name, value in resource.status.items() if name not in OF_ONE_ATTEMPT}


def _is_followed(resource: JobResource) -> bool:
    """Whether the recorded job was suspended and a newer attempt has begun: then that is what the record must keep."""
    intent, record = resource.intent, resource.record
    if intent is None or record is None or intent.origin.uid != resource.uid or resource.adopts is not None:
        return False
    return record.ended and intent.attempt > record.attempt


def _is_suspended(status: Document) -> bool:
    conditions = status.get("conditions") or ()
    return any(item.get("type") == ConditionType.SUSPENDED and item.get("status") == "True" for item in conditions)


def _history(resource: JobResource, attempt: int) -> Document:
    """What the record of attempt `attempt` keeps of the attempts before it."""
    record, spent = resource.record, spent_before(resource)
    if record is None or attempt < record.attempt:
        return {}
    settled = resource.settled_attempts if attempt > record.attempt else record.settled_attempts
    return _without_nulls({"settledAttempts": settled or None, "priorCostUSD": cost_text(spent) if spent else None})


def _expires_at(resource: JobResource, action: RecordCreate) -> str | None:
    """The expiry in the job's title; what was sent is taken from the spec where the answer does not repeat it."""
    parsed = naming.parse_title(action.job.title) if action.job is not None else None
    if parsed is not None:
        return expiry_text(parsed.expiry)
    if resource.adopts is not None:
        return expiry_text(0)
    if resource.spec is None or not action.signed_at:
        return None
    return expiry_text(expiry_of(resource.spec, action.signed_at))


def _is_as_sent(resource: JobResource, body_sha256: str, account: object) -> bool:
    """Whether the spec is what was sent, and to whom: an edit of `accountRef` that slipped in must stay open to be
    taken back, or nobody could ever end the job. For an adopted job nothing was sent; only the account matters."""
    if account not in {None, *resource.account_names}:
        return False
    return resource.adopts is not None or (bool(body_sha256) and _digest(resource) == body_sha256)


def _digest(resource: JobResource) -> str | None:
    if resource.spec is None:
        return None
    try:
        return body_digest(resource.spec)
    except BodyProblem:
        return None


def _without_nulls(document: dict[str, Any]) -> Document:
    return {name: value for name, value in document.items() if value is not None}
