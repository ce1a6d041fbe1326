"""The proof windows: how long to wait before "the job does not exist" is a proof and no longer a guess.

They follow from a constant of the service: a signed request is accepted only while its `X-Time` is within five minutes
of the server's clock (protocol, "signatures expire"). A window that is too small turns a proof of absence into a guess,
and a guess creates a paid job twice. This module keeps one invariant: **against any address that is not loopback no
window is ever less safe than the service's constants**, whatever was configured. Loopback is where a simulator or a
test listens, and there a configured value is taken as it is.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofWindows:
    """The windows of the create protocol, all in seconds. The defaults are the constants of the service.

    `signature_window`: how long a signed request can be accepted; a smaller value is less safe.
    `proof_margin`: waited on top before a listing counts as proof of absence (C7); a smaller value is less safe.
    `second_sighting`: distance of two reads that must agree (C7, D3); a smaller value is less safe.
    `server_date_max_age`: how old a server `Date` may be when it gives a create its time (C0); a larger value is less
    safe.
    `send_deadline`: monotonic time from intent to POST after which it is not sent (C3); a larger value is less safe.
    """

    signature_window: float = 300.0
    proof_margin: float = 120.0
    second_sighting: float = 30.0
    server_date_max_age: float = 60.0
    send_deadline: float = 20.0

    @property
    def absence_after(self) -> float:
        """Seconds after `signedAt`, on the server's clock, from which a complete listing can prove absence (C7)."""
        return self.signature_window + self.proof_margin

    def safer_of(self, other: ProofWindows) -> ProofWindows:
        """Field by field the value that waits longer or trusts for a shorter time."""
        return ProofWindows(
            signature_window=max(self.signature_window, other.signature_window),
            proof_margin=max(self.proof_margin, other.proof_margin),
            second_sighting=max(self.second_sighting, other.second_sighting),
            server_date_max_age=min(self.server_date_max_age, other.server_date_max_age),
            send_deadline=min(self.send_deadline, other.send_deadline),
        )

    @property
    def less_safe_than_service(self) -> bool:
        """Whether any field is less safe than the service's constant, so that it holds on loopback only."""
        return self.safer_of(SERVICE_WINDOWS) != self


SERVICE_WINDOWS = ProofWindows()


def windows_for(base_url: str, configured: ProofWindows) -> ProofWindows:
    """The windows that hold for an account with this base URL: as configured on loopback, else never less safe than
    the service's constants."""
    if is_loopback(base_url):
        return configured
    return configured.safer_of(SERVICE_WINDOWS)


def is_loopback(base_url: str) -> bool:
    """Whether the URL's host is this machine: `localhost`, 127.0.0.0/8 or ::1. Anything unreadable is not."""
    try:
        host = urlsplit(base_url).hostname
    except ValueError:
        return False
    if not host:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
