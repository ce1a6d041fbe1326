"""The effects as the composition root puts them together, on a Kubernetes client of the test's choice."""

from __future__ import annotations

import time
from collections.abc import Callable

from dispersed_operator.accounts import AccountBook
from dispersed_operator.connection import ConnectionSecrets
from dispersed_operator.creates import Creates
from dispersed_operator.effects import Effects
from dispersed_operator.intents import Intents
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.events import EventRecorder
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.orphans import Orphans
from dispersed_operator.planning.vocabulary import Problem
from dispersed_operator.remote.client import fresh_nonce
from dispersed_operator.statuses import StatusWriter
from dispersed_operator.store import ResourceStore
from dispersed_operator.telemetry.metrics import Metrics
from tests.support.builders import CLUSTER


async def _no_holds(_: object) -> Problem | None:
    return None


def statuses_on(
    kube: KubeClient,
    store: ResourceStore,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
) -> StatusWriter:
    """A real writer of statuses."""
    return StatusWriter(
        store=store,
        kube=kube,
        recorder=EventRecorder(kube, instance="test", clock=wall),
        redactor=Redactor(),
        metrics=Metrics(),
        monotonic=monotonic,
        wall=wall,
    )


def effects_on(
    kube: KubeClient,
    store: ResourceStore,
    *,
    nonces: Callable[[], str] = fresh_nonce,
    monotonic: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
    holder: str = "test",
    book: AccountBook | None = None,
) -> Effects:
    """Real effects; every hold is in order."""
    metrics, redactor = Metrics(), Redactor()
    statuses = statuses_on(kube, store, monotonic=monotonic, wall=wall)
    intents = Intents(
        cluster_id=CLUSTER,
        holder=holder,
        store=store,
        kube=kube,
        statuses=statuses,
        metrics=metrics,
        nonces=nonces,
        monotonic=monotonic,
    )
    creates = Creates(
        intents=intents,
        store=store,
        statuses=statuses,
        metrics=metrics,
        check_holds=_no_holds,
        monotonic=monotonic,
        wall=wall,
    )
    return Effects(
        store=store,
        kube=kube,
        book=book or AccountBook(windows_for=lambda _: ProofWindows(), exists=lambda key: store.get(key) is not None),
        intents=intents,
        creates=creates,
        statuses=statuses,
        connections=ConnectionSecrets(kube),
        orphans=Orphans(kube, cluster_wide=True, metrics=metrics, wall=wall),
        redactor=redactor,
        metrics=metrics,
        monotonic=monotonic,
    )
