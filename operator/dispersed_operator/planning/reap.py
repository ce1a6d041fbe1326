"""Which remote jobs the reaper ends: a decision over one listing that needs no cluster (protocol, Sweep, last part).

Why it exists: when the operator is gone for long, or its cluster for ever, a job bills on and its title is all that is
left of its owner (failure modes 33, 34). Invariants: a title whose check characters do not fit is never ours; an expiry
of `000000` never ends a job; without an expiry that has passed on the service's clock a job ends only where a person
asked for every job of a named cluster or namespace; a person's copy of our title is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dispersed_operator.model import naming
from dispersed_operator.model.naming import Identity, ParsedTitle
from dispersed_operator.model.orphan import orphan_name
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.model.windows import SERVICE_WINDOWS
from dispersed_operator.planning.matching import created_in_window


class Verdict(StrEnum):
    """What the reaper makes of a job."""

    CANCEL = "Cancel"
    LEAVE = "Leave"
    IGNORE = "Ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs a person asked for.

    `cluster`: the six-character mark of the only cluster that is meant; None means every cluster.
    `everything`: also jobs whose expiry has not passed, or that have none.
    `owners`: the resources of the only namespace that is meant, and `left_behind` the names of the DispersedOrphans
    that it left; None and empty mean every namespace.
    `kept`: the names of the DispersedOrphans whose decision is Keep or Adopt.
    """

    cluster: str | None = None
    everything: bool = False
    owners: tuple[Identity, ...] | None = None
    left_behind: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Judgement:
    """One job, what its verified title says (None: not ours), the verdict, and why, as a part of a sentence."""

    row: RemoteJob
    title: ParsedTitle | None
    verdict: Verdict
    because: str


@dataclass(frozen=True, slots=True)
class ReapPlan:
    """The verdicts over a listing, in its order. `now` is the service's clock in seconds since the epoch.

    `shown`: live jobs with a verified title of a cluster that is meant. `strangers`: how many other live jobs there
    are.
    """

    now: int
    shown: tuple[Judgement, ...]
    strangers: int

    @property
    def chosen(self) -> tuple[Judgement, ...]:
        """The jobs to end."""
        return tuple(item for item in self.shown if item.verdict is Verdict.CANCEL)


def plan_reap(rows: Iterable[RemoteJob], wanted: Wanted, *, now: int) -> ReapPlan:
    """Judge every live job of a complete listing. `now`: the service's `Date`, in seconds since the epoch."""
    judged = [judge(row, wanted, now=now) for row in rows if not row.terminal]
    shown = tuple(item for item in judged if item.verdict is not Verdict.IGNORE)
    return ReapPlan(now=now, shown=shown, strangers=len(judged) - len(shown))


def judge(row: RemoteJob, wanted: Wanted, *, now: int) -> Judgement:
    """The verdict on one job; the order of the questions is that of their weight."""
    title = naming.parse_title(row.title)
    if title is None:
        return Judgement(row, None, Verdict.IGNORE, "the title is not ours, or its check characters do not fit")
    if wanted.cluster is not None and title.cluster != wanted.cluster:
        return Judgement(row, title, Verdict.IGNORE, "it belongs to another cluster")
    if row.terminal:
        return Judgement(row, title, Verdict.LEAVE, "it has ended")
    if not created_in_window(row, title.signed_at, SERVICE_WINDOWS.signature_window):
        return Judgement(row, title, Verdict.LEAVE, "a copy of our title, not created by our request; end it by hand")
    names = _orphan_names(row, title)
    if names & wanted.kept:
        return Judgement(row, title, Verdict.LEAVE, "its DispersedOrphan says Keep or Adopt")
    if wanted.owners is not None and not (names & wanted.left_behind or _owned(row, title, wanted.owners)):
        return Judgement(row, title, Verdict.LEAVE, "no resource of that namespace owns it")
    if wanted.everything:
        return Judgement(row, title, Verdict.CANCEL, "every live job was asked for")
    return _by_expiry(row, title, now)


def duration_text(seconds: float) -> str:
    """A span in its two largest units: `45s`, `12m`, `5h2m`, `3d4h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600}h"


def _by_expiry(row: RemoteJob, title: ParsedTitle, now: int) -> Judgement:
    if title.expiry == 0:
        return Judgement(row, title, Verdict.LEAVE, "its title has no expiry")
    if title.expiry <= title.signed_at:
        return Judgement(row, title, Verdict.LEAVE, "its expiry lies before its creation, so it proves nothing")
    if now < title.expiry:
        return Judgement(row, title, Verdict.LEAVE, f"it expires in {duration_text(title.expiry - now)}")
    return Judgement(row, title, Verdict.CANCEL, f"it expired {duration_text(now - title.expiry)} ago")


def _owned(row: RemoteJob, title: ParsedTitle, owners: Sequence[Identity]) -> bool:
    near = (owner for owner in owners if naming.uid_mark(owner.uid) == title.uid)
    return any(naming.title_belongs_to(row.title, owner) is not None for owner in near)


def _orphan_names(row: RemoteJob, title: ParsedTitle) -> frozenset[str]:
    """The names under which a DispersedOrphan may speak of this job."""
    return frozenset({orphan_name(uuid=row.uuid, token=None), orphan_name(uuid=None, token=title.token)})
