"""Signature verification, written from the API reference §2 alone and without a look at any client.

Flow: headers present → key known → time within the window → signature → nonce new. A nonce is used up only by a request
whose signature verified. Several canonical readings are accepted at once and the ones that matched are recorded, so
that a client can be shown to be invariant.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import NoReturn
from urllib.parse import parse_qsl, quote, quote_plus

from dispersed_simulator.api_error import ApiError
from dispersed_simulator.records import ApiKey
from dispersed_simulator.switches import Switches

BODY_READINGS = ("escaped", "raw", "bytes")
QUERY_READINGS = ("percent", "plus")
_NONCE = re.compile(r"^[0-9a-fA-F]{8,64}$")
_TIME = re.compile(r"^\d{1,16}$")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it came off the wire: pathname and query still encoded, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Readings:
    """Which canonical readings of query and body give the signature that was sent."""

    query: tuple[str, ...]
    body: tuple[str, ...]

    @property
    def text(self) -> str:
        """Short form for the request log, such as `percent+plus/escaped+raw+bytes`."""
        return f"{'+'.join(self.query)}/{'+'.join(self.body)}"


@lru_cache(maxsize=1024)
def canonical_queries(raw_query: str) -> Mapping[str, str]:
    """Reading → sorted and encoded query text (reference §2.3)."""
    pairs = sorted(parse_qsl(raw_query, keep_blank_values=True, encoding="utf-8", errors="surrogateescape"))
    encoders: dict[str, Callable[..., str]] = {"percent": quote, "plus": quote_plus}
    readings = {}
    for name, encode in encoders.items():
        parts = (f"{_encoded(encode, key)}={_encoded(encode, value)}" for key, value in pairs)
        readings[name] = "&".join(parts)
    return MappingProxyType(readings)


def _encoded(encode: Callable[..., str], text: str) -> str:
    return encode(text, safe="", errors="surrogateescape")


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def canonical_bodies(body: bytes) -> dict[str, bytes]:
    """Reading → bytes that are hashed (reference §2.4, §2.5). A body that is not JSON has only the reading `bytes`."""
    readings = {"bytes": body}
    if not body:
        return dict.fromkeys(BODY_READINGS, b"")
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return readings
    for name, escaped in (("escaped", True), ("raw", False)):
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=escaped, allow_nan=False)
        try:
            readings[name] = text.encode("utf-8")
        except UnicodeEncodeError:  # a lone surrogate exists only as an escape
            continue
    return readings


def matching_readings(request: SignedRequest, *, secret: str) -> Readings:
    """All readings under which the request's signature is right; both tuples are empty if there is none."""
    headers = request.headers
    head = "|".join((headers["x-api-key"], headers["x-time"], headers["x-nonce"], request.method.upper(), request.path))
    hashes = {name: hashlib.sha256(text).hexdigest() for name, text in canonical_bodies(request.body).items()}
    sent = headers["x-signature"].encode("utf-8", "surrogateescape")
    found: set[tuple[str, str]] = set()
    verdicts: dict[str, bool] = {}  # most readings of one request are the same text
    for query_name, query in canonical_queries(request.query).items():
        for body_name, digest in hashes.items():
            text = f"{head}|{query}|{digest}"
            if text not in verdicts:
                expected = hmac.digest(secret.encode(), text.encode("utf-8", "surrogateescape"), "sha256").hex()
                verdicts[text] = hmac.compare_digest(expected.encode(), sent)
            if verdicts[text]:
                found.add((query_name, body_name))
    return Readings(
        query=tuple(name for name in QUERY_READINGS if any(pair[0] == name for pair in found)),
        body=tuple(name for name in BODY_READINGS if any(pair[1] == name for pair in found)),
    )


def accepted(readings: Readings, switches: Switches) -> bool:
    """True if the readings that matched include one that the switches allow."""
    query_ok = bool(readings.query) and switches.space_encoding in {"any", *readings.query}
    body_ok = bool(readings.body) and switches.body_reading in {"any", *readings.body}
    return query_ok and body_ok


class NonceMemory:
    """Nonces seen, each with the time from which it counts and the time at which it is forgotten."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._order: deque[tuple[int, str]] = deque()
        self.fresh: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._seen)

    def contains(self, name: str, *, now_ms: int, hidden_ms: int) -> bool:
        """True if the nonce was used before. hidden_ms > 0: a use younger than this is not seen yet."""
        used_ms = self._seen.get(name)
        return used_ms is not None and now_ms - used_ms >= hidden_ms

    def remember(self, name: str, *, now_ms: int, keep_ms: int) -> None:
        """Note a use and forget those that are older than keep_ms."""
        while self._order and self._order[0][0] <= now_ms - keep_ms:
            used_ms, old = self._order.popleft()
            if self._seen.get(old) == used_ms:
                del self._seen[old]
        self.restore(now_ms, name)
        self.fresh.append((now_ms, name))

    def restore(self, used_ms: int, name: str) -> None:
        """Take a remembered use back in, after a restart."""
        if name not in self._seen:
            self._seen[name] = used_ms
            self._order.append((used_ms, name))

    def clear(self) -> None:
        """Forget everything."""
        self._seen.clear()
        self._order.clear()
        self.fresh.clear()

    def entries(self) -> list[tuple[int, str]]:
        """Everything that is remembered, oldest first."""
        return [(used_ms, name) for name, used_ms in self._seen.items()]


class Verifier:
    """Decides whether a request is who it says it is."""

    def __init__(self, *, keys: Mapping[str, ApiKey], nonces: NonceMemory, switches: Switches) -> None:
        self._keys = keys
        self._nonces = nonces
        self._switches = switches

    def verify(self, request: SignedRequest, *, now_ms: int) -> tuple[ApiKey, Readings]:
        """The key that signed and the readings that matched. Raises ApiError for every refusal of reference §2.7."""
        key = self._find_key(request.headers, now_ms)
        nonce = request.headers["x-nonce"]
        name = f"{key.public}|{nonce}" if self._switches.nonce_scope == "key" else f"*|{nonce}"
        try:
            self._check_time(request.headers["x-time"], now_ms)
            readings = matching_readings(request, secret=key.secret)
            if not accepted(readings, self._switches):
                raise self._refusal("INVALID_SIGNATURE", "the signature does not match the request")
        except ApiError:
            if self._switches.rejected_consumes_nonce:
                self._remember(name, now_ms)
            raise
        hidden_ms = 0 if self._switches.nonce_store_atomic else self._switches.nonce_store_delay_ms
        if self._switches.replay_refused and self._nonces.contains(name, now_ms=now_ms, hidden_ms=hidden_ms):
            raise self._refusal("NONCE_REUSED", "the nonce was used before", self._switches.nonce_replay_status)
        self._remember(name, now_ms)
        return key, readings

    def _find_key(self, headers: Mapping[str, str], now_ms: int) -> ApiKey:
        for header in ("x-api-key", "x-time", "x-nonce", "x-signature"):
            if not headers.get(header):
                raise self._refusal("MISSING_HEADER", f"the header {header} is missing")
        key = self._keys.get(headers["x-api-key"])
        if key is None:
            raise self._refusal("UNKNOWN_API_KEY", "there is no such API key")
        if key.revoked or (key.expires_ms is not None and now_ms >= key.expires_ms):
            raise self._refusal("API_KEY_REVOKED", "the API key is revoked or has expired")
        if _NONCE.match(headers["x-nonce"]) is None:
            raise self._refusal("INVALID_NONCE", "the nonce is not hexadecimal")
        return key

    def _check_time(self, text: str, now_ms: int) -> None:
        if _TIME.match(text) is None:
            raise self._refusal("TIMESTAMP_INVALID", "X-Time is not a decimal number of milliseconds")
        if self._switches.time_window_enforced and abs(int(text) - now_ms) > self._switches.time_window_seconds * 1000:
            raise self._refusal("TIMESTAMP_OUT_OF_RANGE", "X-Time is too far from the server's clock")

    def _remember(self, name: str, now_ms: int) -> None:
        self._nonces.remember(name, now_ms=now_ms, keep_ms=self._switches.nonce_memory_seconds * 1000)

    def _refusal(self, code: str, message: str, status: int | None = None) -> ApiError:
        style = self._switches.auth_error_code
        shown = code if style == "specific" else "UNAUTHORIZED" if style == "generic" else ""
        return ApiError(status or self._switches.auth_failure_status, shown, message)
