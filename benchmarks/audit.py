"""The API server's audit log, read while it grows: who wrote what, and when it was written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

WRITES = frozenset({"create", "update", "patch", "delete"})


@dataclass(frozen=True, slots=True)
class Request:
    """An answered request. `at` is the moment of the answer in seconds since the epoch; `resource` is with its
    subresource, as in dispersedjobs/status; `body` is what was sent where bodies are logged."""

    at: float
    user: str
    verb: str
    resource: str
    name: str
    code: int
    body: Any = None

    @property
    def kind(self) -> str:
        """The resource without its subresource."""
        return self.resource.partition("/")[0]


class AuditTail:
    """Each request once, in the order of the log. Goes on over a rotation of the file. `close` it in the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._rest = ""

    def read(self) -> list[Request]:
        """What was logged since the last call."""
        found = list(parse_lines(self._lines()))
        if self._rotated():
            found += parse_lines(self._lines())  # what was written between the read and the rotation
            self.close()
            found += parse_lines(self._lines())
        return found

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _rotated(self) -> bool:
        """Whether another file has taken the place of the one that is read."""
        if self._file is None or not self._path.exists():
            return False
        return os.fstat(self._file.fileno()).st_ino != self._path.stat().st_ino

    def _lines(self) -> Iterator[str]:
        if self._file is None:
            if not self._path.exists():
                return
            self._file = self._path.open(encoding="utf-8")
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        yield from lines


def parse_lines(lines: Iterable[str]) -> Iterator[Request]:
    """The requests for objects among the lines. A watch counts when it begins, everything else when it has ended."""
    for line in lines:
        event = json.loads(line)
        asked = event.get("objectRef")
        if asked is None or (event["stage"] != "ResponseComplete" and event["verb"] != "watch"):
            continue
        yield Request(
            at=datetime.fromisoformat(event["stageTimestamp"]).timestamp(),
            user=event["user"]["username"],
            verb=event["verb"],
            resource="/".join(filter(None, (asked["resource"], asked.get("subresource")))),
            name=asked.get("name", ""),
            code=(event.get("responseStatus") or {}).get("code", 0),
            body=event.get("requestObject"),
        )


def writes(requests: Iterable[Request], *, user: str, kind: str = "dispersedjobs") -> list[Request]:
    """What a user wrote to objects of a kind, refused writes left out."""
    return [
        request
        for request in requests
        if request.user == user and request.kind == kind and request.verb in WRITES and request.code < 300
    ]


def first_write(requests: Iterable[Request], after: dict[str, float]) -> dict[str, float]:
    """The moment of the first write to each object after the moment that is given for it."""
    found: dict[str, float] = {}
    for request in requests:
        if request.name in after and request.name not in found and request.at >= after[request.name]:
            found[request.name] = request.at
    return found
