"""What people and tools make of an object: copies by hand, backups that are restored, states that are made up."""

from __future__ import annotations

import json
from typing import Any

from tests.support.world import Body, World

RECORD = ("jobUUID", "create", "account")


def put_status(world: World, name: str, status: dict[str, Any]) -> None:
    """Write into the status as somebody with every right."""
    world.kubectl(
        "patch", "dispersedjob", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})
    )


def clear_status(world: World, name: str) -> None:
    """Remove the whole status, as the page of OwnershipAmbiguous tells."""
    patch = '[{"op":"remove","path":"/status"}]'
    world.kubectl("patch", "dispersedjob", name, "--subresource=status", "--type=json", "-p", patch)


def copy_of(body: Body, name: str, **annotations: str | None) -> Body:
    """What `kubectl get -o yaml | sed | kubectl apply` makes of an object; None removes an annotation."""
    metadata = body["metadata"]
    named = {f"dispersed.dev/{key}": text for key, text in annotations.items()}
    changed: dict[str, str | None] = {**(metadata.get("annotations") or {}), **named}
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "finalizers": metadata.get("finalizers") or [],
            "annotations": {key: text for key, text in changed.items() if text is not None},
        },
        "spec": body["spec"],
    }


def lose(world: World, name: str) -> Body:
    """Take a backup of an object and remove it behind the operator's back, as the loss of a namespace does; stop the
    operator first. The backup."""
    body = world.get(name)
    assert body is not None
    world.kubectl("patch", "dispersedjob", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    world.delete(name)
    world.wait_gone(name)
    return body


def restore(world: World, backup: Body, *, with_status: bool, **annotations: str | None) -> None:
    """Create an object again from its backup: another uid, the old annotations, and the old status if wanted."""
    name = backup["metadata"]["name"]
    world.kubectl("create", "-f", "-", body=copy_of(backup, name, **annotations))
    if with_status:
        put_status(world, name, backup["status"])
