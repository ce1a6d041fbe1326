"""JSON values and instants as they travel: one spelling of a time for every module.

The invariant kept here: inside the simulator an instant is an integer of epoch milliseconds; text exists only at the
edge (API reference §3.2).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = "dict[str, JsonValue]"

DAY_MS = 86_400_000
_DATE_ONLY = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_rfc3339(at_ms: int) -> str:
    """Full RFC 3339 text in UTC with milliseconds, such as `2026-01-02T03:04:05.678Z`."""
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def to_date(at_ms: int) -> str:
    """The calendar day in UTC, such as `2026-01-02`."""
    return f"{_EPOCH + timedelta(milliseconds=at_ms):%Y-%m-%d}"


def is_date_only(text: str) -> bool:
    """True if the text names a day and no time of day."""
    return _DATE_ONLY.match(text) is not None


def parse_instant(text: str) -> int:
    """Epoch milliseconds of an RFC 3339 text or of the start of a day. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def seconds_to_ms(seconds: float) -> int:
    """Whole milliseconds, rounded to the nearest."""
    return round(seconds * 1000)
