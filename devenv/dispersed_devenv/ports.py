"""Choosing loopback ports that stay ours while a server restarts.

Invariant: a port chosen here lies below the range from which the system takes the source ports of outgoing
connections (32768 and up on Linux, 49152 and up elsewhere). While a server is down its clients knock again and
again; with a port of that range one of them would in the end be given the server's own port as its source,
connect to itself, and the server could not come back.
"""

import random
import socket

LOOPBACK = "127.0.0.1"
_CANDIDATES = range(20_000, 32_768)
_ATTEMPTS = 200


class NoFreePortError(Exception):
    """No candidate port could be bound."""


def free_port(rng: random.Random | None = None) -> int:
    """A TCP port on loopback on which nobody listens at this moment.

    Raises `NoFreePortError` when 200 random candidates are all taken.
    """
    generator = rng or random.SystemRandom()
    for _ in range(_ATTEMPTS):
        port = generator.choice(_CANDIDATES)
        if is_free(port):
            return port
    raise NoFreePortError(f"none of {_ATTEMPTS} ports tried between {_CANDIDATES.start} and {_CANDIDATES.stop} is free")


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
