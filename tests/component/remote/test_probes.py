"""The probes of an account: what they find, and that trouble gives no verdict (protocol, "checked per account")."""

from typing import Any

import pytest

from dispersed_operator.errors import MalformedAnswer, RateLimited, RemoteError, ServiceFailed

from .conftest import Bench


async def test_a_service_that_follows_the_reference_refuses_replays_and_old_signatures(bench: Bench) -> None:
    client = bench.client()
    probes = await client.probe()
    assert (probes.replay_refused, probes.stale_refused, probes.window_seconds) == (True, True, 300)
    assert probes.expiry_enforced
    assert probes.refusal_statuses == (401,)
    assert client.replay_codes == probes.replay_codes
    assert abs(probes.server_time - bench.server_seconds()) <= 5
    assert {request["method"] for request in bench.simulator.control.requests()} == {"GET"}


@pytest.mark.parametrize(("window", "found"), [(300, 300), (600, 600), (1200, 1200), (5000, None)])
async def test_the_first_age_that_is_refused_gives_the_window(bench: Bench, window: int, found: int | None) -> None:
    bench.simulator.control.switch(time_window_seconds=window)
    probes = await bench.client().probe()
    assert (probes.window_seconds, probes.stale_refused) == (found, found is not None)
    assert probes.expiry_enforced is (found is not None)


async def test_a_service_that_accepts_replays_is_found_out(bench: Bench) -> None:
    bench.simulator.control.switch(replay_refused=False)
    probes = await bench.client().probe()
    assert (probes.replay_refused, probes.stale_refused, probes.expiry_enforced) == (False, True, False)


async def test_a_wrong_local_clock_does_not_disturb_the_probes(bench: Bench) -> None:
    bench.simulator.control.advance(7200)
    assert (await bench.client().probe()).window_seconds == 300


@pytest.mark.parametrize(
    ("switches", "codes"),
    [
        ({"auth_error_code": "none", "nonce_replay_status": 409}, {"HTTP 409", "HTTP 401"}),
        ({"auth_error_code": "none", "nonce_replay_status": 400, "auth_failure_status": 400}, {"HTTP 400"}),
    ],
)
async def test_a_refusal_without_a_code_is_known_by_its_status(
    bench: Bench, switches: dict[str, Any], codes: set[str]
) -> None:
    bench.simulator.control.switch(**switches)
    assert (await bench.client().probe()).replay_codes == codes


TROUBLE: list[tuple[str, dict[str, Any], type[RemoteError]]] = [
    ("rate_limit", {}, RateLimited),
    ("server_error", {"status": 503}, ServiceFailed),
    ("drop_before_commit", {}, RemoteError),
    ("date_skew", {"omit": True}, MalformedAnswer),
    ("date_skew", {"seconds": 0, "age": 30}, MalformedAnswer),
]


@pytest.mark.parametrize(("kind", "params", "error"), TROUBLE)
async def test_trouble_gives_no_verdict(
    bench: Bench, kind: str, params: dict[str, Any], error: type[RemoteError]
) -> None:
    bench.simulator.control.add_fault(kind, method="GET", times=None, **params)
    client = bench.client()
    with pytest.raises(error):
        await client.probe()
    assert client.replay_codes == frozenset()


async def test_a_probe_that_a_cache_answered_gives_no_verdict_though_the_time_is_known(bench: Bench) -> None:
    client = bench.client()
    await client.page_jobs(page=1, limit=1)
    bench.simulator.control.add_fault("date_skew", method="GET", times=None, seconds=0, age=30)
    with pytest.raises(MalformedAnswer, match="cache"):
        await client.probe()
