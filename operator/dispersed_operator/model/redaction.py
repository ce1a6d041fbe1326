"""Takes secrets out of text before it reaches a log line, an Event, a status or an exception text.

Two nets, because each has holes the other covers. *Values*: what the operator itself has read from a Secret or got from
the service is registered here and replaced wherever it turns up, also in the spellings that it takes inside JSON, a
`repr`, a URL or base64. *Shapes*: text that looks like a credential is replaced even if nobody registered it (an error
body echoed by a proxy, a header dump of a library).

Invariant: `clean` never gives back a registered value, and never raises. It keeps no clock and does no I/O; registering
is safe from any thread.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterable
from urllib.parse import quote

MASK = "***"
SHORTEST_VALUE = 6
"""Shorter values are not registered: replacing every "1" or "true" would hide the logs and protect nobody."""

_QUOTE = r"""\\*["']"""
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?-----END [A-Z0-9 ]*PRIVATE KEY-----", re.DOTALL), MASK),
    (re.compile(r"\b(?:ssh-[a-z0-9-]+|ecdsa-sha2-[a-z0-9-]+)\s+AAAA[A-Za-z0-9+/]+={0,2}"), MASK),
    (re.compile(r"\bsk_[A-Za-z0-9_-]+"), MASK),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"), MASK),
    # A header in any spelling: `Name: value`, `'Name': 'value'`, `(b'Name', b'value')`.
    (
        re.compile(
            rf"(\b(?:x-signature|authorization|proxy-authorization|set-cookie|cookie)(?:{_QUOTE})?\s*[:=,]\s*(?:b?{_QUOTE})?)"
            r"(?:(?:bearer|basic|digest|token)\s+)?[^\s\"'\\,)}\]]+",
            re.IGNORECASE,
        ),
        rf"\g<1>{MASK}",
    ),
    (re.compile(r"\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\g<1>{MASK}"),
    (re.compile(r"(signature.{0,24}?)\b[0-9a-f]{64}\b", re.IGNORECASE), rf"\g<1>{MASK}"),
    # Members of a docker config, of a Secret or of a token answer, also inside an escaped JSON string.
    (
        re.compile(
            rf"({_QUOTE}(?:auth|password|identitytoken|registrytoken|secret|secretkey|access[-_]?token|\.dockerconfigjson|"
            rf"\.dockercfg|container_access_tokens?)(?:{_QUOTE})\s*:\s*\[?\s*{_QUOTE})[^\"'\\]+",
            re.IGNORECASE,
        ),
        rf"\g<1>{MASK}",
    ),
    (re.compile(r"(\.dockerconfigjson[:=]\s*)[A-Za-z0-9+/=]{8,}", re.IGNORECASE), rf"\g<1>{MASK}"),
    (
        re.compile(r"([?&](?:access[-_]?token|token|secret|password|signature)=)[^&\s\"']+", re.IGNORECASE),
        rf"\g<1>{MASK}",
    ),
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,15}://)[^/\s@\"']+@", re.IGNORECASE), rf"\g<1>{MASK}@"),
)


class Redactor:
    """Knows the values that must not be shown, and replaces them and everything that looks like them by ``***``.

    A value is known while anybody holds it: two holders of one value do not take it from each other.
    """

    __slots__ = ("_holders", "_lock", "_ordered", "_spellings")

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._holders: dict[str, frozenset[str]] = {}
        self._spellings: dict[str, tuple[str, ...]] = {}
        self._ordered: tuple[str, ...] = ()
        for value in values:
            self.register(value)

    def __repr__(self) -> str:
        return f"Redactor({len(self._spellings)} values)"

    def register(self, value: str, *, holder: str = "") -> None:
        """Treat this value as secret from now on. Values below `SHORTEST_VALUE` characters are ignored."""
        if len(value) < SHORTEST_VALUE or holder in self._holders.get(value, ()):
            return
        with self._lock:
            self._holders[value] = self._holders.get(value, frozenset()) | {holder}
            if value not in self._spellings:
                self._spellings = {**self._spellings, value: _spellings(value)}
                self._reorder()

    def forget(self, value: str, *, holder: str = "") -> None:
        """The holder no longer needs a value to be hidden; it is looked for until the last holder says so."""
        with self._lock:
            left = self._holders.pop(value, frozenset()) - {holder}
            if left:
                self._holders[value] = left
                return
            self._spellings = {known: spellings for known, spellings in self._spellings.items() if known != value}
            self._reorder()

    def clean(self, text: str) -> str:
        """The same text with every registered value and every credential-like part replaced."""
        for spelling in self._ordered:
            if spelling in text:
                text = text.replace(spelling, MASK)
        for pattern, replacement in _SHAPES:
            text = pattern.sub(replacement, text)
        return text

    def _reorder(self) -> None:
        # Longest first: a short value inside a long one would otherwise leave the rest of the long one readable.
        every = {spelling for spellings in self._spellings.values() for spelling in spellings}
        self._ordered = tuple(sorted(every, key=lambda spelling: (-len(spelling), spelling)))


def _spellings(value: str) -> tuple[str, ...]:
    encoded = base64.b64encode(value.encode(errors="replace")).decode()
    return tuple(
        {
            value,
            json.dumps(value)[1:-1],
            json.dumps(value, ensure_ascii=False)[1:-1],
            repr(value)[1:-1],
            quote(value, safe="", errors="replace"),
            encoded,
            encoded.rstrip("="),
        }
    )
