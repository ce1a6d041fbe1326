"""The file of a run, and how a run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cells import Cell, Ledger, Measurement, read_ledger
from benchmarks.plans import FULL_SIZES, SCENARIOS, SMALL, SMALL_SIZES, plan

DONE = Cell(100, "operator", "burst")


def ledger() -> Ledger:
    figures = {"cpu_per_create_ms": 2.5, "missing": None}
    return Ledger("run", {"machine": "2 cores"}, {DONE: Measurement(figures, 12.0, ("a note",))})


def test_a_run_that_was_cut_short_measures_only_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "result.json"
    ledger().write(file)
    again = read_ledger(file)
    assert again == ledger()
    wanted = [Cell(100, "operator", "steady"), DONE, Cell(100, "loop", "burst")]
    assert again.missing(wanted) == [wanted[0], wanted[2]]


def test_a_result_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    ledger().write(file)
    ledger().write(file)
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_run_that_goes_on_says_by_which_commands_and_on_which_days_it_was_made() -> None:
    run = Ledger("first", {"date": "2026-11-29", "machine": "2 cores"})
    for _ in range(2):
        run.go_on("second", {"date": "2026-11-30", "machine": "2 cores"})
    assert run == Ledger("first; second", {"date": "2026-11-29, 2026-11-30", "machine": "2 cores"})


def test_a_run_does_not_go_on_on_another_machine() -> None:
    run = Ledger("first", {"date": "2026-11-29", "machine": "2 cores", "service": "fast"})
    with pytest.raises(ValueError, match="another machine and service"):
        run.go_on("second", {"date": "2026-11-29", "machine": "4 cores", "service": "slow"})


def test_a_figure_that_was_not_measured_is_none() -> None:
    assert ledger().figure(DONE, "cpu_per_create_ms") == 2.5
    assert ledger().figure(DONE, "missing") is None
    assert ledger().figure(DONE, "other") is None
    assert ledger().figure(Cell(1, "operator", "burst"), "cpu_per_create_ms") is None


def test_the_cells_of_one_stage_follow_each_other_and_begin_with_the_burst() -> None:
    cells = plan(FULL_SIZES)
    stages = list(dict.fromkeys((cell.size, cell.contender) for cell in cells))
    assert [(cell.size, cell.contender) for cell in cells] == [
        pair for pair in stages for cell in cells if (cell.size, cell.contender) == pair
    ]
    for pair in stages:
        assert next(cell for cell in cells if (cell.size, cell.contender) == pair).scenario == "burst"


def test_only_what_makes_sense_is_planned() -> None:
    cells = plan(FULL_SIZES)
    assert {cell.contender for cell in cells if cell.scenario == "failover"} == {"operator"}
    assert {(cell.size, cell.contender) for cell in cells if cell.scenario == "outage"} == {
        (1000, "operator"), (1000, "textbook"),
    }  # fmt: skip
    assert len(set(cells)) == len(cells)


def test_the_short_run_has_cells_for_all_three() -> None:
    assert {cell.contender for cell in plan(SMALL_SIZES, names=SMALL)} == {"operator", "textbook", "loop"}
    assert set(SMALL) < set(SCENARIOS)


@pytest.mark.parametrize("size", FULL_SIZES)
def test_every_size_of_the_full_run_has_every_scenario_but_the_outage(size: int) -> None:
    assert {cell.scenario for cell in plan([size])} >= SCENARIOS.keys() - {"outage"}
