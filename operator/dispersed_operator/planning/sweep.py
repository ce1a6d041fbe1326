"""What the sweep finds: how each live remote job of an account stands, and which of them are to be cancelled.

Two lists are compared, the remote one read first: a job that has no resource in the later list had none when it was
listed. The verdicts are those of the protocol's page "Sweep", in its order, and every doubt ends in "leave it alone".

Invariants: only a job whose title carries the verified mark of this very cluster is ever cancelled; only at its second
sighting in the same standing, `second_sighting` seconds of the service's time after the first; never more than the cap
in one sweep; nothing that a person marked `Keep` or `Adopt`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from dispersed_operator.model import naming
from dispersed_operator.model.intent import Refusal
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.naming import ParsedTitle
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.orphan import SPARING, OrphanDecision, OrphanPolicy, orphan_name
from dispersed_operator.model.remote import ENDING_STATUS, RemoteJob
from dispersed_operator.planning.identity import cancel_identities
from dispersed_operator.planning.matching import created_in_window

ORPHAN_AGE_SECONDS = 900
LEAST_CAP = 5
CAP_SHARE = 10  # one in ten


class Standing(StrEnum):
    """How a live remote job stands to this cluster; also the label of a metric."""

    OWNED = "owned"
    LOOKUP = "lookup"
    COPY = "copy"
    DUPLICATE = "duplicate"
    YOUNG = "young"
    ORPHAN = "orphan"
    FOREIGN = "foreign"


SUSPECT = frozenset({Standing.DUPLICATE, Standing.ORPHAN})


@dataclass(frozen=True, slots=True)
class SweepRules:
    """What holds for all jobs of an account. Seconds. `cluster_wide`: the LIST showed every resource there is."""

    cluster_id: str
    policy: OrphanPolicy
    cluster_wide: bool
    signature_window: float = 300.0
    second_sighting: float = 30.0


@dataclass(frozen=True, slots=True)
class FirstSight:
    """Since when (service's time, epoch seconds) a job stands as it does."""

    standing: Standing
    server_date: int


@dataclass(frozen=True, slots=True)
class SweepView:
    """What one sweep saw.

    `rows`: the live remote jobs, listed at `server_date`. `recorded`: which resource records which uuid, and
    `resources`: those that a title may speak of; both from one LIST begun after the rows were read or, where every row
    is recorded, from the store (ADR 0012). `decisions`: by name of the DispersedOrphan. `sightings`: by uuid, what the
    sweep before left. `spent`: how many cancels of the cap earlier sweeps of the same interval took.
    """

    rows: Sequence[RemoteJob]
    server_date: int
    recorded: Mapping[str, ResourceKey]
    resources: Sequence[JobResource]
    decisions: Mapping[str, OrphanDecision]
    sightings: Mapping[str, FirstSight]
    spent: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one job stands and why. `confirmed`: it stood so in an earlier sweep already, long enough ago."""

    job: RemoteJob
    standing: Standing
    reason: str
    title: ParsedTitle | None = None
    owner: JobResource | None = None
    confirmed: bool = False
    decision: OrphanDecision = OrphanDecision.REPORT


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """The verdicts on all rows; `cancels` among them, most urgent first; `held_back`: how many the cap kept from it.

    `sightings` are for the next sweep. `waiting`: a suspect has been seen once only, so the next sweep is due soon.
    """

    verdicts: tuple[Verdict, ...]
    cancels: tuple[Verdict, ...]
    held_back: int
    sightings: Mapping[str, FirstSight]
    waiting: bool


def plan_sweep(view: SweepView, rules: SweepRules) -> SweepPlan:
    """The verdicts on everything that was seen. Source: protocol, Sweep."""
    owners = _Owners(view.resources, rules.cluster_id)
    verdicts, sightings = [], {}
    for row in view.rows:
        if row.terminal:
            continue
        verdict = _judge(row, view, rules, owners)
        if verdict.standing in SUSPECT:
            sight = _first_sight(verdict, view)
            sightings[row.uuid] = sight
            verdict = replace(verdict, confirmed=view.server_date - sight.server_date >= rules.second_sighting)
        verdicts.append(verdict)
    wanted = sorted((verdict for verdict in verdicts if _is_to_end(verdict, rules)), key=_urgency)
    cap = max(0, cancel_cap(sum(_is_ours(verdict) for verdict in verdicts)) - view.spent)
    return SweepPlan(
        verdicts=tuple(verdicts),
        cancels=tuple(wanted[:cap]),
        held_back=max(0, len(wanted) - cap),
        sightings=sightings,
        waiting=any(verdict.standing in SUSPECT and not verdict.confirmed for verdict in verdicts),
    )


def cancel_cap(live: int) -> int:
    """How many jobs one sweep may cancel, of so many live ones of this cluster (failure mode 50)."""
    return max(LEAST_CAP, live // CAP_SHARE)


def is_duplicate(job: RemoteJob, resource: JobResource, rules: SweepRules) -> bool:
    """Whether this resource, read just now, still makes the job a duplicate: the title verifies against it, nothing of
    it is to be looked up, and another uuid is recorded for the same or a later attempt (rule 4)."""
    title = _title_of(job.title, resource, rules.cluster_id)
    if title is None or job.uuid in recorded_uuids(resource) or _is_undated(job) or _is_copy(job, title, rules):
        return False
    return not _is_cut_off(resource, title) and not _needs_lookup(resource, title, rules.cluster_id)


def ends_orphan(job: RemoteJob, decision: OrphanDecision, rules: SweepRules) -> bool:
    """Whether decision or policy end a job that nobody owns. Without a time of creation it may be a person's copy of
    our title (rule 3), so only a person ends it."""
    if decision is OrphanDecision.REPORT:
        return rules.policy is OrphanPolicy.CANCEL and not _is_undated(job)
    return decision is OrphanDecision.CANCEL


def decision_on(uuid: str, title: str, decisions: Mapping[str, OrphanDecision]) -> OrphanDecision:
    """What a person decided of the job, else of the create that it comes from; `decisions` by name of the object."""
    by_uuid = decisions.get(orphan_name(uuid=uuid, token=None), OrphanDecision.REPORT)
    parsed = naming.parse_title(title)
    if by_uuid is not OrphanDecision.REPORT or parsed is None:
        return by_uuid
    return decisions.get(orphan_name(uuid=None, token=parsed.token), OrphanDecision.REPORT)


def is_of_cluster(job: RemoteJob, cluster_id: str) -> bool:
    """Whether the title's check characters fit and it names this cluster."""
    title = naming.parse_title(job.title)
    return title is not None and title.cluster == naming.cluster_mark(cluster_id)


def recorded_uuids(resource: JobResource) -> frozenset[str]:
    """The remote jobs that a resource names as its own."""
    named = (resource.job_uuid, resource.status.get("jobUUID"))
    return frozenset(uuid for uuid in named if isinstance(uuid, str) and uuid)


def refusal(verdict: Verdict) -> str | None:
    """Why a person's `Cancel` is not carried out on this job, None if it is or may yet be."""
    match verdict.standing:
        case Standing.FOREIGN | Standing.COPY | Standing.OWNED:
            return f"{verdict.reason}, so the decision Cancel changes nothing"
        case _:
            return None


class _Owners:
    """Finds the resource whose uid, or whose origin's, derives the token of a title."""

    def __init__(self, resources: Sequence[JobResource], cluster_id: str) -> None:
        self._cluster_id = cluster_id
        self._by_mark: dict[str, list[JobResource]] = {}
        for resource in resources:
            for identity in cancel_identities(resource, cluster_id):
                self._by_mark.setdefault(naming.uid_mark(identity.uid), []).append(resource)

    def find(self, title: str, mark: str) -> JobResource | None:
        """The owner of a title whose uid mark is `mark`."""
        candidates = self._by_mark.get(mark, ())
        return next((item for item in candidates if _title_of(title, item, self._cluster_id) is not None), None)


def _title_of(title: str, resource: JobResource, cluster_id: str) -> ParsedTitle | None:
    """The title as parsed if it verifies against this resource or its origin."""
    found = (naming.title_belongs_to(title, identity) for identity in cancel_identities(resource, cluster_id))
    return next((parsed for parsed in found if parsed is not None), None)


def _judge(row: RemoteJob, view: SweepView, rules: SweepRules, owners: _Owners) -> Verdict:
    """The rules in the order of the protocol."""
    key = view.recorded.get(row.uuid)
    if key is not None:
        return Verdict(row, Standing.OWNED, f"it belongs to {key}", naming.parse_title(row.title))
    title = naming.parse_title(row.title)
    if title is None:
        return Verdict(row, Standing.FOREIGN, "its title is not one of this operator's")
    if title.cluster != naming.cluster_mark(rules.cluster_id):
        return Verdict(row, Standing.FOREIGN, "its title names another cluster", title)
    decision = decision_on(row.uuid, row.title, view.decisions)
    owner = owners.find(row.title, title.uid)
    if owner is not None and _is_cut_off(owner, title):
        owner = None
    if owner is not None and _needs_lookup(owner, title, rules.cluster_id):
        reason = f"it is attempt {title.attempt} of {owner.key}, which does not know its outcome"
        return Verdict(row, Standing.LOOKUP, reason, title, owner, decision=decision)
    undated = _is_undated(row)
    if _is_copy(row, title, rules) or (undated and owner is not None):
        reason = "it was not created by the request that its title speaks of (a copy made by a person?)"
        return Verdict(row, Standing.COPY, reason, title, owner, decision=decision)
    if owner is not None:
        reason = f"{owner.key} records {owner.job_uuid} for the same or a later attempt"
        return Verdict(row, Standing.DUPLICATE, reason, title, owner, decision=decision)
    if not rules.cluster_wide:
        reason = "no resource in the namespaces of this installation owns it"
    else:
        reason = "no resource of this cluster owns it"
    if undated:
        reason += " (the service does not tell when it was made, so only a person's Cancel ends it)"
    if view.server_date - _created(row, title) <= ORPHAN_AGE_SECONDS:
        return Verdict(row, Standing.YOUNG, f"{reason} yet", title, decision=decision)
    return Verdict(row, Standing.ORPHAN, reason, title, decision=decision)


def _needs_lookup(owner: JobResource, title: ParsedTitle, cluster_id: str) -> bool:
    """Rule 2: the owner's newest create is unresolved, or this job is of an attempt that it records no job for. A
    record whose token is not the owner's own (inherited by a copy, or written by hand) records nothing."""
    if owner.pending_create() is not None:
        return True
    record = owner.record
    if record is None or record.uuid is None or title.attempt > record.attempt:
        return True
    own = {naming.create_token(identity, record.attempt) for identity in cancel_identities(owner, cluster_id)}
    return record.token not in own


def _is_cut_off(owner: JobResource, title: ParsedTitle) -> bool:
    """Whether a person abandoned the very create that this job comes from: then nobody owns it any more."""
    intent = owner.intent
    return intent is not None and intent.refusal is Refusal.ABANDONED and intent.token == title.token


def _is_copy(row: RemoteJob, title: ParsedTitle, rules: SweepRules) -> bool:
    """Rule 3: created at a time when the signature of the title was not good."""
    return not created_in_window(row, title.signed_at, rules.signature_window)


def _is_undated(row: RemoteJob) -> bool:
    """Whether the service gives no time of day: nothing tells this job from a person's copy then."""
    return row.created_at is None or row.created_at_is_date


def _created(row: RemoteJob, title: ParsedTitle) -> float:
    """The latest moment at which the job can have been made, as far as it is known."""
    return max(row.created_at.timestamp(), title.signed_at) if row.created_at is not None else float(title.signed_at)


def _first_sight(verdict: Verdict, view: SweepView) -> FirstSight:
    before = view.sightings.get(verdict.job.uuid)
    if before is not None and before.standing is verdict.standing and before.server_date <= view.server_date:
        return before
    return FirstSight(verdict.standing, view.server_date)


def _is_to_end(verdict: Verdict, rules: SweepRules) -> bool:
    """Rules 4 and 5: what is cancelled now. A job that is ending already needs no second cancel."""
    if not verdict.confirmed or verdict.decision in SPARING or verdict.job.status == ENDING_STATUS:
        return False
    if verdict.standing is Standing.DUPLICATE:
        return True
    ends = ends_orphan(verdict.job, verdict.decision, rules)
    return verdict.standing is Standing.ORPHAN and rules.cluster_wide and ends


def _urgency(verdict: Verdict) -> tuple[bool, bool, datetime, str]:
    """Duplicates first, then what a person decided, then the oldest."""
    created = verdict.job.created_at or datetime.max.replace(tzinfo=UTC)
    decided = verdict.decision is OrphanDecision.CANCEL
    return verdict.standing is not Standing.DUPLICATE, not decided, created, verdict.job.uuid


def _is_ours(verdict: Verdict) -> bool:
    return verdict.standing is not Standing.FOREIGN
