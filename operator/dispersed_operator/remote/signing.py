"""Signing: from a request to the four headers that authenticate it, as pure functions.

Why it exists: published signers of this service disagree about non-ASCII text, floats, spaces and some object keys (API
reference §2.3, §2.5, §17). A request that two of them would spell differently must never leave this process, because
its refusal could not be told from a wrong key.

Invariant: the bytes that are hashed are the bytes that are sent. `canonical_body` and `canonical_query` give the one
spelling on which all readings agree, or refuse with `UnsignableRequest`, which names the place and never the value.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from dispersed_operator.errors import UnsignableRequest

MAX_SAFE_INTEGER = 2**53 - 1
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_.-]+)+")
_ODD_QUERY = frozenset(" !'()*~")


@dataclass(frozen=True, slots=True)
class Credentials:
    """One API key: the public part (``pk_…``) and the whole secret, prefix included (API reference §2.1).

    Raises UnsignableRequest for text that cannot stand in a header or in the signed text: blanks, line ends (the usual
    slip in a Secret), characters beyond ASCII, and ``|`` in the public key.
    """

    public_key: str
    secret_key: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _PRINTABLE.fullmatch(self.public_key) or "|" in self.public_key:
            raise UnsignableRequest(
                "the public key is empty or holds a blank, a line end, '|' or a non-ASCII character"
            )
        if not _PRINTABLE.fullmatch(self.secret_key):
            raise UnsignableRequest("the secret key is empty or holds a blank, a line end or a non-ASCII character")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request that is ready to be sent as it stands. `query` is encoded and carries no leading ``?``."""

    method: str
    path: str
    query: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    @property
    def target(self) -> str:
        """Path and query as they must appear on the wire."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def signature(self) -> str:
        """To be hidden like the key: it is good for some minutes."""
        return self.headers["X-Signature"]


def canonical_body(value: object) -> bytes:
    """The canonical JSON bytes of `value`: keys sorted at every depth, no blanks, ASCII (API reference §2.4, §2.5).

    Takes None, bool, int, str, sequences and mappings with text keys. Refuses floats, integers beyond 2^53 - 1, text
    beyond ASCII, and keys that JavaScript would reorder (digits only) or lose (``__proto__``).
    """
    _check_value(value, "$")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def canonical_query(params: Iterable[tuple[str, str]]) -> str:
    """The encoded query, sorted by key and then by value (API reference §2.3); empty for no parameters.

    Refuses the characters that encoders spell differently: blank, ``! ' ( ) * ~`` and everything beyond ASCII.
    """
    pairs = sorted(params)
    for key, value in pairs:
        for part in (key, value):
            if not part.isascii() or _ODD_QUERY & set(part):
                raise UnsignableRequest(f"query parameter {key!a}: a character that signers encode differently")
    return "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in pairs)


def checked_path(path: str) -> str:
    """The path itself if it needs no normalisation: no escapes, no double, dotted or trailing slash (§2.2)."""
    if not _PLAIN_PATH.fullmatch(path) or any(set(part) == {"."} for part in path.split("/") if part):
        raise UnsignableRequest("the path holds a character or a shape that a server could normalise")
    return path


def canonical_text(public_key: str, *, method: str, path: str, query: str, body: bytes, time: str, nonce: str) -> str:
    """The text that is signed: seven parts joined with ``|``, empty parts kept (API reference §2.2)."""
    return "|".join((public_key, time, nonce, method.upper(), path, query, hashlib.sha256(body).hexdigest()))


def signature(secret_key: str, text: str) -> str:
    """Lower-case hexadecimal HMAC-SHA256 of the canonical text, keyed with the whole secret (API reference §2.1)."""
    return hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()


def sign(
    credentials: Credentials, *, method: str, path: str, query: str, body: bytes, time_ms: int, nonce: str
) -> dict[str, str]:
    """The headers of one attempt. `time_ms` is milliseconds since the epoch; a nonce is never used twice (§2.6)."""
    time = str(time_ms)
    text = canonical_text(
        credentials.public_key, method=method, path=path, query=query, body=body, time=time, nonce=nonce
    )
    return {
        "X-API-Key": credentials.public_key,
        "X-Time": time,
        "X-Nonce": nonce,
        "X-Signature": signature(credentials.secret_key, text),
        "Content-Type": "application/json",
        "Accept": "application/json",
    }


def signed_request(
    credentials: Credentials, *, method: str, path: str, query: str, body: bytes, time_ms: int, nonce: str
) -> SignedRequest:
    """A request with its headers, its path checked. `query` and `body` come from the two canonical functions."""
    plain = checked_path(path)
    headers = sign(credentials, method=method, path=plain, query=query, body=body, time_ms=time_ms, nonce=nonce)
    return SignedRequest(method=method, path=plain, query=query, body=body, headers=headers)


def _check_value(value: object, where: str) -> None:
    match value:
        case None | bool():
            return
        case int():
            if abs(value) > MAX_SAFE_INTEGER:
                raise UnsignableRequest(f"{where}: an integer beyond 2^53 - 1 is read differently by other languages")
        case str():
            if not value.isascii():
                raise UnsignableRequest(f"{where}: only ASCII characters can be signed safely")
        case list() | tuple():
            for index, item in enumerate(value):
                _check_value(item, f"{where}[{index}]")
        case dict():
            for key, item in value.items():
                _check_value(item, f"{where}.{_checked_key(key, where)}")
        case _:
            raise UnsignableRequest(
                f"{where}: {type(value).__name__} cannot be signed; use text, integers, lists, objects"
            )


def _checked_key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise UnsignableRequest(f"{where}: a key is not text")
    if not key.isascii():
        raise UnsignableRequest(f"{where}: the key {key!a} is not ASCII")
    if key.isdigit():
        raise UnsignableRequest(f"{where}: the key {key} is all digits, which JavaScript reorders")
    if key == "__proto__":
        raise UnsignableRequest(f"{where}: the key __proto__ is lost by JavaScript")
    return key
