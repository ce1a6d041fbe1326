"""The create intent: what this cluster is about to ask of the remote API, written down before it is asked.

An intent is the annotation `dispersed.dev/create-intent`, won by compare-and-swap (protocol C2). It fixes everything
that a later process needs to find the job again or to prove that it does not exist: token, time of signature, nonce,
digest of the body, and the account. One intent stands for one signature, and it is never signed again.

Invariant: a text that is not exactly an intent of ours is `garbled`, never `absent`: it counts as a trace of a create
whose time is not known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dispersed_operator.model.naming import MAX_ATTEMPT, MAX_TIME

VERSION: Final = 1


class IntentState(StrEnum):
    """`OPEN`: the outcome may not be known. `REFUSED`: certainly nothing was created."""

    OPEN = "open"
    REFUSED = "refused"


class Refusal(StrEnum):
    """Why an intent is marked refused; decides who has to act and when a new attempt makes sense (protocol C6)."""

    VALIDATION = "validation"
    PERMISSION = "permission"
    NOT_FOUND = "not-found"
    FUNDS = "funds"
    NOT_SENT = "not-sent"
    ABSENT = "absent"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class AccountMark:
    """Which account a create was signed for: API host, public key, and the account's uuid where the service shows
    it.
    """

    host: str
    public_key: str
    identity: str | None = None

    def as_json(self) -> dict[str, str | None]:
        return {"host": self.host, "publicKey": self.public_key, "identity": self.identity}


@dataclass(frozen=True, slots=True)
class Origin:
    """The resource that the intent was made for. It differs from the carrier after a restore or a clone."""

    uid: str
    namespaced_name: str
    cluster_id: str


@dataclass(frozen=True, slots=True)
class Intent:
    """One signed attempt. `signed_at` is in seconds since the epoch on the server's clock and is the POST's X-Time.
    `payer`: the ClusterDispersedAccount that it was signed for, as `status.account` spells it; empty for a
    DispersedAccount."""

    token: str
    attempt: int
    signed_at: int
    nonce: str
    body_sha256: str
    holder: str
    account: AccountMark
    origin: Origin
    state: IntentState = IntentState.OPEN
    refusal: Refusal | None = None
    message: str = ""
    payer: str = ""

    def to_annotation(self) -> str:
        """The annotation's text: JSON with sorted keys."""
        document = {
            "version": VERSION,
            "token": self.token,
            "attempt": self.attempt,
            "signedAt": self.signed_at,
            "nonce": self.nonce,
            "bodySHA256": self.body_sha256,
            "holder": self.holder,
            "state": self.state.value,
            "account": self.account.as_json(),
            "origin": {
                "uid": self.origin.uid,
                "name": self.origin.namespaced_name,
                "clusterID": self.origin.cluster_id,
            },
        }
        if self.payer:
            document["payer"] = self.payer
        if self.refusal is not None:
            document["refusal"] = {"kind": self.refusal.value, "message": self.message}
        return json.dumps(document, sort_keys=True, separators=(",", ":"))


def parse_intent(text: str) -> Intent | None:
    """The intent in an annotation, or None if the text is garbled (which is a trace, not an absence)."""
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            return None
        account, origin, refusal = document["account"], document["origin"], document.get("refusal") or {}
        return Intent(
            token=_text(document, "token"),
            attempt=_number(document, "attempt", MAX_ATTEMPT),
            signed_at=_number(document, "signedAt", MAX_TIME),
            nonce=_text(document, "nonce"),
            body_sha256=_text(document, "bodySHA256"),
            holder=_text(document, "holder"),
            account=parse_account_mark(account),
            origin=Origin(_text(origin, "uid"), _text(origin, "name"), _text(origin, "clusterID")),
            state=IntentState(document["state"]),
            refusal=Refusal(refusal["kind"]) if refusal else None,
            message=str(refusal.get("message", "")),
            payer=str(document.get("payer") or ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def parse_account_mark(value: Mapping[str, object]) -> AccountMark:
    """An account mark from an intent or from `status.create.account`; KeyError or TypeError if it is not one."""
    identity = value.get("identity")
    return AccountMark(_text(value, "host"), _text(value, "publicKey"), identity if isinstance(identity, str) else None)


def _text(document: Mapping[str, object], name: str) -> str:
    value = document[name]
    if not isinstance(value, str) or not value:
        raise TypeError(name)
    return value


def _number(document: Mapping[str, object], name: str, limit: int) -> int:
    """A number that fits the title: what is larger is not from us, and would cost its reader time or an overflow."""
    value = document[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise TypeError(name)
    return value
