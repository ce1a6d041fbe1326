"""Validation rules in CEL, as the API server runs them (``x-kubernetes-validations``).

There is no admission webhook, so these rules are all that stands between a typing error and a paid job. Two invariants:
every message says what is wrong and what to do about it, and a rule never reads a field without asking ``has()`` first,
because a rule that fails on an absent field refuses every later write, the removal of a finalizer included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

# What the API server answers: INVALID repeats the value before the message, the others do not (so nothing that may be
# secret is INVALID). FieldValueDuplicate is of no use, because it leaves the message out.
FORBIDDEN = "FieldValueForbidden"
REQUIRED = "FieldValueRequired"
INVALID = "FieldValueInvalid"

TEXT = r"^[\t\n\r -~]*$"  # printable ASCII, tab and line ends: both JSON spellings of it are the same bytes
LINE = r"^[ -~]*$"
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a CEL expression that must be true, and the message for the user when it is not.

    `field_path` names the field to blame, relative to where the rule stands; `reason` is the API server's cause.
    """

    expression: str
    message: str
    reason: str = INVALID
    field_path: str | None = None

    def to_schema(self) -> dict[str, str]:
        """The entry of ``x-kubernetes-validations``."""
        entry = {"rule": self.expression, "message": self.message, "reason": self.reason}
        if self.field_path is not None:
            entry["fieldPath"] = self.field_path
        return entry


def rules(*all_rules: Rule) -> dict[str, Any]:
    """Rules as pydantic's ``json_schema_extra``."""
    return {"x-kubernetes-validations": [rule.to_schema() for rule in all_rules]}


def text(longest: int, *all_rules: Rule, shortest: int = 1, shown: bool = True) -> Any:
    """A string of bounded length with rules. `shown=False` keeps its value out of Python's ``repr``."""
    return Field(min_length=shortest or None, max_length=longest, repr=shown, json_schema_extra=rules(*all_rules))


def matches(pattern: str, message: str, *, reason: str = INVALID) -> Rule:
    """A string must match an RE2 pattern. Unlike the schema's `pattern`, the message can name the remedy."""
    return Rule(f"self.matches(r'{pattern}')", message, reason)


def resource_name(message: str) -> Any:
    """A string that is the name of a Kubernetes object."""
    return text(253, matches(DNS_NAME, message))


def unique(key: str, message: str) -> Rule:
    """No two items of a list of objects have the same value of `key`."""
    return Rule(
        f"self.all(a, !has(a.{key}) || self.exists_one(b, has(b.{key}) && b.{key} == a.{key}))", message, FORBIDDEN
    )


def present(path: str) -> str:
    """An expression that holds if each step of a dotted path exists: for ``self.a.b``, `self.a` and then `self.a.b`."""
    root, *steps = path.split(".")
    prefixes = [".".join([root, *steps[: count + 1]]) for count in range(len(steps))]
    return " && ".join(f"has({prefix})" for prefix in prefixes)


def unchanged(path: str) -> str:
    """An expression that holds if a dotted path is absent on both sides, or present and equal on both.

    A bare ``self.x == oldSelf.x`` would let an optional field be added and removed, and fail where it is absent.
    """
    new, old = f"self.{path}", f"oldSelf.{path}"
    has_new, has_old = f"({present(new)})", f"({present(old)})"
    return f"{has_new} == {has_old} && (!{has_new} || !{has_old} || {new} == {old})"


def immutable(path: str, message: str) -> Rule:
    """A field below `self` that keeps its first value for ever."""
    return Rule(unchanged(path), message, FORBIDDEN, f".{path}")
