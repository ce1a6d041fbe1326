"""Metrics: closed label vocabularies, names that a scrape shows, and every series reachable through a typed method."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from dispersed_operator.model.keys import Kind
from dispersed_operator.model.orphan import OrphanCause
from dispersed_operator.planning.sweep import Standing
from dispersed_operator.telemetry.metrics import Metrics
from dispersed_operator.telemetry.vocabulary import (
    ROUTES,
    CancelResult,
    CreateOutcome,
    EventResult,
    LookupResult,
    ReconcileResult,
    ResolveAnswer,
    SweepResult,
)
from dispersed_operator.workqueue import Lane, QueueHooks

UUID = "0a1b2c3d-0000-4000-8000-000000000000"


def exercise(metrics: Metrics) -> None:
    """Calls every method once, so that every series exists."""
    hooks: QueueHooks = metrics
    hooks.added(Lane.LIFECYCLE)
    hooks.served(Lane.POLLING, 0.5)
    hooks.retried(3, 8.0)
    metrics.queue_state(Lane.LIFECYCLE, depth=3, oldest_seconds=1.5)
    metrics.reconciled(Kind.JOB, ReconcileResult.DONE, 0.1)
    metrics.status_written(Kind.JOB)
    metrics.conflict(Kind.ACCOUNT)
    metrics.event_recorded(EventResult.RECORDED)
    metrics.resync_age(Kind.JOB, 12.0)
    metrics.remote_request(method="GET", route="/v1/jobs/{uuid}", status=200, seconds=0.2)
    metrics.polled("team-a", "default", 0.3)
    metrics.poll_age("team-a", "default", 5.0)
    metrics.account_ready("team-a", "default", ready=True)
    metrics.account_clock_offset("team-a", "default", -1.5)
    metrics.account_load("team-a", "default", waiting=7, concurrency=4)
    metrics.intent_won()
    metrics.create_not_sent()
    metrics.created(CreateOutcome.UNKNOWN)
    metrics.looked_up(LookupResult.ABSENT)
    metrics.adopted()
    metrics.absence_proven()
    metrics.duplicate_found()
    metrics.cancelled(CancelResult.SENT)
    metrics.force_finalized()
    metrics.create_resolved(ResolveAnswer.RETRY)
    metrics.creates_unknown(1)
    metrics.swept("team-a", "default", SweepResult.DONE)
    metrics.sweep_age("team-a", "default", 5.0)
    metrics.sweep_found("team-a", "default", {Standing.ORPHAN: 1}, held_back=2)
    metrics.sweep_cancelled("team-a", "default", Standing.ORPHAN)
    metrics.orphan_left(OrphanCause.DELETION_POLICY)
    metrics.jobs_by_phase({"Running": 2})
    metrics.live_jobs(2, hourly_rate_usd=1.25)
    metrics.ready(ready=True)
    metrics.shard("0/2", count=2)
    metrics.build_info("0.1.0")


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.expose().decode())
        for sample in family.samples
    }


def value(metrics: Metrics, series: str, /, **labels: str) -> float:
    return samples(metrics)[series, tuple(sorted(labels.items()))]


def test_every_metric_of_the_catalogue_is_written_by_a_method_and_nothing_else_is_exposed() -> None:
    metrics = Metrics()
    exercise(metrics)
    suffixes = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    promised = {row.name + suffix for row in metrics.catalogue() for suffix in suffixes[row.kind]}
    exposed = {name for name, _ in samples(metrics) if not name.endswith("_created")}
    assert exposed == promised


def test_a_sample_carries_exactly_the_labels_of_the_catalogue() -> None:
    metrics = Metrics()
    exercise(metrics)
    labels = {row.name: set(row.labels) for row in metrics.catalogue()}
    for name, pairs in samples(metrics):
        family = next((known for known in labels if name == known), None) or name.rsplit("_", 1)[0]
        if not name.endswith("_created"):
            assert {label for label, _ in pairs} - {"le"} == labels[family]


def test_counts_and_gauges_say_what_was_reported() -> None:
    metrics = Metrics()
    exercise(metrics)
    prefix = "dispersed_operator_"
    assert value(metrics, prefix + "creates_total", outcome="unknown") == 1
    assert value(metrics, prefix + "creates_total", outcome="accepted") == 0
    assert value(metrics, prefix + "jobs", phase="Running") == 2
    assert value(metrics, prefix + "jobs", phase="Pending") == 0
    assert value(metrics, prefix + "hourly_rate_usd") == 1.25
    assert value(metrics, prefix + "account_clock_offset_seconds", namespace="team-a", account="default") == -1.5
    assert value(metrics, prefix + "account_waiting", namespace="team-a", account="default") == 7
    assert value(metrics, prefix + "account_concurrency", namespace="team-a", account="default") == 4
    assert value(metrics, "workqueue_depth", name="lifecycle") == 3
    assert value(metrics, "workqueue_adds_total", name="lifecycle") == 1


def test_a_phase_that_nobody_has_any_more_goes_back_to_zero() -> None:
    metrics = Metrics()
    metrics.jobs_by_phase({"Running": 2})
    metrics.jobs_by_phase({"Succeeded": 2})
    assert value(metrics, "dispersed_operator_jobs", phase="Running") == 0


def test_a_path_with_an_id_never_becomes_a_label() -> None:
    metrics = Metrics()
    metrics.remote_request(method="GET", route=f"/v1/jobs/{UUID}", status=200, seconds=0.1)
    metrics.remote_request(method="sk_secret", route="/v1/jobs", status=200, seconds=0.1)
    text = metrics.expose().decode()
    assert UUID not in text
    assert "sk_secret" not in text
    assert value(metrics, "dispersed_operator_remote_requests_total", method="GET", route="other", status="200") == 1


def test_a_request_without_an_answer_has_the_status_none() -> None:
    metrics = Metrics()
    metrics.remote_request(method="POST", route="/v1/jobs", status=0, seconds=45.0)
    assert (
        value(metrics, "dispersed_operator_remote_requests_total", method="POST", route="/v1/jobs", status="none") == 1
    )


def test_routes_are_templates_without_ids() -> None:
    assert all(route.startswith("/v1/") and route.count("{uuid}") <= 1 for route in ROUTES)


def test_the_series_of_a_deleted_account_vanish_and_those_of_others_stay() -> None:
    metrics = Metrics()
    for account in ("gone", "stays"):
        metrics.polled("team-a", account, 0.3)
        metrics.poll_age("team-a", account, 5.0)
        metrics.account_ready("team-a", account, ready=True)
        metrics.account_clock_offset("team-a", account, 0.0)
        metrics.account_load("team-a", account, waiting=1, concurrency=16)
    metrics.account_gone("team-a", "gone")
    metrics.account_gone("team-a", "never-known")
    text = metrics.expose().decode()
    assert 'account="gone"' not in text
    assert text.count('account="stays"') > 4


def test_two_instances_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    one.adopted()
    assert value(one, "dispersed_operator_adoptions_total") == 1
    assert value(other, "dispersed_operator_adoptions_total") == 0
