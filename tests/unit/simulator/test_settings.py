"""Clock, switches and command line: what can be set, and that nonsense is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispersed_simulator.clock import SteppableClock
from dispersed_simulator.records import DEMO_ACCOUNT
from dispersed_simulator.settings import SettingsError, parse_settings
from dispersed_simulator.switches import Switches, describe_switches, parse_assignment
from dispersed_simulator.wire import parse_instant, to_rfc3339


class _Time:
    """A wall clock and a monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.wall = 1_000_000.0
        self.elapsed = 50.0

    def pass_seconds(self, seconds: float) -> None:
        self.wall += seconds
        self.elapsed += seconds


def _clock(time: _Time, *, rate: float = 1.0, offset_ms: int = 0) -> SteppableClock:
    return SteppableClock(rate=rate, offset_ms=offset_ms, wall=lambda: time.wall, monotonic=lambda: time.elapsed)


def test_the_clock_runs_at_its_rate_and_can_be_stepped_and_set() -> None:
    time = _Time()
    clock = _clock(time, rate=10)
    time.pass_seconds(2)
    assert clock.now_ms() == 1_000_020_000
    clock.advance(-5)
    assert clock.now_ms() == 1_000_015_000
    clock.set_rate(0)
    time.pass_seconds(100)
    assert clock.now_ms() == 1_000_015_000
    clock.set_to(7)
    clock.set_rate(1)
    time.pass_seconds(1)
    assert clock.now_ms() == 1007


def test_the_offset_takes_a_clock_over_a_restart() -> None:
    time = _Time()
    clock = _clock(time)
    clock.advance(420)
    time.pass_seconds(3)
    assert _clock(time, offset_ms=clock.offset_ms).now_ms() == clock.now_ms()


def test_a_step_of_the_wall_clock_does_not_move_a_running_clock() -> None:
    time = _Time()
    clock = _clock(time)
    time.wall += 86_400
    assert clock.now_ms() == 1_000_000_000


def test_the_clock_does_not_run_backwards_by_rate() -> None:
    with pytest.raises(ValueError, match="negative"):
        _clock(_Time()).set_rate(-1)


@pytest.mark.parametrize("text", ["2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05Z", "2026-01-02"])
def test_an_instant_survives_being_written(text: str) -> None:
    assert to_rfc3339(parse_instant(text)).startswith(text.rstrip("Z"))


def test_every_switch_names_its_place_in_the_reference_and_accepts_its_choices() -> None:
    for row in describe_switches():
        assert str(row["reference"]).startswith("§")
        assert row["meaning"]
        choices = row["choices"]
        assert isinstance(choices, list)
        assert not choices or row["default"] in choices
        for choice in choices:
            Switches().update({str(row["name"]): choice})


@pytest.mark.parametrize(
    ("text", "value"), [("create_wrapped=true", True), ("create_status=200", 200), ("list_shape=array", "array"),
                        ("insufficient_funds=400", "400")],
)  # fmt: skip
def test_a_switch_can_be_written_on_the_command_line(text: str, value: object) -> None:
    assert parse_assignment(text) == {text.partition("=")[0]: value}
    assert parse_settings(["--switch", text]).switches == parse_assignment(text)


@pytest.mark.parametrize(
    "text", ["nonsense", "no_such=1", "create_wrapped=1", "create_status=202", "create_status=x", "list_shape=tree"]
)
def test_a_switch_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="switch"):
        parse_assignment(text)


def test_switches_are_set_all_or_none() -> None:
    switches = Switches()
    with pytest.raises(ValueError, match="no switch"):
        switches.update({"create_status": 200, "no_such": 1})
    assert switches == Switches()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "--port"),
        (["--key", "pk_only"], "PUBLIC:SECRET"),
        (["--key", "pk:a", "--key", "pk:b"], "repeats"),
        (["--latency-ms", "-1"], "--latency-ms"),
        (["--run-seconds", "-1"], "--run-seconds"),
        (["--clock-rate", "-1"], "--clock-rate"),
        (["--switch", "no_such=1"], "no switch"),
        (["--state-file", "no/such/directory/state"], "no directory"),
        (["--port-file", "no/such/directory/port"], "no directory"),
    ],
)
def test_settings_that_make_no_sense_are_refused_without_their_secrets(arguments: list[str], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        parse_settings(arguments)
    assert "\n" not in str(refused.value)


def test_keys_have_an_account_and_the_default_is_one_demo_key() -> None:
    given = parse_settings(["--key", "pk_a:sk_a", "--key", "pk_b:sk_b:other"]).keys
    assert [(key.public, key.account_uuid) for key in given] == [("pk_a", DEMO_ACCOUNT), ("pk_b", "other")]
    assert [key.public for key in parse_settings([]).keys] == ["pk_sim_demo"]
    assert "sk_a" not in repr(given)


@pytest.mark.parametrize(
    ("arguments", "control"),
    [([], True), (["--host", "localhost"], True), (["--host", "192.0.2.1"], False), (["--host", "10.0.0.1"], False),
     (["--host", "192.0.2.1", "--control"], True), (["--no-control"], False), (["--host", "::1"], True)],
)  # fmt: skip
def test_the_control_surface_is_on_by_default_on_loopback_only(arguments: list[str], control: bool) -> None:
    assert parse_settings(arguments).control is control


def test_timing_and_files_are_options(tmp_path: Path) -> None:
    settings = parse_settings(["--run-seconds", "2", "--state-file", str(tmp_path / "state"), "--no-endpoints"])
    assert (settings.timing.run_seconds, settings.real_endpoints) == (2, False)
    assert settings.state_file == tmp_path / "state"
