"""No rule ever locks an object in: whatever field an object lacks, its status can be written and its finalizer removed.

A rule that fails on an absent field would refuse every later write until somebody edits the CRD, and an object that
cannot lose its finalizer keeps a namespace from going. So objects are stored under a schema without rules and without
required fields, each lacking one field; then the real schema takes over, as after an upgrade.

The rules are tried under a group of their own, so that other tests keep the real kinds.
"""

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dispersed_devenv.controlplane import ControlPlane, KubectlError
from dispersed_operator.model.definitions import ACCOUNT, JOB, ResourceDefinition
from dispersed_operator.model.structural import tolerant
from tests.integration.crds.objects import PUBLIC_KEY, Json

GROUP = "absent-fields.test"
FINALIZER = f"{GROUP}/kept"

FULL_SPECS: dict[str, Json] = {
    JOB.kind: {
        "task": "Batch",
        "accountRef": {"kind": "DispersedAccount", "name": "default"},
        "template": {
            "title": "t",
            "description": "d",
            "image": "team/worker",
            "tag": "v1",
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
                {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "s", "key": "k", "optional": True}}},
            ],
            "envFrom": [
                {"prefix": "A_", "secretRef": {"name": "s", "optional": True}},
                {"configMapRef": {"name": "s", "optional": True}},
            ],
            "imagePullSecretRef": {"name": "s"},
            "volumes": [{"image": "i", "tag": "t", "mountPath": "/a", "registry": "r", "pullSecretRef": {"name": "s"}}],
            "ports": [{"name": "web", "containerPort": 80, "protocol": "http"}],
            "ssh": {"publicKey": PUBLIC_KEY, "user": "duser"},
            "allowedCIDRs": ["10.0.0.0/8"],
            "resources": {
                "cpuCount": 1,
                "minRAMGB": 1,
                "minStorageGB": 1,
                "gpu": {"count": 1, "minVRAMGB": 1, "name": "RTX 3090"},
                "regions": ["eu-central-1"],
            },
        },
        "deadlines": {"assignSeconds": 300, "startSeconds": 300, "runSeconds": 60},
        "retry": {"remoteRetries": 0},
        "connection": {"secretName": "s"},
        "suspend": True,
        "limits": {"maxHourlyRateUSD": "1.50", "maxCostUSD": "25", "maxLifetimeSeconds": 3600},
        "deletionPolicy": "Orphan",
    },
    ACCOUNT.kind: {
        "baseURL": "https://api.dispersed.com",
        "credentialsSecretRef": {"name": "key"},
        "requestsPerMinute": 60,
        "polling": {"intervalSeconds": 15},
    },
}
OTHER_SPECS: dict[str, Json] = {
    JOB.kind: {
        "task": "Persistent",
        "adopt": {"jobUUID": "0b5f2c1e-7d1c-4a53-9a39-0f3b1d0c8a11"},
        "deadlines": {"assignSeconds": 300, "startSeconds": 300},
        "retry": {"remoteRetries": 0},
    },
    ACCOUNT.kind: {"credentialsSecretRef": {"name": "key"}, "allowAdoption": True},
}
LOCKING = {"status": {"create": {"locked": True}, "phase": "Running"}}
STATUS: dict[str, list[Json]] = {
    JOB.kind: [
        LOCKING,
        {"status": {"phase": "Failed", "create": {"uuid": "u"}}},
        {"status": {"create": None}},
        {"status": {"phase": "Suspended", "create": {"locked": False, "ended": True}}},
        LOCKING,
    ],
    ACCOUNT.kind: [{"status": {"liveJobs": 1}}, {"status": {"liveJobs": None}}],
}


def steps_to(value: object) -> Iterator[tuple[str | int, ...]]:
    """The path of everything inside a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (key,)
        yield from ((key, *rest) for rest in steps_to(inner))


def lacking(spec: Json) -> Iterator[Json]:
    """The spec without one thing, for each thing in it, and the spec with nothing."""
    yield {}
    for path in steps_to(spec):
        changed: Any = copy.deepcopy(spec)
        inside = changed
        for step in path[:-1]:
            inside = inside[step]
        del inside[path[-1]]
        yield changed


def plural(definition: ResourceDefinition) -> str:
    """A name that kubectl cannot take for the real kind while both are served."""
    return f"lacking{definition.plural}"


def crd(definition: ResourceDefinition, *, refusing: bool) -> str:
    """The CRD under the group of this test, with or without everything that can refuse an object."""
    document = json.loads(json.dumps(definition.to_crd()))
    document["spec"]["group"] = GROUP
    document["metadata"]["name"] = f"{plural(definition)}.{GROUP}"
    names = {"plural": plural(definition), "singular": f"lacking{definition.singular}"}
    document["spec"]["names"] |= names | {"categories": [], "shortNames": []}
    if not refusing:
        version = document["spec"]["versions"][0]
        version["schema"]["openAPIV3Schema"] = tolerant(version["schema"]["openAPIV3Schema"])
    return json.dumps(document)


def wait_for_schema(plane: ControlPlane, namespace: str, probe: Json, *, refusing: bool) -> None:
    """Until the API server judges by the new schema; it swaps schemas some time after it accepted the CRD."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            plane.kubectl("create", "-n", namespace, "--dry-run=server", "-f", "-", input=json.dumps(probe))
            refused = False
        except KubectlError as error:
            refused = " is invalid: " in str(error)
            if not refused and refusing:
                raise
        if refused is refusing:
            return
        time.sleep(0.2)
    raise TimeoutError(f"the API server still judges by the old schema (waiting for refusing={refusing})")


@pytest.mark.parametrize("definition", [ACCOUNT, JOB], ids=lambda definition: definition.kind)
def test_an_object_that_lacks_a_field_takes_status_writes_and_loses_its_finalizer(
    control_plane: ControlPlane, namespace: str, definition: ResourceDefinition
) -> None:
    plane = control_plane
    kind = {"apiVersion": f"{GROUP}/v1alpha1", "kind": definition.kind}
    objects = [
        kind | {"metadata": {"name": f"lacking-{number}", "finalizers": [FINALIZER]}, "spec": spec}
        for number, spec in enumerate([*lacking(FULL_SPECS[definition.kind]), *lacking(OTHER_SPECS[definition.kind])])
    ]
    everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    probe = kind | {"metadata": {"name": "probe"}, "spec": {}}

    plane.kubectl("apply", "--server-side", "-f", "-", input=crd(definition, refusing=False))
    plane.kubectl("wait", f"crd/{plural(definition)}.{GROUP}", "--for=condition=Established", "--timeout=60s")
    wait_for_schema(plane, namespace, probe, refusing=False)
    plane.kubectl("create", "-n", namespace, "-f", "-", input=everything)
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=crd(definition, refusing=True))
    wait_for_schema(plane, namespace, probe, refusing=True)

    def patch_all(change: Json, *options: str) -> None:
        patch = ("patch", "-n", namespace, "--type=merge", "-p", json.dumps(change), *options)
        plane.kubectl(*patch, "-f", "-", input=everything)

    for change in STATUS[definition.kind]:
        patch_all(change, "--subresource=status")
    patch_all({"metadata": {"annotations": {"touched": "yes"}}})
    plane.kubectl("delete", "-n", namespace, "--wait=false", "-f", "-", input=everything)
    patch_all({"metadata": {"finalizers": None}})
    left = plane.kubectl("get", "-n", namespace, f"{plural(definition)}.{GROUP}", "-o", "name")
    assert left == ""
    plane.kubectl("delete", "crd", f"{plural(definition)}.{GROUP}", "--timeout=60s")
