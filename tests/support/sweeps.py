"""What tests of the sweep share: orphans made by hand, jobs of our make that no resource asked for, sweeps counted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dispersed_operator.model.naming import Identity, remote_description, remote_title
from dispersed_operator.model.naming import create_token as token_of
from tests.support.world import PATIENT_CLOCK, World, wait_for

Body = dict[str, Any]

SWEEPING = (*PATIENT_CLOCK, "--sweep-seconds", "1")


def cluster_id(world: World) -> str:
    """The cluster's identity as the operator reads it."""
    return world.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}", namespaced=False)


def now(world: World) -> int:
    """The service's time in epoch seconds."""
    return int(world.control.clock()["now_ms"]) // 1000


def identity_of(world: World, name: str) -> Identity:
    """The identity under which a resource creates jobs."""
    body = world.get(name)
    assert body is not None
    return Identity(cluster_id(world), world.namespace, name, body["metadata"]["uid"])


def a_vanished(world: World, number: int = 0) -> Identity:
    """The identity of a resource that does not exist any more."""
    uid = f"{number:08d}-0000-4000-8000-00000000dead"
    return Identity(cluster_id(world), world.namespace, f"vanished-{number}", uid)


def a_stranger() -> Identity:
    """A resource of another cluster."""
    return Identity("ffffffff-0000-4000-8000-000000000000", "team-z", "train", "0b9d7c52-1f2e-4c1a-8a55-2d1f4e6a9c03")


def insert(world: World, identity: Identity, *, attempt: int = 1, age: int = 0, **values: Any) -> str:
    """Put a live PERSISTENT job with the title of this identity into the service, created `age` seconds ago by the very
    request that its title speaks of; its uuid."""
    signed_at = now(world) - age
    title = remote_title(identity, attempt=attempt, signed_at=signed_at, expiry=0, user_title="by hand")
    token = token_of(identity, attempt)
    description = remote_description(token=token, digest="0" * 64, title="by hand", description="")
    fields = {"task": "PERSISTENT", "status": "RUNNING", "created_at": instant(signed_at), "description": description}
    return str(world.control.insert_job(title, **(fields | values))["uuid"])


def instant(seconds: int) -> str:
    """RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def make_orphan(world: World, name: str = "server") -> str:
    """A running job whose resource vanished, finalizer stripped, while no operator ran; its uuid. Older than 15 min."""
    world.add_persistent(name)
    world.wait_condition(name, "Ready")
    uuid = str(world.status(name)["jobUUID"])
    for operator in world.operators:
        operator.stop()
    world.kubectl("patch", "dispersedjob", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    world.delete(name)
    world.wait_gone(name)
    world.control.advance(1000)
    return uuid


def sweeps(world: World) -> int:
    """How many sweeps of the world's account the running operators have completed."""
    pattern = re.compile(
        rf'^dispersed_operator_sweeps_total\{{account="default",namespace="{world.namespace}",result="done"\}} (\S+)$',
        re.MULTILINE,
    )
    texts = [operator.metrics() for operator in world.operators if operator.running]
    return sum(int(float(found)) for text in texts for found in pattern.findall(text))


def metric(world: World, name: str, **labels: str) -> float | None:
    """A series of the world's account in the first operator that runs."""
    wanted = {"account": "default", "namespace": world.namespace} | labels
    text = next(operator.metrics() for operator in world.operators if operator.running)
    inside = ",".join(f'{label}="{value}"' for label, value in sorted(wanted.items()))
    found = re.search(rf"^{name}\{{{re.escape(inside)}\}} (\S+)$", text, re.MULTILINE)
    return None if found is None else float(found[1])


def see_twice(world: World) -> None:
    """Two complete sweeps, more than the second sighting apart in the service's time, and one more after them."""
    for _ in range(2):
        sweep_again(world)
        world.control.advance(31)
    sweep_again(world)


def sweep_again(world: World) -> None:
    """Wait until a sweep that began after now was completed."""
    before = sweeps(world)
    wait_for(lambda: sweeps(world) >= before + 2, what="two more sweeps were completed")


def orphan(world: World, name: str) -> Body | None:
    """The DispersedOrphan of this name."""
    return world.get(name, "dispersedorphan")


def wait_orphan(world: World, name: str, fits: Callable[[Body], bool] = lambda _: True) -> Body:
    """Wait for a DispersedOrphan that fits."""

    def found() -> Body | None:
        body = orphan(world, name)
        return body if body is not None and body.get("status") and fits(body) else None

    return wait_for(found, what=f"dispersedorphan/{name} is as expected")


def decide(world: World, name: str, decision: str) -> None:
    """A person's answer."""
    patch = json.dumps({"spec": {"decision": decision}})
    world.kubectl("patch", "dispersedorphan", name, "--type=merge", "-p", patch, namespaced=False)


def events_of(world: World, name: str) -> dict[str, str]:
    """Reason → newest message of the Events of an object, in whatever namespace they stand."""
    text = world.kubectl(
        "get", "events", "-A", "--field-selector", f"involvedObject.name={name}", "-o", "json", namespaced=False
    )
    return {item["reason"]: item["message"] for item in json.loads(text)["items"]}


def cancelled_uuids(world: World) -> list[str]:
    """Which jobs the service was asked to cancel, in order."""
    return [str(row["path"]).split("/")[3] for row in world.cancels()]


def status_of(world: World, uuid: str) -> str:
    """The truth of a job."""
    return str(world.control.job(uuid)["status"])


def remove_orphans(world: World) -> None:
    """Remove all DispersedOrphans of the cluster, whatever finalizers earlier tests put on them."""
    names = world.kubectl("get", "dispersedorphans", "-o", "name", namespaced=False).split()
    for name in names:
        world.kubectl("patch", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}', namespaced=False)
    if names:
        world.kubectl("delete", "--ignore-not-found", *names, namespaced=False)
