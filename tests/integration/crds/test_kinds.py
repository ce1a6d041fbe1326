"""How the kinds present themselves: defaults, status, strictness, explain, columns, samples."""

import json
from pathlib import Path

import pytest

from dispersed_devenv.controlplane import ControlPlane, KubectlError
from dispersed_operator.model.account import AccountProbes, DispersedAccountStatus
from dispersed_operator.model.base import ResourceModel
from dispersed_operator.model.job import DispersedJobSpec
from dispersed_operator.model.status import (
    UNSEEN,
    AccountStamp,
    Condition,
    CreateRecord,
    DispersedJobStatus,
    Endpoint,
    Run,
    SecretRef,
)
from tests.integration.crds.objects import account, create, job, patch, stored

SAMPLES = Path(__file__).resolve().parents[3] / "manifests" / "samples"
MOMENT = "2026-11-23T14:02:31Z"

RUN = Run(uuid="r", status="RUNNING", started_at=MOMENT, ended_at=MOMENT, reason="")
READY = Condition(
    type="Ready",
    status="True",
    reason="Running",
    message="m" * 1024,
    last_transition_time=MOMENT,
    observed_generation=1,
)
JOB_STATUS = DispersedJobStatus(
    observed_generation=1,
    phase="Running",
    job_uuid="9d3c0a52-0000-4000-8000-000000000001",
    account="default",
    create=CreateRecord(
        token="t" * 12,
        attempt=1,
        uuid="9d3c0a52-0000-4000-8000-000000000001",
        state="Accepted",
        locked=True,
        signed_at=MOMENT,
        not_after=MOMENT,
        account=AccountStamp(host="localhost:1", public_key="p", identity="i"),
        body_sha256="0" * 64,
        expires_at="never",
        ending="Suspended",
        ending_message="spec.suspend was set to true",
        ended=True,
        settled_attempts=1,
        prior_cost_usd="1.2500",
    ),
    start_time=MOMENT,
    completion_time=MOMENT,
    runtime="since 2026-11-23T14:02Z",
    active=1,
    succeeded=0,
    failed=0,
    current_run=RUN,
    runs=(RUN,) * 5,
    run_count=7,
    endpoints=(
        Endpoint(name="web", container_port=80, protocol="http", host="h", port=1, tls=True, url="https://h:1"),
    ),
    connection_secret_ref=SecretRef(name="shown-connection"),
    hourly_rate_usd="0.35",
    cost_usd="1.20",
    log_tail="line\n" * 2000,
    last_handled_reconcile_at="anything",
    conditions=(READY,),
)
ACCOUNT_STATUS = DispersedAccountStatus(
    observed_generation=1,
    key_fingerprint="3f9a2c",
    account_uuid="u",
    clock_offset_seconds=-3,
    live_jobs=4,
    hourly_rate_usd="1.40",
    probes=AccountProbes(
        replay_refused=True,
        stale_refused=True,
        refusal_statuses=(401,),
        expiry_seconds=300,
        checked_at=MOMENT,
    ),
    conditions=(READY,),
)


def table(text: str) -> dict[str, str]:
    """The one row of a kubectl table by column, split where the columns of the heading begin."""
    heading, row = text.splitlines()
    names = heading.split()
    starts = [heading.index(name) for name in names]
    ends = [*starts[1:], None]
    return {name: row[start:end].strip() for name, start, end in zip(names, starts, ends, strict=True)}


def test_defaults_are_stored_and_equal_those_of_the_models(control_plane: ControlPlane, namespace: str) -> None:
    template = {
        "ports": [{"name": "web", "containerPort": 80}],
        "ssh": {"publicKey": "ssh-ed25519 AAAA"},
        "allowedCIDRs": ["10.0.0.0/8"],
        "resources": {"gpu": {}},
    }
    written = job("defaults", template=template)
    create(control_plane, namespace, written)
    spec = stored(control_plane, namespace, "djob/defaults")["spec"]
    assert spec["deadlines"] == {"assignSeconds": 300, "startSeconds": 300, "runSeconds": 60}
    assert spec["retry"] == {"remoteRetries": 0}
    assert (spec["template"]["tag"], spec["template"]["ssh"]["user"]) == ("latest", "duser")
    assert DispersedJobSpec.from_api(spec) == DispersedJobSpec.from_api(written["spec"])
    assert (spec["suspend"], spec["deletionPolicy"]) == (False, "Cancel")
    assert {"accountRef", "connection", "limits", "resources"}.isdisjoint(spec)


def test_account_defaults_are_stored(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, namespace, account("defaults"))
    assert stored(control_plane, namespace, "dacct/defaults")["spec"] == {
        "baseURL": "https://api.dispersed.com",
        "credentialsSecretRef": {"name": "key"},
        "polling": {"intervalSeconds": 15},
        "allowAdoption": False,
    }


def test_status_and_spec_are_written_apart(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, namespace, job("apart") | {"status": {"phase": "Running"}})
    assert stored(control_plane, namespace, "djob/apart")["status"] == UNSEEN
    patch(control_plane, namespace, "djob/apart", {"status": {"phase": "Failed"}, "spec": {"template": {"tag": "v2"}}})
    patch(
        control_plane,
        namespace,
        "djob/apart",
        {"status": {"phase": "Queued"}, "spec": {"template": {"tag": "v3"}}},
        status=True,
    )
    held = stored(control_plane, namespace, "djob/apart")
    assert held["status"] == UNSEEN | {"phase": "Queued"}
    assert held["spec"]["template"]["tag"] == "v2"
    assert held["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("resource", "status"), [("djob/whole", JOB_STATUS), ("dacct/whole", ACCOUNT_STATUS)], ids=["job", "account"]
)
def test_all_that_a_status_can_say_is_stored_as_said_and_can_be_taken_back(
    control_plane: ControlPlane, namespace: str, resource: str, status: ResourceModel
) -> None:
    create(control_plane, namespace, job("whole") if resource.startswith("djob") else account("whole"))
    written = status.to_api()
    patch(control_plane, namespace, resource, {"status": written}, status=True)
    held = stored(control_plane, namespace, resource)["status"]
    assert held == written
    assert type(status).from_api(held) == status
    patch(control_plane, namespace, resource, {"status": dict.fromkeys(written)}, status=True)
    assert stored(control_plane, namespace, resource).get("status", {}) == {}
    control_plane.kubectl("delete", "-n", namespace, resource)


@pytest.mark.parametrize(
    ("field", "document"),
    [
        ("spec.restartPolicy", job("strict", restartPolicy="Never")),
        ("spec.template.command", job("strict", template={"command": ["sh"]})),
        (
            "spec.template.env[0].valueFrom.fieldRef",
            job("strict", template={"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}]}),
        ),
        ("spec.defaults", account("strict", defaults={})),
    ],
)
def test_a_field_that_does_not_work_yet_is_refused_as_unknown(
    control_plane: ControlPlane, namespace: str, field: str, document: dict[str, object]
) -> None:
    with pytest.raises(KubectlError, match="strict decoding error") as refused:
        create(control_plane, namespace, document)
    assert f'unknown field "{field}"' in str(refused.value)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("djob", "Deleting the resource cancels the remote job"),
        ("djob.spec", "a remote job can not be edited"),
        ("djob.spec.template.ports", "Container ports to publish."),
        ("djob.spec.template.ports", "22 is not allowed here"),
        ("djob.spec.template.tag", "Default: `latest`."),
        ("djob.spec.deadlines.startSeconds", "Default: `300`."),
        ("djob.status.create", "it ties the resource to the remote job"),
        ("dacct.spec.credentialsSecretRef", "Its keys are `publicKey` and `secretKey`."),
    ],
)
def test_kubectl_explain_is_the_manual(control_plane: ControlPlane, path: str, words: str) -> None:
    assert words in " ".join(control_plane.kubectl("explain", path).split())


def test_the_columns_of_a_job_show_its_status(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, namespace, job("shown", template={"resources": {"gpu": {"name": "RTX-3090"}}}))
    patch(control_plane, namespace, "djob/shown", {"status": JOB_STATUS.to_api()}, status=True)
    row = table(control_plane.kubectl("get", "-n", namespace, "djob/shown"))
    assert row.pop("AGE")
    assert row == {
        "NAME": "shown",
        "TASK": "Batch",
        "STATUS": "Running",
        "READY": "True",
        "GPU": "RTX-3090",
        "ENDPOINT": "https://h:1",
        "RATE": "0.35",
        "RUNTIME": "since 2026-11-23T14:02Z",
    }
    wide = table(control_plane.kubectl("get", "-n", namespace, "djob/shown", "-o", "wide"))
    assert {name: wide[name] for name in ("UUID", "RUNS", "COST", "REASON", "MESSAGE", "ACCOUNT")} == {
        "UUID": JOB_STATUS.job_uuid,
        "RUNS": "7",
        "COST": "1.20",
        "REASON": "Running",
        "MESSAGE": "m" * 1024,
        "ACCOUNT": "default",
    }


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ({"count": 2}, "2"),
        ({"registryUUID": "0b5f2c1e-7d1c-4a53-9a39-0f3b1d0c8a11"}, "0b5f2c1e-7d1c-4a53-9a39-0f3b1d0c8a11"),
    ],
)
def test_the_gpu_column_shows_the_most_telling_selector(
    control_plane: ControlPlane, namespace: str, wanted: dict[str, object], shown: str
) -> None:
    name = f"gpu-{next(iter(wanted)).lower()}"
    create(control_plane, namespace, job(name, template={"resources": {"gpu": wanted}}))
    assert table(control_plane.kubectl("get", "-n", namespace, f"djob/{name}"))["GPU"] == shown


def test_the_columns_of_an_account_show_its_status(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, namespace, account("shown", baseURL="http://localhost:8080"))
    patch(control_plane, namespace, "dacct/shown", {"status": ACCOUNT_STATUS.to_api()}, status=True)
    row = table(control_plane.kubectl("get", "-n", namespace, "dacct/shown"))
    assert row.pop("AGE")
    assert row == {
        "NAME": "shown",
        "READY": "True",
        "REASON": "Running",
        "HOST": "http://localhost:8080",
        "JOBS": "4",
        "RATE": "1.40",
        "KEY": "3f9a2c",
    }


def test_short_names_and_categories_find_the_resources(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, namespace, job("found"), account("found"))
    everything = control_plane.kubectl("get", "-n", namespace, "dispersed", "-o", "name").split()
    assert {"dispersedjob.dispersed.dev/found", "dispersedaccount.dispersed.dev/found"} <= set(everything)
    workloads = control_plane.kubectl("get", "-n", namespace, "all", "-o", "name").split()
    assert "dispersedjob.dispersed.dev/found" in workloads
    assert "dispersedaccount.dispersed.dev/found" not in workloads


@pytest.mark.parametrize("kind", ["dispersedjobs", "dispersedaccounts"])
def test_the_api_server_finds_nothing_wrong_with_a_crd(control_plane: ControlPlane, kind: str) -> None:
    definition = json.loads(control_plane.kubectl("get", "crd", f"{kind}.dispersed.dev", "-o", "json"))
    conditions = {condition["type"]: condition["status"] for condition in definition["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_sample_is_accepted(control_plane: ControlPlane, namespace: str, sample: Path) -> None:
    given = ("-k", str(SAMPLES)) if sample.name == "kustomization.yaml" else ("-f", str(sample))
    control_plane.kubectl("apply", "-n", namespace, "--dry-run=server", *given)
