"""README and docs: links lead somewhere, commands and files that are named exist, samples are those of manifests/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dispersed_devenv import simulator_page
from dispersed_devenv.cli import parser
from tests.support.transcripts import ELISION, exchanges, fenced_blocks, shows, stable
from tests.unit.repository.pages import PAGES, TRANSCRIPTS, page
from tests.unit.repository.tree import FILES, ROOT, relative

PACKAGE = ROOT / "operator" / "dispersed_operator"
SAMPLES = {path.read_text(): path.name for path in sorted((ROOT / "manifests" / "samples").glob("*.yaml"))}
PROGRAMS = {"kubectl", "dispersed-operator", "dispersed-simulator", "curl", ".venv/bin/python"}
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
_MAKE = re.compile(r"`make ([a-z-]+)`")
_DEVENV = re.compile(r"python -m dispersed_devenv(?!\.) ([^`\n]+)")


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def prose(path: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_links_within_the_repository_lead_to_a_file(path: Path) -> None:
    targets = [target.split("#")[0] for target in _LINK.findall(prose(path)) if "://" not in target]
    assert [target for target in targets if target and not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_a_make_command_that_is_named_is_a_target(path: Path) -> None:
    named = set(_MAKE.findall(path.read_text()))
    for exchange in exchanges(path):
        named.update(exchange.make_targets or ())
    assert named - make_targets() == set()


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_a_command_of_the_development_environment_that_is_named_exists(path: Path) -> None:
    for words in _DEVENV.findall(path.read_text()):
        parser().parse_args(words.replace("…", "").split())


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_a_page_with_commands_is_one_that_is_run(path: Path) -> None:
    assert not exchanges(path) or path in TRANSCRIPTS


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=relative)
def test_a_transcript_uses_only_programs_that_the_environment_has(path: Path) -> None:
    found = exchanges(path)
    assert found
    foreign = [item.command for item in found if item.make_targets is None and item.command.split()[0] not in PROGRAMS]
    assert foreign == []


def test_yaml_in_the_readme_is_a_sample_word_for_word() -> None:
    shown = [SAMPLES.get(block, block) for block in fenced_blocks(page("README.md"), "yaml")]
    assert shown == ["batch.yaml", "persistent-ssh.yaml"]


def test_a_sample_in_the_readme_is_about_ten_lines_long() -> None:
    assert all(len(block.splitlines()) <= 11 for block in fenced_blocks(page("README.md"), "yaml"))


def test_the_table_of_rooms_names_every_module_once_and_nothing_else() -> None:
    table = page("docs/architecture.md").read_text().partition("## Room by room")[2]
    named = re.findall(r"`([\w/]+\.py)`", table)
    modules = {path.relative_to(PACKAGE).as_posix() for path in FILES if path.is_relative_to(PACKAGE)}
    wanted = {name for name in modules if name.endswith(".py") and not name.endswith("__init__.py")}
    assert set(named) - wanted == set(), "named, but not there"
    assert wanted - set(named) == set(), "there, but not named"
    assert len(named) == len(set(named))


def test_the_architecture_page_ends_in_the_table_of_rooms() -> None:
    assert page("docs/architecture.md").read_text().rstrip().splitlines()[-1].startswith("| ")


def test_the_tables_of_the_simulator_page_are_those_of_today() -> None:
    text = page("docs/simulator.md").read_text()
    message = "docs/simulator.md is old: run python -m dispersed_devenv.simulator_page docs/simulator.md"
    assert simulator_page.page_with_tables(text) == text, message


def test_a_simulator_page_without_a_place_for_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="exactly one place for the table options"):
        simulator_page.page_with_tables("# A page\n")


def test_every_decision_has_a_number_of_its_own_and_a_status() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [path.name[:4] for path in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for path in pages:
        assert path.read_text().startswith(f"# {path.name[:4]} ")
        assert "\nStatus: " in path.read_text()


# --- the comparison itself


def test_a_transcript_is_compared_without_ids_times_and_numbers() -> None:
    shown = ["NAME   UUID                                   AGE", "a      9073244e-9dd0-4939-abd2-0d1ada939ff1   3s"]
    real = ["NAME  UUID  AGE", "a  148dba65-39ae-45da-b180-b61432e113f6  1m12s"]
    assert shows(shown, real) is None


def test_a_transcript_with_another_word_or_a_line_too_many_or_too_few_is_different() -> None:
    assert shows(["a Running 3s"], ["a Failed 3s"]) == "a Running <age>"
    assert shows(["a"], ["a", "b"]) is not None
    assert shows(["a", "b"], ["a"]) == "b"


def test_an_elision_stands_for_any_lines_and_what_follows_it_must_come() -> None:
    assert shows(["a", ELISION, "d"], ["a", "b", "c", "d"]) is None
    assert shows(["a", ELISION, "x"], ["a", "b"]) == "x"
    assert shows([ELISION], []) is None


def test_a_word_that_holds_a_digit_stays_a_word() -> None:
    assert stable("rtx 4090 exit code 0") == "rtx <n> exit code <n>"
    assert stable("x 2026-11-23T14:24:44.299Z starting") == "x <time> starting"
