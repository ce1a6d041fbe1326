"""The create intent: its text is frozen, and what is not exactly an intent is a trace and never an absence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispersed_operator.model import naming
from dispersed_operator.model.intent import AccountMark, Intent, IntentState, Origin, Refusal, parse_intent
from tests.support.builders import ACCOUNT, an_intent

VECTORS: list[dict[str, str]] = json.loads((Path(__file__).parent / "naming_vectors.json").read_text())["intents"]
SAID = 'the service said "no"'

words = st.text(min_size=1, max_size=40)
intents = st.builds(
    Intent,
    token=words,
    attempt=st.integers(0, naming.MAX_ATTEMPT),
    signed_at=st.integers(0, naming.MAX_TIME),
    nonce=words,
    body_sha256=words,
    holder=words,
    account=st.builds(AccountMark, words, words, st.none() | words),
    origin=st.builds(Origin, words, words, words),
    state=st.just(IntentState.REFUSED),
    refusal=st.sampled_from(Refusal),
    message=st.text(max_size=40),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _expected(what: str) -> Intent:
    kind = what.removeprefix("refused: ")
    if kind != what:
        return an_intent(state=IntentState.REFUSED, refusal=Refusal(kind), message=SAID)
    return an_intent(account=replace(ACCOUNT, identity="acc-1")) if "identity" in what else an_intent()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["what"])
def test_the_annotation_is_that_of_the_first_release(vector: dict[str, str]) -> None:
    intent = _expected(vector["what"])
    assert intent.to_annotation() == vector["text"]
    assert parse_intent(vector["text"]) == intent


def test_every_kind_of_refusal_has_a_vector() -> None:
    assert {vector["what"].removeprefix("refused: ") for vector in VECTORS} >= {kind.value for kind in Refusal}


@given(intents)
def test_every_intent_is_read_as_it_was_written(intent: Intent) -> None:
    assert parse_intent(intent.to_annotation()) == intent


@pytest.mark.parametrize(
    ("field", "value", "because"),
    [
        ("version", 2, "another version may mean something else by the same words"),
        ("version", None, "without a version nothing is known of the rest"),
        ("token", "", "an empty token leads to no job"),
        ("token", 7, "a token is text"),
        ("attempt", -1, "attempts are counted from 1"),
        ("attempt", 1296, "no title of ours has room for it, and every reader would count up to it"),
        ("attempt", 10**9, "a number out of the blue must not cost the planner minutes"),
        ("attempt", True, "JSON's true is no number"),
        ("attempt", "1", "text is no number"),
        ("attempt", 1.0, "a float is no number of ours"),
        ("signedAt", 2_176_782_336, "no title of ours has room for it, and no calendar for much more"),
        ("signedAt", None, "without a time nothing can be proven absent"),
        ("nonce", None, "the fence hangs on the nonce"),
        ("bodySHA256", "", "the digest decides about adoption"),
        ("holder", None, "whoever won it must be known"),
        ("state", "resolved", "only open and refused exist"),
        ("account", None, "a listing of another account proves nothing"),
        ("account", {"host": "h"}, "the key belongs to the account"),
        ("account", ["h", "k"], "an account is an object"),
        ("origin", {}, "a restore is recognised by its origin"),
        ("origin", "uid", "an origin is an object"),
        ("refusal", {"kind": "mood"}, "an unknown refusal may be one that proves nothing"),
        ("refusal", "validation", "a refusal is an object"),
    ],
)
def test_a_text_that_is_not_exactly_an_intent_is_garbled(field: str, value: object, because: str) -> None:
    document = json.loads(an_intent().to_annotation()) | {field: value}
    assert parse_intent(json.dumps(document)) is None, because


@pytest.mark.parametrize("field", sorted(json.loads(an_intent().to_annotation())))
def test_an_intent_with_a_field_missing_is_garbled(field: str) -> None:
    document = json.loads(an_intent().to_annotation())
    del document[field]
    assert parse_intent(json.dumps(document)) is None


@pytest.mark.parametrize("text", ["", "null", "[]", "1", '"text"', "{", "[" * 100_000, "9" * 5000, "\0"])
def test_a_text_that_is_no_object_is_garbled(text: str) -> None:
    assert parse_intent(text) is None


@given(st.text(max_size=200))
def test_reading_any_text_never_fails(text: str) -> None:
    assert parse_intent(text) is None


@given(st.dictionaries(st.sampled_from(sorted(json.loads(an_intent().to_annotation()))), json_values, max_size=4))
def test_reading_a_tampered_intent_never_fails(changes: dict[str, Any]) -> None:
    document = json.loads(an_intent().to_annotation()) | changes
    intent = parse_intent(json.dumps(document))
    assert intent is None or intent.attempt <= naming.MAX_ATTEMPT
