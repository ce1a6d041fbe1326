"""A chaos run can be stopped and goes on; its result file holds the figures and nothing of the machine's identity."""

from __future__ import annotations

import json
import platform
from pathlib import Path

from tests.simulation.slices import chaos
from tests.simulation.tally import tree


def test_a_run_begins_its_result_file_and_counts_on_when_it_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "results" / "chaos.json"
    first = chaos("--episodes", "2", "--resume", str(path))
    assert first.returncode == 0, first.stdout + first.stderr
    before = json.loads(path.read_text())
    second = chaos("--episodes", "3", "--resume", str(path))
    assert second.returncode == 0, second.stdout + second.stderr
    after = json.loads(path.read_text())
    assert (before["episodes"], after["episodes"]) == (2, 3)
    assert (after["first_seed"], after["last_seed"]) == (1, 3)
    assert after["posts"] > before["posts"] > 0
    assert "(seeds 1 to 3," in second.stdout


def test_a_resumed_run_comes_to_the_figures_of_one_in_one_piece(tmp_path: Path) -> None:
    pieces, whole = tmp_path / "pieces.json", tmp_path / "whole.json"
    for episodes in ("1", "3"):
        chaos("--episodes", episodes, "--resume", str(pieces))
    chaos("--episodes", "3", "--resume", str(whole))
    resumed, direct = json.loads(pieces.read_text()), json.loads(whole.read_text())
    assert resumed["injected"] == direct["injected"]
    assert resumed["jobs_created"] == direct["jobs_created"]


def test_workers_side_by_side_come_to_the_figures_of_one(tmp_path: Path) -> None:
    alone, together = tmp_path / "alone.json", tmp_path / "together.json"
    one = chaos("--episodes", "53", "--result", str(alone))
    two = chaos("--episodes", "53", "--workers", "2", "--result", str(together))
    assert (one.returncode, two.returncode) == (0, 0), two.stdout + two.stderr
    figures = [json.loads(path.read_text()) for path in (alone, together)]
    for name in ("cpu_seconds", "cpu_ms_per_episode"):
        assert all(figure.pop(name) > 0 for figure in figures)
    assert figures[0] == figures[1]


def test_a_run_that_failed_goes_on_after_the_failure(tmp_path: Path) -> None:
    path = tmp_path / "chaos.json"
    broken = ("--mutant", "ignore-the-cluster-id", "--no-shrink", "--stop-after", "1", "--episodes", "9")
    counts = []
    for _ in range(2):
        done = chaos(*broken, "--resume", str(path))
        assert done.returncode == 1, done.stdout + done.stderr
        counts.append(json.loads(path.read_text())["violations"])
    assert counts == [1, 2]


def test_what_failed_is_played_again_when_asked_and_what_passes_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "chaos.json"
    mutant = ("--mutant", "ignore-the-cluster-id", "--no-shrink", "--stop-after", "1")
    chaos(*mutant, "--episodes", "9", "--resume", str(path))
    broken = json.loads(path.read_text())
    assert (broken["violations"], broken["settled"]) == (1, [])

    still = chaos(*mutant, "--episodes", str(broken["episodes"]), "--resume", str(path), "--again")
    assert still.returncode == 1, "the operator is as broken as before"
    assert json.loads(path.read_text())["failures"] == broken["failures"]

    path.write_text(json.dumps(broken | {"mutant": None}))
    mended = chaos("--episodes", str(broken["episodes"]), "--resume", str(path), "--again")
    after = json.loads(path.read_text())
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert (after["violations"], after["settled"]) == (0, broken["failures"])
    assert after["episodes"] == broken["episodes"]


def test_a_result_file_says_how_many_episodes_were_played_on_which_tree(tmp_path: Path) -> None:
    path = tmp_path / "chaos.json"
    chaos("--episodes", "2", "--resume", str(path))
    begun = json.loads(path.read_text())
    assert list(begun["commits"].values()) == [2]
    path.write_text(json.dumps(begun | {"commits": {"an-earlier-tree": 2}}))
    chaos("--episodes", "3", "--resume", str(path))
    after = json.loads(path.read_text())["commits"]
    assert after.pop("an-earlier-tree") == 2
    assert after == {tree(): 1}


def test_a_result_file_names_neither_host_nor_path(tmp_path: Path) -> None:
    path = tmp_path / "chaos.json"
    chaos("--episodes", "1", "--resume", str(path))
    text = path.read_text()
    assert str(tmp_path) not in text
    assert platform.node() not in text
    assert "cores" in json.loads(text)["machine"]
