"""`dispersed-operator reap`: end the remote jobs that nobody else will end, with nothing but an API key.

Flow
    `survey` reads: one complete listing, the verdicts (`planning/reap.py`), rate and cost of what is shown.
    `carry_out` writes: for each chosen job read, judge again, cancel, read again, until job and runs have ended.
Guarantees
    Without `carry_out` no request changes anything. A job is cancelled only if a read just before it still gives the
    same verdict. "Ended" is said only of a job that was read as terminal with all its runs (protocol D5).
Assumptions
    `Date` comes from the service's own clock; the local clock is not asked.
Caveats
    Rate and cost are estimates from the runs; a key that may not read runs shows neither, and can end nothing for sure.
Errors
    A RemoteError while surveying is raised: without a complete listing there is no verdict. While carrying out, it is
    the outcome of that one job.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from dispersed_operator.errors import CredentialsRefused, PermissionRefused, RemoteError
from dispersed_operator.model.remote import RemoteJob, RemoteRun
from dispersed_operator.planning.cost import total_cost
from dispersed_operator.planning.reap import Judgement, Verdict, Wanted, judge, plan_reap
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.listing import complete_listing

FIRST_DELAY = 2.0
LONGEST_DELAY = 30.0
AT_ONCE = 8
EXPIRED_REASON = "reaped: the lifetime in its title has passed"
ASKED_REASON = "reaped: every job of its owner was asked for"


class Outcome(StrEnum):
    """What became of a job that was chosen."""

    ENDED = "Ended"
    REFUSED = "Refused"
    NOT_CONFIRMED = "NotConfirmed"
    SPARED = "Spared"


@dataclass(frozen=True, slots=True)
class Entry:
    """One job of a survey. Money is in US dollars, None if unknown. `outcome` None: nothing was tried."""

    judged: Judgement
    hourly_rate: Decimal | None = None
    cost: Decimal | None = None
    outcome: Outcome | None = None
    words: str = ""

    @property
    def failed(self) -> bool:
        return self.outcome in {Outcome.REFUSED, Outcome.NOT_CONFIRMED}


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found at `now` (the service's clock, seconds since the epoch), and later what became of it.

    `strangers`: live jobs that are not shown. `notes`: what could not be read, for the person.
    """

    now: int
    entries: tuple[Entry, ...]
    strangers: int
    notes: tuple[str, ...] = ()

    @property
    def chosen(self) -> tuple[Entry, ...]:
        """What `carry_out` would end, or tried to."""
        return tuple(entry for entry in self.entries if entry.judged.verdict is Verdict.CANCEL)


class Reaper:
    """Surveys and reaps one account. `patience` is how long, in seconds, one job is waited for."""

    def __init__(
        self,
        client: DispersedClient,
        wanted: Wanted,
        *,
        patience: float,
        first_delay: float = FIRST_DELAY,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._wanted = wanted
        self._patience = patience
        self._first_delay = first_delay
        self._sleep = sleep
        self._monotonic = monotonic
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def survey(self) -> Survey:
        """Read and judge; nothing is written. Raises RemoteError if the listing cannot be completed."""
        listing = await complete_listing(self._client, since=0)
        plan = plan_reap(listing.rows, self._wanted, now=listing.server_date)
        priced = await asyncio.gather(*(self._priced(judged, plan.now) for judged in plan.shown))
        notes = tuple(sorted({trouble for _, trouble in priced if trouble}))
        return Survey(plan.now, tuple(entry for entry, _ in priced), plan.strangers, notes)

    async def carry_out(self, survey: Survey) -> Survey:
        """End what was chosen; the survey with the outcomes."""
        tried = await asyncio.gather(*(self._end(entry) for entry in survey.entries))
        return replace(survey, entries=tuple(tried))

    async def _priced(self, judged: Judgement, now: int) -> tuple[Entry, str]:
        """Rate and cost of a job; a run list that cannot be read is no reason to keep a job alive."""
        async with self._turns:
            try:
                runs = await self._client.list_runs(judged.row.uuid)
            except RemoteError as error:
                return Entry(judged), f"rate and cost are not known: {error}"
        return Entry(judged, _rate(runs), total_cost(runs, now)), ""

    async def _end(self, entry: Entry) -> Entry:
        """One step after the other until one settles it, or patience runs out. Waiting takes nobody's turn."""
        if entry.judged.verdict is not Verdict.CANCEL:
            return entry
        gives_up_at = self._monotonic() + self._patience
        delay = self._first_delay
        while True:
            async with self._turns:
                outcome, words = await self._step(entry.judged.row.uuid)
            if outcome is None and self._monotonic() + delay > gives_up_at:
                outcome = Outcome.NOT_CONFIRMED
            if outcome is not None:
                return replace(entry, outcome=outcome, words=words)
            await self._sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)

    async def _step(self, uuid: str) -> tuple[Outcome | None, str]:
        """D3 to D5 without a resource: read, judge, cancel if it lives. None: not settled yet, and why."""
        doing = "read"
        try:
            row = await self._client.get_job(uuid)
            if row.terminal:
                doing = "read the runs of"
                if all(run.terminal for run in await self._client.list_runs(uuid)):
                    return Outcome.ENDED, f"it is {row.status}"
                return None, f"it is {row.status}, but one of its runs is alive"
            spared = self._reason_to_spare(row)
            if spared is not None:
                return Outcome.SPARED, spared
            doing = "cancel"
            await self._client.cancel_job(uuid, ASKED_REASON if self._wanted.everything else EXPIRED_REASON)
        except (PermissionRefused, CredentialsRefused) as error:
            return Outcome.REFUSED, f"the key may not {doing} it ({error})"
        except RemoteError as error:
            return None, f"{doing}: {error}"
        return None, f"it is still {row.status}"

    def _reason_to_spare(self, row: RemoteJob) -> str | None:
        """Why a job that was just read is not to be cancelled after all; None if it is."""
        now = self._client.clock.now()
        if now is None:
            return "the service's time is not known"
        again = judge(row, self._wanted, now=int(now))
        return None if again.verdict is Verdict.CANCEL else again.because


def _rate(runs: tuple[RemoteRun, ...]) -> Decimal | None:
    """What the live runs cost an hour; None if none of them says."""
    rates = [run.hourly_rate_usd for run in runs if not run.terminal and run.hourly_rate_usd is not None]
    return sum(rates, Decimal(0)) if rates else None
