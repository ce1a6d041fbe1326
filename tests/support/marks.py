"""Marked secrets: a text of its own for every input, and the search for it in everything that was written.

A mark holds letters and digits only, so that it reads the same in a URL or a JSON text; a value that is planted may
have anything around it. Invariant: a mark that stands in a text in any of `spellings` is found.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

LENGTH = 14


@dataclass(frozen=True, slots=True)
class Leak:
    """A mark where none may be. It says which input it was planted in, and how it was spelled."""

    place: str
    planted_in: str
    spelled: str


def mark_of(planted_in: str) -> str:
    """The mark of an input: always the same, and no part of the mark of another input."""
    return f"Zq{hashlib.sha256(planted_in.encode()).hexdigest()[: LENGTH - 2]}"


def spellings(mark: str) -> dict[str, str]:
    """How a mark may be spelled, by name. Of base64, what shows of it at each of the three places where it may begin,
    whatever stands before and after it."""
    raw = mark.encode()
    found = {
        "plain": mark,
        "lower case": mark.lower(),
        "upper case": mark.upper(),
        "backwards": mark[::-1],
        "hexadecimal": raw.hex(),
        "percent": "".join(f"%{byte:02X}" for byte in raw),
        "percent in lower case": "".join(f"%{byte:02x}" for byte in raw),
        "escapes of JSON": "".join(f"\\u{byte:04x}" for byte in raw),
        "list of bytes": json.dumps(list(raw))[1:-1],
    }
    for before, start in enumerate((0, 2, 3)):
        encoded = base64.b64encode(bytes(before) + raw + bytes(2)).decode()
        found[f"base64 at {before}"] = encoded[start : (before + len(raw)) * 8 // 6]
        found[f"base64 for URLs at {before}"] = found[f"base64 at {before}"].replace("+", "-").replace("/", "_")
    return found


def find_leaks(places: Mapping[str, str], marks: Mapping[str, str]) -> list[Leak]:
    """Every mark (input → mark) in every text (place → text), in any spelling."""
    return [
        Leak(place, planted_in, spelled)
        for planted_in, mark in marks.items()
        for spelled, text in spellings(mark).items()
        for place, written in places.items()
        if text in written
    ]
