"""The table, and the gate that keeps what was reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cells import Cell, Figures, Ledger, Measurement, read_ledger
from benchmarks.lines import LINES, Line
from benchmarks.plans import SCENARIOS
from benchmarks.plot import points
from benchmarks.ratios import fallen, raised, ratio, ratios, read_ratios, write_ratios
from benchmarks.report import NOTHING, part_of_page, render, with_report
from tests.unit.repository.tree import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
RESULT = ROOT / "benchmarks" / "results" / "bench-full.json"
CREATE = next(line for line in LINES if line.figure == "cpu_per_create_ms")
IDLE = next(line for line in LINES if line.figure == "idle_cpu_percent")


def run(**cpu: float) -> Ledger:
    """A run in which a create took so many milliseconds of CPU."""
    cells = {Cell(200, name, "burst"): measured({"cpu_per_create_ms": value}) for name, value in cpu.items()}
    return Ledger("the command", {"machine": "2 cores"}, cells)


def measured(figures: Figures, *notes: str) -> Measurement:
    return Measurement(figures, 1.0, notes)


def test_a_ratio_is_the_rivals_figure_by_ours() -> None:
    found = ratios(run(operator=4.0, textbook=10.0, loop=2.0))
    assert found == {"200/burst.cpu_per_create_ms/textbook": 2.5, "200/burst.cpu_per_create_ms/loop": 0.5}


def test_what_cannot_be_told_from_nothing_makes_no_ratio_infinite() -> None:
    cells = {
        Cell(200, "operator", "steady"): measured({"idle_cpu_percent": 0.0}),
        Cell(200, "textbook", "steady"): measured({"idle_cpu_percent": 5.0}),
        Cell(200, "loop", "steady"): measured({"idle_cpu_percent": 0.0}),
    }
    ledger = Ledger("", {}, cells)
    assert ratio(ledger, IDLE, 200, "textbook") == 5.0 / IDLE.floor
    assert ratio(ledger, IDLE, 200, "loop") == 1.0


def test_a_rival_that_was_not_measured_makes_no_ratio() -> None:
    assert ratio(run(operator=4.0), CREATE, 200, "loop") is None
    assert ratios(run(operator=4.0)) == {}


@pytest.mark.parametrize(
    ("now", "holds", "reason"),
    [
        ({"a": 4.0}, True, "as it was"),
        ({"a": 2.0}, True, "half is noise"),
        ({"a": 1.99}, False, "less than half"),
        ({"a": 40.0}, True, "better"),
        ({}, False, "a figure that is not measured any more is none that holds"),
    ],
)
def test_a_ratio_may_not_fall_below_half_of_what_is_recorded(now: dict[str, float], holds: bool, reason: str) -> None:
    assert (fallen(now, {"a": 4.0}) == []) == holds, reason


def test_a_record_is_only_ever_raised() -> None:
    recorded = {"better": 2.0, "worse": 2.0, "of a figure that is gone": 2.0}
    assert raised({"better": 3.0, "worse": 1.0, "new": 1.0}, recorded) == {"better": 3.0, "worse": 2.0, "new": 1.0}


def test_recorded_ratios_are_read_back(tmp_path: Path) -> None:
    file = tmp_path / "recorded.json"
    assert read_ratios(file) == {}
    write_ratios(file, {"a": 1.5})
    assert read_ratios(file) == {"a": 1.5}


def test_a_row_begins_with_its_ratios_and_ends_with_whether_the_goal_was_reached() -> None:
    rows = render(run(operator=4.0, textbook=10.0, loop=2.0)).splitlines()
    assert rows[:2] == ["- command: `the command`", "- machine: 2 cores"]
    assert rows[-1] == (f"| {CREATE.title} | 200 | 2.5x | 2x | 4 ms | 10 ms | 2 ms | ≤ 3x the loop: reached |")
    assert render(run(operator=7.0, loop=2.0)).splitlines()[-1].endswith("| ≤ 3x the loop: missed |")


def test_a_latency_of_which_some_never_ended_is_a_lower_bound() -> None:
    figures: Figures = {"apply_to_post_p95_s": 12.0, "missing": 3, "cpu_per_create_ms": 1.0}
    text = render(Ledger("", {}, {Cell(200, "textbook", "burst"): measured(figures)}))
    assert "| ≥ 12 s |" in text
    assert "| 1 ms |" in text


def test_notes_of_a_cell_stand_below_the_table() -> None:
    text = render(Ledger("", {}, {Cell(200, "loop", "burst"): measured({"apply_to_post_p95_s": 1.0}, "it ended")}))
    assert text.splitlines()[-1] == "- loop, 200 resources, burst: it ended"


def test_the_report_takes_its_place_in_a_page_and_nothing_else() -> None:
    page = "before\n<!-- generated: benchmarks -->\nold\n<!-- end -->\nafter\n"
    assert with_report(page, "new") == ("before\n<!-- generated: benchmarks -->\n\nnew\n\n<!-- end -->\nafter\n")
    with pytest.raises(ValueError, match="the page has no"):
        with_report("a page", "new")


def test_the_page_shows_the_recorded_run() -> None:
    assert with_report(PAGE.read_text(), part_of_page(RESULT)) == PAGE.read_text()


def test_the_page_shows_a_run_and_its_picture_or_says_that_there_is_none(tmp_path: Path) -> None:
    run(operator=4.0).write(tmp_path / "run.json")
    shown = part_of_page(tmp_path / "run.json")
    assert shown.startswith(render(run(operator=4.0)))
    assert shown.endswith("](benchmarks.png)")
    assert part_of_page(tmp_path / "none.json") == NOTHING


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.key)
def test_every_line_belongs_to_a_scenario(line: Line) -> None:
    assert line.scenario in SCENARIOS
    assert line.floor > 0


def test_no_two_lines_show_the_same_figure() -> None:
    assert len({line.key for line in LINES}) == len(LINES)


def test_a_line_of_the_picture_has_a_point_for_each_size_that_was_measured(tmp_path: Path) -> None:
    ledger = run(operator=4.0)
    ledger.cells[Cell(100, "operator", "burst")] = measured({"cpu_per_create_ms": 3.0})
    ledger.cells[Cell(500, "operator", "burst")] = measured({"cpu_per_create_ms": None})
    file = tmp_path / "run.json"
    ledger.write(file)
    assert points(read_ledger(file), "operator", "burst", "cpu_per_create_ms") == [(100, 3.0), (200, 4.0)]
