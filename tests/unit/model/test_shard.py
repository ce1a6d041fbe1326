"""The shard of an account: one and the same in every process and every version."""

from __future__ import annotations

from collections import Counter

import pytest

from dispersed_operator.model.account_names import CLUSTER_DEFAULT
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.shard import MOST_SHARDS, Shard, account_hash

OWN = ResourceKey(Kind.ACCOUNT, "team-a", "default")
ACCOUNTS = [ResourceKey(Kind.ACCOUNT, f"team-{number}", "default") for number in range(3000)]

GOLDEN = [
    (OWN, 5225636943929833814),
    (ResourceKey(Kind.ACCOUNT, "team-b", "default"), 10348044578303164848),
    (ResourceKey(Kind.ACCOUNT, "team-a", "other"), 17852882619548776313),
    (CLUSTER_DEFAULT, 17872044651846869027),
]
"""Frozen: during a roll-out shards of two versions share the work."""


@pytest.mark.parametrize(("account", "number"), GOLDEN)
def test_the_hash_of_an_account_never_changes(account: ResourceKey, number: int) -> None:
    assert account_hash(account) == number


@pytest.mark.parametrize(("count", "owner"), [(1, 0), (2, 0), (3, 2), (4, 2), (64, 22)])
def test_an_account_falls_on_the_remainder_of_its_hash(count: int, owner: int) -> None:
    assert [index for index in range(count) if Shard(index, count).owns(OWN)] == [owner]


@pytest.mark.parametrize("count", [1, 2, 3, 7, MOST_SHARDS])
def test_each_account_has_exactly_one_shard_of_a_count(count: int) -> None:
    shards = [Shard(index, count) for index in range(count)]
    assert all(sum(shard.owns(account) for shard in shards) == 1 for account in ACCOUNTS)


def test_many_accounts_spread_evenly() -> None:
    counted = Counter(next(index for index in range(4) if Shard(index, 4).owns(account)) for account in ACCOUNTS)
    assert all(abs(number - 750) < 100 for number in counted.values()), counted


@pytest.mark.parametrize(("text", "shard"), [("0/1", Shard()), ("0/3", Shard(0, 3)), ("63/64", Shard(63, 64))])
def test_a_shard_is_read_as_it_is_written(text: str, shard: Shard) -> None:
    assert Shard.read(text) == shard
    assert str(shard) == text


@pytest.mark.parametrize("text", ["", "1", "1/1", "3/3", "-1/3", "0/0", "0/65", "00/3", "0/03", "0 / 3", "0/3 ", "a/b"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be index/count"):
        Shard.read(text)
