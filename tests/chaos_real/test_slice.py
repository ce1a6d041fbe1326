"""A few real kills in every run of the tests; `python -m tests.chaos_real` makes as many as wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos_real.arena import Arena
from tests.chaos_real.checker import Rule, breaches, remainders
from tests.chaos_real.ledger import Ledger, read_ledger
from tests.chaos_real.rounds import Chaos

KILLS = 10


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena(operators=2) as made:
        yield made


def test_ten_kills_of_real_processes_leave_the_service_as_the_resources_want_it(arena: Arena, tmp_path: Path) -> None:
    ledger = Ledger(seed=1, operators=2)
    ledger.rounds.append(Chaos(arena, seed=ledger.seed, violations_folder=tmp_path).play(1, kills=KILLS))
    assert ledger.violations == []
    assert ledger.kills >= KILLS
    assert ledger.rounds[0].jobs > 0
    ledger.write(tmp_path / "result.json")
    assert read_ledger(tmp_path / "result.json") == ledger


def test_a_job_planted_by_hand_and_one_left_behind_by_its_resource_are_found_by_the_same_looks(arena: Arena) -> None:
    name = arena.cluster.create_job("victim", persistent=True)["metadata"]["name"]
    arena.start_operators(wait=True)

    def recorded() -> str | None:
        return str(((arena.cluster.job(name) or {}).get("status") or {}).get("jobUUID") or "") or None

    uuid = arena.wait_for(recorded, what="the job is recorded", seconds=60)
    for operator in arena.operators:
        arena.kill_operator(operator)
    foreign = frozenset(job["uuid"] for job in arena.control.jobs() if job["created_by"] == "console")
    assert breaches(arena.evidence(strangers=foreign)) == remainders(arena.evidence(strangers=foreign)) == []
    copy = arena.control.insert_job(arena.control.job(uuid)["title"], task="PERSISTENT")["uuid"]
    found = arena.evidence(strangers=foreign)
    rules = {item.rule for item in [*breaches(found), *remainders(found)]}
    assert rules == {
        Rule.ONE_JOB_PER_ATTEMPT, Rule.ONE_JOB_PER_RESOURCE, Rule.MADE_BY_A_REQUEST, Rule.LIVE_IS_WANTED,
    }  # fmt: skip
    arena.cluster.patch_job(name, {"metadata": {"finalizers": None}})
    arena.cluster.delete_job(name)
    arena.wait_for(lambda: arena.witness.found or None, what="the witness has seen the leak", seconds=30)
    assert {item.rule for item in arena.witness.found} == {Rule.NOT_BEFORE_ITS_END}
    arena.control.force_status(copy, "CANCELLED")
    assert Rule.LIVE_IS_WANTED in {item.rule for item in remainders(arena.evidence(strangers=foreign))}
