"""The models of DispersedAccount."""

import pytest
from pydantic import ValidationError

from dispersed_operator.model.account import AccountProbes, DispersedAccountSpec, DispersedAccountStatus


def test_an_account_needs_only_the_name_of_its_secret() -> None:
    spec = DispersedAccountSpec.from_api({"credentialsSecretRef": {"name": "key"}})
    assert spec.base_url == "https://api.dispersed.com"
    assert spec.polling.interval_seconds == 15
    assert spec.requests_per_minute is None
    assert spec.credentials_secret_ref.name == "key"


def test_polling_faster_than_every_five_seconds_is_refused() -> None:
    with pytest.raises(ValidationError):
        DispersedAccountSpec.from_api({"credentialsSecretRef": {"name": "key"}, "polling": {"intervalSeconds": 4}})


def test_an_account_status_is_spelled_as_the_design_spells_it() -> None:
    status = DispersedAccountStatus(
        key_fingerprint="f",
        account_uuid="u",
        clock_offset_seconds=-2,
        live_jobs=0,
        hourly_rate_usd="0",
        probes=AccountProbes(replay_refused=True, stale_refused=True, expiry_seconds=300, checked_at="now"),
    )
    assert status.to_api() == {
        "keyFingerprint": "f",
        "accountUUID": "u",
        "clockOffsetSeconds": -2,
        "liveJobs": 0,
        "hourlyRateUSD": "0",
        "probes": {"replayRefused": True, "staleRefused": True, "expirySeconds": 300, "checkedAt": "now"},
    }
