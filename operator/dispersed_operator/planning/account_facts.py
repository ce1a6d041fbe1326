"""An account as a job sees it, and what can stand in a job's way.

Invariant: these are values of one moment. Whether a create is allowed is asked anew before each one, never remembered.
"""

from __future__ import annotations

from dataclasses import dataclass

from dispersed_operator.model.intent import AccountMark
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.windows import ProofWindows


@dataclass(frozen=True, slots=True)
class Problem:
    """Something stands in the way: a reason from the closed list and a sentence that says who must do what."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """An account as a job sees it.

    `name`: as a job's status spells it (model/account_names.py). `shared`: the account serves several namespaces, so
    whether the job's is one of them is to be asked before a create. `blocker`: why nothing may be created now, None if
    creating is allowed. `awaits_poll`: the blocker is the first poll alone. `reachable`: a client with a key exists, so
    reading and cancelling can be tried. `expiry_enforced`: the service refuses replays and stale signatures, so absence
    can be proven; None while the probes have not told. `server_time`: seconds since the epoch by the newest `Date` plus
    monotonic time, None if never heard. `continuous_keys`: public keys whose recorded jobs are readable with the
    present key. `doubt`: so many jobs vanished at once that none of them is believed to be gone (failure mode 28).
    `believed_since`: when the last such doubt ended (monotonic); no listing from before it proves an absence.
    `frozen`: why nothing may be cancelled now: the cluster may be a copy of another one (mode 70).
    """

    name: str
    mark: AccountMark | None
    blocker: Problem | None
    reachable: bool
    expiry_enforced: bool | None
    windows: ProofWindows
    server_time: float | None
    server_date_age: float | None
    continuous_keys: frozenset[str] = frozenset()
    doubt: Problem | None = None
    frozen: Problem | None = None
    shared: bool = False
    awaits_poll: bool = False
    believed_since: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a shared account lets the job's namespace create with it: why not, or None; as read at `at`
    (monotonic)."""

    problem: Problem | None
    at: float
