"""The textbook rival: an operator as a tutorial of kopf would have it.

Handlers for create, update and delete, and a timer for each object that asks the service for its job. The uuid of the
job stands in the status. The status is written with the official client. kopf's own settings are its defaults.

It is fast enough for ten objects, and it creates a job twice when it dies at the wrong moment; the benchmark does not
ask for that.
"""

from __future__ import annotations

import os
from typing import Any

import kopf
from kubernetes.aio import client, config

from benchmarks.rivals.service import ENDED, PHASES, POLL_SECONDS, Service, job_request

KIND = ("dispersed.dev", "v1alpha1", "dispersedjobs")


@kopf.on.startup()
async def startup(memo: kopf.Memo, **_: Any) -> None:
    """One client of each API for all handlers."""
    load: Any = config.load_kube_config  # it carries no types
    await load(os.environ["KUBECONFIG"])
    memo.cluster = client.CustomObjectsApi()
    memo.service = Service()


@kopf.on.cleanup()
async def cleanup(memo: kopf.Memo, **_: Any) -> None:
    """Close the connections."""
    await memo.service.close()
    await memo.cluster.api_client.close()


async def write_status(memo: kopf.Memo, namespace: str | None, name: str | None, status: dict[str, Any]) -> None:
    """Merge into the status of an object."""
    await memo.cluster.patch_namespaced_custom_object_status(
        *KIND[:2], namespace, KIND[2], name, {"status": status}, _content_type="application/merge-patch+json"
    )


@kopf.on.create(*KIND)
async def create(memo: kopf.Memo, namespace: str | None, name: str | None, spec: kopf.Spec, **_: Any) -> None:
    """Create the job and remember its uuid."""
    job = await memo.service.call("POST", "/v1/jobs", job_request(str(name), dict(spec)))
    await write_status(memo, namespace, name, {"jobUUID": job["uuid"], "phase": PHASES[job["status"]]})


@kopf.on.update(*KIND, field="spec")
async def update(logger: kopf.Logger, **_: Any) -> None:
    """A job of the service cannot be changed."""
    logger.info("the job goes on as it was created")


@kopf.on.delete(*KIND)
async def delete(memo: kopf.Memo, status: kopf.Status, **_: Any) -> None:
    """Cancel the job."""
    uuid = status.get("jobUUID")
    if uuid and status.get("phase") not in {PHASES[word] for word in ENDED}:
        await memo.service.call("PUT", f"/v1/jobs/{uuid}/cancel", {})


@kopf.timer(*KIND, interval=POLL_SECONDS, initial_delay=POLL_SECONDS)
async def poll(memo: kopf.Memo, namespace: str | None, name: str | None, status: kopf.Status, **_: Any) -> None:
    """Bring the status up to date."""
    uuid, phase = status.get("jobUUID"), status.get("phase")
    if not uuid or phase in {PHASES[word] for word in ENDED}:
        return
    job = await memo.service.call("GET", f"/v1/jobs/{uuid}")
    if PHASES[job["status"]] != phase:
        await write_status(memo, namespace, name, {"phase": PHASES[job["status"]]})
