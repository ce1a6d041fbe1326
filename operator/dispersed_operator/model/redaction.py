"""Takes secrets out of text before it reaches a log line, an Event, a status or an exception text.

Two nets, because each has holes the other covers. *Values*: what the operator itself has read from a Secret or got from
the service is registered here and replaced wherever it turns up, also in the spellings that it takes inside JSON, a
`repr`, a URL or base64. *Shapes*: text that looks like a credential is replaced even if nobody registered it (an error
body echoed by a proxy, a header dump of a library).

Values of two kinds. What belongs to the operator (keys of accounts, logins of proxies) is hidden everywhere. What a job
was given is chosen by a tenant, who must not be able to take words out of everybody's logs by putting them into a
Secret; the operator never writes it by itself, so it is hidden where text comes from outside, and there only in text
that can hold it: that of the job, or of the account that the job went through. Whoever takes in text from outside
cleans it there (`clean_outside`); everything that is logged passes `clean` again.

Invariant: `clean` never gives back a value that was registered without a holder, `clean_outside` none that it was asked
to hide, and neither raises. No clock, no I/O; registering is safe from any thread.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Held:
    """Who needs a value to be hidden: a job, and the account that it was sent through."""

    holder: str
    group: str


class Redactor:
    """Knows the values that must not be shown, and replaces them and everything that looks like them by ``***``.

    A value is known while anybody holds it: two holders of one value do not take it from each other.
    """

    __slots__ = ("_held", "_lock", "_ordered", "_own", "_spelled", "_views")

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._own: frozenset[str] = frozenset()
        self._held: dict[str, frozenset[Held]] = {}
        self._spelled: dict[str, tuple[str, ...]] = {}
        self._ordered: tuple[str, ...] | None = None
        self._views: dict[tuple[str | None, str | None], tuple[str, ...]] = {}
        for value in values:
            self.register(value)

    def __repr__(self) -> str:
        return f"Redactor({len(self._spelled)} values)"

    def register(self, value: str, *, holder: str = "", group: str = "") -> None:
        """Treat this value as secret from now on; with a `holder` only in text from outside. Values below
        `SHORTEST_VALUE` characters are ignored."""
        if len(value) < SHORTEST_VALUE:
            return
        with self._lock:
            held = Held(holder, group)
            if held in self._held.get(value, ()) or (not holder and value in self._own):
                return
            if value not in self._spelled:
                self._spelled[value] = _spellings(value)
            if holder:
                self._held[value] = self._held.get(value, frozenset()) | {held}
            else:
                self._own |= {value}
            self._ordered, self._views = None, {}

    def forget(self, value: str, *, holder: str = "") -> None:
        """The holder no longer needs a value to be hidden; it is looked for until the last holder says so."""
        with self._lock:
            left = frozenset(held for held in self._held.pop(value, ()) if held.holder != holder)
            if left:
                self._held[value] = left
            if not holder:
                self._own -= {value}
            if value not in self._own and not left:
                self._spelled.pop(value, None)
            self._ordered, self._views = None, {}

    def clean(self, text: str) -> str:
        """The same text with every value of the operator's own and every credential-like part replaced."""
        return without_shapes(self.without_values(text))

    def without_values(self, text: str) -> str:
        """The same text with the operator's own values replaced: for whoever cleans it of something else afterwards,
        because a shape that is replaced may be a part of a value, whose rest would then not be recognised."""
        return _without(text, self._own_spellings())

    def clean_outside(self, text: str, *, holder: str | None = None, group: str | None = None) -> str:
        """The same for text that somebody else wrote: without the values of one holder either, or of all of a group;
        of all there are if neither is given."""
        return without_shapes(_without(text, self._view(holder, group)))

    def outside(self, group: str) -> Callable[[str], str]:
        """`clean_outside` for all text that comes in for a group."""
        return lambda text: self.clean_outside(text, group=group)

    def _own_spellings(self) -> tuple[str, ...]:
        ordered = self._ordered
        if ordered is None:
            with self._lock:
                ordered = self._ordered = self._spellings_of(self._own)
        return ordered

    def _view(self, holder: str | None, group: str | None) -> tuple[str, ...]:
        with self._lock:
            known = self._views.get((holder, group))
            if known is None:
                held = {value for value, holders in self._held.items() if _any_of(holders, holder, group)}
                known = self._views[holder, group] = self._spellings_of(self._own | held)
            return known

    def _spellings_of(self, values: Iterable[str]) -> tuple[str, ...]:
        """Longest first: a short value inside a long one would otherwise leave the rest of the long one readable."""
        every = {spelling for value in values for spelling in self._spelled[value]}
        return tuple(sorted(every, key=lambda spelling: (-len(spelling), spelling)))


def _any_of(holders: Iterable[Held], holder: str | None, group: str | None) -> bool:
    return any(holder in {None, each.holder} and group in {None, each.group} for each in holders)


def _without(text: str, spellings: Iterable[str]) -> str:
    for spelling in spellings:
        if spelling in text:
            text = text.replace(spelling, MASK)
    return text


def without_shapes(text: str) -> str:
    """The text with everything that looks like a credential replaced, whoever's it is."""
    for pattern, replacement in _SHAPES:
        text = pattern.sub(replacement, text)
    return text


def _spellings(value: str) -> tuple[str, ...]:
    raw = value.encode(errors="replace")
    return tuple(
        {
            value,
            json.dumps(value)[1:-1],
            json.dumps(value, ensure_ascii=False)[1:-1],
            repr(value)[1:-1],
            quote(value, safe="", errors="replace"),
            *_base64_spellings(raw),
        }
    )


def _base64_spellings(raw: bytes) -> Iterable[str]:
    """The value alone, and what shows of it wherever it stands in a longer text that was encoded as a whole."""
    alone = base64.b64encode(raw).decode()
    yield from (alone, alone.rstrip("="))
    for before, start in enumerate((0, 2, 3)):
        encoded = base64.b64encode(bytes(before) + raw).decode()
        inner = encoded[start : (before + len(raw)) * 8 // 6]
        yield from (inner, inner.replace("+", "-").replace("/", "_"))
