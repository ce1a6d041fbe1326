"""A DispersedJob as planning sees it: the body from the API server, read once, frozen.

Why: every decision needs the same few facts from metadata, annotations and status. They are read here, tolerantly and
in one place, so that a garbled annotation or a status written by somebody else can confuse no decision.

Invariant: nothing here is believed for being present. An intent or a record only says what to look for; whether a
remote job belongs to this resource is decided by its title (planning/identity.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import ValidationError

from dispersed_operator.model import naming
from dispersed_operator.model.account_names import accounts_of, spelled
from dispersed_operator.model.intent import AccountMark, Intent, IntentState, parse_account_mark, parse_intent
from dispersed_operator.model.job import DispersedJobSpec
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.reasons import Reason

Body = Mapping[str, Any]
MOST_MONEY = Decimal(10) ** 12

ENDINGS = (
    Reason.SUSPENDED,
    Reason.RATE_LIMIT_EXCEEDED,
    Reason.COST_LIMIT_EXCEEDED,
    Reason.LIFETIME_EXCEEDED,
)
"""Why the operator ends a job whose resource stays."""


@dataclass(frozen=True, slots=True)
class CreateRecord:
    """`status.create`: what is known of the newest attempt. `signed_at` is in seconds since the epoch, 0 if not
    known; `expires_at` too, None if the title has no expiry.

    `ending`: why we decided to end its job, one of `ENDINGS`. `ended`: that end is verified. `settled_attempts`: all up
    to this one are over. `prior_cost`: US dollars that the attempts before this one cost.
    """

    token: str
    attempt: int
    uuid: str | None
    signed_at: int
    state: str
    locked: bool
    body_sha256: str
    account: AccountMark | None
    expires_at: int | None = None
    ending: Reason | None = None
    ending_message: str = ""
    ended: bool = False
    settled_attempts: int = 0
    prior_cost: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class PendingCreate:
    """The newest attempt whose outcome is not established (protocol, Names: "uuid unknown").

    `signed_at`, `token` and `account` are None where every record of them was lost: then only the uid leads to the job.
    `signed_at` alone is None where the attempt is known, but there may have been another one after it.
    """

    attempt: int
    token: str | None
    signed_at: int | None
    nonce: str | None
    body_sha256: str | None
    account: AccountMark | None


@dataclass(frozen=True, slots=True)
class JobResource:
    """One DispersedJob. Times are seconds since the epoch on the API server's clock.

    `accounts` are those that it can mean, the first that exists being the one (model/account_names.py). `inherited`:
    intent or status of another object were taken off, so the finalizer came with them and says nothing. `adopts`: uuid
    of the remote job that `spec.adopt` names, empty if it names none that can be read; None for a resource that creates
    its job.
    """

    key: ResourceKey
    uid: str
    resource_version: str
    generation: int
    created_at: int
    deleting_since: int | None
    finalizers: tuple[str, ...]
    annotations: Mapping[str, str]
    accounts: tuple[ResourceKey, ...]
    intent: Intent | None
    intent_garbled: bool
    record: CreateRecord | None
    status: Body
    spec: DispersedJobSpec | None
    spec_error: str
    inherited: bool = False
    adopts: str | None = None

    @property
    def deleting(self) -> bool:
        return self.deleting_since is not None

    @property
    def account_names(self) -> tuple[str, ...]:
        """`accounts` as a status spells them."""
        return tuple(spelled(account) for account in self.accounts)

    @property
    def paused(self) -> bool:
        return self.annotations.get(naming.PAUSED_ANNOTATION) == "true"

    @property
    def suspend_wanted(self) -> bool:
        """Whether the spec asks for no live job; a spec that cannot be read asks for nothing."""
        return self.spec is not None and self.spec.suspend

    @property
    def has_finalizer(self) -> bool:
        return naming.JOB_FINALIZER in self.finalizers

    @property
    def job_uuid(self) -> str | None:
        """The recorded remote uuid of the newest recorded attempt."""
        return self.record.uuid if self.record is not None else None

    @property
    def has_trace(self) -> bool:
        """Whether anything on the object says that we may have created a remote job for it (protocol D1)."""
        return bool(
            self.has_finalizer or self.intent or self.intent_garbled or self.record or self.status.get("jobUUID")
        )

    @property
    def settled_attempts(self) -> int:
        """All attempts up to this one are over, and their end was verified; rows of theirs are history."""
        if self.record is None:
            return 0
        return self.record.attempt if self.record.ended else self.record.settled_attempts

    def highest_attempt(self) -> int:
        """The highest attempt that intent or status know of; 0 if there was none."""
        return max(self.intent.attempt if self.intent else 0, self.record.attempt if self.record else 0)

    def pending_create(self) -> PendingCreate | None:
        """The newest unresolved attempt, or None.

        An intent is resolved when it is marked refused, or when the record carries its token and a uuid; a record is
        resolved by a uuid or a refusal. "Resolved" is by token: an earlier attempt's uuid resolves nothing (mode 53).
        Where both are lost, our finalizer alone says that there may have been one. A resource that adopts never sends a
        create, so whatever an annotation says, none is pending.
        """
        if self.adopts is not None:
            return None
        intent, record = self.intent, self.record
        if intent is not None and (record is None or intent.attempt >= record.attempt):
            if intent.state is IntentState.REFUSED:
                return None
            if record is not None and record.token == intent.token and record.uuid:
                return None
            return PendingCreate(
                attempt=intent.attempt,
                token=intent.token,
                signed_at=intent.signed_at,
                nonce=intent.nonce,
                body_sha256=intent.body_sha256,
                account=intent.account,
            )
        # Each attempt leaves its intent here before its request. Where the newest one cannot be read, or was taken away
        # or replaced by an older one, there may have been an attempt after the one that the record speaks of.
        older = intent is None or (record is not None and intent.attempt < record.attempt)
        lost = self.intent_garbled or (older and self.has_finalizer and not self.inherited)
        if record is not None and (record.uuid or record.state == "Refused"):
            settled = not record.uuid or record.ended
            return LOST_RECORD if lost and settled else None
        if record is not None:
            return PendingCreate(
                attempt=record.attempt,
                token=record.token or None,
                signed_at=(record.signed_at or None) if not lost else None,
                nonce=None,
                body_sha256=record.body_sha256 or None,
                account=record.account,
            )
        # Our finalizer comes with the first intent (C2): alone it says that somebody took the records away, perhaps
        # while a request was under way.
        stripped = self.has_finalizer and not self.inherited
        return LOST_RECORD if self.intent_garbled or stripped else None


LOST_RECORD = PendingCreate(attempt=0, token=None, signed_at=None, nonce=None, body_sha256=None, account=None)
"""Traces without an intent: something may have been created, and nothing says when (protocol D2)."""


def parse_job(body: Body) -> JobResource:
    """Read a DispersedJob body. A spec that does not fit the schema gives `spec` None and a `spec_error` without
    values."""
    metadata: Body = body["metadata"]
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    found = body.get("status")
    status: Body = found if isinstance(found, Mapping) else {}
    intent_text = annotations.get(naming.INTENT_ANNOTATION)
    intent = parse_intent(intent_text) if intent_text else None
    spec, spec_error = _parse_spec(body.get("spec") or {})
    return JobResource(
        key=ResourceKey(Kind.JOB, metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata.get("generation", 0),
        created_at=epoch(metadata["creationTimestamp"]) or 0,
        deleting_since=epoch(metadata.get("deletionTimestamp")),
        finalizers=tuple(metadata.get("finalizers") or ()),
        annotations=annotations,
        accounts=accounts_of(body),
        intent=intent,
        intent_garbled=bool(intent_text) and intent is None,
        record=_parse_record(status.get("create")),
        status=status,
        spec=spec,
        spec_error=spec_error,
        adopts=_adopted_uuid(body.get("spec")),
    )


def epoch(timestamp: object) -> int | None:
    """Seconds since the epoch of an RFC 3339 text, None if it is absent or not one."""
    if not isinstance(timestamp, str) or not timestamp:
        return None
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def rfc3339(seconds: float) -> str:
    """RFC 3339 in UTC with whole seconds, as the API server writes it."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _adopted_uuid(spec: object) -> str | None:
    """The uuid that `spec.adopt` names, even if the spec does not fit the schema: such a resource must never create."""
    adopt = spec.get("adopt") if isinstance(spec, Mapping) else None
    if adopt is None:
        return None
    uuid = adopt.get("jobUUID") if isinstance(adopt, Mapping) else None
    return uuid if isinstance(uuid, str) else ""


def _parse_spec(document: Body) -> tuple[DispersedJobSpec | None, str]:
    try:
        return DispersedJobSpec.from_api(document), ""
    except ValidationError as error:
        found = ((".".join(str(part) for part in item["loc"]), item["type"]) for item in error.errors()[:5])
        places = [f"{place or 'template or adopt'}: {kind}" for place, kind in found]
        return None, "; ".join(places)


def _parse_record(document: object) -> CreateRecord | None:
    if not isinstance(document, Mapping):
        return None
    try:
        mark = parse_account_mark(document["account"]) if document.get("account") else None
    except (KeyError, TypeError, AttributeError):
        mark = None
    signed_at = epoch(document.get("signedAt")) or 0
    return CreateRecord(
        token=str(document.get("token") or ""),
        attempt=_attempt(document.get("attempt")),
        uuid=str(document["uuid"]) if document.get("uuid") else None,
        signed_at=signed_at if 0 <= signed_at <= naming.MAX_TIME else 0,
        state=str(document.get("state") or "Unknown"),
        locked=document.get("locked") is True,
        body_sha256=str(document.get("bodySHA256") or ""),
        account=mark,
        expires_at=epoch(document.get("expiresAt")),
        ending=next((ending for ending in ENDINGS if ending.value == document.get("ending")), None),
        ending_message=str(document.get("endingMessage") or ""),
        ended=document.get("ended") is True,
        settled_attempts=_attempt(document.get("settledAttempts")),
        prior_cost=money(document.get("priorCostUSD")),
    )


def _attempt(number: object) -> int:
    """The number of an attempt, 0 for what cannot be one."""
    fits = isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= naming.MAX_ATTEMPT
    return number if isinstance(number, int) and fits else 0


def money(text: object) -> Decimal:
    """An amount that we wrote, 0 for what is none or is beyond all money: with that nobody could reckon."""
    try:
        amount = Decimal(str(text)) if text is not None else Decimal(0)
    except InvalidOperation:
        return Decimal(0)
    return amount if amount.is_finite() and 0 <= amount < MOST_MONEY else Decimal(0)
