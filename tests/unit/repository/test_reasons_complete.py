"""The list of reasons is closed: each has a page, a row in the table of pages, and a test that produces it.

A test says that it produces a reason by the mark `reason("<name>")`, on the function or on one of its cases. The marks
are read from the source, so that a deselected test counts and a misspelt mark does not.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from dispersed_operator.model.reasons import REASONS, Owner, Reason
from tests.unit.repository.tree import MODULES, ROOT, relative

PAGES = ROOT / "docs" / "reasons"
SECTIONS = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"]
NAMES = {reason.value for reason in Reason}
WHO = {
    Owner.NOBODY: "nobody",
    Owner.USER: "the user",
    Owner.ADMIN: "the operator's administrator",
    Owner.OUTCOME: "the user; the job is over",
}
RESOURCES = {"djob", "dacct", "secret", "configmap", "events"}
STATUS_FIELDS = re.compile(r"\{\.status\.([A-Za-z]+)")
ANNOTATION = re.compile(r"dispersed\.dev/([a-z-]+)")


def _page(reason: Reason) -> str:
    return (PAGES / f"{reason}.md").read_text()


def expected_table() -> str:
    """The table of docs/reasons/README.md."""
    rows = [f"| [{reason}]({reason}.md) | {WHO[info.owner]} | {info.meaning} |" for reason, info in REASONS.items()]
    return "\n".join(["| Reason | Who acts | Meaning |", "| --- | --- | --- |", *rows])


def _marks(module: Path) -> set[str]:
    """The names in all `pytest.mark.reason("…")` of a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.reason":
            found |= {str(item.value) for item in node.args if isinstance(item, ast.Constant)}
    return found


TESTS = [module for module in MODULES if module.name.startswith("test_")]
MARKS = {module: _marks(module) for module in TESTS}


def test_there_is_one_page_for_every_reason_and_no_other() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} - {"README"} == NAMES


@pytest.mark.parametrize("reason", list(Reason))
def test_a_page_has_its_four_sections_in_order_and_no_empty_one(reason: Reason) -> None:
    text = _page(reason)
    assert text.startswith(f"# {reason}\n\nWho acts: ")
    assert re.findall(r"^## .*$", text, re.MULTILINE) == SECTIONS
    for section in re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]:
        assert len(section.strip()) > 10
    assert 15 <= len(text.splitlines()) <= 40


@pytest.mark.parametrize("reason", list(Reason))
def test_a_page_gives_commands_that_name_what_exists(reason: Reason) -> None:
    diagnosis = _page(reason).split("## Diagnosis")[1].split("## Mitigation")[0]
    assert "kubectl" in diagnosis
    for line in _page(reason).splitlines():
        match = re.search(r"kubectl -n NAMESPACE (?:get|describe|annotate|patch|edit|delete)\s(?:--\S+ )*(\S+)", line)
        assert match is None or match[1] in RESOURCES, line


@pytest.mark.parametrize("reason", list(Reason))
def test_a_page_names_only_status_fields_and_annotations_that_exist(reason: Reason) -> None:
    text = _page(reason)
    reference = (ROOT / "docs" / "resources.md").read_text()
    for field in STATUS_FIELDS.findall(text):
        assert f"`{field}" in reference, field
    known = {"create-intent", "paused", "reconcile-requested-at", "force-finalize", "resolve-create"}
    known |= {"confirm-cluster", "confirm-vanished", "egress"}
    assert {name.rstrip("-") for name in ANNOTATION.findall(text)} <= known


@pytest.mark.parametrize("reason", list(Reason))
def test_links_between_pages_lead_somewhere(reason: Reason) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", _page(reason)):
        assert (PAGES / target).is_file(), target


def test_the_table_of_pages_is_that_of_the_code() -> None:
    assert expected_table() in (PAGES / "README.md").read_text()


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_produced_by_a_test(reason: Reason) -> None:
    assert any(reason.value in names for names in MARKS.values())


@pytest.mark.parametrize("module", [module for module in TESTS if MARKS[module]], ids=relative)
def test_every_mark_names_a_reason(module: Path) -> None:
    assert MARKS[module] <= NAMES
