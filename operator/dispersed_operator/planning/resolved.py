"""What the references of a template came to: the values that are sent, and nothing else keeps.

Invariant: no value shows in a `repr`, so that no log line and no failed assertion can carry one. It stands apart from
`references.py` because the facts of a decision hold it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RegistryLogin:
    """What the service needs to pull one private image: the registry's `host`, the path of the `image` there, `user`
    and `secret` (API reference §5.1)."""

    host: str
    image: str
    user: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Resolved:
    """All values of one template, as they are to be sent.

    `env` is the whole environment, literal values included. `ssh_key` is the key that may log in, None without ssh.
    `login` belongs to the image, `volume_logins` to the volumes in their order; None for a public one. `skipped` names
    the keys of an envFrom that can be no variable. `secrets` are the values that came from a Secret.
    """

    env: Mapping[str, str] = field(repr=False)
    ssh_key: str | None = field(default=None, repr=False)
    login: RegistryLogin | None = None
    volume_logins: tuple[RegistryLogin | None, ...] = ()
    skipped: tuple[str, ...] = ()
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
