"""`status.create`: the record of the newest attempt beside the intent, so that losing one of the two loses nothing
(mode 11).

`locked` closes the immutable block for edits: true while a job is accepted whose digest is that of the spec; false
after a refusal, so that a spec can be mended, and false while an edit that slipped in can still be taken back (mode
72).
"""

from __future__ import annotations

from typing import Any

from dispersed_operator.model.intent import IntentState
from dispersed_operator.model.observed import JobResource, rfc3339
from dispersed_operator.model.status import CreateState
from dispersed_operator.planning.body import BodyProblem, body_digest
from dispersed_operator.planning.vocabulary import RecordCreate

SIGNATURE_SECONDS = 300
Document = dict[str, Any]


def with_record(resource: JobResource, status: Document) -> Document:
    """`status` with a record that agrees with the newest intent, and with the lock as it must be now.

    A record that carries a uuid is never replaced here: only the create protocol writes one.
    """
    intent, record = resource.intent, resource.record
    if record is not None and record.uuid:
        locked = bool(record.body_sha256) and _digest(resource) == record.body_sha256
        if locked == record.locked:
            return status
        return status | {"create": {**(status.get("create") or {}), "locked": locked}}
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
    }
    return status | {"create": create}


def accepted_record(resource: JobResource, action: RecordCreate) -> Document:
    """The fields that C5 and adoption write: `create`, `jobUUID`."""
    create: Document = {
        "token": action.token,
        "attempt": action.attempt,
        "uuid": action.uuid,
        "state": CreateState.ACCEPTED.value,
        "locked": bool(action.body_sha256) and _digest(resource) == action.body_sha256,
        "account": _without_nulls(action.account.as_json()),
        "bodySHA256": action.body_sha256 or None,
    }
    if action.signed_at:
        create["signedAt"] = rfc3339(action.signed_at)
        create["notAfter"] = rfc3339(action.signed_at + SIGNATURE_SECONDS)
    return {"create": _without_nulls(create), "jobUUID": action.uuid, "account": resource.account_name}


def _digest(resource: JobResource) -> str | None:
    if resource.spec is None:
        return None
    try:
        return body_digest(resource.spec)
    except BodyProblem:
        return None


def _without_nulls(document: dict[str, Any]) -> Document:
    return {name: value for name, value in document.items() if value is not None}
