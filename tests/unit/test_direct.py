"""The key for commands without a cluster: from where it comes, and that no text shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispersed_operator.direct import load_key
from dispersed_operator.errors import SettingsError

MARK = "sk_marked"


@pytest.fixture(autouse=True)
def _no_key_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BASE_URL", "PUBLIC_KEY", "SECRET_KEY", "PUBLIC_KEY_FILE", "SECRET_KEY_FILE"):
        monkeypatch.delenv(f"DISPERSED_{name}", raising=False)


def test_a_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPERSED_PUBLIC_KEY", "pk_one")
    monkeypatch.setenv("DISPERSED_SECRET_KEY", f"{MARK}\n")
    key = load_key()
    assert (key.credentials().public_key, key.credentials().secret_key) == ("pk_one", MARK)
    assert key.base_url == "https://api.dispersed.com"
    assert MARK not in repr(key)


def test_a_file_wins_over_a_key_in_a_variable_and_a_flag_over_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "public").write_text("pk_file\n")
    (tmp_path / "secret").write_text("sk_file\n")
    monkeypatch.setenv("DISPERSED_PUBLIC_KEY", "pk_one")
    monkeypatch.setenv("DISPERSED_SECRET_KEY", MARK)
    monkeypatch.setenv("DISPERSED_SECRET_KEY_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("DISPERSED_BASE_URL", "http://127.0.0.1:1")
    key = load_key(base_url="http://127.0.0.1:2", public_key_file=str(tmp_path / "public"))
    assert key.base_url == "http://127.0.0.1:2"
    assert (key.credentials().public_key, key.credentials().secret_key) == ("pk_file", "sk_file")


@pytest.mark.parametrize(
    ("public", "secret", "says", "because"),
    [
        (None, MARK, "DISPERSED_PUBLIC_KEY", "the public half is missing"),
        ("pk_one", None, "DISPERSED_SECRET_KEY", "the secret half is missing"),
        ("pk_one", f"{MARK} two", "secret key", "a blank can not be signed with"),
        ("pk|one", MARK, "public key", "the separator of the signed text"),
    ],
)
def test_a_key_that_cannot_be_used_is_named_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, public: str | None, secret: str | None, says: str, because: str
) -> None:
    for name, text in (("PUBLIC", public), ("SECRET", secret)):
        if text is not None:
            monkeypatch.setenv(f"DISPERSED_{name}_KEY", text)
    with pytest.raises(SettingsError) as refused:
        load_key().credentials()
    assert says in str(refused.value), because
    assert MARK not in str(refused.value)


@pytest.mark.parametrize("content", [None, b"sk_\xff"])
def test_a_file_that_cannot_be_read_is_named_by_its_flag(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "secret"
    (tmp_path / "public").write_text("pk_one")
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match="--secret-key-file"):
        load_key(public_key_file=str(tmp_path / "public"), secret_key_file=str(path)).credentials()
