"""Lenient readers of single fields, shared by the payload models (API reference §3.2, §6).

Why it exists: the service's types are partly unknown, so a field that makes no sense is read as absent and never
fails its row; the two that a row cannot do without (uuid and status) are checked in `payloads.py`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from dispersed_operator.model.remote import NodeURL

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}.*")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,253}")
_WORD = re.compile(r"[A-Za-z0-9+._-]{1,32}")
_LABEL = re.compile(r"[A-Za-z0-9+._/: -]{1,64}")
SSH_PORT = 22
_LOG_KEYS = ("message", "line", "text", "log", "content")
_EPOCH_MS_FLOOR = 10**11  # as seconds this is the year 5138, as milliseconds 1973


class Moment(NamedTuple):
    """A moment in UTC, and whether the service sent a date without a time (the value is then the start of that day)."""

    at: datetime
    is_date: bool


def moment(value: object) -> Moment | None:
    """A date, an RFC 3339 date-time (UTC if it names no zone), or an epoch in seconds or milliseconds; else None."""
    try:
        if isinstance(value, str):
            return _moment_of_text(value.strip())
        number = integer(value)
        if not number or number < 0:
            return None
        seconds, rest = divmod(number, 1000) if number >= _EPOCH_MS_FLOOR else (number, 0)
        return Moment(datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000), is_date=False)
    except (ValueError, OverflowError, OSError):
        return None


def _moment_of_text(text: str) -> Moment | None:
    if _DATE.fullmatch(text):
        return Moment(datetime.fromisoformat(text).replace(tzinfo=UTC), is_date=True)
    if _DATE_TIME.fullmatch(text):
        at = datetime.fromisoformat(text.upper())
        return Moment((at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC), is_date=False)
    return moment(int(text)) if text.isdecimal() and len(text) >= 10 else None


def integer(value: object) -> int | None:
    """A whole number that came as a number or as text; a fraction is cut off. Else None."""
    number = decimal(value)
    return None if number is None or abs(number) > 2**63 else int(number)


def decimal(value: object) -> Decimal | None:
    """A finite number that came as a number or as text, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def flag(value: object) -> bool:
    """A truth value that may have come as text; absent is false (API reference §6.3, `tls`)."""
    return value is True or (isinstance(value, str) and value.strip().lower() == "true") or value == 1


def text(value: object) -> str:
    """The text, or an empty one for everything that is not text."""
    return value if isinstance(value, str) else ""


def tokens(value: object) -> tuple[str, ...]:
    """Access tokens that came as texts, or as objects with `token`, or as one of these (API reference §6.3)."""
    found: list[str] = []
    for item in value if isinstance(value, list) else [value]:
        token = item.get("token") if isinstance(item, dict) else item
        if isinstance(token, str) and token and token not in found:
            found.append(token)
    return tuple(found)


def node_urls(value: object) -> tuple[NodeURL, ...]:
    """The published ports that can be used; an entry without a sane host and port is left out."""
    entries = [_node_url(item) for item in value] if isinstance(value, list) else []
    return tuple(entry for entry in entries if entry is not None)


def _node_url(value: object) -> NodeURL | None:
    if not isinstance(value, dict):
        return None
    host, port = text(value.get("hostname")).strip(), integer(value.get("port"))
    description = _port_name(value.get("description"))
    if not _HOST.fullmatch(host) or port is None or not 1 <= port <= 65535:
        return None
    protocol = text(value.get("protocol")).strip().lower() or "tcp"
    if not _WORD.fullmatch(protocol) or (description and not _LABEL.fullmatch(description)):
        return None
    return NodeURL(description=description, hostname=host, port=port, protocol=protocol, tls=flag(value.get("tls")))


def _port_name(value: object) -> str:
    """``ssh``, or the container port as text, whether it came as text, as a number or as ``8000/tcp``."""
    name = value.strip() if isinstance(value, str) else str(integer(value) or "")
    port = name.lower().removesuffix("/tcp").removesuffix("/udp")
    if port.isdecimal():
        return "ssh" if int(port) == SSH_PORT else str(int(port))
    return "ssh" if port == "ssh" else name


def log_text(value: object) -> str | None:
    """Container output as one text, whether it came as text, as lines or as objects (API reference §6.2)."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(_log_line(item).rstrip("\n") for item in value)
    if isinstance(value, dict):
        lines = value.get("lines")
        return log_text(lines) if isinstance(lines, list | str) else _log_line(value)
    return str(value)


def _log_line(item: object) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, dict):
        return next((item[key] for key in _LOG_KEYS if isinstance(item.get(key), str)), "")
    return "" if item is None else str(item)
