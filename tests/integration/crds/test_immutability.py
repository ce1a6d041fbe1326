"""What may not change does not change, whatever kind of write tries it, and what may change does."""

import json
from typing import Any

import pytest

from dispersed_devenv.controlplane import ControlPlane, KubectlError
from tests.integration.crds.objects import Json, account, adopting, create, job, patch, stored

ACCEPTED = "can not be changed after the service has accepted the job: "
SUSPEND = "suspend the job first, "
RECREATE = "delete and re-create the resource, or revert the edit"

LOCKED_EDITS: dict[str, Json] = {
    "accountRef": {"accountRef": {"name": "other"}},
    "template": {"template": {"tag": "v2"}},
    "template (field added)": {"template": {"description": "d"}},
    "template (list emptied)": {"template": {"env": []}},
    "template (field removed)": {"template": {"resources": None}},
    "deadlines": {"deadlines": {"runSeconds": 61}},
    "deadlines (default changed)": {"deadlines": {"startSeconds": 600}},
    "retry": {"retry": {"remoteRetries": 1}},
}


def filled(name: str, **spec: Any) -> Json:
    template = {"env": [{"name": "A", "value": "1"}], "resources": {"cpuCount": 2}}
    return job(name, template=template, **spec)


def remedy(field: str) -> str:
    """What the API server says of a locked field; the account is not free in a suspended job either."""
    middle = "" if field == "accountRef" else SUSPEND
    return f"spec.{field}: Forbidden: {field} {ACCEPTED}{middle}{RECREATE}"


def lock(plane: ControlPlane, namespace: str, name: str, locked: bool = True) -> None:
    patch(plane, namespace, f"djob/{name}", {"status": {"create": {"locked": locked}}}, status=True)


@pytest.fixture(scope="module")
def locked_job(control_plane: ControlPlane, namespace: str) -> Json:
    create(control_plane, namespace, filled("locked"))
    lock(control_plane, namespace, "locked")
    return stored(control_plane, namespace, "djob/locked")


def test_the_immutable_block_can_be_edited_until_the_job_is_accepted(
    control_plane: ControlPlane, namespace: str
) -> None:
    create(control_plane, namespace, filled("open"))
    for edit in LOCKED_EDITS.values():
        patch(control_plane, namespace, "djob/open", {"spec": edit})
    lock(control_plane, namespace, "open")
    lock(control_plane, namespace, "open", locked=False)
    patch(control_plane, namespace, "djob/open", {"spec": {"template": {"tag": "v3"}}})
    assert stored(control_plane, namespace, "djob/open")["spec"]["template"]["tag"] == "v3"


@pytest.mark.parametrize("edit", LOCKED_EDITS)
def test_a_patch_of_the_immutable_block_is_refused_while_locked(
    control_plane: ControlPlane, namespace: str, locked_job: Json, edit: str
) -> None:
    field = edit.split(maxsplit=1)[0]
    with pytest.raises(KubectlError, match=remedy(field)):
        patch(control_plane, namespace, "djob/locked", {"spec": LOCKED_EDITS[edit]})


def test_a_replace_of_the_immutable_block_is_refused_while_locked(
    control_plane: ControlPlane, namespace: str, locked_job: Json
) -> None:
    edited = filled("locked", retry={"remoteRetries": 1})
    with pytest.raises(KubectlError, match=remedy("retry")):
        control_plane.kubectl("replace", "-n", namespace, "-f", "-", input=json.dumps(edited))


def test_a_replace_that_leaves_the_status_out_does_not_unlock(
    control_plane: ControlPlane, namespace: str, locked_job: Json
) -> None:
    control_plane.kubectl("replace", "-n", namespace, "-f", "-", input=json.dumps(filled("locked")))
    assert stored(control_plane, namespace, "djob/locked")["status"]["create"]["locked"] is True


def test_a_server_side_apply_of_the_immutable_block_is_refused_while_locked(
    control_plane: ControlPlane, namespace: str, locked_job: Json
) -> None:
    edited = filled("locked", deadlines={"runSeconds": 90})
    with pytest.raises(KubectlError, match=remedy("deadlines")):
        control_plane.kubectl(
            "apply", "-n", namespace, "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(edited)
        )


def test_what_is_outside_the_immutable_block_can_change_while_locked(
    control_plane: ControlPlane, namespace: str, locked_job: Json
) -> None:
    for name in ("one", "two", None):
        patch(control_plane, namespace, "djob/locked", {"spec": {"connection": {"secretName": name}}})
    control_plane.kubectl("annotate", "-n", namespace, "djob/locked", "dispersed.dev/paused=true")
    control_plane.kubectl(
        "apply", "-n", namespace, "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(filled("locked"))
    )
    assert stored(control_plane, namespace, "djob/locked")["spec"] == locked_job["spec"] | {"connection": {}}


def test_suspend_limits_and_deletion_policy_can_change_while_locked(
    control_plane: ControlPlane, namespace: str, locked_job: Json
) -> None:
    edits: tuple[Json, ...] = (
        {"suspend": True},
        {"deletionPolicy": "Orphan"},
        {"limits": {"maxCostUSD": "1", "maxHourlyRateUSD": "1"}},
        {"limits": {"maxCostUSD": "2", "maxHourlyRateUSD": None}},
    )
    for edit in (*edits, {"suspend": False, "deletionPolicy": "Cancel", "limits": None}):
        patch(control_plane, namespace, "djob/locked", {"spec": edit})
    assert "limits" not in stored(control_plane, namespace, "djob/locked")["spec"]


def test_a_lifetime_can_only_be_lowered_while_locked(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, namespace, filled("limited", limits={"maxLifetimeSeconds": 600}))
    patch(control_plane, namespace, "djob/limited", {"spec": {"limits": {"maxLifetimeSeconds": 900}}})
    lock(control_plane, namespace, "limited")
    for refused in (
        {"limits": {"maxLifetimeSeconds": 901}},
        {"limits": {"maxLifetimeSeconds": None}},
        {"limits": None},
    ):
        with pytest.raises(KubectlError, match=r"spec\.limits\.maxLifetimeSeconds: Forbidden: .* can only be lowered"):
            patch(control_plane, namespace, "djob/limited", {"spec": refused})
    for accepted in ({"maxCostUSD": "3"}, {"maxLifetimeSeconds": 900}, {"maxLifetimeSeconds": 60}):
        patch(control_plane, namespace, "djob/limited", {"spec": {"limits": accepted}})
    create(control_plane, namespace, filled("unlimited"))
    lock(control_plane, namespace, "unlimited")
    patch(control_plane, namespace, "djob/unlimited", {"spec": {"limits": {"maxLifetimeSeconds": 900}}})


def test_a_suspended_job_can_be_edited_but_for_its_account(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, namespace, filled("suspended"))
    ended = {"status": {"create": {"locked": False, "ended": True}}}
    patch(control_plane, namespace, "djob/suspended", ended, status=True)
    for field, edit in LOCKED_EDITS.items():
        if field != "accountRef":
            patch(control_plane, namespace, "djob/suspended", {"spec": edit})
    with pytest.raises(KubectlError, match=remedy("accountRef")):
        patch(control_plane, namespace, "djob/suspended", {"spec": LOCKED_EDITS["accountRef"]})


def test_the_task_never_changes(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, namespace, job("tasked"))
    other = {"task": "Persistent", "deadlines": {"runSeconds": None}, "template": {"allowedCIDRs": ["10.0.0.0/8"]}}
    with pytest.raises(KubectlError, match=r"spec\.task: Forbidden: task can not be changed: delete the resource"):
        patch(control_plane, namespace, "djob/tasked", {"spec": other})


@pytest.mark.parametrize("edit", ["changed", "removed", "added"])
def test_what_is_adopted_never_changes(control_plane: ControlPlane, namespace: str, edit: str) -> None:
    name = f"adopt-{edit}"
    template = {"title": "t", "image": "team/worker", "allowedCIDRs": ["10.0.0.0/8"]}
    edits: dict[str, Json] = {
        "changed": {"adopt": {"jobUUID": "another"}},
        "removed": {"adopt": None, "template": template},
        "added": {"adopt": {"jobUUID": "another"}, "template": None},
    }
    create(control_plane, namespace, job(name, task="Persistent") if edit == "added" else adopting(name))
    message = (
        r"spec\.adopt\.jobUUID: Forbidden: adopt can not be added, changed or removed: create another DispersedJob"
    )
    with pytest.raises(KubectlError, match=message):
        patch(control_plane, namespace, f"djob/{name}", {"spec": edits[edit]})


def test_an_adopted_job_can_be_suspended_and_limited_but_keeps_its_account(
    control_plane: ControlPlane, namespace: str
) -> None:
    create(control_plane, namespace, adopting("adopted"))
    lock(control_plane, namespace, "adopted")
    for edit in ({"suspend": True}, {"deletionPolicy": "Orphan"}, {"limits": {"maxCostUSD": "1"}}):
        patch(control_plane, namespace, "djob/adopted", {"spec": edit})
    with pytest.raises(KubectlError, match=remedy("accountRef")):
        patch(control_plane, namespace, "djob/adopted", {"spec": {"accountRef": {"name": "other"}}})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            {"baseURL": "https://other.example.com"},
            "spec.baseURL: Forbidden: baseURL can not be changed: create another DispersedAccount",
        ),
        (
            {"credentialsSecretRef": {"name": "other"}},
            "spec.credentialsSecretRef.name: Forbidden: .* put the new key into the same Secret",
        ),
    ],
)
def test_host_and_secret_of_an_account_never_change(
    control_plane: ControlPlane, namespace: str, edit: Json, message: str
) -> None:
    name = f"fixed-{next(iter(edit)).lower()}"
    create(control_plane, namespace, account(name))
    with pytest.raises(KubectlError, match=message):
        patch(control_plane, namespace, f"dacct/{name}", {"spec": edit})
    patch(control_plane, namespace, f"dacct/{name}", {"spec": {"requestsPerMinute": 30}})
