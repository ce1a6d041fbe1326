"""Exhaustive where it is small: one resource, two operators, every interleaving of their steps and of one fault.

Two faults take too long for every run; docs/development.md has the command and its figures.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.exploration.environment import People
from tests.exploration.explorer import Explorer, Report, Scenario
from tests.exploration.mutants import MUTANTS

FAULTS = {
    "killed",
    "paused",
    "deaf",
    "job ends",
    "strip finalizer",
    "edit",
    "post lost",
    "post given up",
    "post accepted, answer lost",
    "post accepted twice, a refusal answered",
    "post validation",
    "post not-sent",
    "claim: lost before",
    "claim: answer lost",
    "record: lost before",
    "record: answer lost",
    "rest: lost before",
    "rest: answer lost",
    "cancel: lost",
    "list (lagging)",
    "drop finalizer: lost before",
    "drop finalizer: answer lost",
}


def explored(scenario: Scenario) -> Report:
    """The report of a whole exploration, which must not have found anything; its figures are printed."""
    report = Explorer(scenario).run()
    print(report)  # noqa: T201 - the figures are the result
    assert report.violation is None, str(report.violation)
    return report


@pytest.mark.parametrize("deletions", [0, 1])
def test_without_a_fault_two_operators_end_with_what_is_wanted(deletions: int) -> None:
    report = explored(Scenario(faults=0, deletions=deletions))
    assert report.ends > 0


@pytest.mark.failure_mode(1)
@pytest.mark.failure_mode(2)
@pytest.mark.failure_mode(3)
@pytest.mark.failure_mode(4)
@pytest.mark.failure_mode(5)
@pytest.mark.failure_mode(16)
@pytest.mark.failure_mode(17)
@pytest.mark.failure_mode(18)
@pytest.mark.failure_mode(19)
@pytest.mark.failure_mode(20)
@pytest.mark.failure_mode(21)
@pytest.mark.failure_mode(22)
@pytest.mark.failure_mode(64)
@pytest.mark.timeout(900)
def test_two_operators_one_deletion_and_any_one_fault_never_double_nor_leak() -> None:
    report = explored(Scenario(operators=2, faults=1, deletions=1))
    assert set(report.faults) >= FAULTS
    assert report.states > 50_000


@pytest.mark.failure_mode(11)
@pytest.mark.failure_mode(12)
@pytest.mark.failure_mode(14)
def test_one_operator_whose_records_are_stripped_never_doubles() -> None:
    report = explored(Scenario(operators=1, faults=1, people=People(strip_records=True, replace=True)))
    assert set(report.faults) >= {"strip intent", "strip status", "replace"}


@pytest.mark.failure_mode(11)
@pytest.mark.failure_mode(53)
def test_two_operators_whose_records_are_stripped_never_double_while_the_finalizer_stays() -> None:
    people = People(strip_records=True, strip_finalizer=False)
    report = explored(Scenario(operators=2, faults=1, people=people))
    assert set(report.faults) >= {"strip intent", "strip status"}


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_process_that_breaks_the_protocol_is_found(name: str) -> None:
    mutant = MUTANTS[name]
    report = Explorer(replace(mutant.scenario, habits=mutant.habits)).run()
    assert report.violation is not None
    print(f"{name}: {report}, {report.violation}")  # noqa: T201 - the figures are the result
    assert report.violation.rule.startswith(mutant.rule)
    assert report.violation.steps
