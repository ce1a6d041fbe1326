"""What an account is worth at the moment: ready, or the one problem that its user or admin must mend."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dispersed_operator.errors import UnsignableRequest
from dispersed_operator.model import naming
from dispersed_operator.model.account_names import read_spelling
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.observed import JobResource, rfc3339
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.status import ConditionType
from dispersed_operator.planning import conditions
from dispersed_operator.planning.conformance import Check, Finding, Result, summary, title_lost, worst
from dispersed_operator.planning.vocabulary import Problem
from dispersed_operator.remote.signing import Credentials

PUBLIC_KEY, SECRET_KEY = "publicKey", "secretKey"
OFFSET_STEP_SECONDS = 5


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the probes of an account showed, in the words of its status."""

    replay_refused: bool
    stale_refused: bool
    window_seconds: int | None
    refusal_statuses: tuple[int, ...]
    checked_at: int


@dataclass(frozen=True, slots=True)
class AccountView:
    """Everything that an account's status is made of. Money is decimal text, times are epoch seconds. `findings` are
    empty while nothing was examined; `api_server_cas` are while what the account remembers is to stay."""

    problem: Problem | None
    public_key: str | None = field(repr=False)
    identity: str | None
    clock_offset: float | None
    live_jobs: int
    hourly_rate_usd: str
    probes: ProbeResult | None
    findings: tuple[Finding, ...] = ()
    api_server_cas: tuple[str, ...] = ()


def read_credentials(secret: Mapping[str, Any], name: str) -> Credentials | Problem:
    """The key pair in a Secret, or what is wrong with it; a message names the key, never the value."""
    data = secret.get("data") or {}
    texts: dict[str, str] = {}
    for key in (PUBLIC_KEY, SECRET_KEY):
        if not data.get(key):
            return Problem(Reason.INVALID_REFERENCE, f"the Secret {name} has no key {key}")
        try:
            texts[key] = base64.b64decode(data[key], validate=True).decode("ascii").strip()
        except (binascii.Error, UnicodeDecodeError):
            return Problem(Reason.INVALID_REFERENCE, f"the key {key} of the Secret {name} is not ASCII text")
    try:
        return Credentials(texts[PUBLIC_KEY], texts[SECRET_KEY])
    except UnsignableRequest as error:
        return Problem(Reason.INVALID_REFERENCE, f"the Secret {name} holds no usable key pair: {error}")


def clock_problem(offset: float | None, limit: float) -> Problem | None:
    """Whether the clocks are too far apart to trust this machine (failure mode 37)."""
    if offset is None or abs(offset) <= limit:
        return None
    return Problem(
        Reason.CLOCK_SKEW,
        f"the service's clock and this machine's differ by more than {limit:g} s; nothing is created meanwhile",
    )


def is_held(metadata: Mapping[str, Any]) -> bool:
    """Whether an account or Secret carries our hold and is not being deleted (C0, C3)."""
    return not metadata.get("deletionTimestamp") and naming.HOLD_FINALIZER in (metadata.get("finalizers") or ())


def needs_account(job: JobResource, accounts: Collection[ResourceKey], keys: Collection[str]) -> bool:
    """Whether this resource has our finalizer and its remote job may have to be ended with one of these accounts, or
    with one of these keys (by fingerprint): its spec names it, or did when the job was accepted, or when a create was
    signed whose outcome is not known."""
    if not job.has_finalizer:
        return False
    pending = job.pending_create()
    signed = pending.account.public_key if pending is not None and pending.account is not None else None
    accepted_by = read_spelling(str(job.status.get("account") or ""), job.key.namespace)
    named = {*job.accounts, accepted_by}
    return not named.isdisjoint(accounts) or (signed is not None and key_fingerprint(signed) in keys)


def key_fingerprint(public_key: str) -> str:
    """Twelve hexadecimal characters that change when the key is rotated."""
    return hashlib.sha256(public_key.encode()).hexdigest()[:12]


def project_account(body: Mapping[str, Any], view: AccountView, *, wall: float) -> dict[str, Any]:
    """The status that should stand on the account."""
    old: dict[str, Any] = dict(body.get("status") or {})
    generation = body["metadata"].get("generation", 0)
    new = old | {
        "observedGeneration": generation,
        "keyFingerprint": key_fingerprint(view.public_key) if view.public_key else None,
        "accountUUID": view.identity or old.get("accountUUID"),
        "clockOffsetSeconds": _steady_offset(view.clock_offset, old.get("clockOffsetSeconds")),
        "liveJobs": view.live_jobs,
        "hourlyRateUSD": view.hourly_rate_usd,
        "apiServerCAs": list(view.api_server_cas) or old.get("apiServerCAs"),
        "conditions": conditions.with_times(
            _conditions(view, old.get("conditions") or ()),
            old.get("conditions") or (),
            now=rfc3339(wall),
            generation=generation,
        ),
    }
    if view.probes is not None:
        new["probes"] = _probes(view.probes, old.get("probes") or {})
    return {name: value for name, value in new.items() if value is not None}


def _conditions(view: AccountView, old: Sequence[Mapping[str, Any]]) -> list[conditions.Condition]:
    """Ready, and Conformant once something was examined; what was found out earlier stands until it is examined
    anew."""
    before = next((dict(item) for item in old if item.get("type") == ConditionType.CONFORMANT), None)
    ready = conditions.ready_condition(view.problem)
    if not view.findings:
        return [ready] if before is None else [ready, before]
    findings = _with_remembered_echo(view.findings, before)
    deviation = worst(findings)
    return [ready, conditions.conformant_condition(deviation.reason if deviation else None, summary(findings))]


def _with_remembered_echo(findings: tuple[Finding, ...], before: Mapping[str, Any] | None) -> tuple[Finding, ...]:
    """A title that did not come back is remembered until a job shows that it does now: without a job there is nothing
    to look at."""
    unseen = any(item.check is Check.TITLE and item.result is Result.NOT_SEEN for item in findings)
    if not unseen or before is None or before.get("reason") != Reason.TITLE_NOT_ECHOED:
        return findings
    return (*(item for item in findings if item.check is not Check.TITLE), title_lost())


def _probes(probes: ProbeResult, old: Mapping[str, Any]) -> dict[str, Any]:
    said = {
        "replayRefused": probes.replay_refused,
        "staleRefused": probes.stale_refused,
        "expirySeconds": probes.window_seconds,
        "refusalStatuses": list(probes.refusal_statuses) or None,
    }
    said = {name: value for name, value in said.items() if value is not None}
    if all(old.get(name) == value for name, value in said.items()) and old.get("checkedAt"):
        return dict(old)
    return said | {"checkedAt": rfc3339(probes.checked_at)}


def _steady_offset(offset: float | None, old: object) -> int | None:
    """The offset in whole seconds; a difference of a few seconds is noise and not worth a write."""
    if offset is None:
        return old if isinstance(old, int) else None
    if isinstance(old, int) and abs(offset - old) < OFFSET_STEP_SECONDS:
        return old
    return round(offset)
