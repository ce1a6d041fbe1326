"""The seam to httpx: each of its exceptions is mapped, and the settings that would weaken a signature are refused."""

import inspect
import ssl
from pathlib import Path

import httpx
import pytest

from dispersed_operator.errors import MalformedAnswer, NotSent, RemoteError, SettingsError, TransportFailed
from dispersed_operator.remote.transport import TRANSPORT_ERRORS, build_http_client, checked_base_url, mapped

BEFORE_ANY_BYTE = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "InvalidURL"}
EXCEPTIONS = [
    kind
    for _, kind in inspect.getmembers(httpx, inspect.isclass)
    if issubclass(kind, Exception) and kind is not Warning
]


def made(kind: type[Exception]) -> Exception:
    error = kind.__new__(kind)
    error.args = ("what happened",)
    return error


@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: str(kind.__name__))
def test_every_httpx_exception_is_caught_and_mapped(kind: type[Exception]) -> None:
    assert issubclass(kind, TRANSPORT_ERRORS)
    error = mapped(made(kind))
    expected: type[RemoteError] = TransportFailed
    if kind.__name__ in BEFORE_ANY_BYTE:
        expected = NotSent
    elif kind.__name__ == "DecodingError":
        expected = MalformedAnswer
    assert type(error) is expected
    assert kind.__name__ in str(error)


def test_there_are_httpx_exceptions_to_map() -> None:
    assert len(EXCEPTIONS) >= 27


@pytest.mark.parametrize("error", [OSError("x"), ssl.SSLError("x"), ConnectionResetError("x")])
def test_operating_system_errors_that_slip_through_count_as_sent(error: OSError) -> None:
    assert type(mapped(error)) is TransportFailed


def test_an_error_text_is_scrubbed() -> None:
    assert "sk_live_1" not in str(mapped(httpx.ReadError("peer said sk_live_1")))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.dispersed.com", "https://api.dispersed.com"),
        ("https://api.dispersed.com/", "https://api.dispersed.com"),
        ("https://api.dispersed.com:8443", "https://api.dispersed.com:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_a_base_url_is_https_or_loopback(url: str, expected: str) -> None:
    assert checked_base_url(url) == expected


@pytest.mark.parametrize(
    "url",
    ["", "api.dispersed.com", "ftp://x", "http://api.dispersed.com", "http://127.0.0.1.evil.example", "https://h/prefix",
     "https://h?x=1", "https://h#x", "https://user:pw@h", "https://", "http://[::", "https://h:port"],
)  # fmt: skip
def test_any_other_base_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        checked_base_url(url)
    assert "pw" not in str(refusal.value)


async def test_the_http_client_trusts_no_environment_follows_nothing_and_keeps_no_cookie(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    async with build_http_client() as http:
        assert (http.trust_env, http.follow_redirects) == (False, False)
        answer = httpx.Response(
            200, headers={"Set-Cookie": "session=1; Path=/"}, request=httpx.Request("GET", "https://api.example/")
        )
        http.cookies.extract_cookies(answer)
        assert len(http.cookies.jar) == 0


@pytest.mark.parametrize(
    ("proxy", "ca"), [("not a url", None), ("ftp://proxy", None), (None, "missing.pem"), (None, "empty.pem")]
)
def test_a_proxy_or_authority_that_cannot_be_used_is_refused(tmp_path: Path, proxy: str | None, ca: str | None) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    with pytest.raises(SettingsError):
        build_http_client(proxy=proxy, ca=None if ca is None else str(tmp_path / ca))
