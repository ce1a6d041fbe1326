"""A forward proxy on loopback that can answer in the place of the service, and then quotes what it has seen.

It stands for everything between operator and service that may repeat a request: the service itself, a gateway, a proxy
with a login. It quotes the values of the request's own headers and body that a test calls interesting, and of what the
same key has stored with a create those that it calls lasting, in several spellings. Requests through a tunnel (CONNECT)
pass unseen, but for the proxy's own login.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, urlsplit

SPELLINGS: Final[dict[str, Callable[[str], str]]] = {
    "plain": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "url": lambda text: quote(text, safe=""),
    "json": lambda text: json.dumps(text)[1:-1],
    "base64 within": lambda text: base64.b64encode(f'{{"a":"{text}"}}'.encode()).decode(),
}
_STEP: Final = 5  # values, by which each quotation begins later
_MOST_SIGNATURES: Final = 100  # that a request logs its own shows in the first already
_HOP = frozenset({"proxy-authorization", "proxy-connection", "connection", "keep-alive", "transfer-encoding"})


@dataclass(slots=True)
class Rule:
    """Requests of `method` are answered with `status` and a quotation, of what was stored too if `stored`. `shape`:
    json, html, or reason (of the status line)."""

    method: str
    status: int
    shape: str
    stored: bool
    hits: int = 0


class QuotingProxy:
    """Use as a context manager. `interesting` says which values are worth quoting."""

    def __init__(self, interesting: Callable[[str], bool], lasting: Callable[[str], bool]) -> None:
        self.signatures: dict[str, None] = {}
        self.tunnels = 0
        self._stored: dict[str, dict[str, None]] = {}
        self._interesting = interesting
        self._lasting = lasting
        self._rule: Rule | None = None
        self._turns = itertools.count()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> QuotingProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, status: int, *, shape: str = "json", stored: bool = True) -> Rule:
        """From now on answer such requests ourselves, in the place of any earlier order."""
        self._rule = Rule(method, status, shape, stored)
        return self._rule

    def forward(self) -> None:
        """Pass everything on again."""
        self._rule = None

    def rule_for(self, method: str) -> Rule | None:
        """The order that concerns a request."""
        rule = self._rule
        return rule if rule is not None and rule.method == method else None

    def observe(self, method: str, headers: dict[str, str], body: bytes) -> None:
        """Remember signatures, and of a create what is worth quoting later."""
        if "x-signature" in headers and len(self.signatures) < _MOST_SIGNATURES:
            self.signatures[headers["x-signature"]] = None
        if method == "POST":
            stored = self._stored.setdefault(headers.get("x-api-key", ""), {})
            stored |= dict.fromkeys(filter(self._lasting, _leaves(body)))

    def quotation(self, rule: Rule, headers: dict[str, str], body: bytes) -> str:
        """All that is worth it and the signature of the request, in all spellings. It begins elsewhere each time,
        because whoever reads it may read its beginning only."""
        values = dict.fromkeys(filter(self._interesting, (*headers.values(), *_leaves(body))))
        if rule.stored:
            values |= self._stored.get(headers.get("x-api-key", ""), {})
        listed = [*values, headers.get("x-signature", "")]
        turn = next(self._turns) * _STEP % len(listed)
        self.signatures[headers.get("x-signature", "none")] = None
        spelled = (spell(value) for value in listed[turn:] + listed[:turn] for spell in SPELLINGS.values())
        return "you sent " + " ".join(spelled)


def _leaves(body: bytes) -> Iterator[str]:
    try:
        yield from _texts(json.loads(body)) if body else ()
    except ValueError:
        return


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_CONNECT(self) -> None:
        self.close_connection = True
        headers, rule = self._received(b"")
        if rule is not None:
            self._quote(rule, headers, b"")
            return
        self.server.proxy.tunnels += 1
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port))) as upstream:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _relay(self.connection, upstream)

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers, rule = self._received(body)
        if rule is not None:
            self._quote(rule, headers, body)
        else:
            self._pass_on(headers, body)

    do_POST = do_PUT = do_GET  # noqa: N815 - the names are http.server's

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Nothing is written: pytest shows what matters."""

    def _received(self, body: bytes) -> tuple[dict[str, str], Rule | None]:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.proxy.observe(self.command, headers, body)
        return headers, self.server.proxy.rule_for(self.command)

    def _quote(self, rule: Rule, headers: dict[str, str], body: bytes) -> None:
        text = self.server.proxy.quotation(rule, headers, body)
        error = {"error": {"code": "QUOTED", "message": text, "details": text}}
        content = json.dumps(error).encode() if rule.shape == "json" else f"<p>{text}</p>".encode()
        line = text.encode("ascii", "replace").decode().replace("\n", " ")
        self.send_response(rule.status, line if rule.shape == "reason" else None)
        self.send_header("Content-Type", "application/json" if rule.shape == "json" else "text/html")
        self.send_header("X-Quoted", line)
        self._send(content)
        rule.hits += 1

    def _pass_on(self, headers: dict[str, str], body: bytes) -> None:
        target = urlsplit(self.path)
        upstream = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
        try:
            path = f"{target.path}?{target.query}" if target.query else target.path
            kept = {name: value for name, value in headers.items() if name not in _HOP}
            upstream.request(self.command, path, body=body or None, headers=kept)
            answer = upstream.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self.close_connection = True  # what befell us befalls the client
            return
        finally:
            upstream.close()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {*_HOP, "content-length"}:
                self.send_header(name, value)
        self._send(content)

    def _send(self, content: bytes) -> None:
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: QuotingProxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Bytes in both directions until either side closes."""
    partner = {one: other, other: one}
    while True:
        for ready in select.select([one, other], [], [])[0]:
            try:
                data = ready.recv(65536)
                partner[ready].sendall(data)
            except OSError:
                return
            if not data:
                return
