"""The metrics of the operator: names, labels and meaning in one place, written through typed methods.

The queue's metrics carry controller-runtime's names, so that existing dashboards read them; everything else begins with
``dispersed_operator_``. Invariant: a label value is a member of a closed vocabulary (anything else becomes ``other``)
or the namespace or name of a resource; no text of a user, of a remote answer or of a Secret becomes a label. The
table in docs/metrics.md is generated from this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from dispersed_operator.model.keys import Kind
from dispersed_operator.model.orphan import OrphanCause
from dispersed_operator.planning.sweep import Standing
from dispersed_operator.telemetry.vocabulary import (
    METHODS,
    PHASES,
    ROUTES,
    CancelResult,
    CreateOutcome,
    EventResult,
    LookupResult,
    ReconcileResult,
    ResolveAnswer,
    SweepResult,
    member,
)
from dispersed_operator.workqueue import Lane

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "dispersed_operator_"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0)
_WAITS = (*_SECONDS, 600.0, 1800.0)


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One row of docs/metrics.md."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


class Metrics:
    """All metrics of one process, in a registry of their own. Methods may be called from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._rows: list[MetricRow] = []
        self._workqueue()
        self._reconciling()
        self._remote()
        self._creating()
        self._sweeping()
        self._world()
        _from_zero(self._creates, CreateOutcome)
        _from_zero(self._lookups, LookupResult)
        _from_zero(self._cancels, CancelResult)
        _from_zero(self._resolved, ResolveAnswer)
        _from_zero(self._events, EventResult)
        _from_zero(self._orphans_left, OrphanCause)

    def expose(self) -> bytes:
        """The exposition in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def catalogue(self) -> tuple[MetricRow, ...]:
        """Every metric in the order of definition, named as a scrape shows it; the source of docs/metrics.md."""
        return tuple(self._rows)

    # -- definitions --------------------------------------------------------------------------------------------------

    def _workqueue(self) -> None:
        name = ("name",)
        self._queue_depth = self._gauge("workqueue_depth", "Keys that wait, by lane (label `name`).", name)
        self._queue_adds = self._counter("workqueue_adds", "Keys added, by lane.", name)
        self._queue_retries = self._counter("workqueue_retries", "Keys added again with back-off after a failure.")
        self._queue_wait = self._histogram(
            "workqueue_queue_duration_seconds", "Time a key waited before a worker took it.", name, buckets=_WAITS
        )
        self._queue_oldest = self._gauge(
            "workqueue_oldest_item_age_seconds", "Age of the key that waits longest.", name
        )

    def _reconciling(self) -> None:
        prefix = PREFIX
        self._reconciles = self._counter(prefix + "reconcile", "Reconciles ended, by result.", ("kind", "result"))
        self._reconcile_seconds = self._histogram(
            prefix + "reconcile_seconds", "Duration of a reconcile.", ("kind",), buckets=_SECONDS
        )
        self._status_writes = self._counter(prefix + "status_writes", "Status patches that were accepted.", ("kind",))
        self._conflicts = self._counter(
            prefix + "conflicts", "Writes refused because the object had changed (HTTP 409).", ("kind",)
        )
        self._events = self._counter(
            prefix + "events_recorded", "Kubernetes Events, by what became of them.", ("result",)
        )
        self._resync_age = self._gauge(
            prefix + "resync_age_seconds", "Age of the last complete LIST of a kind.", ("kind",)
        )

    def _remote(self) -> None:
        prefix = PREFIX
        self._requests = self._counter(
            prefix + "remote_requests",
            "Requests to the Dispersed API; status `none` means that no answer came.",
            ("method", "route", "status"),
        )
        self._request_seconds = self._histogram(
            prefix + "remote_request_seconds", "Duration of a request to the Dispersed API.", ("method", "route"),
            buckets=_SECONDS,
        )  # fmt: skip
        account = ("namespace", "account")
        self._poll_seconds = self._histogram(
            prefix + "poll_seconds", "Duration of one poll of an account.", account, buckets=_SECONDS
        )
        self._poll_age = self._gauge(
            prefix + "poll_age_seconds", "Age of the last complete poll of an account.", account
        )
        self._account_ready = self._gauge(
            prefix + "account_ready", "1 if the account's condition Ready is True.", account
        )
        self._account_offset = self._gauge(
            prefix + "account_clock_offset_seconds", "Service's clock minus this process's clock.", account
        )
        self._account_waiting = self._gauge(
            prefix + "account_waiting", "Resources of an account that are due and wait for a worker.", account
        )
        self._account_concurrency = self._gauge(
            prefix + "account_concurrency",
            "Requests of an account that may be in flight at once; answers 429 shrink it.",
            account,
        )

    def _creating(self) -> None:
        prefix = PREFIX
        self._creates = self._counter(prefix + "creates", "POSTs by classified outcome (protocol C4).", ("outcome",))
        self._attempts = self._counter(prefix + "create_intents", "Create intents won by compare-and-swap (C2).")
        self._not_sent = self._counter(
            prefix + "creates_not_sent", "Intents marked as not sent (C3): too late, or account or key changed."
        )
        self._lookups = self._counter(
            prefix + "lookups", "Lookups of a create whose outcome is unknown (C7).", ("result",)
        )
        self._adoptions = self._counter(
            prefix + "adoptions", "Remote jobs taken over: of an earlier attempt to create them, or by spec.adopt."
        )
        self._absences = self._counter(
            prefix + "proofs_of_absence", "Unknown creates proven never to have happened (C7)."
        )
        self._duplicates = self._counter(prefix + "duplicates_found", "Second live jobs found for one token.")
        self._cancels = self._counter(
            prefix + "cancels", "Cancel requests by what the request came to (D4).", ("result",)
        )
        self._forced = self._counter(prefix + "force_finalized", "Finalizers dropped on a person's word (D7).")
        self._resolved = self._counter(prefix + "create_resolved", "Unknown creates settled by a person.", ("answer",))
        self._unknown = self._gauge(prefix + "create_unknown", "Resources whose create has an unknown outcome now.")

    def _sweeping(self) -> None:
        prefix = PREFIX
        account = ("namespace", "account")
        self._sweeps = self._counter(prefix + "sweeps", "Sweeps of an account, by result.", (*account, "result"))
        self._sweep_age = self._gauge(
            prefix + "sweep_age_seconds", "Age of the last complete sweep of an account.", account
        )
        self._sweep_jobs = self._gauge(
            prefix + "sweep_jobs",
            "Live remote jobs of an account at its last sweep. `orphan` and `duplicate` cost money for nobody; `copy` "
            "(made by a person) and `foreign` (another cluster's, or nobody's) are never touched.",
            (*account, "standing"),
        )
        self._sweep_cancels = self._counter(
            prefix + "sweep_cancels", "Cancels sent by the sweep.", (*account, "standing")
        )
        self._sweep_held_back = self._gauge(
            prefix + "sweep_held_back", "Cancels that the cap kept from the last sweep of an account.", account
        )
        self._orphans_left = self._counter(
            prefix + "orphans_left", "Remote jobs that a resource left behind when it went, by cause.", ("cause",)
        )

    def _world(self) -> None:
        prefix = PREFIX
        self._jobs = self._gauge(prefix + "jobs", "DispersedJobs by phase.", ("phase",))
        self._live_jobs = self._gauge(prefix + "live_jobs", "Live remote jobs of resources.")
        self._hourly_rate = self._gauge(prefix + "hourly_rate_usd", "Sum of the hourly rates of running jobs, in USD.")
        self._ready = self._gauge(prefix + "ready", "1 once the first complete LIST was read and this process leads.")
        self._leading = self._gauge(prefix + "leading", "1 if this process works, 0 if it stands by.")
        self._shards = self._gauge(
            prefix + "shards", "In how many shards the work is divided; the label says which one this is.", ("shard",)
        )
        self._info = self._gauge(prefix + "build_info", "Always 1; the label carries the version.", ("version",))

    # -- the queue ----------------------------------------------------------------------------------------------------

    def queue_state(self, lane: Lane, *, depth: int, oldest_seconds: float) -> None:
        """How many keys wait in a lane, and for how long the one that waits longest has been due (0 if none)."""
        self._queue_depth.labels(lane.value).set(depth)
        self._queue_oldest.labels(lane.value).set(oldest_seconds)

    def added(self, lane: Lane) -> None:
        """A key was added (`workqueue.QueueHooks`)."""
        self._queue_adds.labels(lane.value).inc()

    def served(self, lane: Lane, waited: float) -> None:
        """A worker took a key that had been due for this long (`workqueue.QueueHooks`)."""
        self._queue_wait.labels(lane.value).observe(waited)

    def retried(self, failures: int, delay: float) -> None:  # noqa: ARG002 - the shape of `workqueue.QueueHooks`
        """A key comes back after a failure (`workqueue.QueueHooks`)."""
        self._queue_retries.inc()

    # -- reconciling --------------------------------------------------------------------------------------------------

    def reconciled(self, kind: Kind, result: ReconcileResult, seconds: float) -> None:
        """One reconcile ended."""
        self._reconciles.labels(kind.value, result.value).inc()
        self._reconcile_seconds.labels(kind.value).observe(seconds)

    def status_written(self, kind: Kind) -> None:
        """A status patch was accepted."""
        self._status_writes.labels(kind.value).inc()

    def conflict(self, kind: Kind) -> None:
        """A write was refused with 409."""
        self._conflicts.labels(kind.value).inc()

    def event_recorded(self, result: EventResult) -> None:
        """A Kubernetes Event was recorded or dropped."""
        self._events.labels(result.value).inc()

    def resync_age(self, kind: Kind, seconds: float) -> None:
        """Age of the last complete LIST of a kind."""
        self._resync_age.labels(kind.value).set(seconds)

    # -- the remote API -----------------------------------------------------------------------------------------------

    def remote_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request ended. `route` is a template of `ROUTES`, never a path; `status` 0 means that no answer came."""
        verb, template = member(method, METHODS), member(route, ROUTES)
        self._requests.labels(verb, template, str(status) if 100 <= status <= 599 else "none").inc()
        self._request_seconds.labels(verb, template).observe(seconds)

    def polled(self, namespace: str, account: str, seconds: float) -> None:
        """One complete poll of an account took this long."""
        self._poll_seconds.labels(namespace, account).observe(seconds)

    def poll_age(self, namespace: str, account: str, seconds: float) -> None:
        """Age of the last complete poll of an account."""
        self._poll_age.labels(namespace, account).set(seconds)

    def account_ready(self, namespace: str, account: str, *, ready: bool) -> None:
        """The account's condition Ready."""
        self._account_ready.labels(namespace, account).set(int(ready))

    def account_clock_offset(self, namespace: str, account: str, seconds: float) -> None:
        """The service's clock minus ours."""
        self._account_offset.labels(namespace, account).set(seconds)

    def account_load(self, namespace: str, account: str, *, waiting: int, concurrency: int) -> None:
        """How many resources of the account wait, and how many requests the service bears at once."""
        self._account_waiting.labels(namespace, account).set(waiting)
        self._account_concurrency.labels(namespace, account).set(concurrency)

    def account_gone(self, namespace: str, account: str) -> None:
        """Forget the series of an account that was deleted."""
        polling = (self._poll_seconds, self._poll_age, self._account_ready, self._account_offset)
        load = (self._account_waiting, self._account_concurrency)
        sweeping = (self._sweeps, self._sweep_age, self._sweep_jobs, self._sweep_cancels, self._sweep_held_back)
        for metric in (*polling, *load, *sweeping):
            metric.remove_by_labels({"namespace": namespace, "account": account})

    # -- create and cancel --------------------------------------------------------------------------------------------

    def intent_won(self) -> None:
        """An intent was written by compare-and-swap (C2)."""
        self._attempts.inc()

    def create_not_sent(self) -> None:
        """An intent was marked as not sent (C3)."""
        self._not_sent.inc()

    def created(self, outcome: CreateOutcome) -> None:
        """A POST was classified (C4)."""
        self._creates.labels(outcome.value).inc()

    def looked_up(self, result: LookupResult) -> None:
        """A lookup by token ended (C7)."""
        self._lookups.labels(result.value).inc()

    def adopted(self) -> None:
        """A remote job found by lookup or listing was recorded as the resource's own."""
        self._adoptions.inc()

    def absence_proven(self) -> None:
        """A create of unknown outcome was proven never to have happened."""
        self._absences.inc()

    def duplicate_found(self) -> None:
        """A second live job carried the token of one attempt."""
        self._duplicates.inc()

    def cancelled(self, result: CancelResult) -> None:
        """A cancel request was answered or failed (D4)."""
        self._cancels.labels(result.value).inc()

    def force_finalized(self) -> None:
        """A finalizer was dropped on a person's word (D7)."""
        self._forced.inc()

    def create_resolved(self, answer: ResolveAnswer) -> None:
        """A person settled a create of unknown outcome."""
        self._resolved.labels(answer.value).inc()

    def creates_unknown(self, count: int) -> None:
        """How many resources have a create of unknown outcome now."""
        self._unknown.set(count)

    # -- the sweep ----------------------------------------------------------------------------------------------------

    def swept(self, namespace: str, account: str, result: SweepResult) -> None:
        """A sweep of an account ended."""
        self._sweeps.labels(namespace, account, result.value).inc()

    def sweep_age(self, namespace: str, account: str, seconds: float) -> None:
        """Age of the last complete sweep of an account."""
        self._sweep_age.labels(namespace, account).set(seconds)

    def sweep_found(self, namespace: str, account: str, counts: Mapping[Standing, int], *, held_back: int) -> None:
        """How the live jobs of an account stand, and how many cancels the cap held back."""
        for standing in Standing:
            self._sweep_jobs.labels(namespace, account, standing.value).set(counts.get(standing, 0))
        self._sweep_held_back.labels(namespace, account).set(held_back)

    def sweep_cancelled(self, namespace: str, account: str, standing: Standing) -> None:
        """The sweep asked for a cancel."""
        self._sweep_cancels.labels(namespace, account, standing.value).inc()

    def orphan_left(self, cause: OrphanCause) -> None:
        """A resource went and left its remote job behind."""
        self._orphans_left.labels(cause.value).inc()

    # -- the world ----------------------------------------------------------------------------------------------------

    def jobs_by_phase(self, counts: Mapping[str, int]) -> None:
        """How many DispersedJobs are in each phase; a phase that is not named has none."""
        for phase in sorted(PHASES):
            self._jobs.labels(phase).set(counts.get(phase, 0))

    def live_jobs(self, count: int, *, hourly_rate_usd: float) -> None:
        """Live remote jobs of resources and the sum of their hourly rates."""
        self._live_jobs.set(count)
        self._hourly_rate.set(hourly_rate_usd)

    def ready(self, *, ready: bool) -> None:
        """Whether this process reconciles."""
        self._ready.set(int(ready))

    def leading(self, *, leading: bool) -> None:
        """Whether this process holds the Lease, or needs none."""
        self._leading.set(int(leading))

    def shard(self, name: str, *, count: int) -> None:
        """Which shard this process is, as the setting is written, and of how many."""
        self._shards.labels(name).set(count)

    def build_info(self, version: str) -> None:
        """The version of this process."""
        self._info.labels(version).set(1)

    # -- making -------------------------------------------------------------------------------------------------------

    def _counter(self, name: str, meaning: str, labels: tuple[str, ...] = ()) -> Counter:
        self._rows.append(MetricRow(f"{name}_total", "counter", labels, meaning))
        return Counter(name, meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, labels: tuple[str, ...] = ()) -> Gauge:
        self._rows.append(MetricRow(name, "gauge", labels, meaning))
        return Gauge(name, meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, labels: tuple[str, ...], *, buckets: tuple[float, ...]) -> Histogram:
        self._rows.append(MetricRow(name, "histogram", labels, meaning))
        return Histogram(name, meaning, labels, registry=self.registry, buckets=buckets)


def _from_zero(counter: Counter, outcomes: type[StrEnum]) -> None:
    # A series that first appears with its first event hides that event from rate() and increase().
    for outcome in outcomes:
        counter.labels(outcome.value)
