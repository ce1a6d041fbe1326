"""The tables in the docs are those that the code writes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dispersed_operator.config import Settings, flag_name, variable_name
from dispersed_operator.telemetry import tables
from dispersed_operator.telemetry.metrics import Metrics

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize("name", sorted(tables.PAGES))
def test_a_page_holds_the_table_of_today(name: str) -> None:
    page = (DOCS / name).read_text()
    message = f"docs/{name} is old: run python -m dispersed_operator.telemetry.tables docs"
    assert tables.page_with(tables.PAGES[name](), page) == page, message


def test_the_command_rewrites_a_page_and_keeps_its_own_words(tmp_path: Path) -> None:
    for name in tables.PAGES:
        shutil.copy(DOCS / name, tmp_path / name)
    page = tmp_path / "settings.md"
    page.write_text(page.read_text().replace("`--workers`", "`--laborers`"))
    assert tables.main([str(tmp_path)]) == 0
    assert page.read_text() == (DOCS / "settings.md").read_text()


def test_a_page_without_its_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="exactly one generated block"):
        tables.page_with("| a |\n", "# A page\n")


def test_each_setting_has_a_row_with_a_meaning() -> None:
    table = tables.settings_table()
    for field, info in Settings.model_fields.items():
        assert f"| `{flag_name(field)}` | `{variable_name(field)}` |" in table
        assert info.description


def test_each_metric_has_a_row_with_a_meaning() -> None:
    table = tables.metrics_table()
    for row in Metrics().catalogue():
        assert f"| `{row.name}` | {row.kind} |" in table
        assert row.meaning.endswith(".")
