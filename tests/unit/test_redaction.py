"""Redaction: registered values vanish in every spelling, and what looks like a credential vanishes unregistered."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dispersed_operator.model.redaction import MASK, SHORTEST_VALUE, Redactor

VALUE = 'p@ss "w\\ord" / näme\nsecond+line'
HEX = "8fc2aa80ab7635decb8ef2cf09a2e840b85038ed5d235d202b0c6b9bfee27dca"


@pytest.mark.parametrize(
    "spelled",
    [
        VALUE,
        json.dumps(VALUE),
        json.dumps(VALUE, ensure_ascii=False),
        repr(VALUE),
        quote(VALUE, safe=""),
        base64.b64encode(VALUE.encode()).decode(),
        base64.b64encode(VALUE.encode()).decode().rstrip("="),
        f"prefix{VALUE}suffix {VALUE}",
    ],
)
def test_a_registered_value_vanishes_in_every_spelling(spelled: str) -> None:
    cleaned = Redactor([VALUE]).clean(f"before {spelled} after")
    assert MASK in cleaned
    assert cleaned.startswith("before ")
    assert cleaned.endswith(" after")
    for part in ("p@ss", "ord", "second", "w\\"):
        assert part not in cleaned


@given(value=st.text(min_size=SHORTEST_VALUE), before=st.text(), after=st.text())
def test_no_registered_value_survives_whatever_it_is_made_of(value: str, before: str, after: str) -> None:
    assume(value not in f"{before}{MASK}{after}")
    assert value not in Redactor([value]).clean(before + value + after)


def test_a_longer_secret_that_contains_a_shorter_one_vanishes_whole() -> None:
    cleaned = Redactor(["abcdef", "abcdef-and-the-rest"]).clean("x abcdef-and-the-rest y abcdef z")
    assert cleaned == f"x {MASK} y {MASK} z"


def test_very_short_values_are_left_alone_so_that_logs_stay_readable() -> None:
    assert Redactor(["1", "true", "abcde"]).clean("1 true abcde") == "1 true abcde"


def test_a_forgotten_value_is_shown_again_and_others_stay_hidden() -> None:
    redactor = Redactor(["token-one", "token-two"])
    redactor.forget("token-one")
    redactor.forget("never-known")
    assert redactor.clean("token-one token-two") == f"token-one {MASK}"


def test_a_value_stays_hidden_until_its_last_holder_forgets_it() -> None:
    redactor = Redactor()
    for holder in ("job-a", "job-b", "job-a"):
        redactor.register("shared-value", holder=holder)
    for holder in ("job-a", "a stranger"):
        redactor.forget("shared-value", holder=holder)
        assert redactor.clean_outside("shared-value") == MASK
    redactor.forget("shared-value", holder="job-b")
    assert redactor.clean_outside("shared-value") == "shared-value"
    assert repr(redactor) == "Redactor(0 values)"


def test_a_value_of_the_operators_own_stays_hidden_when_a_job_that_held_it_too_is_gone() -> None:
    redactor = Redactor(["key-of-account"])
    redactor.register("key-of-account", holder="job-a")
    redactor.forget("key-of-account", holder="job-a")
    assert redactor.clean("key-of-account") == MASK
    redactor.register("key-of-account", holder="job-a")
    redactor.forget("key-of-account")
    assert redactor.clean("key-of-account") == "key-of-account"
    assert redactor.clean_outside("key-of-account") == MASK


def test_no_tenant_can_blank_the_words_of_the_operator_or_of_another_tenants_job() -> None:
    redactor = Redactor(["key-of-account"])
    redactor.register("namespace", holder="job-a", group="account-1")
    line = "the namespace of key-of-account"
    assert redactor.clean(line) == f"the namespace of {MASK}", "a line of the operator's own"
    assert redactor.clean_outside(line, holder="job-b") == f"the namespace of {MASK}", "the output of another job"
    assert redactor.outside("account-2")(line) == f"the namespace of {MASK}", "an answer to another account"
    hidden = f"the {MASK} of {MASK}"
    assert redactor.clean_outside(line, holder="job-a") == hidden
    assert redactor.outside("account-1")(line) == hidden
    assert redactor.clean_outside(line) == hidden, "text that may be of anybody"


def test_what_a_view_hides_follows_what_is_registered() -> None:
    redactor = Redactor()
    for value, hidden in (("first-value", f"{MASK} second-value"), ("second-value", f"{MASK} {MASK}")):
        redactor.register(value, holder="job-a", group="account-1")
        assert redactor.outside("account-1")("first-value second-value") == hidden
    redactor.register("key-of-account")
    assert redactor.outside("account-1")("key-of-account") == MASK


@given(before=st.text(), value=st.text(min_size=SHORTEST_VALUE), after=st.text())
def test_a_value_cannot_be_read_out_of_the_base64_of_a_longer_text(before: str, value: str, after: str) -> None:
    raw = value.encode(errors="replace")
    encoded = base64.b64encode(before.encode(errors="replace") + raw + after.encode(errors="replace")).decode()
    start = len(before.encode(errors="replace"))
    inner = encoded[-(-start * 8 // 6) : (start + len(raw)) * 8 // 6]
    assert inner not in Redactor([value]).clean(encoded).replace(MASK, " ")


def test_the_redactor_does_not_show_what_it_knows() -> None:
    assert "marked-secret" not in repr(Redactor(["marked-secret"]))


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("key sk_live_0123456789 refused", "sk_live_0123456789"),
        ("X-Signature: " + HEX, HEX),
        (f"{{'x-signature': '{HEX[:40]}'}}", HEX[:40]),
        (f"(b'X-Signature', b'{HEX[:40]}')", HEX[:40]),
        (f'{{\\"X-Signature\\": \\"{HEX[:40]}\\"}}', HEX[:40]),
        (f"bad signature, expected {HEX}", HEX),
        ("Authorization: Bearer abcDEF123.x-y_z", "abcDEF123.x-y_z"),
        ("'Authorization': 'Basic dXNlcjpwYXNz'", "dXNlcjpwYXNz"),
        ("Authorization=tokenvalue", "tokenvalue"),
        ("sent bearer 0123456789abcdef", "0123456789abcdef"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
        ('{"auths":{"r.io":{"username":"u","password":"hunter22","auth":"dTpodW50ZXIyMg=="}}}', "hunter22"),
        ('{"auths":{"r.io":{"username":"u","password":"hunter22","auth":"dTpodW50ZXIyMg=="}}}', "dTpodW50ZXIyMg"),
        ('"{\\"auth\\": \\"dTpodW50ZXIyMg==\\"}"', "dTpodW50ZXIyMg"),
        ('{".dockerconfigjson": "eyJhdXRocyI6e319"}', "eyJhdXRocyI6e319"),
        (".dockerconfigjson: eyJhdXRocyI6e319", "eyJhdXRocyI6e319"),
        ('{"container_access_tokens": ["tok-1234567890"]}', "tok-1234567890"),
        ("GET https://node.example/?a=1&access_token=tok-123&b=2", "tok-123"),
        ("proxy http://user:hunter22@proxy.local:3128 refused", "hunter22"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n-----END OPENSSH PRIVATE KEY-----", "b3BlbnNz"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIabc user@host", "AAAAC3NzaC1lZDI1NTE5AAAAIabc"),
    ],
)
def test_what_looks_like_a_credential_vanishes_unregistered(text: str, hidden: str) -> None:
    cleaned = Redactor().clean(text)
    assert hidden not in cleaned
    assert MASK in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "DispersedJob team-a/train: HTTP 422 validation_error: min_ram_gb must be at least 1",
        "kd1-abcdef-01234567-01abcdefghijkl-abc123000000-zz train",
        "job 0a1b2c3d-0000-4000-8000-000000000000 is RUNNING at https://node.example:8443/path",
        f"kd1 abcdefghijkl {HEX} | my title",
        "the signature was refused (HTTP 401); check the clock of this machine",
        "token abcdefghijkl attempt 2",
    ],
)
def test_ordinary_lines_stay_as_they_are(text: str) -> None:
    assert Redactor(["some-secret-value"]).clean(text) == text


def test_a_long_text_without_secrets_comes_back_unchanged() -> None:
    tail = "a.b-c+d:" * 20_000 + "-----BEGIN RSA PRIVATE KEY-----" + "x" * 50_000
    assert len(Redactor(["some-secret-value"]).clean(tail)) == len(tail)
