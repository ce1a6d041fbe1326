"""One HTTP exchange: the bytes that were signed go out, an answer or one of our errors comes back.

Why it exists: httpx knows some thirty exceptions and quotes URLs in its own way. Here each exception becomes an
error of `errors.py` that says the one thing that the create protocol asks: did a byte leave this process or not
(protocol C4)? Invariants: the URL on the wire is the URL that was signed; nothing is retried, redirected or taken
from a proxy variable; no cookie is kept; an answer that came from a cache is marked, because its `Date` proves nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from dispersed_operator.errors import MalformedAnswer, NotSent, RemoteError, SettingsError, TransportFailed
from dispersed_operator.remote.scrub import Scrubber
from dispersed_operator.remote.signing import SignedRequest

LARGEST_ANSWER = 32 * 1024 * 1024
IDLE_CONNECTIONS = 64
IDLE_SECONDS = 20.0
"""A connection outlives the pause between two polls, and little more: of a request that meets its end nobody knows the
outcome. The pool also asks every idle one at each request whether it still lives, so few are cheap."""
_CLEAN = Scrubber().clean

_MAPPING: tuple[tuple[type[Exception], type[RemoteError]], ...] = (
    # Before the first byte of the request: the connection, or TLS on it, was never made.
    (httpx.ConnectError, NotSent),
    (httpx.ConnectTimeout, NotSent),
    (httpx.PoolTimeout, NotSent),
    (httpx.UnsupportedProtocol, NotSent),
    (httpx.InvalidURL, NotSent),
    # An answer came, but its encoding is broken.
    (httpx.DecodingError, MalformedAnswer),
    # Everything else may have happened after bytes were sent.
    (httpx.HTTPError, TransportFailed),
    (httpx.StreamError, TransportFailed),
    (httpx.CookieConflict, TransportFailed),
    (OSError, TransportFailed),
)
TRANSPORT_ERRORS: tuple[type[Exception], ...] = tuple(lower for lower, _ in _MAPPING)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `date` is the `Date` header in seconds since the epoch, None if missing, unreadable or from a
    cache.

    `retry_after` is in seconds; `received` is monotonic time; `seconds` is how long the exchange took.
    """

    status: int
    body: bytes = field(repr=False)
    date: int | None
    cached: bool
    retry_after: float | None
    received: float
    seconds: float

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


def checked_base_url(base_url: str) -> str:
    """The base URL without a trailing slash: https, or http for a loopback host; no path, query, fragment or user.

    Raises SettingsError with the remedy. A path is refused because the signed text holds the path that the service
    sees.
    """
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, ValueError):
        raise SettingsError("the base URL cannot be read; write for example https://api.dispersed.com") from None
    if not url.host or url.scheme not in {"http", "https"}:
        raise SettingsError("the base URL needs a scheme and a host; write for example https://api.dispersed.com")
    if url.scheme == "http" and not is_loopback(url.host):
        raise SettingsError("the base URL must be https; http is for loopback addresses only")
    if url.userinfo or url.query or url.fragment or url.path not in {"", "/"}:
        raise SettingsError("the base URL must be a scheme, a host and a port only")
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


def build_http_client(proxy: str | None = None, ca: str | None = None) -> httpx.AsyncClient:
    """The shared HTTP client: nothing from the environment, and a pool without a bound of its own.

    Each account's limiter bounds its requests. A bound here would be one for all accounts together: while one of them
    waits for a service that stalls, the signed requests of the others would wait in the pool and age.

    `proxy` is a URL, `ca` the path of a PEM bundle that replaces the public authorities. Raises SettingsError.
    """
    verify: ssl.SSLContext | bool = True
    try:
        if ca is not None:
            verify = ssl.create_default_context(cafile=ca)
        return httpx.AsyncClient(
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=IDLE_CONNECTIONS, keepalive_expiry=IDLE_SECONDS
            ),
            timeout=httpx.Timeout(20.0, connect=10.0),
            proxy=proxy,
            verify=verify,
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
            headers={"User-Agent": "dispersed-operator", "Cache-Control": "no-cache"},
        )
    except OSError:
        raise SettingsError("the file of certificate authorities cannot be read; it must be a PEM bundle") from None
    except (httpx.InvalidURL, ValueError):
        raise SettingsError("the proxy URL cannot be used; write for example http://proxy.example:3128") from None


def mapped(error: Exception, clean: Callable[[str], str] = _CLEAN) -> RemoteError:
    """The error of ours for an exception of the HTTP library; its text names the kind of failure, no secret: it may
    hold words of a proxy."""
    ours = next((ours for lower, ours in _MAPPING if isinstance(error, lower)), TransportFailed)
    return ours(clean(f"{type(error).__name__}: {error}".rstrip(": ")))


async def exchange(
    http: httpx.AsyncClient,
    base_url: str,
    request: SignedRequest,
    *,
    timeout: float,  # noqa: ASYNC109 - it bounds every phase in httpx as well
    monotonic: Callable[[], float] = time.monotonic,
    largest: int = LARGEST_ANSWER,
    clean: Callable[[str], str] = _CLEAN,
) -> Answer:
    """Send the request once and read the whole answer within `timeout` seconds.

    Raises NotSent, TransportFailed or MalformedAnswer. A time-out of the whole exchange is TransportFailed, because
    nobody can tell how far it came.
    """
    begun = monotonic()
    limits = httpx.Timeout(timeout, connect=min(timeout, 10.0), pool=min(timeout, 10.0))
    try:
        outgoing = http.build_request(
            request.method,
            base_url + request.target,
            content=request.body or None,
            headers=dict(request.headers),
            timeout=limits,
        )
        if outgoing.url.raw_path != request.target.encode("ascii"):
            raise NotSent("the HTTP library would send another URL than the one that was signed")
        async with asyncio.timeout(timeout):
            response = await http.send(outgoing, stream=True)
            try:
                body = await _read(response, largest)
            finally:
                await response.aclose()
    except TimeoutError:
        raise TransportFailed(f"no complete answer within {timeout:g} s") from None
    except TRANSPORT_ERRORS as error:
        raise mapped(error, clean) from None
    received = monotonic()
    cached = "age" in response.headers
    date = None if cached else _http_date(response.headers.get("date"))
    return Answer(
        status=response.status_code,
        body=body,
        date=date,
        cached=cached,
        retry_after=_retry_after(response.headers.get("retry-after"), date),
        received=received,
        seconds=received - begun,
    )


async def _read(response: httpx.Response, largest: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > largest:
            raise MalformedAnswer(f"HTTP {response.status_code} with more than {largest} bytes")
    return bytes(body)


def _http_date(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return int(date.timestamp()) if date.tzinfo is not None else None


def _retry_after(text: str | None, date: int | None) -> float | None:
    """Seconds to wait: a number, or a date that is compared with the answer's own (RFC 9110 §10.2.3)."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    until = _http_date(text)
    return None if until is None or date is None else max(0.0, float(until - date))
