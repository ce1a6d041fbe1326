"""The client of the Dispersed API: every call that the operator makes to it.

Flow
    A method builds a `Target` (canonical path, query and body). `SignedCaller` takes a slot, signs and sends; the
    answer teaches the `ServerClock`; `payloads` turns it into the frozen types of `model/remote.py`. A create goes
    its own way: signed with the time and nonce of its intent, sent once, its outcome classified by `outcomes`
    (protocol C3, C4).

Guarantees
    * `create_job` sends at most one request, never re-signs, and returns an outcome instead of raising a RemoteError.
    * GET and cancel carry a fresh time, nonce and signature in every attempt and end within their deadline.
    * The bytes that were signed are the bytes that are sent, body and URL alike.
    * No row is lost between the wire and a `Listing`: a row that cannot be read fails its page.
    * No text that leaves here holds a key, an env value, a token or a signature.

Assumptions
    * Clock and client are given the same `monotonic`. Every caller stays on one event loop. The HTTP client is shared
      and closed by the composition root.
    * `Date` headers without `Age` come from the service's own clock (API reference §2.6, protocol 1).
    * `base_url` was meant for this account: the host is not part of the signed text (API reference §1).

Caveats
    * A cancel's answer is thrown away on purpose: only a later read says what became of the job (protocol D4).
    * A 404 is an error here and never a fact about a job (protocol D3).
    * Whoever holds a reservation for a create must not call another method in the meantime.

Errors
    UnsignableRequest before anything is sent; NotSent and TransportFailed from the network; MalformedAnswer for a
    2xx that makes no sense; a RemoteStatusError per HTTP status (a redirect is the bare class, for it is none of the
    others).
"""

from __future__ import annotations

import asyncio
import json
import random as random_module
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import httpx

from dispersed_operator.errors import MalformedAnswer, NotSent, RemoteError, UnsignableRequest
from dispersed_operator.model.redaction import without_shapes
from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.remote.caller import OnResponse, SignedCaller, Target
from dispersed_operator.remote.clock import ServerClock
from dispersed_operator.remote.limiter import Limiter, Reservation
from dispersed_operator.remote.outcomes import CreateOutcome, classify_create, classify_failure
from dispersed_operator.remote.paging import (
    MAX_PAGE_SIZE,
    JobPage,
    Rows,
    RunPage,
    read_every_page,
    read_jobs,
    read_runs,
)
from dispersed_operator.remote.payloads import parse_job, parse_run
from dispersed_operator.remote.probes import ListedPages, Probes, list_pages, run_probes
from dispersed_operator.remote.scrub import secrets_of
from dispersed_operator.remote.signing import Credentials, canonical_body, canonical_query
from dispersed_operator.remote.transport import Answer, checked_base_url
from dispersed_operator.workqueue import Lane

CREATE_TIMEOUT = 45.0
_LIMITER_PATIENCE = 15.0  # a POST without a reservation: C3 allows 20 s between intent and sending
_UUID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def fresh_nonce() -> str:
    """16 random bytes as 32 hexadecimal characters (API reference §2.1)."""
    return secrets.token_hex(16)


class DispersedClient:
    """One account at one host. A rotated key means a new client.

    `replay_codes` are the refusals that leave a create unknown (protocol C4); `probe` sets them, and whoever remembers
    the probes of an earlier process may. `on_response` hears method, route, status (0 if there was none) and seconds.
    `outside` takes secrets out of the words of others: every error text has passed it.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        base_url: str,
        credentials: Credentials,
        clock: ServerClock,
        limiter: Limiter,
        nonces: Callable[[], str] = fresh_nonce,
        random: Callable[[], float] = random_module.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        on_response: OnResponse | None = None,
        outside: Callable[[str], str] = without_shapes,
        attempts: int = 4,
        deadline: float = 30.0,
        attempt_timeout: float = 20.0,
        create_timeout: float = CREATE_TIMEOUT,
    ) -> None:
        self.base_url = checked_base_url(base_url)
        self.host = httpx.URL(self.base_url).netloc.decode("ascii")
        self.public_key = credentials.public_key
        self.clock = clock
        self.limiter = limiter
        self.replay_codes: frozenset[str] = frozenset()
        self._create_timeout = create_timeout
        self._caller = SignedCaller(
            http,
            base_url=self.base_url,
            credentials=credentials,
            clock=clock,
            limiter=limiter,
            nonces=nonces,
            on_response=on_response,
            random=random,
            sleep=sleep,
            monotonic=monotonic,
            outside=outside,
            attempts=attempts,
            deadline=deadline,
            attempt_timeout=attempt_timeout,
        )

    async def create_job(
        self, body: bytes, *, signed_at: int, nonce: str, reservation: Reservation | None = None
    ) -> CreateOutcome:
        """POST a job exactly once, signed with the intent's time (seconds since the epoch) and nonce (C3, C4).

        Uses up `reservation`. Without one it waits a short while for a slot and reports `NOT_SENT` if none comes.
        """
        try:
            with reservation or await self._slot_soon():
                return await self._post_job(body, signed_at=signed_at, nonce=nonce)
        except RemoteError as error:
            return classify_failure(error)

    async def get_job(self, uuid: str) -> RemoteJob:
        """One job (API reference §5.4). Raises RemoteNotFound, MalformedAnswer (also for another uuid than asked), …"""
        answer = await self._get("/v1/jobs/{uuid}", f"/v1/jobs/{_checked_uuid(uuid)}")
        job = parse_job(answer.body)
        if job.uuid != uuid:
            raise MalformedAnswer("the answer is about another job than the one that was asked for")
        return job

    async def get_run(self, uuid: str) -> RemoteRun:
        """One run with its logs as text (API reference §6.2). Raises as `get_job`."""
        answer = await self._get("/v1/job-runs/{uuid}", f"/v1/job-runs/{_checked_uuid(uuid)}")
        run = parse_run(answer.body)
        if run.uuid != uuid:
            raise MalformedAnswer("the answer is about another run than the one that was asked for")
        return run

    async def list_runs(self, job_uuid: str, lane: Lane = Lane.LIFECYCLE) -> tuple[RemoteRun, ...]:
        """All runs of a job, newest first; none is missing (protocol D5). Rows of other jobs are dropped.

        Raises MalformedAnswer if the pages do not add up, or if a row does not say whose run it is.
        """
        wanted = _checked_uuid(job_uuid)

        async def read_page(page: int) -> RunPage:
            return await self._page_of_runs([("filter[job_uuid]", wanted)], page=page, limit=MAX_PAGE_SIZE, lane=lane)

        runs = await read_every_page(read_page)
        return runs_of_job(runs, wanted)

    async def cancel_job(self, uuid: str, reason: str) -> None:
        """Ask for a cancel, repeated like a GET (API reference §5.5).

        That it returns proves nothing: read the job again.
        """
        path = f"/v1/jobs/{_checked_uuid(uuid)}/cancel"
        body = canonical_body({"reason": reason})
        await self._caller.call(Target("PUT", "/v1/jobs/{uuid}/cancel", path, body=body))

    async def page_jobs(
        self,
        *,
        page: int,
        limit: int,
        statuses: Sequence[str] | None = None,
        read: Callable[[bytes], Rows[RemoteJob]] = read_jobs,
        lane: Lane = Lane.LIFECYCLE,
    ) -> JobPage:
        """One page of jobs, newest first (API reference §5.3). `read` gets the answer as it came. Raises
        MalformedAnswer if any row cannot be read."""
        answer = await self._get("/v1/jobs", "/v1/jobs", _list_query(_status_filter(statuses), page, limit), lane)
        return JobPage.of(read(answer.body), asked=limit, server_date=answer.date)

    async def page_runs(
        self,
        *,
        page: int,
        limit: int,
        statuses: Sequence[str] | None = None,
        read: Callable[[bytes], Rows[RemoteRun]] = read_runs,
        lane: Lane = Lane.LIFECYCLE,
    ) -> RunPage:
        """One page of runs, newest first, without logs (API reference §6.1). Raises as `page_jobs`."""
        return await self._page_of_runs(_status_filter(statuses), page=page, limit=limit, read=read, lane=lane)

    async def probe(self) -> Probes:
        """Find out whether signatures expire on this account, and remember the replay codes.

        Source: protocol, "It is checked per account, not assumed".
        """
        probes = await run_probes(self._caller)
        self.replay_codes = probes.replay_codes
        return probes

    async def list_pages(self) -> ListedPages:
        """The first pages of the job list as they come, for a judgement on how the service lists."""
        return await list_pages(self._caller)

    async def _post_job(self, body: bytes, *, signed_at: int, nonce: str) -> CreateOutcome:
        content = _checked_body(body)
        target = Target("POST", "/v1/jobs", "/v1/jobs", body=body)
        request = self._caller.sign(target, time_ms=signed_at * 1000, nonce=nonce)
        answer = await self._caller.send_once(request, target.route, patience=self._create_timeout)
        scrubber = self._caller.scrubber(request.signature, *secrets_of(content))
        return classify_create(answer.status, answer.body, replay_codes=self.replay_codes, scrubber=scrubber)

    async def _slot_soon(self) -> Reservation:
        try:
            async with asyncio.timeout(_LIMITER_PATIENCE):
                return await self.limiter.reserve()
        except TimeoutError:
            raise NotSent(f"the rate limit let no request through within {_LIMITER_PATIENCE:g} s") from None

    async def _get(self, route: str, path: str, query: str = "", lane: Lane = Lane.LIFECYCLE) -> Answer:
        return await self._caller.call(Target("GET", route, path, query), lane)

    async def _page_of_runs(
        self,
        filters: list[tuple[str, str]],
        *,
        page: int,
        limit: int,
        read: Callable[[bytes], Rows[RemoteRun]] = read_runs,
        lane: Lane = Lane.LIFECYCLE,
    ) -> RunPage:
        answer = await self._get("/v1/job-runs", "/v1/job-runs", _list_query(filters, page, limit), lane)
        return RunPage.of(read(answer.body), asked=limit, server_date=answer.date)


def runs_of_job(runs: Sequence[RemoteRun], job_uuid: str) -> tuple[RemoteRun, ...]:
    """The runs of one job among `runs`, newest first; the service may ignore a filter (API reference §5.3).

    Raises MalformedAnswer if a run does not name its job: it might be the live one that must not be overlooked.
    """
    if any(not run.job_uuid for run in runs):
        raise MalformedAnswer("a job run does not name its job")
    own = [run for run in runs if run.job_uuid == job_uuid]
    return tuple(sorted(own, key=lambda run: run.created_at or run.started_at or _LONG_AGO, reverse=True))


def _list_query(filters: list[tuple[str, str]], page: int, limit: int) -> str:
    return canonical_query([*filters, ("page", str(page)), ("limit", str(limit)), ("sort", "-created_at")])


def _status_filter(statuses: Sequence[str] | None) -> list[tuple[str, str]]:
    return [] if statuses is None else [("filter[status]", ",".join(statuses))]


def _checked_uuid(uuid: str) -> str:
    if not _UUID.fullmatch(uuid):
        raise UnsignableRequest("a remote uuid holds only letters, digits, '-' and '_'")
    return uuid


def _checked_body(body: bytes) -> object:
    """The decoded body, if `body` is its canonical form; another form could be hashed differently by the service."""
    try:
        content: object = json.loads(body)
    except ValueError:
        raise UnsignableRequest("the body is not JSON") from None
    if canonical_body(content) != body:
        raise UnsignableRequest("the body is not in canonical form")
    return content
