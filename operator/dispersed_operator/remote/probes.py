"""The probes of an account: does the service really refuse a replay, from which age a signature, and how does it list?

Why it exists: a proof of absence rests on signatures that expire and on listings that add up, and both are checked per
account and not assumed (protocol, "The property to build on", 3). All probes are GETs and free. Invariant: a probe that
met trouble of the network or of the service gives no verdict at all; it raises.
"""

from __future__ import annotations

from dataclasses import dataclass

from dispersed_operator.errors import MalformedAnswer
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.remote.caller import SignedCaller, Target, status_error
from dispersed_operator.remote.outcomes import refusal_key
from dispersed_operator.remote.paging import MAX_PAGE_SIZE
from dispersed_operator.remote.payloads import RawPage, job_of_row, parse_error, parse_page
from dispersed_operator.remote.signing import SignedRequest, canonical_query
from dispersed_operator.remote.transport import Answer

# How far in the past a probe is signed, and the window that its refusal proves, in seconds.
PROBED_AGES = ((330, 300), (630, 600), (1_230, 1_200))
_REFUSING = frozenset({400, 401, 403, 409, 422})
_ROUTE = "/v1/jobs"


@dataclass(frozen=True, slots=True)
class Probes:
    """What the probes found. `window_seconds` is 300, 600 or 1200; None if every age was accepted.

    `replay_codes` are the `refusal_key`s of the refusals: a create that is answered with one of them has an unknown
    outcome. `refusal_statuses` are their HTTP statuses, ascending. `server_time` is the last `Date`, in seconds
    since the epoch.
    """

    replay_refused: bool
    stale_refused: bool
    window_seconds: int | None
    replay_codes: frozenset[str]
    refusal_statuses: tuple[int, ...]
    server_time: int

    @property
    def expiry_enforced(self) -> bool:
        """Whether a negative listing can ever be conclusive on this account (else `ExpiryNotEnforced`)."""
        return self.replay_refused and self.stale_refused


@dataclass(frozen=True, slots=True)
class ListedPages:
    """How the service lists jobs: the rows of the first page and, unless they are all, of the second.

    `reported_limit` and `total` are None if the first page did not say.
    """

    rows: tuple[RemoteJob, ...]
    more_rows: tuple[RemoteJob, ...]
    asked: int
    reported_limit: int | None
    total: int | None


async def list_pages(caller: SignedCaller) -> ListedPages:
    """Read the first pages as the service sends them, without the checks of a complete listing. Raises RemoteError."""
    first, rows = await _page(caller, 1)
    more: tuple[RemoteJob, ...] = ()
    if rows and (len(rows) >= MAX_PAGE_SIZE or first.total is None or first.total > len(rows)):
        _, more = await _page(caller, 2)
    return ListedPages(rows, more, MAX_PAGE_SIZE, first.limit, first.total)


async def run_probes(caller: SignedCaller) -> Probes:
    """Probe the account of the caller. Raises RemoteError if a probe gave no verdict."""
    target = Target("GET", _ROUTE, _ROUTE, canonical_query([("limit", "1"), ("page", "1")]))
    await caller.call(target)  # repairs the clock and shows that the key is accepted at all
    now = caller.clock.now()
    if now is None:
        raise MalformedAnswer("the service's answers carry no Date header")
    request = caller.sign(target, time_ms=caller.clock.time_ms())
    first, _ = await _probed(caller, request)
    if not first.ok:
        raise status_error(first, caller.scrubber(request.signature))
    replay, replay_key = await _probed(caller, request)
    refusals = [] if replay.ok else [(replay.status, replay_key)]
    window: int | None = None
    answer = replay
    for age, proven in PROBED_AGES:
        answer, key = await _probed(caller, caller.sign(target, time_ms=caller.clock.time_ms() - age * 1000))
        if not answer.ok:
            refusals.append((answer.status, key))
            window = proven
            break
    return Probes(
        replay_refused=not replay.ok,
        stale_refused=window is not None,
        window_seconds=window,
        replay_codes=frozenset(key for _, key in refusals),
        refusal_statuses=tuple(sorted({status for status, _ in refusals})),
        server_time=answer.date or int(caller.clock.now() or now),
    )


async def _page(caller: SignedCaller, number: int) -> tuple[RawPage, tuple[RemoteJob, ...]]:
    query = canonical_query([("limit", str(MAX_PAGE_SIZE)), ("page", str(number)), ("sort", "-created_at")])
    answer = await caller.call(Target("GET", _ROUTE, _ROUTE, query))
    page = parse_page(answer.body)
    return page, tuple(job_of_row(row) for row in page.rows)


async def _probed(caller: SignedCaller, request: SignedRequest) -> tuple[Answer, str]:
    """An answer that is a verdict: a page from the service itself, or a refusal. Raises on everything else."""
    async with caller.limiter.slot():
        answer = await caller.send_once(request, _ROUTE)
    if answer.cached:
        raise MalformedAnswer("a cache answered a probe, so it says nothing about the service")
    if answer.ok:
        parse_page(answer.body)  # raises: what is no page was not written by the service, whatever its status says
    elif answer.status not in _REFUSING:
        raise status_error(answer, caller.scrubber(request.signature))
    return answer, refusal_key(answer.status, parse_error(answer.body))
