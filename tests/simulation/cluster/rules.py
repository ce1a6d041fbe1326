"""The rules in CEL that the CRDs carry, for the part of the language that they use.

CEL and Python agree on so much that a rule becomes a Python expression by replacing its tokens. A token that this
module does not know is an error when the CRDs are loaded, never a rule that silently holds.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.simulation.cluster.failures import Json, cause

_TOKEN = re.compile(
    r"""(?P<text>r?'[^']*')
    |has\((?P<has>\w+(?:\.\w+)+)\)
    |(?P<macro>\w+(?:\.\w+)*)\.(?P<quantor>all|exists_one)\((?P<variable>\w+),
    |(?P<subject>\w+(?:\.\w+)*)\.(?P<method>matches|contains)\(
    |(?P<function>size|isCIDR)\(
    |(?P<word>(?:in|true|false)\b)
    |(?P<path>[A-Za-z]\w*(?:\.\w+)*)
    |(?P<plain>\d+|!=|==|<=|>=|&&|\|\||[!<>()\[\],]|\s+)""",
    re.VERBOSE,
)
_PLAIN: Mapping[str, str] = {"&&": " and ", "||": " or ", "!": " not ", "true": " True ", "false": " False "}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of one node of a schema. A transition compares with the old value, so a new object can not break it."""

    field: str
    reason: str
    transition: bool
    holds: Callable[[Any, Any], bool]

    def fault(self, value: Any, old: Any, path: str) -> Json | None:
        """The cause of an `invalid` if the rule is broken. A field that a rule reads and that is absent breaks it."""
        if self.transition and old is None:
            return None
        try:
            if self.holds(value, old):
                return None
        except KeyError:
            pass
        return cause(path + self.field, self.reason, "a rule of the kind forbids this")


def rules_of(node: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules of one node of a CRD's schema."""
    sources: Sequence[Mapping[str, Any]] = node.get("x-kubernetes-validations") or ()
    return tuple(
        rule(
            source["rule"],
            source.get("fieldPath", ""),
            source.get("reason", "").removeprefix("FieldValue") or "Invalid",
        )
        for source in sources
    )


def rule(text: str, field: str = "", reason: str = "Invalid") -> Rule:
    """A rule from its text in CEL. Raises `ValueError` for what this module does not know."""
    code = compile(f"lambda self, oldSelf: {_translated(text)}", "<rule>", "eval")
    return Rule(field, reason, "oldSelf" in text, eval(code, dict(_FUNCTIONS)))  # noqa: S307 - the text is our own CRD's


def _translated(text: str) -> str:
    parts, position = [], 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"a rule uses what the simulation does not know: {text[position:]!r}")
        parts.append(_python(token.groupdict()))
        position = token.end()
    return "".join(parts)


def _python(token: Mapping[str, str | None]) -> str:
    if token["has"]:
        root, *names = token["has"].split(".")
        return f"has_({root}, {names!r})"
    if token["macro"]:
        return f"{token['quantor']}_({_value(token['macro'])}, lambda {token['variable']}:"
    if token["subject"]:
        return f"{token['method']}_({_value(token['subject'])}, "
    if token["function"]:
        return f"{token['function']}_("
    if token["path"]:
        return _value(token["path"])
    plain = token["text"] or token["word"] or token["plain"] or ""
    return _PLAIN.get(plain, plain)


def _value(path: str) -> str:
    root, *names = path.split(".")
    return root + "".join(f"[{name!r}]" for name in names)


def _has(root: Any, names: Sequence[str]) -> bool:
    for name in names:
        if name not in root:
            return False
        root = root[name]
    return True


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "has_": _has,
    "size_": len,
    "isCIDR_": _is_cidr,
    "matches_": lambda text, pattern: re.search(pattern, text) is not None,
    "contains_": lambda text, part: part in text,
    "all_": lambda items, condition: all(map(condition, items)),
    "exists_one_": lambda items, condition: sum(map(bool, map(condition, items))) == 1,
}
