"""Faults on request: rules that say which requests are treated badly, how, and how often.

At most one disruptive rule strikes a request (the oldest that fits); rules that only colour an answer (lag, date,
stall, unknown status) strike together with it.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from dispersed_simulator.wire import JsonObject, JsonValue

READ_PATHS = r"^/v1/(jobs|job-runs)(/[^/]+)?$"
CANCEL_PATHS = r"^/v1/jobs/[^/]+/cancel$"
JOBS_PATH = r"^/v1/jobs$"

# kind → (default method, default path, meaning)
KINDS: dict[str, tuple[str | None, str, str]] = {
    "drop_before_commit": (None, r"^/v1/", "The connection closes; nothing happened, the nonce is unused."),
    "drop_after_commit": (None, r"^/v1/", "The request is carried out; the connection closes without a byte."),
    "drop_after_first_byte": (None, r"^/v1/", "Carried out; the connection closes after `bytes` (1) bytes."),
    "delayed_commit": ("POST", JOBS_PATH, ("Carried out `seconds` (60) simulated seconds later; the answer is lost. "
                       "`answer`: drop, or a status such as 504. `verify_at`: receipt or delivery.")),
    "duplicate_delivery": (None, r"^/v1/", ("The same signed request arrives twice; the second answer is returned, "
                           "with `answer`: first the first one.")),
    "listing_lag": ("GET", JOBS_PATH, "Jobs younger than `seconds` (30) are missing in lists; on POST the new job is."),
    "not_found_burst": ("GET", READ_PATHS, "404 for something that exists."),
    "rate_limit": (None, r"^/v1/", "429; `retry_after` seconds in the header if given. `commit`: carried out."),
    "server_error": (None, r"^/v1/", "`status` (500, 502, 503) with an HTML page. `commit`: carried out all the same."),
    "unauthorized": (None, r"^/v1/", "401 with a JSON body. `commit`: carried out all the same."),
    "forbidden": (None, r"^/v1/", "403 with a JSON body. `commit`: carried out all the same."),
    "malformed": (None, r"^/v1/", ("Carried out (unless `commit` is false); 2xx with a wrong body. `shape`: garbage, "
                  "empty, truncated, text, list, null, wrong_types.")),
    "cancel_lost": ("PUT", CANCEL_PATHS, "200, but nothing happens."),
    "cancel_slow": ("PUT", CANCEL_PATHS, "The job stays CANCELLING for `seconds` (60)."),
    "stall": (None, r"^/v1/", "The answer is held for `seconds` real seconds, or until the rule is released."),
    "unknown_status": ("GET", READ_PATHS, "Rows show the status `status` (MIGRATING)."),
    "date_skew": (None, r"^/v1/", "Date header off by `seconds`, or `omit`, or `text`; `age` adds an Age header."),
}  # fmt: skip
COLOURING = frozenset({"listing_lag", "stall", "unknown_status", "date_skew"})
MALFORMED_SHAPES = ("garbage", "empty", "truncated", "text", "list", "null", "wrong_types")


@dataclass(slots=True)
class FaultRule:
    """One rule. times None means without end."""

    id: str
    kind: str
    method: str | None
    path: str
    times: int | None = 1
    api_key: str | None = None
    probability: float = 1.0
    params: JsonObject = field(default_factory=dict)
    hits: int = 0

    def fits(self, method: str, path: str, api_key: str | None) -> bool:
        """True if the rule concerns such a request and is not used up."""
        return (
            (self.times is None or self.hits < self.times)
            and self.method in {None, method}
            and self.api_key in {None, api_key}
            and re.search(self.path, path) is not None
        )

    def number(self, name: str, default: float) -> float:
        """A numeric parameter."""
        value = self.params.get(name, default)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A yes-or-no parameter."""
        value = self.params.get(name, default)
        return value if isinstance(value, bool) else default

    def as_json(self) -> JsonObject:
        """The rule with its hits."""
        return {
            "id": self.id, "kind": self.kind, "method": self.method, "path": self.path, "times": self.times,
            "api_key": self.api_key, "probability": self.probability, "params": self.params, "hits": self.hits,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Strike:
    """The rules that concern one request: at most one disruptive, and at most one of each colouring kind."""

    disruptive: FaultRule | None
    colouring: dict[str, FaultRule]

    @property
    def text(self) -> str | None:
        """The kinds for the request log."""
        kinds = [*([self.disruptive.kind] if self.disruptive else []), *self.colouring]
        return "+".join(kinds) or None


NO_STRIKE = Strike(None, {})


class FaultRules:
    """The rules in force, oldest first."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._rules: dict[str, FaultRule] = {}
        self._last = 0

    def add(
        self,
        kind: str,
        *,
        method: str | None = None,
        path: str | None = None,
        times: int | None = 1,
        api_key: str | None = None,
        probability: float = 1.0,
        params: JsonObject | None = None,
    ) -> FaultRule:
        """Put a rule into force. Raises ValueError for an unknown kind, a bad pattern or a bad number."""
        if kind not in KINDS:
            raise ValueError(f"there is no fault {kind!r}; known are {', '.join(sorted(KINDS))}")
        default_method, default_path, _ = KINDS[kind]
        pattern = default_path if path is None else path
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"path is not a regular expression: {error}") from None
        if not 0 < probability <= 1 or (times is not None and times < 1):
            raise ValueError("probability is above 0 and at most 1; times is at least 1, or null for no end")
        if kind == "malformed" and (params or {}).get("shape", "garbage") not in MALFORMED_SHAPES:
            raise ValueError(f"shape is one of {', '.join(MALFORMED_SHAPES)}")
        self._last += 1
        rule = FaultRule(
            id=f"fault-{self._last}", kind=kind, method=(method or default_method), path=pattern, times=times,
            api_key=api_key, probability=probability, params=params or {},
        )  # fmt: skip
        self._rules[rule.id] = rule
        return rule

    def strike(self, method: str, path: str, api_key: str | None) -> Strike:
        """Which rules hit this request; each of them counts a hit."""
        disruptive: FaultRule | None = None
        colouring: dict[str, FaultRule] = {}
        for rule in self._rules.values():
            taken = rule.kind in colouring if rule.kind in COLOURING else disruptive is not None
            if taken or not rule.fits(method, path, api_key):
                continue
            if rule.probability < 1 and self._rng.random() >= rule.probability:
                continue
            rule.hits += 1
            if rule.kind in COLOURING:
                colouring[rule.kind] = rule
            else:
                disruptive = rule
        return Strike(disruptive, colouring) if disruptive or colouring else NO_STRIKE

    def remove(self, rule_id: str) -> None:
        """Take a rule out of force. Raises KeyError."""
        del self._rules[rule_id]

    def clear(self) -> None:
        """Take all rules out of force."""
        self._rules.clear()

    def all(self) -> list[FaultRule]:
        """The rules in force, used-up ones included."""
        return list(self._rules.values())

    def restore(self, rows: list[JsonValue]) -> None:
        """Put saved rules back, with their hits."""
        for row in rows:
            if isinstance(row, dict):
                values = dict(row)
                rule = FaultRule(**values)  # type: ignore[arg-type]  # written by as_json
                self._rules[rule.id] = rule
                self._last = max(self._last, int(rule.id.removeprefix("fault-")))
