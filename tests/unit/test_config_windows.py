"""The proof windows: never less safe than the service's constants, except against loopback."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispersed_operator.model.windows import SERVICE_WINDOWS, ProofWindows, is_loopback, windows_for

LOOPBACK = [
    "http://localhost:8000",
    "http://LOCALHOST",
    "http://127.0.0.1",
    "https://127.8.9.10:443/base",
    "http://[::1]:8000",
    "http://user@127.0.0.1",
]
ELSEWHERE = [
    "https://api.dispersed.com",
    "http://10.0.0.1",
    "http://0.0.0.0",
    "http://localhost.example.com",
    "http://127.0.0.1.example.com",
    "http://127.0.0.1@example.com",
    "http://example.com/127.0.0.1",
    "http://example.com#@127.0.0.1",
    "http://[::2]",
    "http://[broken",
    "127.0.0.1:8000",
    "",
]
seconds = st.floats(min_value=0.001, max_value=10_000)
configured_windows = st.builds(
    ProofWindows,
    signature_window=seconds,
    proof_margin=seconds,
    second_sighting=seconds,
    server_date_max_age=seconds,
    send_deadline=seconds,
)


@pytest.mark.parametrize("base_url", LOOPBACK)
def test_an_address_of_this_machine_is_loopback(base_url: str) -> None:
    assert is_loopback(base_url)


@pytest.mark.parametrize("base_url", ELSEWHERE)
def test_an_address_that_only_looks_like_this_machine_is_not_loopback(base_url: str) -> None:
    assert not is_loopback(base_url)


@given(configured=configured_windows)
@pytest.mark.parametrize("base_url", LOOPBACK)
def test_on_loopback_windows_hold_as_configured(base_url: str, configured: ProofWindows) -> None:
    assert windows_for(base_url, configured) == configured


@given(configured=configured_windows)
@pytest.mark.parametrize("base_url", ELSEWHERE)
def test_elsewhere_no_window_is_less_safe_than_the_service(base_url: str, configured: ProofWindows) -> None:
    windows = windows_for(base_url, configured)
    assert windows.signature_window >= 300
    assert windows.proof_margin >= 120
    assert windows.second_sighting >= 30
    assert windows.server_date_max_age <= 60
    assert windows.send_deadline <= 20
    assert windows.absence_after >= 420
    assert not windows.less_safe_than_service


def test_a_safer_window_holds_everywhere() -> None:
    configured = ProofWindows(proof_margin=600, send_deadline=5)
    assert windows_for("https://api.dispersed.com", configured) == configured


@pytest.mark.parametrize(
    "less_safe",
    [
        ProofWindows(signature_window=299),
        ProofWindows(proof_margin=119),
        ProofWindows(second_sighting=29),
        ProofWindows(server_date_max_age=61),
        ProofWindows(send_deadline=21),
    ],
)
def test_each_field_knows_its_unsafe_direction(less_safe: ProofWindows) -> None:
    assert less_safe.less_safe_than_service
    assert less_safe.safer_of(SERVICE_WINDOWS) == SERVICE_WINDOWS
