"""The settings of the sweep: report unless told otherwise, and no busy loop."""

from __future__ import annotations

import pytest

from dispersed_operator.composition import watched_kinds
from dispersed_operator.config import load_settings
from dispersed_operator.errors import SettingsError
from dispersed_operator.model.keys import Kind
from dispersed_operator.model.orphan import OrphanPolicy


def test_orphans_are_only_reported_unless_somebody_says_cancel() -> None:
    assert load_settings().orphan_policy is OrphanPolicy.REPORT
    assert load_settings({"orphan_policy": "cancel"}).orphan_policy is OrphanPolicy.CANCEL


@pytest.mark.parametrize(
    ("flags", "name"),
    [({"orphan_policy": "keep"}, "--orphan-policy"), ({"sweep_seconds": "0.5"}, "--sweep-seconds")],
)
def test_a_setting_that_makes_no_sense_is_refused_by_its_name(flags: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings(flags)


def test_only_an_installation_for_the_whole_cluster_watches_orphans() -> None:
    assert Kind.ORPHAN in watched_kinds(load_settings())
    assert Kind.ORPHAN not in watched_kinds(load_settings({"namespaces": "team-a"}))
