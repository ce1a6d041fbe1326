"""Settings: flags win over environment, nonsense is refused in one line, and no value is ever repeated."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dispersed_operator.composition import listed_kinds, watched_kinds
from dispersed_operator.config import SERVICE_ACCOUNT_NAMESPACE, LogFormat, Settings, load_settings
from dispersed_operator.errors import SettingsError
from dispersed_operator.model.keys import Kind
from dispersed_operator.model.windows import SERVICE_WINDOWS

SECRET = "sk_live_marked-value-93fd"


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("DISPERSED_OPERATOR_"):
            monkeypatch.delenv(name)


def test_a_flag_wins_over_its_variable_and_a_variable_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().workers == 128
    monkeypatch.setenv("DISPERSED_OPERATOR_WORKERS", "4")
    assert load_settings().workers == 4
    assert load_settings({"workers": "7"}).workers == 7


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPERSED_OPERATOR_KUBECONFIG", "")
    assert load_settings().kubeconfig is None


def test_namespaces_are_split_at_commas_in_flag_and_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPERSED_OPERATOR_NAMESPACES", "a,b")
    assert load_settings().namespaces == ("a", "b")
    assert load_settings({"namespaces": " c , d,"}).namespaces == ("c", "d")


def test_settings_cannot_be_changed_after_start() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.workers = 3  # type: ignore[misc]


def test_each_process_gets_a_holder_name_of_its_own() -> None:
    assert load_settings().holder != load_settings().holder


@pytest.mark.parametrize(
    ("field", "text", "remedy"),
    [
        ("workers", "0", "greater than or equal to 1"),
        ("workers", "many", "valid integer"),
        ("cluster_id", "has a space", "1 to 64 letters, digits"),
        ("cluster_id", "x" * 65, "1 to 64 letters, digits"),
        ("cluster_id", "trailing\n", "1 to 64 letters, digits"),
        ("holder", "a|b", "1 to 64 letters, digits"),
        ("leader_elect", "perhaps", "valid boolean"),
        ("lease_name", "Operator_1", "name of a Lease"),
        ("namespaces", "Team_A", "name of a namespace"),
        ("namespaces", "a,a", "name each once"),
        ("health_port", "65536", "less than or equal to 65535"),
        ("health_host", "example.com", "an IP address or localhost"),
        ("health_port_file", "/no/such/folder/port", "create the folder first"),
        ("kubeconfig", "/no/such/file", "no readable file"),
        ("remote_ca_file", "/no/such/file", "no readable file"),
        ("remote_proxy", "proxy.local", "http://host:port"),
        ("remote_proxy", "socks5://proxy.local:1080", "http://host:port"),
        ("kube_proxy", "http://proxy.local:99999", "http://host:port"),
        ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("log_format", "xml", "'json' or 'text'"),
        ("resync_seconds", "0", "greater than 0"),
        ("resync_seconds", "inf", "finite"),
        ("resync_seconds", "nan", ""),
        ("shutdown_grace_seconds", "10", "greater than or equal to 50"),
        ("poll_jitter_ratio", "0.9", "less than or equal to 0.5"),
        ("remote_concurrency", "17", "less than or equal to 16"),
        ("proof_margin_seconds", "-1", "greater than 0"),
    ],
)
def test_nonsense_is_refused_in_one_line_with_flag_variable_and_remedy(field: str, text: str, remedy: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({field: text})
    line = str(refused.value)
    assert "\n" not in line
    assert f"--{field.replace('_', '-')} (DISPERSED_OPERATOR_{field.upper()})" in line
    assert remedy in line


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"--workers .*; --log-format "):
        load_settings({"workers": "0", "log_format": "xml"})


@pytest.mark.parametrize("field", sorted(set(Settings.model_fields) - {"context"}))
def test_a_refusal_never_repeats_the_value(field: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({field: f"/no/such/folder/{SECRET}\n|"})
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_proxy_with_a_password_is_not_shown_by_the_settings() -> None:
    settings = load_settings({"remote_proxy": "http://user:marked-password@proxy.local:3128"})
    assert "marked-password" not in repr(settings)
    assert "marked-password" not in str(settings.model_dump())
    assert settings.remote_proxy is not None
    assert settings.remote_proxy.get_secret_value() == "http://user:marked-password@proxy.local:3128"


def test_a_variable_with_our_prefix_that_is_no_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPERSED_OPERATOR_WORKER", "4")
    with pytest.raises(SettingsError, match="DISPERSED_OPERATOR_WORKER: no such setting"):
        load_settings()


def test_the_variables_of_a_service_called_like_us_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    links = {
        "DISPERSED_OPERATOR_SERVICE_HOST": "10.0.0.1",
        "DISPERSED_OPERATOR_SERVICE_PORT": "8080",
        "DISPERSED_OPERATOR_SERVICE_PORT_METRICS": "8080",
        "DISPERSED_OPERATOR_PORT": "tcp://10.0.0.1:8080",
        "DISPERSED_OPERATOR_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "DISPERSED_OPERATOR_PORT_8080_TCP_ADDR": "10.0.0.1",
        "DISPERSED_OPERATOR_METRICS_PORT": "tcp://10.0.0.1:8080",
    }
    for name, value in links.items():
        monkeypatch.setenv(name, value)
    assert load_settings().health_port == 8080


def test_an_existing_kubeconfig_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("apiVersion: v1\n")
    assert load_settings({"kubeconfig": str(path), "log_format": "text"}).kubeconfig == path
    assert load_settings({"log_format": "text"}).log_format is LogFormat.TEXT


def test_the_default_windows_are_the_constants_of_the_service() -> None:
    assert load_settings().proof_windows == SERVICE_WINDOWS


def test_short_windows_are_applied_on_loopback_only() -> None:
    settings = load_settings({"proof_margin_seconds": "1", "second_sighting_seconds": "0.5"})
    assert settings.windows_for("http://127.0.0.1:9000").proof_margin == 1.0
    assert settings.windows_for("https://api.dispersed.com") == SERVICE_WINDOWS


@pytest.mark.parametrize("field", ["send_deadline_seconds", "server_date_max_age_seconds"])
def test_a_request_that_could_leave_with_an_expired_signature_is_refused(field: str) -> None:
    with pytest.raises(SettingsError, match="below signature_window_seconds"):
        load_settings({field: "300"})


def test_short_windows_behind_a_proxy_are_refused() -> None:
    with pytest.raises(SettingsError, match="exclude each other"):
        load_settings({"proof_margin_seconds": "1", "remote_proxy": "http://proxy.local:3128"})


def test_the_operators_namespace_is_that_of_its_service_account_or_the_documented_one() -> None:
    found = SERVICE_ACCOUNT_NAMESPACE.read_text().strip() if SERVICE_ACCOUNT_NAMESPACE.is_file() else "dispersed-system"
    assert load_settings().operator_namespace == found
    assert load_settings({"operator_namespace": "gpu-system"}).operator_namespace == "gpu-system"
    with pytest.raises(SettingsError, match="--operator-namespace"):
        load_settings({"operator_namespace": "No/Name"})


def test_an_installation_for_some_namespaces_neither_lists_nor_watches_cluster_wide_kinds() -> None:
    everywhere, here = load_settings(), load_settings({"namespaces": "team-a"})
    for kinds in (listed_kinds, watched_kinds):
        assert Kind.CLUSTER_ACCOUNT in kinds(everywhere)
        assert set(kinds(here)) == {Kind.ACCOUNT, Kind.JOB}
