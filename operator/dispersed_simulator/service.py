"""One request from arrival to answer: faults, authentication, operation, spelling. No network, no waiting.

The invariant: whatever is decided here happens at one instant, before any byte of an answer leaves. What the transport
must do with the answer (send, cut, drop, hold) is data in the `Reply`. So the same code serves HTTP and an in-process
run on a virtual clock.
"""

from __future__ import annotations

import heapq
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate

from dispersed_simulator.api_error import ApiError, html_page, render_error
from dispersed_simulator.auth import NonceMemory, SignedRequest, Verifier
from dispersed_simulator.clock import Clock
from dispersed_simulator.engine import Engine
from dispersed_simulator.faults import FaultRule, FaultRules, Strike
from dispersed_simulator.operations import Operations, Outcome
from dispersed_simulator.records import ApiKey
from dispersed_simulator.request_log import LoggedRequest, RequestLog
from dispersed_simulator.wire import JsonValue, seconds_to_ms


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer and what the transport does with it.

    cut_after: None sends all of it; 0 closes the connection without a byte; n closes it after n bytes.
    hold_rule / hold_seconds: wait so long, or until the rule is released, before anything is sent.
    """

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    cut_after: int | None = None
    hold_rule: str | None = None
    hold_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request that was accepted or received but is carried out only later."""

    due_ms: int
    number: int
    request: SignedRequest
    verified_key: str | None


DROPPED = Reply(0, "", b"", cut_after=0)


class Service:
    """The simulated service: engine, keys, nonces, faults and the log of requests."""

    def __init__(self, *, clock: Clock, engine: Engine, rng: random.Random, request_prefix: str = "req") -> None:
        self.clock = clock
        self.engine = engine
        self.keys: dict[str, ApiKey] = {}
        self.nonces = NonceMemory()
        self.faults = FaultRules(rng)
        self.log = RequestLog(request_prefix)
        self.deliveries: list[tuple[int, int, Delivery]] = []
        self._last_delivery = 0
        self._operations = Operations(engine)

    @property
    def verifier(self) -> Verifier:
        """A verifier that reads the keys and switches as they are now."""
        return Verifier(keys=self.keys, nonces=self.nonces, switches=self.engine.switches)

    def advance(self) -> int:
        """Play everything that is due, late deliveries included. Returns the simulated time."""
        now_ms = self.clock.now_ms()
        while self.deliveries and self.deliveries[0][0] <= now_ms:
            _, _, delivery = heapq.heappop(self.deliveries)
            self.engine.advance(delivery.due_ms)
            self._deliver_late(delivery)
        self.engine.advance(now_ms)
        return now_ms

    def next_due_ms(self) -> int | None:
        """When something will happen by itself."""
        due = [at_ms for at_ms in (self.engine.next_due_ms(), self._next_delivery_ms()) if at_ms is not None]
        return min(due, default=None)

    def _next_delivery_ms(self) -> int | None:
        return self.deliveries[0][0] if self.deliveries else None

    def handle(self, request: SignedRequest) -> Reply:
        """Receive one request and decide its answer."""
        now_ms = self.advance()
        row = self._log(request, now_ms)
        strike = self.faults.strike(request.method, request.path, row.api_key)
        row.fault = strike.text
        reply = self._under_fault(request, row, strike, now_ms)
        reply = self._coloured(reply, strike, now_ms)
        if row.status is None:  # a request that was delivered twice has noted the answer of its first delivery
            row.status = "dropped" if reply.cut_after is not None else reply.status
        return reply

    def schedule(self, request: SignedRequest, *, due_ms: int, verified_key: str | None) -> None:
        """Carry a request out later; verified_key names the key if its signature was checked on receipt."""
        self._last_delivery += 1
        delivery = Delivery(due_ms, self._last_delivery, request, verified_key)
        heapq.heappush(self.deliveries, (due_ms, self._last_delivery, delivery))

    def reset(self) -> None:
        """Forget jobs, faults, nonces, requests and late deliveries; keys and clock stay, keys are valid again."""
        self.engine.reset()
        self.faults.clear()
        self.nonces.clear()
        self.log.clear()
        self.deliveries.clear()
        for key in self.keys.values():
            key.revoked = False

    def _log(self, request: SignedRequest, at_ms: int) -> LoggedRequest:
        headers = request.headers
        return self.log.open(
            at_ms=at_ms, method=request.method, path=request.path, query=request.query,
            api_key=headers.get("x-api-key"), nonce=headers.get("x-nonce"), x_time=headers.get("x-time"),
        )  # fmt: skip

    # Faults

    def _under_fault(self, request: SignedRequest, row: LoggedRequest, strike: Strike, now_ms: int) -> Reply:
        rule = strike.disruptive
        if rule is None:
            return self._process(request, row, strike, now_ms)
        handlers: dict[str, Callable[[SignedRequest, LoggedRequest, Strike, FaultRule, int], Reply]] = {
            "drop_before_commit": lambda *_: DROPPED,
            "drop_after_commit": self._drop_after,
            "drop_after_first_byte": self._drop_after,
            "delayed_commit": self._delay,
            "duplicate_delivery": self._duplicate,
            "malformed": self._malform,
        }
        if rule.kind in handlers:
            return handlers[rule.kind](request, row, strike, rule, now_ms)
        if rule.kind in {"cancel_lost", "cancel_slow", "not_found_burst"}:
            return self._process(request, row, strike, now_ms)
        if rule.flag("commit"):
            self._process(request, row, strike, now_ms)
        return self._refusal(rule)

    def _drop_after(
        self, request: SignedRequest, row: LoggedRequest, strike: Strike, rule: FaultRule, now_ms: int
    ) -> Reply:
        cut_after = int(rule.number("bytes", 1)) if rule.kind == "drop_after_first_byte" else 0
        return replace(self._process(request, row, strike, now_ms), cut_after=cut_after)

    def _delay(self, request: SignedRequest, row: LoggedRequest, _: Strike, rule: FaultRule, now_ms: int) -> Reply:
        verified_key = None
        if rule.params.get("verify_at", "receipt") == "receipt":
            try:
                key, readings = self.verifier.verify(request, now_ms=now_ms)
            except ApiError as error:
                return self._error_reply(error, row)
            verified_key, row.canonical = key.public, readings.text
        self.schedule(request, due_ms=now_ms + seconds_to_ms(rule.number("seconds", 60)), verified_key=verified_key)
        answer = rule.params.get("answer", "drop")
        if isinstance(answer, int) and not isinstance(answer, bool):
            return Reply(answer, "text/html", html_page(answer, "Gateway Time-out"))
        return DROPPED

    def _duplicate(
        self, request: SignedRequest, row: LoggedRequest, strike: Strike, rule: FaultRule, now_ms: int
    ) -> Reply:
        first = self._process(request, row, strike, now_ms)
        row.status = first.status
        second_row = self._log(request, now_ms)
        second_row.fault = rule.kind
        second = self._process(request, second_row, strike, now_ms)
        second_row.status = second.status
        return first if rule.params.get("answer") == "first" else second

    def _malform(
        self, request: SignedRequest, row: LoggedRequest, strike: Strike, rule: FaultRule, now_ms: int
    ) -> Reply:
        honest = Reply(200, "application/json", b"{}")
        if rule.flag("commit", default=True):
            honest = self._process(request, row, strike, now_ms)
            if honest.status >= 300:
                return honest
        shape = rule.params.get("shape", "garbage")
        bodies = {
            "garbage": b"\x00\xff{not json", "empty": b"", "truncated": honest.body[: len(honest.body) // 2],
            "text": b"OK", "list": b'["surprise"]', "null": b"null",
            "wrong_types": b'{"uuid":17,"status":["RUNNING"],"data":"none","total":"many","page":null,"limit":{}}',
        }  # fmt: skip
        return replace(honest, body=bodies[str(shape)])

    def _refusal(self, rule: FaultRule) -> Reply:
        if rule.kind == "server_error":
            status = int(rule.number("status", 502))
            return Reply(status, "text/html", html_page(status, "Bad Gateway"), headers=_retry_after(rule))
        status, code = {
            "rate_limit": (429, "RATE_LIMITED"),
            "unauthorized": (401, "UNAUTHORIZED"),
            "forbidden": (403, "PERMISSION_DENIED"),
        }[rule.kind]
        content_type, body = render_error(ApiError(status, code, "refused on request"), self.engine.switches)
        return Reply(status, content_type, body, headers=_retry_after(rule))

    def _coloured(self, reply: Reply, strike: Strike, now_ms: int) -> Reply:
        skew = strike.colouring.get("date_skew")
        stall = strike.colouring.get("stall")
        if stall is not None:
            seconds = stall.params.get("seconds")
            known = isinstance(seconds, int | float) and not isinstance(seconds, bool)
            reply = replace(reply, hold_rule=stall.id, hold_seconds=stall.number("seconds", 0) if known else None)
        headers = list(reply.headers)
        if skew is None:
            headers.append(("date", formatdate(now_ms // 1000, usegmt=True)))
        elif not skew.flag("omit"):
            shifted = formatdate(now_ms // 1000 + int(skew.number("seconds", 0)), usegmt=True)
            headers.append(("date", str(skew.params.get("text", shifted))))
        if skew is not None and "age" in skew.params:
            headers.append(("age", str(int(skew.number("age", 0)))))
        return replace(reply, headers=tuple(headers))

    # The honest way

    def _process(self, request: SignedRequest, row: LoggedRequest, strike: Strike, now_ms: int) -> Reply:
        try:
            key, readings = self.verifier.verify(request, now_ms=now_ms)
            row.canonical = readings.text
            outcome = self._operations.run(request, key, strike, at_ms=now_ms, created_by=row.id)
        except ApiError as error:
            return self._error_reply(error, row)
        return self._outcome_reply(outcome, row, strike)

    def _outcome_reply(self, outcome: Outcome, row: LoggedRequest, strike: Strike) -> Reply:
        row.job_uuid = outcome.job_uuid
        payload = outcome.payload
        unknown = strike.colouring.get("unknown_status")
        if unknown is not None:
            payload = _with_status(payload, str(unknown.params.get("status", "MIGRATING")))
        body = b"" if outcome.status == 204 else json.dumps(payload, separators=(",", ":")).encode()
        return Reply(outcome.status, "application/json", body)

    def _error_reply(self, error: ApiError, row: LoggedRequest) -> Reply:
        row.error_code = error.code
        found = re.match(r"^/v1/jobs/([^/]+)", row.path)
        row.job_uuid = found.group(1) if found and found.group(1) in self.engine.store.jobs else row.job_uuid
        content_type, body = render_error(error, self.engine.switches)
        return Reply(error.status, content_type, body)

    def _deliver_late(self, delivery: Delivery) -> None:
        request, at_ms = delivery.request, delivery.due_ms
        row = self._log(request, at_ms)
        row.fault = "delayed_commit"
        try:
            if delivery.verified_key is None:
                key, _ = self.verifier.verify(request, now_ms=at_ms)
            else:
                key = self._key_of(delivery.verified_key)
            outcome = self._operations.run(request, key, Strike(None, {}), at_ms=at_ms, created_by=row.id)
        except ApiError as error:
            row.status = self._error_reply(error, row).status
            return
        row.status, row.job_uuid = outcome.status, outcome.job_uuid

    def _key_of(self, public: str) -> ApiKey:
        key = self.keys.get(public)
        if key is None:
            raise ApiError(401, "UNKNOWN_API_KEY", "the key was removed before the request was carried out")
        return key


def _retry_after(rule: FaultRule) -> tuple[tuple[str, str], ...]:
    return (("retry-after", str(rule.params["retry_after"])),) if "retry_after" in rule.params else ()


def _with_status(payload: JsonValue, status: str) -> JsonValue:
    if isinstance(payload, dict):
        data = payload.get("data")
        if isinstance(data, list):
            return payload | {"data": _with_status(data, status)}
        return payload | {"status": status} if "status" in payload else payload
    if isinstance(payload, list):
        return [_with_status(row, status) for row in payload]
    return payload
