"""The state on disk: complete after every change, whole after every kill, and no slower with many jobs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dispersed_simulator.records import ApiKey, Fate, FateRule, job_to_json
from dispersed_simulator.state_file import StateFile, StateFileError
from tests.support.simulator import PUBLIC_KEY
from tests.unit.simulator.harness import ACCOUNT, World, code


def _loaded(path: Path) -> World:
    world = World(seed=99)
    state_file = StateFile(path)
    state = state_file.load()
    assert state is not None
    state_file.restore(state, world.service)
    return world


def _truth(world: World) -> list[object]:
    return [json.loads(json.dumps(job_to_json(job))) for job in world.engine.store.jobs.values()]


def test_the_first_start_finds_nothing(tmp_path: Path) -> None:
    assert StateFile(tmp_path / "state").load() is None


def test_everything_survives_in_journal_and_snapshot(tmp_path: Path) -> None:
    world = World()
    state_file = StateFile(tmp_path / "state")
    state_file.write_snapshot(world.service)
    job = world.new_job("kept", fate=Fate(log_lines=("a",), run_seconds=3), container={"ports": [80]})
    request = world.request("GET", "/v1/jobs")
    world.service.handle(request)
    world.switches.update({"create_status": 200})
    world.faults.add("rate_limit", times=5)
    world.faults.add("delayed_commit", params={"seconds": 900})
    world.call("GET", "/v1/jobs")
    world.service.keys["pk_2"] = ApiKey("pk_2", "sk_2", "other", permissions=["jobs.read.own"])
    world.engine.fate_rules.append(FateRule("x", Fate(exit_code=2)))
    world.engine.accounts[ACCOUNT].out_of_funds = True
    world.service.schedule(request, due_ms=world.clock.now_ms() + 5, verified_key=PUBLIC_KEY)
    world.advance(0)
    state_file.write_changes(world.service)
    for _ in ("from the journal", "from the snapshot"):
        back = _loaded(tmp_path / "state")
        assert _truth(back) == _truth(world)
        assert back.switches == world.switches
        assert [rule.as_json() for rule in back.faults.all()] == [rule.as_json() for rule in world.faults.all()]
        assert back.service.keys["pk_2"] == world.service.keys["pk_2"]
        assert back.engine.fate_rules == world.engine.fate_rules
        assert back.engine.accounts == world.engine.accounts
        assert [item for _, _, item in back.service.deliveries] == [item for _, _, item in world.service.deliveries]
        back.faults.clear()
        assert code(back.service.handle(request)) == "NONCE_REUSED"
        state_file.write_snapshot(world.service)
    back.advance(100)
    assert back.engine.store.jobs[job.uuid].status == "COMPLETED"


def test_a_line_cut_off_by_a_kill_is_ignored(tmp_path: Path) -> None:
    world = World()
    state_file = StateFile(tmp_path / "state")
    state_file.write_snapshot(world.service)
    for title in ("first", "second"):
        world.create(title)
        state_file.write_changes(world.service)
    journal = tmp_path / "state.journal"
    journal.write_bytes(journal.read_bytes() + b'{"job": {"uu')
    assert [job.title for job in _loaded(tmp_path / "state").engine.store.jobs.values()] == ["first", "second"]


def test_a_journal_of_an_older_snapshot_is_ignored(tmp_path: Path) -> None:
    world = World()
    state_file = StateFile(tmp_path / "state")
    state_file.write_snapshot(world.service)
    job = world.new_job()
    state_file.write_changes(world.service)
    old_journal = (tmp_path / "state.journal").read_bytes()
    world.advance(100)
    state_file.write_snapshot(world.service)
    (tmp_path / "state.journal").write_bytes(old_journal)
    assert _loaded(tmp_path / "state").engine.store.jobs[job.uuid].status == "COMPLETED"


def test_a_change_costs_its_own_line_and_not_all_jobs(tmp_path: Path) -> None:
    world = World()
    state_file = StateFile(tmp_path / "state")
    for _ in range(50):
        world.create()
    state_file.write_snapshot(world.service)
    world.create("one more")
    state_file.write_changes(world.service)
    lines = (tmp_path / "state.journal").read_text().splitlines()
    assert sum('"job"' in line for line in lines) == 1
    state_file.write_changes(world.service)
    assert (tmp_path / "state.journal").read_text().splitlines() == lines


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 0}', '{"version": 1}'])
def test_a_file_that_is_no_state_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "state").write_text(text)
    with pytest.raises(StateFileError, match="state"):
        StateFile(tmp_path / "state").load()


def test_the_files_are_readable_for_their_owner_only(tmp_path: Path) -> None:
    StateFile(tmp_path / "state").write_snapshot(World().service)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
