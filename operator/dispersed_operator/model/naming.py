"""The wire format: how a remote job carries the identity of the resource that it belongs to.

Everything here is frozen by golden vectors (tests/unit/model/naming_vectors.json, ADR 0002): the remote service has no
idempotency key and no external id, so these texts are all that ties a paid job to its owner after a crash. Changing
one of them orphans every running job.

Invariants: a token can be recomputed from what the API server knows; the machine part of a title comes first, has a
fixed width and checks itself, so that a truncated or hand-typed title is never taken for ours (protocol, Names).
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

PREFIX = "dispersed.dev/"
JOB_FINALIZER = PREFIX + "remote-job"
HOLD_FINALIZER = PREFIX + "account-hold"
KOPF_FINALIZER = PREFIX + "kopf-unused"

INTENT_ANNOTATION = PREFIX + "create-intent"
PAUSED_ANNOTATION = PREFIX + "paused"
RECONCILE_ANNOTATION = PREFIX + "reconcile-requested-at"
FORCE_FINALIZE_ANNOTATION = PREFIX + "force-finalize"
RESOLVE_CREATE_ANNOTATION = PREFIX + "resolve-create"
CONFIRM_CLUSTER_ANNOTATION = PREFIX + "confirm-cluster"
CONFIRM_VANISHED_ANNOTATION = PREFIX + "confirm-vanished"
ADOPTED_ANNOTATION = PREFIX + "adopted-job"
EGRESS_LABEL = PREFIX + "egress"
EGRESS_ALLOWED = "allowed"

TOKEN_ENV = "DISPERSED_K8S_TOKEN"  # noqa: S105 - the name of a variable
TITLE_LIMIT = 64
USER_TITLE_SHOWN = 13  # 51 characters of machine part and separators leave 13 of 64
MAX_ATTEMPT = 36 * 36 - 1
MAX_TIME = 36**6 - 1

_TITLE = re.compile(
    r"kd1-(?P<cluster>[a-z2-7]{6})-(?P<uid>[0-9a-z]{8})-(?P<attempt>[0-9a-z]{2})(?P<token>[a-z2-7]{12})"
    r"-(?P<signed>[0-9a-z]{6})(?P<expiry>[0-9a-z]{6})-(?P<check>[0-9a-z]{2})(?: (?P<user>.*))?"
)
_DESCRIPTION = re.compile(r"kd1 (?P<token>[a-z2-7]{12}) (?P<digest>[0-9a-f]{64})(?: \||$)")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a job belongs to: the cluster, and the resource by name and by uid."""

    cluster_id: str
    namespace: str
    name: str
    uid: str

    @property
    def namespaced_name(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ParsedTitle:
    """The machine part of a title whose check characters fit. Times are seconds since the epoch; expiry 0 means
    none.
    """

    cluster: str
    uid: str
    attempt: int
    token: str
    signed_at: int
    expiry: int
    user_title: str


def create_token(identity: Identity, attempt: int) -> str:
    """The token of one attempt: 12 characters of base32 in lower case, unkeyed, recomputable (protocol, Names)."""
    text = f"{identity.cluster_id}|{identity.namespaced_name}|{identity.uid}|{attempt}"
    return _base32(text)[:12]


def cluster_mark(cluster_id: str) -> str:
    """The six characters that stand for the cluster in a title."""
    return _base32(cluster_id)[:6]


def uid_mark(uid: str) -> str:
    """The first eight characters of a metadata.uid, as used in titles and in the `force-finalize` annotation."""
    return re.sub(r"[^0-9a-z]", "", uid.lower())[:8].ljust(8, "0")


def remote_title(identity: Identity, *, attempt: int, signed_at: int, expiry: int, user_title: str) -> str:
    """The title to send: at most 64 ASCII characters, machine part first.

    `signed_at` and `expiry` are seconds since the epoch; `expiry` 0 means that the job is never reaped.
    """
    machine = (
        f"kd1-{cluster_mark(identity.cluster_id)}-{uid_mark(identity.uid)}-{_base36(attempt, 2)}"
        f"{create_token(identity, attempt)}-{_base36(signed_at, 6)}{_base36(expiry, 6)}"
    )
    return f"{machine}-{_check(machine)} {user_title[:USER_TITLE_SHOWN]}".rstrip()


def parse_title(title: str) -> ParsedTitle | None:
    """The machine part of a remote title, or None if it is not ours: cut short, hand-typed, or with wrong check
    characters."""
    match = _TITLE.fullmatch(title)
    if match is None or _check(title[: match.start("check") - 1]) != match["check"]:
        return None
    return ParsedTitle(
        cluster=match["cluster"],
        uid=match["uid"],
        attempt=int(match["attempt"], 36),
        token=match["token"],
        signed_at=int(match["signed"], 36),
        expiry=int(match["expiry"], 36),
        user_title=match["user"] or "",
    )


def title_belongs_to(title: str, identity: Identity) -> ParsedTitle | None:
    """The parsed title if it verifies against this very resource, else None (protocol, Identity).

    The token is recomputed, so a title that merely repeats the readable marks does not verify.
    """
    parsed = parse_title(title)
    if parsed is None or parsed.token != create_token(identity, parsed.attempt):
        return None
    if parsed.cluster != cluster_mark(identity.cluster_id) or parsed.uid != uid_mark(identity.uid):
        return None
    return parsed


def remote_description(*, token: str, digest: str, title: str, description: str) -> str:
    """The description to send: token and body digest first, then the user's own title and description."""
    words = " | ".join(text for text in (title, description) if text)
    return f"kd1 {token} {digest}" + (f" | {words}" if words else "")


def parse_description(description: str) -> tuple[str, str] | None:
    """(token, body digest) of a description that we wrote, or None if it did not come back as sent."""
    match = _DESCRIPTION.match(description)
    return (match["token"], match["digest"]) if match else None


def _base32(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()


def _check(machine: str) -> str:
    return _base36(int.from_bytes(hashlib.sha256(machine.encode()).digest()[:8], "big") % (36 * 36), 2)


def _base36(number: int, width: int) -> str:
    if not 0 <= number < 36**width:
        raise ValueError(f"{number} does not fit into {width} base36 digits")
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits
