"""docs/failure-modes.md is what the marks of the tests say, and no failure mode is without a test."""

from __future__ import annotations

import subprocess
import sys

from tests.support import failure_modes
from tests.unit.repository.tree import ROOT

PATHS = ":".join(str(ROOT / folder) for folder in ("operator", "devenv", "."))


def test_the_table_has_the_72_modes_of_the_protocol() -> None:
    assert sorted(failure_modes.MODES) == list(range(1, 73))


def test_only_two_modes_wait_for_a_feature() -> None:
    assert {number for number, mode in failure_modes.MODES.items() if mode.waits} == {44, 46}


def test_a_mode_without_a_test_is_missed() -> None:
    everything = {number: ["a test"] for number in failure_modes.MODES if number not in {33, 44}}
    assert failure_modes.untested(everything) == [33]


def test_a_number_that_does_not_exist_is_noticed() -> None:
    assert failure_modes.unknown({1: ["a"], 73: ["b"]}) == [73]


def test_a_page_says_which_tests_it_names() -> None:
    tests = {1: ["tests/a.py::test_x", "tests/b.py::test_y"], 72: ["tests/a.py::test_x"]}
    assert {number: names for number, names in failure_modes.tests_on(failure_modes.page(tests)).items() if names} == (
        tests
    )


def test_the_page_is_what_the_marks_say_and_every_mode_has_a_test() -> None:
    command = [sys.executable, "-m", "tests.support.failure_modes", "docs", "--check"]
    answer = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": PATHS}, capture_output=True, text=True, check=False, timeout=200
    )
    assert answer.returncode == 0, answer.stderr
