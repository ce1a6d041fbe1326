"""Signed calls: one attempt with a fresh signature, and the loop that repeats it where that is safe.

Why it exists: every retry needs a new time, nonce and signature (API reference §2.6), waits its turn at the limiter,
and teaches the clock; only here is that done. Invariants: `call` is used for requests that may be repeated (GET and
cancel) and `send_once` never repeats anything; the answer of every exchange is observed, whatever becomes of it.
"""

from __future__ import annotations

import asyncio
import random as random_module
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from dispersed_operator.errors import (
    CredentialsRefused,
    FundsInsufficient,
    NotSent,
    PermissionRefused,
    RateLimited,
    RemoteConflict,
    RemoteError,
    RemoteNotFound,
    RemoteStatusError,
    RequestRejected,
    ServiceFailed,
    TransportFailed,
)
from dispersed_operator.model.redaction import without_shapes
from dispersed_operator.remote.clock import ServerClock
from dispersed_operator.remote.limiter import LONGEST_PAUSE, Limiter
from dispersed_operator.remote.payloads import parse_error
from dispersed_operator.remote.scrub import Scrubber
from dispersed_operator.remote.signing import Credentials, SignedRequest, signed_request
from dispersed_operator.remote.transport import Answer, exchange
from dispersed_operator.workqueue import Lane

SKEW_WORTH_REPAIRING_MS = 5_000
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 8.0

OnResponse = Callable[[str, str, int, float], None]

_BY_STATUS: dict[int, type[RemoteStatusError]] = {
    401: CredentialsRefused,
    402: FundsInsufficient,
    403: PermissionRefused,
    404: RemoteNotFound,
    409: RemoteConflict,
    429: RateLimited,
}
_BY_CLASS: dict[int, type[RemoteStatusError]] = {4: RequestRejected, 5: ServiceFailed}


@dataclass(frozen=True, slots=True)
class Target:
    """What to ask for, before it is signed. `route` is the path with placeholders, for metrics."""

    method: str
    route: str
    path: str
    query: str = ""
    body: bytes = field(default=b"", repr=False)


def status_error(answer: Answer, scrubber: Scrubber) -> RemoteStatusError:
    """The error for an answer that is not 2xx, its texts scrubbed (API reference §2.7, §3.4, §3.5)."""
    kind = _BY_STATUS.get(answer.status) or _BY_CLASS.get(answer.status // 100, RemoteStatusError)
    said = parse_error(answer.body)
    retry_after = None if answer.retry_after is None else min(answer.retry_after, LONGEST_PAUSE)
    return kind(
        status=answer.status,
        code=scrubber.clean(said.code, limit=64) if said else "",
        detail=scrubber.clean(said.message) if said else "",
        json_body=said is not None,
        retry_after=retry_after,
        server_date=answer.date,
    )


class SignedCaller:
    """Signs and sends for one key at one host. Safe for concurrent use within one event loop."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        base_url: str,
        credentials: Credentials,
        clock: ServerClock,
        limiter: Limiter,
        nonces: Callable[[], str],
        on_response: OnResponse | None = None,
        random: Callable[[], float] = random_module.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        outside: Callable[[str], str] = without_shapes,
        attempts: int = 4,
        deadline: float = 30.0,
        attempt_timeout: float = 20.0,
    ) -> None:
        self.clock = clock
        self.limiter = limiter
        self._http = http
        self._base_url = base_url
        self._credentials = credentials
        self._nonces = nonces
        self._on_response = on_response
        self._random = random
        self._sleep = sleep
        self._monotonic = monotonic
        self._attempts = attempts
        self._deadline = deadline
        self._attempt_timeout = attempt_timeout
        self._outside = outside

    def scrubber(self, *secrets: str) -> Scrubber:
        """A scrubber that knows the key pair, the given secrets, and what `outside` hides."""
        keys = (self._credentials.secret_key, self._credentials.public_key)
        return Scrubber([*keys, *secrets], outside=self._outside)

    def sign(self, target: Target, *, time_ms: int, nonce: str | None = None) -> SignedRequest:
        """The signed request for a target. Raises UnsignableRequest."""
        return signed_request(
            self._credentials,
            method=target.method,
            path=target.path,
            query=target.query,
            body=target.body,
            time_ms=time_ms,
            nonce=self._nonces() if nonce is None else nonce,
        )

    async def send_once(self, request: SignedRequest, route: str, *, patience: float | None = None) -> Answer:
        """One exchange within `patience` seconds, for whoever holds a slot: no retry of any kind.

        Raises NotSent, TransportFailed, MalformedAnswer.
        """
        begun = self._monotonic()
        status = 0
        try:
            answer = await exchange(
                self._http,
                self._base_url,
                request,
                timeout=self._attempt_timeout if patience is None else patience,
                monotonic=self._monotonic,
                clean=lambda text: self.scrubber(request.signature).clean(text),
            )
            status = answer.status
        finally:
            if self._on_response is not None:
                self._on_response(request.method, route, status, self._monotonic() - begun)
        if answer.date is not None:
            self.clock.observe(answer.date, answer.received)
        if answer.status == 429:
            self.limiter.throttled(answer.retry_after)
        else:
            self.limiter.succeeded()
        return answer

    async def call(self, target: Target, lane: Lane = Lane.LIFECYCLE) -> Answer:
        """A 2xx answer, after as many attempts as it takes within the deadline; for GET and cancel only. In the polling
        lane it lets others go first. What a slow bucket takes for one token comes on top of the deadline.

        Raises the error of the last attempt; NotSent if none was made because the limiter let none through in time, and
        RateLimited at once if the service asked for a longer pause than that: whoever waits for it holds a worker.
        """
        last: list[RemoteError] = []
        patience = self._deadline + self.limiter.turn_seconds(lane)
        if self.limiter.paused_for > patience:
            raise RateLimited(status=429, detail="no request of this account may start now")
        try:
            async with asyncio.timeout(patience):
                return await self._attempt_until_answered(target, lane, patience, last)
        except TimeoutError:
            if last:
                raise last[-1] from None
            raise NotSent(f"the rate limit let no request through within {patience:g} s") from None

    async def _attempt_until_answered(
        self, target: Target, lane: Lane, patience: float, failures: list[RemoteError]
    ) -> Answer:
        gives_up_at = self._monotonic() + patience
        repaired = False
        while True:
            try:
                answer, request, signed_ms = await self._attempt(target, lane, failures)
            except (NotSent, TransportFailed) as error:
                failures.append(error)
            else:
                if answer.ok:
                    return answer
                error_now = status_error(answer, self.scrubber(request.signature))
                if answer.status == 401 and not repaired and _skewed(answer, signed_ms):
                    repaired = True  # the clock has just learnt the server's time from this very answer
                    continue
                failures.append(error_now)
                if answer.status != 429 and answer.status < 500:
                    raise error_now
            delay = self._delay(failures)
            if len(failures) >= self._attempts or self._monotonic() + delay >= gives_up_at:
                raise failures[-1]
            await self._sleep(delay)

    async def _attempt(
        self, target: Target, lane: Lane, failures: list[RemoteError]
    ) -> tuple[Answer, SignedRequest, int]:
        async with self.limiter.slot(lane):
            signed_ms = self.clock.time_ms()
            request = self.sign(target, time_ms=signed_ms)
            try:
                return await self.send_once(request, target.route), request, signed_ms
            except asyncio.CancelledError:
                # Kept for the case that the cancellation is our own deadline: bytes may have left.
                failures.append(TransportFailed(f"no complete answer within {self._deadline:g} s"))
                raise

    def _delay(self, failures: list[RemoteError]) -> float:
        """Seconds before the next attempt: exponential with jitter, and at least what the service asked for."""
        backoff = min(_FIRST_DELAY * float(2 ** (len(failures) - 1)), _LONGEST_DELAY) * (0.5 + self._random() / 2)
        asked = failures[-1].retry_after if isinstance(failures[-1], RemoteStatusError) else None
        return backoff if asked is None else max(asked, backoff)


def _skewed(answer: Answer, signed_ms: int) -> bool:
    return answer.date is not None and abs(answer.date * 1000 - signed_ms) > SKEW_WORTH_REPAIRING_MS
