"""Do all jobs of an account vanish at once? Then it is the account that is in question, not the jobs.

A key that was rotated to another account, or a service that has lost its sight, answers 404 for everything (failure
mode 28). So a mass disappearance opens this breaker: until the account is shown to be the one that has the jobs, no job
is believed to be gone and none is created. Jobs that ended leave the live listing too, many at once: then the first
single read shows that the account knows them, and the breaker closes before anybody notices.

Invariant: only the service's own word about one of the vanished jobs closes the breaker, or a person's, who names
exactly these jobs by their code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace

from dispersed_operator.model import naming
from dispersed_operator.model.account_names import annotate_command
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.vocabulary import Problem

LEAST_JOBS = 3
SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Breaker:
    """`vanished`: what the newest poll lacked. `suspects`: the jobs that vanished together and of which the service has
    not said a word since; while there are any, the breaker is open. `missing`: those that a single read did not find.
    """

    vanished: frozenset[str] = frozenset()
    suspects: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()

    @property
    def code(self) -> str:
        """Names exactly these suspects, for a person's answer."""
        return hashlib.sha256(" ".join(sorted(self.suspects)).encode()).hexdigest()[:8]


CLOSED = Breaker()


def after_poll(breaker: Breaker, known: Collection[str], vanished: Collection[str]) -> Breaker:
    """What a complete poll shows: of the `known` live jobs, `vanished` are neither listed nor known to have ended."""
    gone, all_known = frozenset(vanished), frozenset(known)
    fresh = gone - breaker.vanished
    suspects = breaker.suspects & all_known  # a resource that went takes its question along
    if suspects - gone:
        suspects = frozenset()  # the account knows one of them after all
    if len(fresh) >= LEAST_JOBS and len(fresh) > SHARE * len(all_known):
        suspects = gone & all_known
    if len(suspects) < LEAST_JOBS:
        suspects = frozenset()
    return Breaker(gone, suspects, breaker.missing & suspects)


def after_read(breaker: Breaker, uuid: str, *, found: bool) -> Breaker:
    """What the read of a single job shows: one suspect that the account knows speaks for all."""
    if uuid not in breaker.suspects:
        return breaker
    if found:
        return replace(breaker, suspects=frozenset(), missing=frozenset())
    return replace(breaker, missing=breaker.missing | {uuid})


def after_answer(breaker: Breaker, answer: str | None) -> Breaker:
    """What a person says: the annotation `confirm-vanished` with the code of exactly these suspects closes."""
    if not breaker.suspects or answer != breaker.code:
        return breaker
    return replace(breaker, suspects=frozenset(), missing=frozenset())


def doubt(breaker: Breaker, account: ResourceKey) -> Problem | None:
    """Why nothing may be concluded and created now; None while the breaker is closed."""
    if not breaker.suspects:
        return None
    if len(breaker.missing) < LEAST_JOBS:
        return Problem(Reason.ACCOUNT_PROBING, "many jobs left the listing at once; they are being read one by one")
    return Problem(
        Reason.ACCOUNT_MISMATCH,
        f"{len(breaker.suspects)} jobs of this account vanished at once, as if the key belonged to another account; "
        "none of them is given up and nothing is created; put the right key back, or if they are really gone: "
        f"{annotate_command(account)} "
        f"{naming.CONFIRM_VANISHED_ANNOTATION}={breaker.code} (the code names exactly these jobs)",
    )
