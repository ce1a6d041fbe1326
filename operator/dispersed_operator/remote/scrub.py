"""Text from outside made fit for a condition, an event or a log line.

Why it exists: the service may quote what it was sent, and what it was sent holds env values, registry passwords and
ssh keys. What is secret and how it may be spelled is known to `model/redaction.py`; here that is asked, and what it
does not do is added: a quotation that the service has cut, and the bounds of a line. Invariant: whatever leaves
`Scrubber.clean` holds no eight characters in a row of a secret that was sent, no whole shorter one (of fewer than four:
as a word of its own), nothing that looks like a key or a signature, no control character, and at most 300 characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from dispersed_operator.model.redaction import MASK, Redactor, without_shapes

LIMIT = 300
_WINDOW = 8
_WORD = 4  # a shorter secret is removed only as a word of its own: "1" would shred every message
_SECRET_FIELDS = frozenset({"env", "sshkey", "user", "secret", "password", "token"})
_PATTERNS = re.compile(
    r"\bsk_[A-Za-z0-9_\-]+"
    r"|\b[0-9a-fA-F]{64}\b"
    r"|\b(?:ssh-[a-z0-9]+|ecdsa-sha2-[a-z0-9-]+) [A-Za-z0-9+/=]+"
    r"|\bBearer [A-Za-z0-9._~+/=-]+"
)


class Scrubber:
    """Removes the given secrets, and all that looks like one, from text. `outside` hides what else is known."""

    def __init__(self, secrets: Iterable[str] = (), *, outside: Callable[[str], str] = without_shapes) -> None:
        self._short: set[str] = set()
        self._grams: set[str] = set()
        self._outside = outside
        self._redactor = Redactor()
        for secret in secrets:
            self._redactor.register(secret)
            for spelling in {secret, _escaped(secret)}:
                if len(spelling) < _WINDOW:
                    self._short.add(spelling)
                else:
                    self._grams.update(spelling[i : i + _WINDOW] for i in range(len(spelling) - _WINDOW + 1))
        self._short.discard("")

    def clean(self, text: str, *, limit: int = LIMIT) -> str:
        """One line of at most `limit` characters without secrets."""
        known = self._outside(self._redactor.without_values(text[: 20 * limit]))  # first, while each secret is whole
        safe = _PATTERNS.sub(MASK, self._without_long(known))
        for secret in sorted(self._short, key=len, reverse=True):
            bounded = rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])"
            safe = re.sub(bounded if len(secret) < _WORD else re.escape(secret), MASK, safe)
        line = " ".join("".join(c if c.isprintable() else " " for c in safe).split())
        return line if len(line) <= limit else line[: limit - 1] + "…"

    def _without_long(self, text: str) -> str:
        hidden = [False] * len(text)
        for start in range(len(text) - _WINDOW + 1):
            if text[start : start + _WINDOW] in self._grams:
                hidden[start : start + _WINDOW] = [True] * _WINDOW
        pieces: list[str] = []
        for index, char in enumerate(text):
            if not hidden[index]:
                pieces.append(char)
            elif index == 0 or not hidden[index - 1]:
                pieces.append(MASK)
        return "".join(pieces)


def secrets_of(body: object) -> Iterator[str]:
    """Every text below an env, sshkey, user, secret, password or token of a request body, at any depth."""
    if isinstance(body, dict):
        for key, value in body.items():
            yield from _texts(value) if key in _SECRET_FIELDS else secrets_of(value)
    elif isinstance(body, list):
        for item in body:
            yield from secrets_of(item)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _escaped(secret: str) -> str:
    """The secret as it reads inside a JSON text that the service quotes."""
    return secret.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
