"""The search for marked secrets can fail: it finds a mark in every spelling, in any place, and nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.support.marks import Leak, find_leaks, mark_of, spellings

MARK = mark_of("env")
MARKS = {"env": MARK, "other": mark_of("other")}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "spell",
    [
        lambda mark: f"value {mark} refused",
        lambda mark: json.dumps({"env": {"TOKEN": f'"{mark}"\n'}}),
        lambda mark: quote(f"p@ss/{mark}+word", safe=""),
        lambda mark: "".join(f"%{byte:02x}" for byte in mark.encode()),
        lambda mark: mark.encode().hex(),
        lambda mark: mark.upper(),
        encoded,
        lambda mark: encoded(mark).rstrip("="),
        lambda mark: encoded(f"a{mark}"),
        lambda mark: encoded(f"ab{mark}-and-more"),
        lambda mark: encoded(f"user:pre-{mark}"),
        lambda mark: base64.urlsafe_b64encode(f"??{mark}>>".encode()).decode(),
        lambda mark: repr(f"{mark}\n".encode()),
    ],
)
def test_a_mark_is_found_however_it_is_spelled(spell: Callable[[str], str]) -> None:
    places = {"status": "nothing here", "log": f"before\n{spell(MARK)}\nafter"}
    assert {(leak.place, leak.planted_in) for leak in find_leaks(places, MARKS)} == {("log", "env")}


@pytest.mark.parametrize("spelled", list(spellings(MARK)))
def test_every_spelling_is_searched_for_in_every_place(spelled: str) -> None:
    text = spellings(MARK)[spelled]
    found = find_leaks({"one": text, "two": f"x{text}y"}, MARKS)
    assert {Leak("one", "env", spelled), Leak("two", "env", spelled)} <= set(found)


@pytest.mark.parametrize("text", ["", "***", MARK[:-1], encoded(MARK[:-2]), mark_of("a third")])
def test_a_text_without_a_whole_mark_is_clean(text: str) -> None:
    assert find_leaks({"log": text}, MARKS) == []
