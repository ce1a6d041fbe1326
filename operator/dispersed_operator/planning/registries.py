"""The login for a private image out of a pull secret, in the two forms that it may have.

A docker config names registries as docker and the kubelet read them: a host, with or without scheme, port and path; a
`*` stands for one label of the host; the longest entry that fits wins.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

from dispersed_operator.planning.resolved import RegistryLogin

DOCKER_CONFIG_TYPE = "kubernetes.io/dockerconfigjson"
DOCKER_CONFIG_KEY = ".dockerconfigjson"
DOCKER_HUB = "docker.io"
_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")


class LoginProblem(ValueError):
    """The Secret gives no login for the image; the text says what is missing, never a value."""


def split_image(image: str) -> tuple[str | None, str]:
    """The registry's host and the path there, by docker's rule: the first part is a host if it has a dot or a port, or
    is localhost. None as host: the name leaves the registry open."""
    first, slash, rest = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return None, image


def located(image: str, registry: str | None) -> tuple[str | None, str]:
    """As `split_image`; a `registry` that is given is the host, and need not be repeated in the name."""
    if registry is None:
        return split_image(image)
    return registry, image.removeprefix(f"{registry}/")


def login_from_docker_config(text: str, image: str, registry: str | None) -> RegistryLogin:
    """The login of the entry whose registry is that of the image. Raises LoginProblem."""
    found, path = located(image, registry)
    host = found or DOCKER_HUB
    entry = _best_entry(_auths(text), host, path)
    if entry is None:
        raise LoginProblem(f"has no entry for the registry {host}")
    user, secret = _user_and_secret(entry, host)
    return RegistryLogin(host, path, user, secret)


def login_from_keys(type_: str, read: Callable[[str], str], image: str, registry: str | None) -> RegistryLogin:
    """The login in the keys `host`, `user` and `secret` of an Opaque Secret, each given by `read`. Raises LoginProblem
    for a Secret of another type, and for one whose host is not that of the image."""
    if type_ not in {"", "Opaque"}:
        raise LoginProblem(
            f"is of type {type_}: a pull secret is of type {DOCKER_CONFIG_TYPE}, or of type Opaque with the keys host, "
            "user and secret"
        )
    host, user, secret = read("host"), read("user"), read("secret")
    found, path = located(image, registry)
    if found is not None and not _same_host(found, host):
        raise LoginProblem(f"is for another registry than {found}: its key host says so")
    return RegistryLogin(host, path, user, secret)


def _auths(text: str) -> Mapping[str, object]:
    try:
        config = json.loads(text)
    except ValueError:
        raise LoginProblem(f"holds no JSON in its key {DOCKER_CONFIG_KEY}") from None
    auths = config.get("auths") if isinstance(config, dict) else None
    if not isinstance(auths, dict):
        raise LoginProblem(f'has no "auths" in its key {DOCKER_CONFIG_KEY}')
    return auths


def _best_entry(auths: Mapping[str, object], host: str, path: str) -> Mapping[str, object] | None:
    fitting = [name for name, entry in auths.items() if isinstance(entry, dict) and _fits(name, host, path)]
    if not fitting:
        return None
    entry = auths[max(fitting, key=lambda name: (len(_bare(name)), name))]
    return entry if isinstance(entry, dict) else None


def _fits(name: str, host: str, path: str) -> bool:
    wanted, _, prefix = _bare(name).partition("/")
    if not _same_host(wanted, host):
        return False
    hub = wanted in _HUB_NAMES and prefix in {"v1", "v2"}  # docker login writes https://index.docker.io/v1/
    return not prefix or hub or path == prefix or path.startswith(f"{prefix}/")


def _bare(name: str) -> str:
    return name.removeprefix("https://").removeprefix("http://").rstrip("/")


def _same_host(wanted: str, host: str) -> bool:
    if wanted in _HUB_NAMES and host in _HUB_NAMES:
        return True
    patterns, labels = wanted.lower().split("."), host.lower().split(".")
    return len(patterns) == len(labels) and all(map(fnmatchcase, labels, patterns))


def _user_and_secret(entry: Mapping[str, object], host: str) -> tuple[str, str]:
    auth = entry.get("auth")
    if isinstance(auth, str) and auth:
        try:
            user, colon, secret = base64.b64decode(auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user, colon, secret = "", "", ""
        if not colon:
            raise LoginProblem(f'has an entry for {host} whose "auth" is not user:password in base64')
        return user, secret
    user_name, password = entry.get("username"), entry.get("password")
    if not (isinstance(user_name, str) and isinstance(password, str) and user_name and password):
        raise LoginProblem(f'has an entry for {host} with neither "auth" nor "username" and "password"')
    return user_name, password
