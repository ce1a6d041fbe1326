"""What one resource costs in memory, keeper by keeper: `python -m benchmarks.memory --resources 10000`.

Each keeper (store, remote view, reconciler's memory, queue, kopf) is filled in a process of its own with as many
resources as asked for. Two figures each: bytes of live Python objects (tracemalloc), and what the resident set grew by.
The first row is what the store would take if it held the parsed bodies; ratios are against that.

The body is that of a running DispersedJob as the API server gives it, with managedFields and last-applied annotation.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
from kopf._cogs.structs.bodies import RawBody
from kopf._core.reactor.inventory import ResourceMemories

from dispersed_operator.model import naming
from dispersed_operator.model.intent import AccountMark, Intent, Origin
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.reading import slim
from dispersed_operator.planning.vocabulary import Memory
from dispersed_operator.reconciler import _Remembered
from dispersed_operator.remote.rows import job_rows, run_rows
from dispersed_operator.remote.view import RemoteView
from dispersed_operator.store import ResourceStore, key_of
from dispersed_operator.workqueue import Lane, WorkQueue

Body = dict[str, Any]
CLUSTER = "8f4c2f6e-2f0b-4a53-9d0c-6f6f1f0a7b11"
STARTED = "2026-11-23T14:02:00Z"
ENV_VALUE = "a-value-of-some-length"


def a_spec(number: int) -> Body:
    """The spec of a persistent job with two ports, ssh and a dozen settings."""
    env: list[Body] = [{"name": f"SETTING_{item}", "value": f"{ENV_VALUE}-{number}-{item}"} for item in range(12)]
    env.append({"name": "BUCKET_KEY", "valueFrom": {"secretKeyRef": {"name": "bucket", "key": "access-key"}}})
    ports = [
        {"name": name, "containerPort": port, "protocol": "http"} for name, port in (("web", 8080), ("prom", 9090))
    ]
    return {
        "task": "Persistent",
        "accountRef": {"kind": "DispersedAccount", "name": "default"},
        "deletionPolicy": "Cancel",
        "deadlines": {"assignSeconds": 300, "startSeconds": 900},
        "limits": {"maxHourlyRateUSD": "2.50", "maxLifetimeSeconds": 86400},
        "template": {
            "title": f"Workbench number {number}",
            "image": "registry.example.com/studio/workbench",
            "tag": "2026.11",
            "command": ["python", "-m", "studio.serve", "--port", "8080"],
            "env": env,
            "ports": ports,
            "ssh": {"publicKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBGsRSs7yj17mB0rDcPKfLIjAUnJc5NnbjJB7prmEGjp me"},
            "allowedCIDRs": ["203.0.113.7/32", "198.51.100.0/24"],
            "resources": {"gpu": {"name": "NVIDIA RTX 4090"}},
        },
    }


def uuid_of(kind: str, number: int) -> str:
    """A uuid of its own for each number."""
    return f"{kind * 8}-1f2e-4c1a-8a55-{number:012x}"


def a_status(number: int) -> Body:
    """The status while the job runs."""
    job, run = uuid_of("1", number), {"uuid": uuid_of("a", number), "status": "RUNNING", "startedAt": STARTED}
    said = (
        ("Ready", "Running", "the container runs and all of its ports are published"),
        ("RemoteCreated", "Accepted", f"remote job {job} was created"),
        ("AccountReady", "Accepted", "the account is accepted"),
        ("Stalled", "Running", "nothing stands in the way"),
        ("Progressing", "Running", "the container runs"),
    )
    conditions = [
        {"type": kind, "status": "True", "reason": reason, "message": text, "lastTransitionTime": STARTED,
         "observedGeneration": 1}
        for kind, reason, text in said
    ]  # fmt: skip
    host = f"n{number}.proxy.example.com"
    endpoints = [
        {"name": name, "containerPort": port, "protocol": "http", "host": host, "port": 30_000 + port, "tls": True,
         "url": f"https://{host}:{30_000 + port}"}
        for name, port in (("web", 8080), ("prom", 9090), ("ssh", 22))
    ]  # fmt: skip
    create = {
        "token": f"abcdefgh{number:05d}", "attempt": 1, "uuid": job, "state": "Accepted", "locked": True,
        "signedAt": STARTED, "notAfter": STARTED, "bodySHA256": f"{number:064x}", "expiresAt": STARTED,
        "account": {"host": "api.example.com", "publicKey": "pk_live_0123456789abcdef", "identity": uuid_of("c", 1)},
    }  # fmt: skip
    return {
        "observedGeneration": 1, "phase": "Running", "jobUUID": job, "account": "default", "create": create,
        "active": 1, "succeeded": 0, "failed": 0, "startTime": STARTED, "runtime": "since 2026-11-23T14:02Z",
        "currentRun": run, "runs": [run], "runCount": 1, "hourlyRateUSD": "0.42", "costUSD": "1.2345",
        "connectionSecretRef": {"name": f"workbench-{number}-connection"}, "conditions": conditions,
        "endpoints": endpoints,
    }  # fmt: skip


def a_body(number: int) -> Body:
    """The whole object as JSON gives it: no string is shared with another one."""
    name, uid = f"workbench-{number:05d}", uuid_of("0", number)
    spec, status = a_spec(number), a_status(number)
    intent = Intent(
        token=f"abcdefgh{number:05d}", attempt=1, signed_at=1_795_000_010, nonce=f"{number:032x}",
        body_sha256=f"{number:064x}", holder="dispersed-operator-5f6d7c8b9-x2x7q",
        account=AccountMark("api.example.com", "pk_live_0123456789abcdef", None),
        origin=Origin(uid, f"team-a/{name}", CLUSTER),
    )  # fmt: skip
    applied = {"apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedJob", "metadata": {"name": name}, "spec": spec}
    annotations = {
        naming.INTENT_ANNOTATION: intent.to_annotation(),
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps(applied),
    }
    managed = [
        {"manager": manager, "operation": "Update", "time": STARTED, "fieldsV1": _fields(part)}
        for manager, part in (("kubectl", {"spec": spec}), ("dispersed-operator", {"status": status}))
    ]
    metadata = {
        "name": name, "namespace": "team-a", "uid": uid, "resourceVersion": str(1_000 + number), "generation": 1,
        "creationTimestamp": STARTED, "finalizers": [naming.JOB_FINALIZER], "labels": {"app": "workbench"},
        "annotations": annotations, "managedFields": managed,
    }  # fmt: skip
    body = {
        "apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedJob", "metadata": metadata, "spec": spec,
        "status": status,
    }  # fmt: skip
    return dict(json.loads(json.dumps(body)))


def _fields(part: object) -> Body:
    return {f"f:{name}": _fields(value) for name, value in part.items()} if isinstance(part, dict) else {}


def a_job_row(number: int) -> Body:
    """A row of the job list, env and all."""
    container = {
        "image": "registry.example.com/studio/workbench:2026.11",
        "env": {f"SETTING_{item}": f"{ENV_VALUE}-{number}-{item}" for item in range(12)},
    }
    return {
        "object": "job", "uuid": uuid_of("1", number), "status": "RUNNING", "task": "PERSISTENT",
        "title": f"kd1-abcdef-{number:08d}-01abcdefgh{number:05d}-aaaaaaaaaaaaaa Workbench number {number}",
        "description": f"dispersed.dev job {number} digest {number:064x}", "created_at": STARTED,
        "started_at": STARTED, "account_uuid": uuid_of("c", 1),
        "parameters": {"type": "docker", "parameters": container},
    }  # fmt: skip


def a_run_row(number: int) -> Body:
    """A row of the run list."""
    urls = [
        {"description": port, "hostname": f"n{number}.proxy.example.com", "port": 30_000 + place, "protocol": "tcp"}
        for place, port in enumerate(("8080", "9090", "ssh"))
    ]
    return {
        "object": "job_run", "uuid": uuid_of("a", number), "status": "RUNNING", "job_uuid": uuid_of("1", number),
        "created_at": STARTED, "started_at_ms": 1_795_000_000_000 + number, "duration_ms": 60_000 + number,
        "hourly_rate_usd": Decimal("0.42"), "node_urls": urls, "container_access_tokens": [f"token-{number:032x}"],
    }  # fmt: skip


def keep_parsed_bodies(count: int) -> object:
    return {number: slim(a_body(number)) for number in range(count)}


def keep_store(count: int) -> object:
    store = ResourceStore()
    for number in range(count):
        body = a_body(number)
        store.put(key_of(body), body)
    return store


def keep_view(count: int) -> object:
    view = RemoteView()
    jobs, runs = job_rows(), run_rows()
    found = [jobs.read(a_job_row(number)) for number in range(count)], [runs.read(a_run_row(n)) for n in range(count)]
    view.update_jobs(*found, tracked={job.uuid for job in found[0]}, seen=1.0)
    return view, jobs, runs


def keep_memories(count: int) -> object:
    account = ResourceKey(Kind.ACCOUNT, "team-a", "default")
    return {
        ResourceKey(Kind.JOB, "team-a", f"workbench-{number:05d}"): _Remembered(
            uuid_of("0", number), account, Memory(traced=True, reads=number % 7)
        )
        for number in range(count)
    }


def keep_queue(count: int) -> object:
    queue: WorkQueue[ResourceKey] = WorkQueue(monotonic=time.monotonic, random=random.random)
    for number in range(count):
        queue.add_after(ResourceKey(Kind.JOB, "team-a", f"workbench-{number:05d}"), 900.0, Lane.POLLING)
    return queue


def keep_kopf(count: int) -> object:
    """What kopf itself remembers of each object that it has seen."""
    memories = ResourceMemories()

    async def recall() -> None:
        for number in range(count):
            await memories.recall(RawBody(metadata={"uid": uuid_of("0", number)}), noticed_by_listing=True)

    asyncio.run(recall())
    return memories


KEEPERS: dict[str, Callable[[int], object]] = {
    "parsed bodies, for comparison": keep_parsed_bodies,
    "store": keep_store,
    "remote view and rows of the poller": keep_view,
    "memories of the reconciler": keep_memories,
    "queue, one delayed entry each": keep_queue,
    "kopf": keep_kopf,
}


@dataclass(frozen=True)
class Growth:
    """What filling one keeper took, in bytes per resource."""

    name: str
    live: float
    resident: float


def resident_bytes() -> int:
    """The resident set of this process."""
    return int(psutil.Process().memory_info().rss)


def grow(name: str, count: int, *, traced: bool) -> float:
    """Fill one keeper in this process: bytes per resource, of live objects or of the resident set."""
    keep = KEEPERS[name]
    keep(10)  # what the first call alone brings in
    gc.collect()
    if traced:
        tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0] if traced else resident_bytes()
    kept = keep(count)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0] if traced else resident_bytes()
    assert kept is not None
    return (after - before) / count


def measured(name: str, count: int) -> Growth:
    """Fill one keeper in two processes of their own: tracing takes memory itself."""
    found = []
    for how in ("traced", "resident"):
        command = [sys.executable, "-m", "benchmarks.memory", "--resources", str(count), "--grow", name, "--how", how]
        found.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))  # noqa: S603
    return Growth(name, *found)


def say(line: object) -> None:
    """A line of the result."""
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resources", type=int, default=10_000, help="how many (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--grow", choices=KEEPERS, help=argparse.SUPPRESS)
    parser.add_argument("--how", choices=("traced", "resident"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.grow is not None:
        say(grow(chosen.grow, chosen.resources, traced=chosen.how == "traced"))
        return 0
    table = [measured(name, chosen.resources) for name in KEEPERS]
    say(f"{'bytes per resource':38}{'live':>9}{'resident':>10}{'ratio':>8}")
    for row in table:
        say(f"{row.name:38}{row.live:9.0f}{row.resident:10.0f}{row.live / table[0].live:8.3f}")
    total = sum(row.resident for row in table[1:]) * chosen.resources / 2**20
    say(f"{'all but the first, MiB':38}{'':9}{total:10.1f}")
    if chosen.json is not None:
        document = {"resources": chosen.resources, "growth": [asdict(row) for row in table]}
        chosen.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
