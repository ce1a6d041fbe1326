"""What each open account showed of how its service behaves, kept and looked at again.

Why it exists: an account without a job shows little on its first use, a key may gain rights, a service may change; so
the picture grows while the account is used. Invariant: findings belong to one session; those of an earlier key or host
are never shown for the present one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dispersed_operator.accounts import AccountSession
from dispersed_operator.conformance import examine
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.planning.conformance import (
    Finding,
    blocking_problem,
    clock_finding,
    echo_findings,
    probe_findings,
    with_echo,
)
from dispersed_operator.planning.vocabulary import Problem
from dispersed_operator.store import ResourceStore

AGAIN_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class _Examined:
    """What a session showed of rights and lists, and when (monotonic seconds)."""

    session: AccountSession
    findings: tuple[Finding, ...]
    at: float


class Examinations:
    """The examinations of all open accounts."""

    def __init__(self, *, store: ResourceStore, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._examined: dict[ResourceKey, _Examined] = {}

    async def examine(self, session: AccountSession) -> Problem | None:
        """Look where a look may bring something new; why nothing may be created, if the findings say so.

        Raises RemoteError if the service gave no verdict.
        """
        known, now = self._examined.get(session.key), self._monotonic()
        if known is None or known.session is not session or _worth_another_look(known, now):
            known = _Examined(session, await examine(session.client), now)
            self._examined[session.key] = known
        return blocking_problem(with_echo(known.findings, self._echo(session)))

    def findings(self, session: AccountSession | None) -> tuple[Finding, ...]:
        """All that is known of how the service behaves for this account; nothing before it was examined."""
        examined = self._examined.get(session.key) if session is not None else None
        if session is None or session.probes is None or examined is None or examined.session is not session:
            return ()
        probes = session.probes
        return (
            *probe_findings(replay_refused=probes.replay_refused, window_seconds=probes.window_seconds),
            clock_finding(session.client.clock.offset(), session.max_clock_offset),
            *with_echo(examined.findings, self._echo(session)),
        )

    def forget(self, key: ResourceKey) -> None:
        """The account was closed."""
        self._examined.pop(key, None)

    def _echo(self, session: AccountSession) -> tuple[Finding, ...]:
        """How the first job that was created for a resource and read since came back (failure mode 41)."""
        for job in self._store.outlines_of_account(session.key):
            seen = session.view.get(job.create_uuid) if job.create_uuid and job.adopts is None else None
            if seen is not None and job.token:
                return echo_findings([seen.job], token=job.token)
        return ()


def _worth_another_look(known: _Examined, now: float) -> bool:
    return blocking_problem(known.findings) is not None or now - known.at >= AGAIN_SECONDS
