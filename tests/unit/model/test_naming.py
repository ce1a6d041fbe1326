"""The wire format, frozen: what is written into remote jobs and onto resources must be read by every later release.

A failure here does not mean that the vectors are out of date. It means that running jobs would lose their owner.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispersed_operator.model import naming
from dispersed_operator.model.naming import Identity
from tests.support.builders import IDENTITY, SIGNED

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "naming_vectors.json").read_text())
ALPHABET = string.digits + string.ascii_lowercase
USER_TITLE = "Train the model"
TITLE = naming.remote_title(IDENTITY, attempt=1, signed_at=SIGNED, expiry=SIGNED + 4800, user_title=USER_TITLE)
MACHINE_LENGTH = 50
TIMES = range(MACHINE_LENGTH - 15, MACHINE_LENGTH - 3)

names = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=30)
identities = st.builds(Identity, names, names, names, st.uuids().map(str))
attempts = st.integers(1, naming.MAX_ATTEMPT)
times = st.integers(0, naming.MAX_TIME)
ascii_lines = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)


# --- golden vectors ---


@pytest.mark.parametrize("name", VECTORS["constants"])
def test_finalizers_annotations_and_the_variable_keep_their_names(name: str) -> None:
    assert getattr(naming, name) == VECTORS["constants"][name]


@pytest.mark.parametrize("vector", VECTORS["identities"], ids=lambda vector: str(vector["what"]))
def test_tokens_and_marks_are_those_of_the_first_release(vector: dict[str, Any]) -> None:
    identity = Identity(**vector["identity"])
    assert naming.cluster_mark(identity.cluster_id) == vector["cluster_mark"]
    assert naming.uid_mark(identity.uid) == vector["uid_mark"]
    assert {number: naming.create_token(identity, int(number)) for number in vector["tokens"]} == vector["tokens"]


@pytest.mark.parametrize("vector", VECTORS["titles"], ids=lambda vector: str(vector["what"]))
def test_titles_are_those_of_the_first_release(vector: dict[str, Any]) -> None:
    identity = Identity(**vector["identity"])
    numbers = {name: vector[name] for name in ("attempt", "signed_at", "expiry")}
    assert naming.remote_title(identity, **numbers, user_title=vector["user_title"]) == vector["title"]
    parsed = naming.title_belongs_to(vector["title"], identity)
    assert parsed is not None
    assert {"attempt": parsed.attempt, "signed_at": parsed.signed_at, "expiry": parsed.expiry} == numbers


@pytest.mark.parametrize("vector", VECTORS["descriptions"], ids=lambda vector: str(len(vector["text"])))
def test_descriptions_are_those_of_the_first_release(vector: dict[str, str]) -> None:
    words = {name: vector[name] for name in ("token", "digest", "title", "description")}
    assert naming.remote_description(**words) == vector["text"]
    assert naming.parse_description(vector["text"]) == (vector["token"], vector["digest"])


# --- what a title proves ---

STRANGERS = [
    pytest.param(replace(IDENTITY, cluster_id="another"), id="cluster"),
    pytest.param(replace(IDENTITY, namespace="team-b"), id="namespace"),
    pytest.param(replace(IDENTITY, name="train-2"), id="name"),
    pytest.param(replace(IDENTITY, uid="7d1e9a40-0000-4c1a-8a55-2d1f4e6a9c03"), id="uid"),
    pytest.param(replace(IDENTITY, uid=IDENTITY.uid[:9] + "ffff" + IDENTITY.uid[13:]), id="uid with the same mark"),
    pytest.param(replace(IDENTITY, namespace="team", name="a/train"), id="slash moved"),
]


@pytest.mark.parametrize("identity", STRANGERS)
def test_a_title_of_another_owner_does_not_verify(identity: Identity) -> None:
    assert naming.title_belongs_to(TITLE, identity) is None


def test_a_title_with_another_attempt_than_its_token_does_not_verify() -> None:
    second = naming.remote_title(IDENTITY, attempt=2, signed_at=SIGNED, expiry=SIGNED + 4800, user_title=USER_TITLE)
    forged = _resealed(TITLE[:20] + second[20:22] + TITLE[22:])
    assert naming.parse_title(forged) is not None
    assert naming.title_belongs_to(forged, IDENTITY) is None


@pytest.mark.failure_mode(52)
@pytest.mark.parametrize("place", [4, 11], ids=["cluster mark", "uid mark"])
def test_our_token_under_the_marks_of_another_owner_does_not_verify(place: int) -> None:
    forged = _resealed(TITLE[:place] + ("b" if TITLE[place] != "b" else "c") + TITLE[place + 1 :])
    assert naming.parse_title(forged) is not None
    assert naming.title_belongs_to(forged, IDENTITY) is None


@pytest.mark.failure_mode(63)
@pytest.mark.parametrize("length", range(MACHINE_LENGTH))
def test_a_title_cut_inside_the_machine_part_is_not_ours(length: int) -> None:
    assert naming.parse_title(TITLE[:length]) is None


@pytest.mark.failure_mode(41)
@pytest.mark.parametrize("length", range(MACHINE_LENGTH + 2, len(TITLE) + 1))
def test_a_title_cut_inside_the_users_words_still_verifies(length: int) -> None:
    parsed = naming.title_belongs_to(TITLE[:length], IDENTITY)
    assert parsed is not None
    assert (parsed.signed_at, parsed.expiry) == (SIGNED, SIGNED + 4800)


def test_no_single_changed_character_outside_the_times_verifies() -> None:
    for index, changed in _single_changes(range(MACHINE_LENGTH)):
        if index not in TIMES:
            assert naming.title_belongs_to(changed, IDENTITY) is None, changed


@pytest.mark.failure_mode(63)
def test_two_check_characters_catch_nearly_every_changed_digit_of_the_times() -> None:
    """They are a hash of 1296 values: one change in 1296 passes by chance, and only in the two times, which no token
    covers."""
    changes = [changed for _, changed in _single_changes(TIMES)]
    passed = [changed for changed in changes if naming.title_belongs_to(changed, IDENTITY) is not None]
    assert len(changes) == 12 * 35
    assert len(passed) <= 2


@pytest.mark.parametrize(
    "title",
    ["", "Train the model", TITLE.upper(), " " + TITLE, TITLE.replace(" ", "_"), TITLE + "\n", "kd2" + TITLE[3:]],
)
def test_a_title_in_another_form_is_not_ours(title: str) -> None:
    assert naming.parse_title(title) is None


@pytest.mark.parametrize(
    "text", ["", "kd1", "Train the model", f"kd1 {'a' * 11} {'0' * 64}", f"kd1 {'a' * 12} {'0' * 65}", "x kd1"]
)
def test_a_description_that_we_did_not_write_says_nothing(text: str) -> None:
    assert naming.parse_description(text) is None


# --- limits ---


@pytest.mark.parametrize(
    "numbers",
    [
        {"attempt": naming.MAX_ATTEMPT + 1, "signed_at": SIGNED, "expiry": 0},
        {"attempt": -1, "signed_at": SIGNED, "expiry": 0},
        {"attempt": 1, "signed_at": naming.MAX_TIME + 1, "expiry": 0},
        {"attempt": 1, "signed_at": SIGNED, "expiry": naming.MAX_TIME + 1},
    ],
)
def test_a_number_that_does_not_fit_its_width_is_refused_instead_of_shifting_the_rest(numbers: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        naming.remote_title(IDENTITY, **numbers, user_title="x")


def test_the_six_digits_of_a_time_last_until_2038() -> None:
    assert naming.MAX_TIME == 2_176_782_335
    assert naming.MAX_ATTEMPT == 1295


# --- properties ---


@given(identities, attempts, times, times, ascii_lines)
def test_every_title_fits_64_ascii_characters_and_verifies(
    identity: Identity, attempt: int, signed_at: int, expiry: int, words: str
) -> None:
    title = naming.remote_title(identity, attempt=attempt, signed_at=signed_at, expiry=expiry, user_title=words)
    assert title.isascii()
    assert len(title) <= naming.TITLE_LIMIT
    parsed = naming.title_belongs_to(title, identity)
    assert parsed is not None
    assert (parsed.attempt, parsed.signed_at, parsed.expiry) == (attempt, signed_at, expiry)
    assert parsed.user_title == words[: naming.USER_TITLE_SHOWN].rstrip()


@given(identities, identities, attempts)
def test_two_owners_never_share_a_token(one: Identity, other: Identity, attempt: int) -> None:
    assert (naming.create_token(one, attempt) == naming.create_token(other, attempt)) == (one == other)


@given(identities, attempts, ascii_lines, ascii_lines)
def test_every_description_gives_token_and_digest_back(
    identity: Identity, attempt: int, title: str, description: str
) -> None:
    token, digest = naming.create_token(identity, attempt), "0123456789abcdef" * 4
    text = naming.remote_description(token=token, digest=digest, title=title, description=description)
    assert naming.parse_description(text) == (token, digest)


@given(st.text(max_size=120))
def test_reading_a_strangers_title_or_description_never_fails(text: str) -> None:
    naming.parse_title(text)
    naming.parse_description(text)


def _single_changes(places: range) -> Iterator[tuple[int, str]]:
    for index in places:
        for character in ALPHABET:
            if character != TITLE[index]:
                yield index, TITLE[:index] + character + TITLE[index + 1 :]


def _resealed(title: str) -> str:
    """The title with check characters that fit, as a forger who knows the format would write it."""
    for first in ALPHABET:
        for second in ALPHABET:
            sealed = title[: MACHINE_LENGTH - 2] + first + second + title[MACHINE_LENGTH:]
            if naming.parse_title(sealed) is not None:
                return sealed
    raise AssertionError("no check characters fit")
