"""What a control plane keeps over its restarts: ports, the administrator's token, the service-account key."""

import base64
import json
import secrets as random_secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from dispersed_devenv.files import write_private
from dispersed_devenv.ports import free_port, is_free

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P256_KEY_HEAD = bytes.fromhex("30310201010420")
_P256_KEY_CURVE = bytes.fromhex("a00a06082a8648ce3d030107")


@dataclass(frozen=True, slots=True)
class Identity:
    """Loopback ports and the bearer token of the administrator (a member of system:masters)."""

    etcd_client_port: int
    etcd_peer_port: int
    apiserver_port: int
    controllers_port: int
    admin_token: str


def new_identity() -> Identity:
    ports: set[int] = set()
    while len(ports) < 4:
        ports.add(free_port())
    etcd_client, etcd_peer, apiserver, controllers = ports
    return Identity(etcd_client, etcd_peer, apiserver, controllers, random_secrets.token_urlsafe(24))


def load_identity(path: Path) -> Identity | None:
    """The identity that a file holds; None if there is no such file."""
    try:
        return Identity(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None


def obtain_identity(path: Path) -> Identity:
    """The identity of the last run, so that kubeconfigs stay good; a new one if there is none or a port is taken."""
    kept = load_identity(path)
    if kept is not None and all(is_free(port) for port in ports_of(kept)):
        return kept
    made = new_identity()
    write_private(path, json.dumps(asdict(made), indent=2) + "\n")
    return made


def ports_of(identity: Identity) -> tuple[int, int, int, int]:
    return (
        identity.etcd_client_port,
        identity.etcd_peer_port,
        identity.apiserver_port,
        identity.controllers_port,
    )


def new_service_account_key() -> str:
    """A P-256 private key as PEM (RFC 5915, the optional public key left out: a reader computes it).

    A private key of this curve is nothing but a random number, so no cryptography library is needed to make one.
    """
    number = (1 + random_secrets.randbelow(_P256_ORDER - 1)).to_bytes(32, "big")
    body = base64.b64encode(_P256_KEY_HEAD + number + _P256_KEY_CURVE).decode()
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN EC PRIVATE KEY-----", *lines, "-----END EC PRIVATE KEY-----", ""])
