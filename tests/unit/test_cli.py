"""The command line: help worth reading, one line for what a person can mend, and the right exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dispersed_operator import __version__
from dispersed_operator.cli import build_parser, main
from dispersed_operator.config import Settings, flag_name, variable_name


def help_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_help_names_every_command_the_environment_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of([], capsys)
    for word in (
        "run",
        "check",
        "logs",
        "reap",
        "conformance",
        "uninstall-check",
        "version",
        "examples:",
        "environment:",
        "exit codes:",
        "DISPERSED_OPERATOR_HEALTH_PORT",
    ):
        assert word in text


def test_every_line_of_help_fits_a_terminal_of_120_columns(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["run"], ["check"], ["logs"], ["reap"], ["conformance"], ["uninstall-check"], ["version"]):
        assert max(map(len, help_of(arguments, capsys).splitlines())) <= 120


@pytest.mark.parametrize("field", sorted(Settings.model_fields))
def test_run_has_a_flag_for_every_setting_and_names_its_variable(
    field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(["run"], capsys)
    assert f"{flag_name(field)} VALUE" in text
    assert f"[{variable_name(field)}]" in text
    parsed = build_parser().parse_args(["run", flag_name(field), "text"])
    assert getattr(parsed, field) == "text"


def test_a_flag_that_was_not_given_is_not_passed_on() -> None:
    assert set(vars(build_parser().parse_args(["run"]))) == {"command"}


def test_version_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"dispersed-operator {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["walk"],
        ["run", "--no-such-flag", "x"],
        ["run", "--worker", "3"],
        ["logs"],
        ["reap", "--wait-seconds", "0"],
        ["reap", "--wait-seconds", "soon"],
        ["reap", "-o", "yaml"],
        ["check", "--yes"],
        ["conformance", "--yes"],
    ],
)
def test_a_command_line_without_meaning_ends_with_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["run"], ["logs", "team-a/train"]])
def test_a_setting_that_makes_no_sense_ends_with_code_2_and_one_line(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--kubeconfig", "/no/such/sk_marked_value"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("dispersed-operator: --kubeconfig (DISPERSED_OPERATOR_KUBECONFIG): ")
    assert printed.err.count("\n") == 1
    assert "sk_marked_value" not in printed.err


@pytest.mark.parametrize("job", ["train", "/train", "team-a/", "team-a/train/extra"])
def test_logs_wants_namespace_and_name(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", job]) == 2
    assert "NAMESPACE/NAME" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["reap", "conformance"])
def test_no_flag_takes_a_key_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = {word.rstrip(",") for word in help_of([command], capsys).split() if word.startswith("--")}
    assert {flag for flag in flags if "key" in flag} == {"--public-key-file", "--secret-key-file"}


def test_reap_changes_nothing_unless_it_is_told_to() -> None:
    parsed = build_parser().parse_args(["reap"])
    assert (parsed.yes, parsed.everything, parsed.honour_kept) == (False, False, False)


def test_the_module_runs_like_the_command() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "dispersed_operator", "version"], capture_output=True, text=True, check=True
    )
    assert run.stdout == f"dispersed-operator {__version__}\n"
