"""Two shards together: each works for its own accounts, every job is created once, and neither needs the other one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dispersed_devenv.controlplane import ControlPlane
from dispersed_devenv.services import OPERATOR_NAMESPACE, OperatorService
from dispersed_operator.model.account_names import CLUSTER_DEFAULT
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.shard import Shard, account_hash
from tests.support.stripping import strip_all_jobs
from tests.support.world import SECRET, World, wait_for

ELECTION = Path(__file__).resolve().parents[2] / "manifests" / "components" / "high-availability" / "role.yaml"
OTHER_ACCOUNT = "00000000-0000-4000-8000-00000000000e"


def names_of(world: World, shard: str, count: int = 1) -> list[str]:
    """Names of accounts in the world's namespace for which this shard works."""
    part = Shard.read(shard)
    names = (f"account-{number}" for number in itertools.count())
    own = (name for name in names if part.owns(ResourceKey(Kind.ACCOUNT, world.namespace, name)))
    return list(itertools.islice(own, count))


def start(world: World, shard: str, *flags: str, scope: tuple[str, ...] | None = None) -> OperatorService:
    name = f"shard-{shard.replace('/', '-of-')}"
    scope = ("--namespaces", world.namespace) if scope is None else scope
    return world.start_operator(name, flags=("--shard", shard, "--holder", name, *scope, *flags))


def works_for(operator: OperatorService) -> set[str]:
    """The accounts that this process has ready."""
    lines = [line for line in operator.metrics().splitlines() if line.startswith("dispersed_operator_account_ready{")]
    return {line.partition('account="')[2].partition('"')[0] for line in lines if line.endswith(" 1.0")}


def running(operator: OperatorService) -> float:
    (line,) = [line for line in operator.metrics().splitlines() if line.startswith("dispersed_operator_live_jobs ")]
    return float(line.split()[1])


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


def test_two_shards_share_accounts_and_jobs_and_each_job_is_created_once(world: World) -> None:
    first, second = start(world, "0/2"), start(world, "1/2")
    own, others = names_of(world, "0/2", 2), names_of(world, "1/2", 2)
    for name in (*own, *others):
        world.add_account(name)
    jobs = {f"{name}-job-{number}": name for name in (*own, *others) for number in range(3)}
    for job, account in jobs.items():
        world.add_persistent(job, accountRef={"name": account})
    for job in jobs:
        world.wait_condition(job, "Ready")
    assert (len(world.posts()), len(world.jobs()), len(world.live_jobs())) == (12, 12, 12)
    assert (works_for(first), works_for(second)) == (set(own), set(others))
    assert (running(first), running(second)) == (6.0, 6.0)
    intents = {job: world.intent(job) or {} for job in jobs}
    assert {intents[job]["holder"] for job in jobs if jobs[job] in own} == {"shard-0-of-2"}
    world.check_truth()
    for job in jobs:
        world.delete(job)
    for job in jobs:
        world.wait_gone(job)
    assert (len(world.posts()), world.live_jobs()) == (12, [])
    for name in (*own, *others):
        world.delete(name, "dispersedaccount")
    for name in (*own, *others):
        world.wait_gone(name, "dispersedaccount")
    world.kubectl("delete", "secret", SECRET, "--timeout=30s")  # all four held it, in two processes


def test_a_shard_that_is_killed_holds_up_nobody_elses_jobs(world: World) -> None:
    first, _ = start(world, "0/2"), start(world, "1/2")
    (own,), (other,) = names_of(world, "0/2"), names_of(world, "1/2")
    for name in (own, other):
        world.add_account(name)
        world.add_persistent(f"job-{name}", accountRef={"name": name})
        world.wait_condition(f"job-{name}", "Ready")
    first.kill()
    world.add_persistent("late", accountRef={"name": other})
    world.add_persistent("waiting", accountRef={"name": own})
    world.delete(f"job-{own}")
    world.wait_condition("late", "Ready")
    world.delete(f"job-{other}")
    world.wait_gone(f"job-{other}")
    assert "phase" not in world.status("waiting"), "nobody works for it"
    assert world.get(f"job-{own}") is not None, "a job is let go by the shard of its account"
    first.start()
    world.wait_gone(f"job-{own}")
    world.wait_condition("waiting", "Ready")
    assert len(world.posts()) == 4
    world.check_truth()
    world.remove_jobs("late", "waiting")


def test_a_job_that_moves_to_an_account_of_the_other_shard_before_its_first_intent_is_created_there(
    world: World,
) -> None:
    start(world, "0/2"), start(world, "1/2")
    (own,), (other,) = names_of(world, "0/2"), names_of(world, "1/2")
    world.control.add_key("pk_of_the_other", "sk_of_the_other", account_uuid=OTHER_ACCOUNT)
    world.add_secret("other-key", public="pk_of_the_other", secret="sk_of_the_other")
    world.add_account(other, secret="other-key", with_secret=False)
    world.wait_condition(other, "Ready", kind="dispersedaccount")
    world.add_persistent("job", accountRef={"name": own})
    world.wait_blocked("job", "InvalidReference", names=f"DispersedAccount {world.namespace}/{own} does not exist")
    moved = json.dumps({"spec": {"accountRef": {"name": other}}})
    world.kubectl("patch", "dispersedjob", "job", "--type=merge", "-p", moved)
    world.wait_condition("job", "Ready")
    assert world.status("job")["account"] == other
    assert (world.intent("job") or {})["holder"] == "shard-1-of-2"
    assert len(world.posts()) == len(world.jobs()) == 1
    world.check_truth()
    world.remove_jobs("job")


def test_the_shard_of_an_account_that_is_missing_tells_the_user_and_creates_when_it_comes(world: World) -> None:
    start(world, "0/2"), start(world, "1/2")
    for shard in ("0/2", "1/2"):
        (name,) = names_of(world, shard)
        world.add_persistent(f"job-{name}", accountRef={"name": name})
        world.wait_blocked(f"job-{name}", "InvalidReference", names=f"{world.namespace}/{name} does not exist")
        world.add_account(name)
        world.wait_condition(f"job-{name}", "Ready")
    assert len(world.posts()) == len(world.jobs()) == 2
    world.check_truth()
    world.remove_jobs(*(f"job-{names_of(world, shard)[0]}" for shard in ("0/2", "1/2")))


def test_a_default_that_appears_before_the_first_intent_moves_its_jobs_to_the_shard_of_the_new_one(
    installed_plane: ControlPlane, world: World
) -> None:
    """The shared default has no key, so its shard tells the user; then the namespace gets a default of its own."""
    strip_all_jobs(installed_plane)
    own = ResourceKey(Kind.ACCOUNT, world.namespace, "default")
    count = next(n for n in itertools.count(2) if account_hash(own) % n != account_hash(CLUSTER_DEFAULT) % n)
    for account in (own, CLUSTER_DEFAULT):
        start(world, f"{account_hash(account) % count}/{count}", scope=())
    world.add_shared_account(with_secret=False)
    world.add_persistent("job")
    world.wait_blocked("job", "InvalidReference", names=world.shared_secret)
    world.add_account()
    world.wait_condition("job", "Ready")
    assert world.status("job")["account"] == "default"
    assert (world.intent("job") or {})["holder"] == f"shard-{account_hash(own) % count}-of-{count}"
    world.add_shared_secret()
    world.wait_condition("default", "Ready", kind="clusterdispersedaccount")
    world.add_persistent("another")
    world.wait_condition("another", "Ready")
    assert len(world.posts()) == len(world.jobs()) == 2
    world.check_truth()
    world.remove_jobs("job", "another")


@pytest.mark.failure_mode(16)
def test_while_the_number_of_shards_changes_old_and_new_ones_overlap_and_make_no_double(world: World) -> None:
    """From one process to two: the old one works on until both new ones run."""
    old = start(world, "0/1")
    (own,), (other,) = names_of(world, "0/2"), names_of(world, "1/2")
    for name in (own, other):
        world.add_account(name)
        world.wait_condition(name, "Ready", kind="dispersedaccount")
    jobs = [f"{name}-{number}" for number in range(4) for name in (own, other)]
    for job in jobs[:4]:
        world.add_persistent(job, accountRef={"name": job.rpartition("-")[0]})
    first = start(world, "0/2")
    for job in jobs[4:]:
        world.add_persistent(job, accountRef={"name": job.rpartition("-")[0]})
    second = start(world, "1/2")
    assert old.stop() == 0
    for job in jobs:
        world.wait_condition(job, "Ready")
    wait_for(lambda: (running(first), running(second)) == (4.0, 4.0), what="the new shards share the jobs")
    assert (len(world.signatures()), len(world.jobs())) == (8, 8)
    world.check_truth()
    world.remove_jobs(*jobs)


@pytest.fixture
def electing_plane(installed_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The rights to Leases, for as long as the test runs."""
    installed_plane.apply(ELECTION)
    yield installed_plane
    installed_plane.kubectl("delete", "-f", str(ELECTION))


def test_each_shard_leads_by_a_lease_of_its_own(electing_plane: ControlPlane, world: World) -> None:
    flags = ("--leader-elect", "true", "--lease-name", world.namespace)
    shards = [start(world, "0/2", *flags), start(world, "1/2", *flags)]
    for index, shard in enumerate(shards):
        wait_for(lambda shard=shard: "dispersed_operator_leading 1.0" in shard.metrics(), what="both lead")  # type: ignore[misc]
        name = f"{world.namespace}-{index}-of-2"
        lease = json.loads(electing_plane.kubectl("-n", OPERATOR_NAMESPACE, "get", "lease", name, "-o", "json"))
        assert lease["spec"]["holderIdentity"] == f"shard-{index}-of-2"
