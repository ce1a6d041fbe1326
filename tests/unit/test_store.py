"""The store: versions only grow, deletions stay deletions, listings repair what the watch missed."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.errors import StateLost
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.reading import LAST_APPLIED
from dispersed_operator.store import AT_HAND, Changes, ResourceStore, key_of, version_of

KEY = ResourceKey(Kind.JOB, "team", "train")
OTHER = ResourceKey(Kind.JOB, "team", "tune")


def body(
    version: int | str, *, key: ResourceKey = KEY, uid: str = "u-1", status: Any = None, spec: Any = None
) -> dict[str, Any]:
    metadata = {"namespace": key.namespace, "name": key.name, "uid": uid, "resourceVersion": str(version)}
    return {"kind": str(key.kind), "metadata": metadata, "spec": spec or {}, "status": status or {}}


def changes(changed: set[ResourceKey], vanished: set[ResourceKey]) -> Changes:
    return Changes(frozenset(changed), frozenset(vanished))


@pytest.fixture
def store() -> ResourceStore:
    return ResourceStore()


def held_version(store: ResourceStore, key: ResourceKey = KEY) -> int | None:
    held = store.get(key)
    return version_of(held) if held is not None else None


def test_a_newer_body_replaces_an_older_one(store: ResourceStore) -> None:
    assert store.put(KEY, body(9))
    assert store.put(KEY, body(10))
    assert held_version(store) == 10
    assert store.version(KEY) == 10


@pytest.mark.parametrize("late", [8, 9], ids=["older", "equal"])
def test_an_older_or_equal_body_never_replaces_the_one_held(store: ResourceStore, late: int) -> None:
    first = body(9, status={"jobUUID": "a"})
    store.put(KEY, first)
    assert not store.put(KEY, first if late == 9 else body(late))
    assert store.by_uuid("a") == {KEY}


def test_what_is_held_is_counted_by_kind_and_namespace(store: ResourceStore) -> None:
    store.put(KEY, body(1))
    store.put(OTHER, body(2, key=OTHER))
    elsewhere = ResourceKey(Kind.JOB, "team-b", "train")
    store.put(elsewhere, body(3, key=elsewhere))
    amounts = [store.amount(Kind.JOB), store.amount(Kind.JOB, "team"), store.amount(Kind.JOB, "team-b")]
    assert (amounts, store.amount(Kind.ACCOUNT)) == ([3, 2, 1], 0)


@pytest.mark.parametrize(
    ("status", "settled"),
    [
        ({}, False),
        ({"jobUUID": "a", "create": {"uuid": "a", "state": "Accepted"}}, True),
        ({"jobUUID": "a", "create": {"state": "Unknown"}}, False),
    ],
    ids=["no job yet", "its job runs", "its newest create is unknown"],
)
def test_a_job_is_settled_once_its_remote_job_is_recorded_and_until_it_is_deleted(
    store: ResourceStore, status: Any, settled: bool
) -> None:
    store.put(KEY, body(1, status=status))
    assert store.settled(KEY) is settled
    going = body(2, status=status)
    going["metadata"]["deletionTimestamp"] = "2026-11-30T00:00:00Z"
    store.put(KEY, going)
    assert not store.settled(KEY)
    assert not store.settled(OTHER)


def test_versions_are_numbers_not_texts(store: ResourceStore) -> None:
    store.put(KEY, body(999))
    assert store.put(KEY, body(1000))


@pytest.mark.parametrize("version", ["", "12a", "-3", "¾", None, 7])
def test_a_version_that_is_no_decimal_number_ends_the_trust_in_the_server(store: ResourceStore, version: Any) -> None:
    broken = body(1)
    broken["metadata"]["resourceVersion"] = version
    with pytest.raises(StateLost, match="not a decimal number"):
        store.put(KEY, broken)


def test_what_only_other_writers_need_is_not_kept(store: ResourceStore) -> None:
    full = body(1)
    full["metadata"] |= {"managedFields": [{}], "annotations": {LAST_APPLIED: "{}", "keep": "me"}}
    store.put(KEY, full)
    kept = store.get(KEY)
    assert kept is not None
    assert "managedFields" not in kept["metadata"]
    assert kept["metadata"]["annotations"] == {"keep": "me"}
    assert full["metadata"]["managedFields"] == [{}], "the body given is somebody else's and stays whole"


def test_a_deleted_object_does_not_come_back_by_a_late_event(store: ResourceStore) -> None:
    store.put(KEY, body(5))
    assert store.remove(KEY, body(8))
    assert not store.put(KEY, body(7)), "an event older than the deletion"
    assert not store.put(KEY, body(8)), "the answer to the write that deleted it"
    assert store.get(KEY) is None
    assert store.put(KEY, body(9, uid="u-2")), "created again"


def test_a_deletion_seen_before_the_object_still_holds(store: ResourceStore) -> None:
    assert not store.remove(KEY, body(8))
    assert not store.put(KEY, body(7))


def test_a_late_deletion_leaves_the_object_that_was_created_again(store: ResourceStore) -> None:
    store.put(KEY, body(5, uid="u-1"))
    store.put(KEY, body(9, uid="u-2"))
    assert not store.remove(KEY, body(8, uid="u-1"))
    assert store.by_uid("u-2") == KEY
    assert store.by_uid("u-1") is None


def test_an_object_replaced_by_a_namesake_is_no_longer_found_by_its_uid(store: ResourceStore) -> None:
    store.put(KEY, body(5, uid="u-1", status={"jobUUID": "a"}))
    store.put(KEY, body(9, uid="u-2"))
    assert (store.by_uid("u-1"), store.by_uid("u-2"), store.by_uuid("a")) == (None, KEY, frozenset())


def test_a_404_removes_what_was_held_when_the_get_was_sent(store: ResourceStore) -> None:
    store.put(KEY, body(5))
    assert store.gone(KEY, store.version(KEY))
    assert store.get(KEY) is None
    assert not store.put(KEY, body(5))


def test_a_404_does_not_remove_what_came_after_the_get_was_sent(store: ResourceStore) -> None:
    store.put(KEY, body(5))
    observed = store.version(KEY)
    store.put(KEY, body(6, uid="u-2"))
    assert not store.gone(KEY, observed)
    assert held_version(store) == 6


def test_a_404_for_an_unknown_key_changes_nothing(store: ResourceStore) -> None:
    assert not store.gone(KEY, store.version(KEY))
    assert store.put(KEY, body(1))


def test_a_wrong_404_is_repaired_by_the_next_listing(store: ResourceStore) -> None:
    store.put(KEY, body(5))
    store.gone(KEY, 5)
    assert store.absorb_listing(Kind.JOB, [body(5)], 6) == changes({KEY}, set())


def test_a_job_is_found_by_each_remote_uuid_that_its_status_names(store: ResourceStore) -> None:
    store.put(KEY, body(1, status={"jobUUID": "a", "create": {"uuid": "b"}}))
    store.put(OTHER, body(2, key=OTHER, uid="u-2", status={"jobUUID": "a"}))
    assert store.by_uuid("a") == {KEY, OTHER}
    assert store.by_uuid("b") == {KEY}
    store.put(KEY, body(3, status={"jobUUID": "c"}))
    assert [set(store.by_uuid(uuid)) for uuid in "abc"] == [{OTHER}, set(), {KEY}]
    store.remove(OTHER, body(4, key=OTHER, uid="u-2"))
    assert store.by_uuid("a") == frozenset()


def test_jobs_are_found_by_their_account_and_those_that_name_none_by_the_default_one(store: ResourceStore) -> None:
    store.put(KEY, body(1, spec={"accountRef": {"kind": "DispersedAccount", "name": "gpu"}}))
    store.put(OTHER, body(2, key=OTHER, uid="u-2"))
    assert store.jobs_of_account(ResourceKey(Kind.ACCOUNT, "team", "gpu")) == {KEY}
    assert store.jobs_of_account(ResourceKey(Kind.ACCOUNT, "team", "default")) == {OTHER}
    assert store.jobs_of_account(ResourceKey(Kind.ACCOUNT, "elsewhere", "gpu")) == frozenset()


def test_an_account_is_no_job_of_an_account(store: ResourceStore) -> None:
    account = ResourceKey(Kind.ACCOUNT, "team", "default")
    store.put(account, body(1, key=account))
    assert store.jobs_of_account(ResourceKey(Kind.ACCOUNT, "team", "default")) == frozenset()
    assert store.keys(Kind.ACCOUNT) == {account}
    assert store.keys(Kind.JOB) == frozenset()


def test_a_listing_brings_new_bodies_and_sweeps_missed_deletions(store: ResourceStore) -> None:
    store.put(KEY, body(5))
    assert store.absorb_listing(Kind.JOB, [body(7, key=OTHER, uid="u-2")], 9) == changes({OTHER}, {KEY})
    assert not store.put(KEY, body(6)), "the watch is behind the listing"
    assert store.absorb_listing(Kind.JOB, [body(7, key=OTHER, uid="u-2")], 9) == changes(set(), set())


def test_an_object_that_came_while_the_listing_ran_is_not_swept(store: ResourceStore) -> None:
    floor = store.highest_version(Kind.JOB)
    store.put(KEY, body(12))
    assert store.absorb_listing(Kind.JOB, [], 10, floor=floor) == changes(set(), set())
    assert held_version(store) == 12


def test_an_object_deleted_while_the_listing_ran_does_not_come_back_with_it(store: ResourceStore) -> None:
    floor = store.highest_version(Kind.JOB)
    store.remove(KEY, body(12))
    assert store.absorb_listing(Kind.JOB, [body(5)], 10, floor=floor) == changes(set(), set())


def test_an_event_older_than_a_listing_that_did_not_show_the_object_is_stale(store: ResourceStore) -> None:
    store.absorb_listing(Kind.JOB, [], 10)
    assert not store.put(KEY, body(10))
    assert store.put(KEY, body(11))


def test_a_deletion_newer_than_two_listings_is_still_remembered(store: ResourceStore) -> None:
    store.remove(KEY, body(30))
    store.absorb_listing(Kind.JOB, [], 30)
    store.absorb_listing(Kind.JOB, [], 40)
    assert not store.put(KEY, body(29))


@pytest.mark.failure_mode(69)
@pytest.mark.parametrize("seen_by", ["watch", "deletion", "listing"])
def test_a_listing_below_the_highest_version_means_that_the_state_was_lost(store: ResourceStore, seen_by: str) -> None:
    match seen_by:
        case "watch":
            store.put(KEY, body(20))
        case "deletion":
            store.remove(KEY, body(20))
        case _:
            store.absorb_listing(Kind.JOB, [], 20)
    before = store.get(KEY)
    with pytest.raises(StateLost):
        store.absorb_listing(Kind.JOB, [body(3, key=OTHER)], 19)
    assert store.get(KEY) == before
    assert store.get(OTHER) is None, "a listing that is not believed changes nothing"


@pytest.mark.failure_mode(69)
def test_a_listing_with_an_object_older_than_it_was_known_means_that_the_state_was_lost(store: ResourceStore) -> None:
    store.put(KEY, body(20))
    with pytest.raises(StateLost):
        store.absorb_listing(Kind.JOB, [body(7), body(25, key=OTHER)], 30)
    assert held_version(store) == 20
    assert store.get(OTHER) is None, "a listing that is not believed changes nothing"


def test_an_object_that_changed_while_the_listing_ran_may_be_older_in_it(store: ResourceStore) -> None:
    store.put(KEY, body(7))
    floor = store.highest_version(Kind.JOB)
    store.put(KEY, body(20))
    store.absorb_listing(Kind.JOB, [body(7)], 10, floor=floor)
    assert held_version(store) == 20


@pytest.mark.failure_mode(69)
def test_an_object_read_afresh_that_is_older_than_it_was_known_means_that_the_state_was_lost(
    store: ResourceStore,
) -> None:
    store.put(KEY, body(20))
    with pytest.raises(StateLost):
        store.renew(KEY, body(7), 20)
    assert held_version(store) == 20


@pytest.mark.failure_mode(69)
@pytest.mark.parametrize(
    "change",
    [
        {"annotations": {"dispersed.dev/paused": "true"}},
        {"finalizers": ["dispersed.dev/remote-job"]},
        {"deletionTimestamp": "2026-11-23T10:00:00Z"},
        {"generation": 7},
        {"uid": "another"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_two_states_of_an_object_under_one_version_mean_that_the_state_was_lost(
    store: ResourceStore, change: dict[str, Any]
) -> None:
    first = body(20)
    store.put(KEY, first)
    with pytest.raises(StateLost, match="twice"):
        store.put(KEY, {**first, "metadata": {**first["metadata"], **change}})
    assert store.get(KEY) is not None


def test_the_answer_to_the_write_that_lets_a_deleting_object_go_has_an_old_version(store: ResourceStore) -> None:
    first = body(20)
    deleting = {**first["metadata"], "deletionTimestamp": "2026-11-23T10:00:00Z"}
    store.put(KEY, {**first, "metadata": {**deleting, "finalizers": ["dispersed.dev/remote-job"]}})
    assert not store.put(KEY, {**first, "metadata": deleting})


def test_a_reading_with_other_defaults_is_the_same_state(store: ResourceStore) -> None:
    """The definition of the kind was changed: the API server applies defaults when it reads."""
    first = body(20)
    store.put(KEY, first)
    assert not store.put(KEY, {**first, "spec": {"deletionPolicy": "Cancel"}})


def test_what_came_while_an_object_was_read_is_kept(store: ResourceStore) -> None:
    store.put(KEY, body(20))
    assert not store.renew(KEY, body(7), 7)
    assert held_version(store) == 20


def test_a_kind_is_synced_after_its_first_listing(store: ResourceStore) -> None:
    store.put(KEY, body(1))
    assert not store.synced(Kind.JOB)
    store.absorb_listing(Kind.JOB, [body(1)], 1)
    assert store.synced(Kind.JOB)
    assert not store.synced(Kind.ACCOUNT)


def test_with_namespaces_a_kind_is_synced_when_each_was_listed() -> None:
    store = ResourceStore(namespaces=["team", "lab"])
    store.absorb_listing(Kind.JOB, [], 1, namespace="team")
    assert not store.synced(Kind.JOB)
    store.absorb_listing(Kind.JOB, [], 2, namespace="lab")
    assert store.synced(Kind.JOB)


def test_the_listing_of_one_namespace_sweeps_no_other() -> None:
    store = ResourceStore(namespaces=["team", "lab"])
    elsewhere = ResourceKey(Kind.JOB, "lab", "x")
    store.put(KEY, body(1))
    store.put(elsewhere, body(2, key=elsewhere, uid="u-2"))
    assert store.absorb_listing(Kind.JOB, [], 5, namespace="lab") == changes(set(), {elsewhere})
    assert store.get(KEY) is not None


def test_a_body_tells_its_key_and_a_foreign_kind_is_refused() -> None:
    assert key_of(body(1)) == KEY
    with pytest.raises(ValueError, match="Pod"):
        key_of({"kind": "Pod", "metadata": {"namespace": "team", "name": "x"}})


def test_what_is_held_is_packed_and_comes_back_however_many_came_after_it(store: ResourceStore) -> None:
    keys = [ResourceKey(Kind.JOB, "team", f"job-{number}") for number in range(3 * AT_HAND)]
    for number, key in enumerate(keys):
        store.put(key, body(number + 1, key=key, uid=f"u-{number}", status={"phase": str(number)}))
    for number, key in enumerate(keys):
        held = store.get(key)
        assert held is not None
        assert held["status"] == {"phase": str(number)}


def test_a_body_at_hand_is_not_taken_for_that_of_a_namesake(store: ResourceStore) -> None:
    store.put(KEY, body(5, status={"phase": "Running"}))
    store.get(KEY)
    store.remove(KEY, body(6))
    assert store.get(KEY) is None
    store.absorb_listing(Kind.JOB, [body(8, uid="u-2")], 9)
    held = store.get(KEY)
    assert held is not None
    assert (held["metadata"]["uid"], held["status"]) == ("u-2", {})


def test_outlines_are_those_of_the_newest_bodies(store: ResourceStore) -> None:
    store.put(KEY, body(1, status={"phase": "Queued"}))
    store.put(KEY, body(2, status={"phase": "Running"}))
    store.put(OTHER, body(3, key=OTHER, uid="u-2", spec={"accountRef": {"kind": "DispersedAccount", "name": "gpu"}}))
    gpu = ResourceKey(Kind.ACCOUNT, "team", "gpu")
    assert sorted(job.phase for job in store.outlines()) == ["", "Running"]
    assert [job.accounts for job in store.outlines_of_account(gpu)] == [(gpu,)]
    assert store.outline(KEY).phase == "Running"
    assert store.outline(ResourceKey(Kind.JOB, "team", "absent")).phase == ""
    assert (store.holds(KEY), store.holds(gpu)) == (True, False)


def test_an_item_of_a_listing_that_says_what_is_held_is_not_packed_again(store: ResourceStore) -> None:
    store.put(KEY, body(5))
    (held,) = store.readings(Kind.JOB)
    assert store.listed(Kind.JOB, body(5)) is held
    assert store.listed(Kind.JOB, body(6)) is not held
    assert store.absorb_listing(Kind.JOB, [store.listed(Kind.JOB, body(6))], 9) == changes({KEY}, set())
    assert held_version(store) == 6


@pytest.mark.failure_mode(15)
def test_an_item_of_a_listing_in_another_state_is_told_as_it_was_listed(store: ResourceStore) -> None:
    """A sweep judges by the listing alone, also where a restored etcd gave the version of a deleting object again."""
    first = body(20, status={"jobUUID": "a"})
    first["metadata"]["deletionTimestamp"] = "2026-11-23T10:00:00Z"
    store.put(KEY, first)
    listed = store.listed_job({**first, "status": {"jobUUID": "b"}})
    assert listed.outline.job_uuid == "b"
    assert store.outline(KEY).job_uuid == "a"
