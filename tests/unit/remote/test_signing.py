"""Signing: every published vector, and every spelling on which signers disagree is refused (API reference §2, §19)."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispersed_operator.errors import UnsignableRequest
from dispersed_operator.remote.signing import (
    Credentials,
    canonical_body,
    canonical_query,
    canonical_text,
    checked_path,
    sign,
    signed_request,
)

VECTORS = json.loads((Path(__file__).parents[2] / "support" / "signing-vectors.json").read_text(encoding="utf-8"))
UNSETTLED = {"B1-raw", "B1-esc", "B2-%20", "B2-plus"}
SETTLED = [vector for vector in VECTORS if vector["name"] not in UNSETTLED]


def named(vectors: list[dict[str, str]]) -> list[str]:
    return [vector["name"] for vector in vectors]


def test_the_vector_file_holds_all_vectors_of_the_reference() -> None:
    assert len(VECTORS) == 19
    assert set(named(VECTORS)) >= UNSETTLED


@pytest.mark.parametrize("vector", VECTORS, ids=named(VECTORS))
def test_signature_reproduces_the_vector(vector: dict[str, str]) -> None:
    body = vector["body"].encode()
    text = canonical_text(
        vector["pk"],
        method=vector["method"],
        path=vector["path"],
        query=vector["query"],
        body=body,
        time=vector["ts"],
        nonce=vector["nonce"],
    )
    headers = sign(
        Credentials(vector["pk"], vector["sk"]),
        method=vector["method"],
        path=vector["path"],
        query=vector["query"],
        body=body,
        time_ms=int(vector["ts"]),
        nonce=vector["nonce"],
    )
    assert text == vector["canon"]
    assert headers["X-Signature"] == vector["sig"]
    assert (headers["X-API-Key"], headers["X-Time"], headers["X-Nonce"]) == (
        vector["pk"],
        vector["ts"],
        vector["nonce"],
    )


@pytest.mark.parametrize("vector", [v for v in SETTLED if v["body"]], ids=lambda vector: vector["name"])
def test_canonical_body_gives_the_bytes_of_the_settled_vectors(vector: dict[str, str]) -> None:
    shuffled = json.loads(vector["body"], object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert canonical_body(shuffled) == vector["body"].encode()


@pytest.mark.parametrize("vector", [v for v in SETTLED if v["query"]], ids=lambda vector: vector["name"])
def test_canonical_query_gives_the_text_of_the_settled_vectors(vector: dict[str, str]) -> None:
    pairs = [pair.split("=") for pair in reversed(vector["query"].split("&"))]
    decoded = [(key.replace("%5B", "[").replace("%5D", "]"), value.replace("%2C", ",")) for key, value in pairs]
    assert canonical_query(decoded) == vector["query"]


@pytest.mark.parametrize("name", ["B1-raw", "B1-esc"])
def test_the_non_ascii_body_of_the_unsettled_vectors_is_refused(name: str) -> None:
    vector = next(v for v in VECTORS if v["name"] == name)
    with pytest.raises(UnsignableRequest, match=r"\$\.reason"):
        canonical_body(json.loads(vector["body"]))


def test_the_blank_in_the_query_of_the_unsettled_vectors_is_refused() -> None:
    with pytest.raises(UnsignableRequest, match="gpu_name"):
        canonical_query([("filter[gpu_name]", "RTX 4090")])


@pytest.mark.parametrize("odd", [*" !'()*~", "é", "\N{CLAPPER BOARD}"])
@pytest.mark.parametrize("place", ["key", "value"])
def test_query_characters_that_encoders_spell_differently_are_refused(odd: str, place: str) -> None:
    pair = (f"k{odd}", "v") if place == "key" else ("k", f"v{odd}")
    with pytest.raises(UnsignableRequest):
        canonical_query([pair])


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": 1.0}, r"\$\.a"),
        ({"a": float("nan")}, r"\$\.a"),
        ({"a": [1, {"b": 2**53}]}, r"\$\.a\[1\]\.b"),
        ({"env": {"10": "x"}}, r"\$\.env"),
        ({"env": {"__proto__": "x"}}, r"\$\.env"),
        ({"env": {"ä": "x"}}, r"\$\.env"),
        ({1: "x"}, r"\$"),
        ({"a": b"x"}, r"\$\.a"),
        ({"a": {1, 2}}, r"\$\.a"),
    ],
)
def test_what_signers_spell_differently_is_refused_with_its_place(value: object, place: str) -> None:
    with pytest.raises(UnsignableRequest, match=place):
        canonical_body(value)


def test_a_refusal_never_shows_the_value() -> None:
    with pytest.raises(UnsignableRequest) as refusal:
        canonical_body({"env": {"PASSWORD": "geheimnisträger"}})
    assert "PASSWORD" in str(refusal.value)
    assert "geheim" not in str(refusal.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(max_codepoint=126)),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcXYZ_-. ", min_size=1, max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_canonical_bytes_are_ascii_and_a_fixed_point(value: object) -> None:
    body = canonical_body(value)
    assert body.isascii()
    assert json.loads(body) == value
    assert canonical_body(json.loads(body)) == body


@pytest.mark.parametrize(
    "path", ["", "v1", "/v1/", "/v1//jobs", "/v1/../jobs", "/v1/.", "/v1/a%20b", "/v1/a?b", "/v1/ü"]
)
def test_a_path_that_a_server_could_normalise_is_refused(path: str) -> None:
    with pytest.raises(UnsignableRequest):
        checked_path(path)


@pytest.mark.parametrize(
    ("public", "secret"),
    [
        ("", "sk"),
        ("pk|x", "sk"),
        ("pk\n", "sk"),
        ("pk x", "sk"),
        ("pkü", "sk"),
        ("pk", ""),
        ("pk", "sk\n"),
        ("pk", "s k"),
    ],
)
def test_keys_that_cannot_be_signed_with_are_refused_without_being_shown(public: str, secret: str) -> None:
    with pytest.raises(UnsignableRequest) as refusal:
        Credentials(public, secret)
    assert "sk\n" not in str(refusal.value)


def test_no_repr_shows_a_secret_a_body_or_a_signature() -> None:
    credentials = Credentials("pk_shown", "sk_hidden")
    request = signed_request(
        credentials, method="POST", path="/v1/jobs", query="a=1", body=b'{"env":"hidden"}', time_ms=1, nonce="0" * 32
    )
    assert request.target == "/v1/jobs?a=1"
    assert "hidden" not in repr(credentials) + repr(request)
    assert request.headers["X-Signature"] not in repr(request)
