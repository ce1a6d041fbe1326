"""Text from outside: no secret that was sent comes back, whole, in part or escaped."""

import base64
from collections.abc import Callable
from urllib.parse import quote

import pytest

from dispersed_operator.model.redaction import MASK, Redactor
from dispersed_operator.remote.scrub import LIMIT, Scrubber, secrets_of

BODY = {
    "title": "shown",
    "parameters": {
        "parameters": {
            "env": {"TOKEN": "correct-horse-battery", "N": "7", "PEM": 'line one\nline "two"'},
            "sshkey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA user@host",
            "secret": "regpass",
            "volumes": [{"image": "shown/data", "secret": "volume-password"}],
        }
    },
}


def test_secrets_are_the_values_of_env_keys_and_passwords_at_any_depth() -> None:
    assert sorted(secrets_of(BODY)) == sorted(
        [
            "correct-horse-battery",
            "7",
            'line one\nline "two"',
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA user@host",
            "regpass",
            "volume-password",
        ]
    )


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("bad value correct-horse-battery in env", "horse"),
        ("bad value 'correct-hor…' (cut by the service)", "correct"),
        ("env.N must not be 7 here", " 7 "),
        ('got "line one\\nline \\"two\\""', "two"),
        ("registry said regpass is wrong", "regpass"),
        ("volume-password refused", "volume"),
        ("key ssh-rsa AAAAB3NzaC1yc2EAAA is odd", "AAAAB3"),
        ("use sk_live_0123 instead", "sk_live"),
        (f"expected {'ab' * 32}", "abab"),
    ],
)
def test_no_secret_survives(text: str, gone: str) -> None:
    cleaned = Scrubber(secrets_of(BODY)).clean(text)
    assert gone not in cleaned
    assert MASK in cleaned


def test_a_tiny_secret_does_not_shred_the_message() -> None:
    assert Scrubber(["7"]).clean("at least 77 GB of 1977") == "at least 77 GB of 1977"


def test_text_becomes_one_line_of_bounded_length() -> None:
    cleaned = Scrubber().clean("a\n\tb\x00\x1b[31m " + "word " * 400)
    assert cleaned.startswith("a b [31m word")
    assert len(cleaned) <= LIMIT


def test_harmless_text_is_left_alone() -> None:
    assert Scrubber(["correct-horse-battery"]).clean("min_ram_gb must be 16") == "min_ram_gb must be 16"


@pytest.mark.parametrize(
    "spell",
    [
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.b64encode(f"xy{text}".encode()).decode()[3:],
        lambda text: quote(text, safe=""),
    ],
)
def test_an_encoded_secret_is_recognised(spell: Callable[[str], str]) -> None:
    spelled = spell("p@ss/word+horse")
    assert spelled[2:-4] not in Scrubber(["p@ss/word+horse"]).clean(f"you sent {spelled}")


def test_a_secret_that_begins_like_a_key_is_removed_to_its_end() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@workstation"
    assert Scrubber(outside=Redactor([key]).clean).clean(f"bad key: {key}.") == f"bad key: {MASK}."


def test_what_else_is_known_is_hidden_too() -> None:
    assert Scrubber(["mine-alone"], outside=Redactor(["of-another"]).clean).clean("mine-alone of-another") == (
        f"{MASK} {MASK}"
    )
