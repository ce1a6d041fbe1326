"""ClusterDispersedAccounts: who may spend with them, which default a job takes, what is held, and what tenants cannot
do to each other. Each test has an operator that serves the whole cluster, and a shared account of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.services import PUBLIC_KEY
from tests.support.proofs import look, prove_absence
from tests.support.stripping import OPERATOR_NAMESPACE, strip_all_jobs
from tests.support.world import World, wait_for

SHARED = "clusterdispersedaccount"
HOLD = "dispersed.dev/account-hold"
OTHER_ACCOUNT = "00000000-0000-4000-8000-00000000000f"
BY_LABEL = {"selector": {"matchLabels": {"gpu": "allowed"}}}


@pytest.fixture(autouse=True)
def _no_jobs_of_other_tests(installed_plane: ControlPlane) -> None:
    """A shared account serves every namespace and waits for its jobs, so what other tests left would be its own."""
    strip_all_jobs(installed_plane)


@pytest.fixture
def shared_world(make_world: Callable[..., World]) -> World:
    """A world whose only account is the ClusterDispersedAccount `default`, and one running operator."""
    world = make_world()
    world.add_shared_account()
    world.start_operator()
    world.wait_condition("default", "Ready", kind=SHARED)
    return world


def secret_of(world: World) -> dict[str, object] | None:
    text = world.kubectl(
        "-n", OPERATOR_NAMESPACE, "get", "secret", world.shared_secret, "-o", "json", "--ignore-not-found",
        namespaced=False,
    )  # fmt: skip
    return json.loads(text) if text.strip() else None


def use_key(world: World, public: str, *, account: str | None = None) -> None:
    """Put a key into the Secret of the shared account, known to the service as one of `account`."""
    if public != PUBLIC_KEY:
        world.control.add_key(public, f"sk_of_{public}", account_uuid=account)
    before = world.status("default", SHARED)["keyFingerprint"]
    if public == PUBLIC_KEY:
        world.add_shared_secret()
    else:
        world.add_shared_secret(public=public, secret=f"sk_of_{public}")
    world.nudge_shared_account()
    wait_for(lambda: world.status("default", SHARED)["keyFingerprint"] != before, what="the key is in use")


# --- who may -------------------------------------------------------------------------------------------------------


@pytest.mark.reason("NamespaceNotAllowed")
def test_a_namespace_may_spend_once_its_labels_match_and_keeps_its_jobs_when_they_do_not(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    world.add_shared_account("team", allowed=BY_LABEL)
    world.start_operator()
    world.add_persistent("job", accountRef={"kind": "ClusterDispersedAccount", "name": "team"})
    said = world.wait_blocked("job", "NamespaceNotAllowed", names=f"must add {world.namespace} to its names")
    assert "ClusterDispersedAccount team" in said["message"]
    assert world.condition("job", "Stalled")["status"] == "True"
    assert world.posts() == []
    assert (world.get("job") or {})["metadata"].get("finalizers") is None

    world.kubectl("label", "namespace", world.namespace, "gpu=allowed", namespaced=False)
    world.nudge("job")
    world.wait_condition("job", "Ready")
    assert world.status("job")["account"] == "ClusterDispersedAccount/team"
    wait_for(lambda: world.status("team", SHARED).get("liveJobs") == 1 or None, what="the account counts its job")

    world.kubectl("label", "namespace", world.namespace, "gpu-", namespaced=False)
    world.add_batch("too-late", accountRef={"kind": "ClusterDispersedAccount", "name": "team"})
    world.wait_blocked("too-late", "NamespaceNotAllowed")
    world.nudge("job")
    wait_for(lambda: world.status("job").get("lastHandledReconcileAt"), what="the job was looked at")
    assert world.condition("job", "Ready")["status"] == "True"
    world.remove_jobs("job", "too-late")
    assert [job["status"] for job in world.jobs()] == ["CANCELLED"]
    assert len(world.posts()) == 1
    world.check_truth()


@pytest.mark.reason("InvalidReference")
def test_a_missing_shared_account_a_missing_secret_and_a_missing_key_are_named_and_mended(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    world.start_operator()
    world.add_batch(accountRef={"kind": "ClusterDispersedAccount", "name": "team"})
    world.wait_blocked("batch", "InvalidReference", names="ClusterDispersedAccount team does not exist")
    world.add_shared_account("team", with_secret=False)
    missing = f"Secret {OPERATOR_NAMESPACE}/{world.shared_secret} does not exist"
    wait_for(lambda: missing in world.condition("batch", "AccountReady").get("message", ""), what="the job says so")
    world.add_shared_secret(secret=None)
    world.nudge_shared_account("team")
    half = "has no key secretKey"
    wait_for(lambda: half in world.condition("team", "Ready", SHARED).get("message", ""), what="the account says so")
    assert world.posts() == []
    world.add_shared_secret()
    world.nudge_shared_account("team")
    world.wait_condition("batch", "Complete")
    assert len(world.posts()) == 1
    world.check_truth()


def test_an_operator_for_some_namespaces_knows_no_shared_account(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.add_shared_account("team")
    world.start_operator(flags=("--namespaces", world.namespace))
    world.add_batch(accountRef={"kind": "ClusterDispersedAccount", "name": "team"})
    world.wait_blocked("batch", "InvalidReference", names="serves some namespaces only")
    assert world.posts() == []
    assert (world.get("team", SHARED) or {})["metadata"].get("finalizers") is None
    world.remove_jobs("batch")


# --- which default -------------------------------------------------------------------------------------------------


def test_a_default_that_appears_later_takes_no_job_from_the_shared_one_and_has_the_next(shared_world: World) -> None:
    world = shared_world
    world.add_persistent("first")
    world.wait_condition("first", "Ready")
    assert world.status("first")["account"] == "ClusterDispersedAccount/default"
    world.control.add_key("pk_own", "sk_own", account_uuid=OTHER_ACCOUNT)
    world.add_secret(public="pk_own", secret="sk_own")
    world.add_account(with_secret=False)
    world.wait_condition("default", "Ready", kind="dispersedaccount")
    world.add_persistent("second")
    world.wait_condition("second", "Ready")
    assert world.status("second")["account"] == "default"
    world.nudge("first")
    wait_for(lambda: world.status("first").get("lastHandledReconcileAt"), what="the first job was looked at")
    assert world.condition("first", "Ready")["status"] == "True"
    assert [row["api_key"] for row in world.posts()] == [PUBLIC_KEY, "pk_own"]
    world.remove_jobs("first", "second")
    assert {row["api_key"] for row in world.cancels()} == {PUBLIC_KEY, "pk_own"}
    assert world.live_jobs() == []
    world.check_truth()


@pytest.mark.failure_mode(3)
@pytest.mark.failure_mode(55)
def test_a_default_that_appears_while_the_outcome_is_unknown_does_not_get_a_second_create(shared_world: World) -> None:
    world = shared_world
    world.control.add_fault("drop_after_commit", method="POST")
    stall = world.control.add_fault("stall", method="POST")
    world.add_persistent("job")
    wait_for(lambda: bool(world.posts()), what="the request arrived")
    world.operators[0].kill()
    world.control.add_key("pk_own", "sk_own", account_uuid=OTHER_ACCOUNT)
    world.add_secret(public="pk_own", secret="sk_own")
    world.add_account(with_secret=False)
    world.control.release(stall)
    world.operators[0].start()
    world.wait_condition("job", "Ready")
    assert world.status("job")["account"] == "ClusterDispersedAccount/default"
    assert (len(world.posts()), len(world.jobs())) == (1, 1)
    world.check_truth()
    world.remove_jobs("job")


# --- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.failure_mode(55)
def test_a_key_rotated_during_a_create_adopts_its_job_and_makes_no_second(shared_world: World) -> None:
    world = shared_world
    world.control.add_fault("drop_after_commit", method="POST")
    stall = world.control.add_fault("stall", method="POST")
    world.add_persistent("job")
    wait_for(lambda: bool(world.posts()), what="the request arrived")
    use_key(world, "pk_second")
    world.control.release(stall)
    world.wait_condition("job", "Ready")
    assert (len(world.posts()), len(world.jobs())) == (1, 1)
    assert world.condition("default", "Ready", SHARED)["status"] == "True"
    world.remove_jobs("job")
    assert {row["api_key"] for row in world.cancels()} == {"pk_second"}
    world.check_truth()


@pytest.mark.failure_mode(28)
@pytest.mark.reason("AccountMismatch")
def test_a_key_of_another_account_recreates_and_cancels_nothing_in_any_namespace(shared_world: World) -> None:
    world = shared_world
    other = world.neighbour()
    world.add_shared_account(allowed={"names": [world.namespace, other.namespace]})
    for place in (world, other):
        place.add_persistent("job")
    for place in (world, other):
        place.wait_condition("job", "Ready")
    use_key(world, "pk_stranger", account=OTHER_ACCOUNT)
    look(world, "job")
    world.wait_condition("job", "Stalled", reason="AccountMismatch")
    other.delete("job")
    other.wait_condition("job", "Ready", "False", reason="AccountMismatch")
    for seconds in (40, 430, 40):
        world.control.advance(seconds)
        look(world, "job")
        look(other, "job")
    assert (len(world.posts()), len(world.live_jobs()), world.cancels()) == (2, 2, [])
    use_key(world, PUBLIC_KEY)
    look(other, "job")
    other.wait_gone("job")
    world.wait_condition("job", "Ready")
    assert (len(world.posts()), len(world.live_jobs())) == (2, 1)
    world.check_truth()
    world.remove_jobs("job")


# --- holds ---------------------------------------------------------------------------------------------------------


@pytest.mark.failure_mode(29)
@pytest.mark.failure_mode(30)
def test_a_deleted_namespace_goes_once_its_jobs_of_both_kinds_of_account_are_cancelled(shared_world: World) -> None:
    world = shared_world
    world.control.add_key("pk_own", "sk_own", account_uuid=OTHER_ACCOUNT)
    world.add_secret(public="pk_own", secret="sk_own")
    world.add_account("own", with_secret=False)
    world.add_persistent("of-the-namespace", accountRef={"name": "own"})
    world.add_persistent("of-the-cluster")
    for name in ("of-the-namespace", "of-the-cluster"):
        world.wait_condition(name, "Ready")
    world.kubectl("delete", "namespace", world.namespace, "--wait=false", namespaced=False)
    wait_for(lambda: world.live_jobs() == [], what="both jobs are cancelled")
    wait_for(
        lambda: not world.kubectl("get", "namespace", world.namespace, "--ignore-not-found", namespaced=False),
        what="the namespace is gone",
    )
    assert {row["api_key"] for row in world.cancels()} == {PUBLIC_KEY, "pk_own"}
    assert [job["status"] for job in world.jobs()] == ["CANCELLED", "CANCELLED"]
    assert len(world.posts()) == 2
    assert world.condition("default", "Ready", SHARED)["status"] == "True", "the shared account goes on"
    assert HOLD in (secret_of(world) or {})["metadata"]["finalizers"]  # type: ignore[index]


@pytest.mark.failure_mode(29)
@pytest.mark.failure_mode(67)
def test_a_deleted_shared_account_and_its_secret_stay_until_the_last_job_of_any_namespace_is_gone(
    shared_world: World,
) -> None:
    world = shared_world
    other = world.neighbour()
    world.add_shared_account(allowed={"selector": {}})
    for place in (world, other):
        place.add_persistent("job")
    for place in (world, other):
        place.wait_condition("job", "Ready")
    world.kubectl("delete", SHARED, "default", "--wait=false", namespaced=False)
    world.kubectl("-n", OPERATOR_NAMESPACE, "delete", "secret", world.shared_secret, "--wait=false", namespaced=False)
    world.wait_condition("default", "Ready", "False", reason="InvalidReference", kind=SHARED)
    world.operators[0].kill()
    world.operators[0].start()
    world.add_batch("too-late")
    world.wait_condition("too-late", "Ready", "False", reason="InvalidReference")
    world.remove_jobs("job")
    assert HOLD in (world.get("default", SHARED) or {})["metadata"]["finalizers"], "the other namespace needs it"
    assert secret_of(world) is not None
    other.remove_jobs("job")
    world.wait_gone("default", SHARED)
    wait_for(lambda: secret_of(world) is None, what="the Secret is gone")
    assert [job["status"] for job in world.jobs()] == ["CANCELLED", "CANCELLED"]
    assert len(world.posts()) == 2
    world.remove_jobs("too-late")
    world.check_truth()


# --- tenants -------------------------------------------------------------------------------------------------------


@pytest.mark.failure_mode(52)
@pytest.mark.parametrize("allowed", [True, False], ids=["both allowed", "the forger is not"])
def test_a_forged_record_of_another_tenant_of_the_account_shows_and_cancels_nothing(
    shared_world: World, allowed: bool
) -> None:
    victim = shared_world
    forger = victim.neighbour()
    names = [victim.namespace, *([forger.namespace] if allowed else [])]
    victim.add_shared_account(allowed={"names": names})
    victim.add_persistent("job")
    victim.wait_condition("job", "Ready")
    stolen = victim.get("job") or {}
    annotations = {"dispersed.dev/create-intent": stolen["metadata"]["annotations"]["dispersed.dev/create-intent"]}
    forger.kubectl(
        "create", "-f", "-",
        body={
            "apiVersion": "dispersed.dev/v1alpha1",
            "kind": "DispersedJob",
            "metadata": {"name": "job", "annotations": annotations, "finalizers": ["dispersed.dev/remote-job"]},
            "spec": stolen["spec"],
        },
    )  # fmt: skip
    forger.kubectl(
        "patch", "djob", "job", "--subresource=status", "--type=merge", "-p", json.dumps({"status": stolen["status"]})
    )
    wait_for(lambda: "phase" in forger.status("job") or None, what="the operator saw the forged resource")
    forger.delete("job")
    prove_absence(forger, "job")  # what it claims may have been created for it is looked for until that is disproved
    forger.wait_gone("job")
    uuid = victim.status("job")["jobUUID"]
    assert uuid in {job["uuid"] for job in victim.live_jobs()}
    assert all(uuid not in row["path"] for row in victim.cancels())
    victim.nudge("job")
    wait_for(lambda: victim.status("job").get("lastHandledReconcileAt"), what="the victim was looked at")
    assert victim.condition("job", "Ready")["status"] == "True"
    victim.check_truth()
    victim.remove_jobs("job")


@pytest.mark.failure_mode(52)
@pytest.mark.reason("AdoptionNotAllowed")
def test_a_namespace_that_is_not_allowed_adopts_no_job_of_the_account(shared_world: World) -> None:
    world = shared_world
    stranger = world.neighbour()
    world.add_shared_account(allowAdoption=True)
    world.add_persistent("job")
    world.wait_condition("job", "Ready")
    uuid = world.control.insert_job("console", fate={"run_seconds": 100_000.0})["uuid"]
    body = {"task": "Batch", "adopt": {"jobUUID": uuid}}
    for place, name in ((stranger, "thief"), (world, "heir")):
        place.apply(
            {"apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedJob", "metadata": {"name": name}, "spec": body}
        )
    stranger.wait_blocked("thief", "AdoptionNotAllowed", names=f"does not allow the namespace {stranger.namespace}")
    world.wait_condition("heir", "RemoteCreated")
    stranger.remove_jobs("thief")
    assert world.cancels() == []
    world.remove_jobs("heir", "job")
    assert world.live_jobs() == []
