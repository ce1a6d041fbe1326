"""Kubernetes Events on a real API server: visible to people, few, and never in the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.kube.client import EVENTS, KubeClient
from dispersed_operator.kube.events import WINDOW, WRITE_INTERVAL, EventRecorder
from tests.integration.kube.harness import Json, client_for, create_job

START = 1_800_000_000.0


@dataclass
class Desk:
    """A recorder on a clock of its own."""

    client: KubeClient
    now: float = START
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.recorder = EventRecorder(
            self.client, instance="operator-0", clock=lambda: self.now, on_failure=self.failures.append
        )

    async def record(self, regarding: Json, *, message: str = "the job was accepted") -> None:
        await self.recorder.record(
            regarding=regarding, type_="Normal", reason="Created", message=message, action="Create"
        )


async def events_of(client: KubeClient, namespace: str) -> list[dict[str, Any]]:
    items, _ = await client.list_all(EVENTS, namespace=namespace)
    return items


async def test_an_event_is_shown_by_kubectl_describe(
    control_plane: ControlPlane, client: KubeClient, namespace: str
) -> None:
    desk = Desk(client)
    await desk.record(await create_job(client, namespace))
    shown = control_plane.kubectl("describe", "dispersedjob", "train", "-n", namespace)
    line = next(line for line in shown.splitlines() if "the job was accepted" in line)
    assert {"Normal", "Created", "dispersed-operator"} <= set(line.replace(",", " ").split())
    assert desk.failures == []


async def test_the_same_event_within_ten_minutes_counts_up(client: KubeClient, namespace: str) -> None:
    desk = Desk(client)
    body = await create_job(client, namespace)
    for _ in range(3):
        await desk.record(body)
    desk.now += WRITE_INTERVAL
    await desk.record(body)
    (event,) = await events_of(client, namespace)
    assert event["count"] == 4
    assert event["firstTimestamp"] == "2027-01-15T08:00:00Z"
    assert event["lastTimestamp"] == "2027-01-15T08:01:00Z"


async def test_another_message_or_a_later_time_is_another_event(client: KubeClient, namespace: str) -> None:
    desk = Desk(client)
    body = await create_job(client, namespace)
    await desk.record(body)
    await desk.record(body, message="something else")
    desk.now += WINDOW
    await desk.record(body)
    assert len(await events_of(client, namespace)) == 3


async def test_an_event_that_was_deleted_meanwhile_is_written_anew(
    control_plane: ControlPlane, client: KubeClient, namespace: str
) -> None:
    desk = Desk(client)
    body = await create_job(client, namespace)
    await desk.record(body)
    control_plane.kubectl("delete", "events", "--all", "-n", namespace)
    desk.now += WRITE_INTERVAL
    await desk.record(body)
    (event,) = await events_of(client, namespace)
    assert event["count"] == 1
    assert desk.failures == []


async def test_a_long_message_is_cut_to_what_the_server_takes(client: KubeClient, namespace: str) -> None:
    desk = Desk(client)
    await desk.record(await create_job(client, namespace), message="é" * 2000)
    (event,) = await events_of(client, namespace)
    assert event["message"] == "é" * 512


async def test_a_terminating_namespace_or_a_missing_right_is_no_error_of_the_caller(
    control_plane: ControlPlane, client: KubeClient, namespace: str, tmp_path: Path
) -> None:
    body = await create_job(client, namespace, finalizers=["example.com/keep"])
    control_plane.kubectl("delete", "namespace", namespace, "--wait=false")
    desk = Desk(client)
    await desk.record(body)
    assert desk.failures == ["Forbidden"]
    async with client_for(control_plane.write_kubeconfig(tmp_path / "bad", token="not-a-token")) as stranger:
        refused = Desk(stranger)
        await refused.record(body)
    assert refused.failures == ["Unauthorized"]
    control_plane.kubectl(
        "patch", "dispersedjob", "train", "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
    )
