"""How this process proves who it is to the API server.

One description serves two clients: our own (`KubeClient`) and kopf, which lives in another event loop and gets a
session of its own. Each asks for a fresh `Configuration`, so that they share no state.

Invariants:

* a token that comes from a file is read again while the process runs (it rotates hourly in a pod), and a newline at
  its end is cut off: sent as it is, it would break every request;
* proxy variables of the environment are ignored; a proxy is a setting of ours, or of the kubeconfig.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.incluster_config import (
    SERVICE_CERT_FILENAME,
    SERVICE_HOST_ENV_NAME,
    SERVICE_TOKEN_FILENAME,
    InClusterConfigLoader,
)
from kubernetes.aio.config.kube_config import KubeConfigLoader, KubeConfigMerger
from yaml import YAMLError

from dispersed_operator.errors import SettingsError

_BEARER = "BearerToken"
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

# These classes of the library carry no types.
_in_cluster_loader: Any = InClusterConfigLoader
_kubeconfig_merger: Any = KubeConfigMerger
_kubeconfig_loader: Any = KubeConfigLoader


@dataclass(frozen=True, slots=True)
class InCluster:
    """The pod's service account."""

    token_file: Path = Path(SERVICE_TOKEN_FILENAME)
    ca_file: Path = Path(SERVICE_CERT_FILENAME)


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """A context of a kubeconfig; `path` may name several files as $KUBECONFIG does. `context` None: the current one."""

    path: str
    context: str | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the credentials come from, and the proxy (`http://host:port`) to use, if any.

    A token that was read from a file is used for `token_seconds` before the file is read again.
    """

    source: InCluster | Kubeconfig
    proxy: str | None = None
    token_seconds: float = 10.0

    async def configuration(self) -> Configuration:
        """A fresh configuration for one client. Raises `SettingsError` if the source cannot be used."""
        configuration = Configuration(client_session_kwargs={"trust_env": False})
        try:
            token_file = await _load(self.source, configuration)
        except (ConfigException, OSError, YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
            # The text of these errors may repeat parts of a kubeconfig.
            raise SettingsError(f"cannot use {self.describe()}: {type(error).__name__}") from None
        if self.proxy is not None:
            configuration.proxy = self.proxy
        if token_file is not None:
            hook: Any = _TokenFile(
                token_file, self.token_seconds, time.monotonic
            ).refresh  # the library declares the hook as None
            configuration.refresh_api_key_hook = hook
        elif configuration.api_key.get(_BEARER):
            configuration.api_key[_BEARER] = configuration.api_key[_BEARER].strip()
        return configuration

    def describe(self) -> str:
        """The source in words."""
        if isinstance(self.source, InCluster):
            return f"the service account of this pod ({self.source.token_file})"
        return f"the kubeconfig {self.source.path}" + (
            f", context {self.source.context}" if self.source.context else ""
        )


def find_credentials(
    *,
    kubeconfig: Path | None = None,
    context: str | None = None,
    proxy: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Credentials:
    """The credentials to use: `kubeconfig`, else $KUBECONFIG, else the pod's service account, else ~/.kube/config.

    Raises `SettingsError` if there are none.
    """
    environ = os.environ if environ is None else environ
    named = str(kubeconfig) if kubeconfig is not None else environ.get("KUBECONFIG")
    if named:
        return Credentials(Kubeconfig(named, context), proxy)
    if environ.get(SERVICE_HOST_ENV_NAME):
        return Credentials(InCluster(), proxy)
    fallback = Path(environ.get("HOME", "~")).expanduser() / ".kube" / "config"
    if fallback.is_file():
        return Credentials(Kubeconfig(str(fallback), context), proxy)
    raise SettingsError("no cluster to talk to: set --kubeconfig or KUBECONFIG, or run in a pod with a service account")


def watch_session(
    configuration: Configuration, *, before: Callable[[Mapping[str, str]], Awaitable[None]] | None = None
) -> aiohttp.ClientSession:
    """A session for kopf. Each request waits for `before`, which gets its query, and carries the token of that moment.
    To be made and closed in kopf's loop."""

    async def authorize(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if before is not None:
            await before(request.url.query)
        token = await configuration.get_api_key_with_prefix(_BEARER)
        if token:
            request.headers["Authorization"] = token
        request.server_hostname = configuration.tls_server_name
        return await send(request)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=RESTClientObject(configuration).ssl_context, limit=0),
        middlewares=(authorize,),
        proxy=configuration.proxy,
        trust_env=False,
    )


def authorities(configuration: Configuration) -> tuple[str, ...]:
    """Fingerprints of the certificate authorities by which this client verifies the API server, sorted.

    None without TLS, without verification, or where the authorities of the system are trusted: then nothing tells this
    API server from another one.
    """
    if not configuration.host.startswith("https://") or not configuration.verify_ssl:
        return ()
    text = configuration.ca_cert_data or ""
    if not text and configuration.ssl_ca_cert:
        text = Path(configuration.ssl_ca_cert).read_text(encoding="ascii", errors="replace")
    if isinstance(text, bytes):
        text = text.decode("ascii", errors="replace")
    found = {hashlib.sha256(ssl.PEM_cert_to_DER_cert(block)).hexdigest()[:16] for block in _CERTIFICATE.findall(text)}
    return tuple(sorted(found))


class _TokenFile:
    """A token in a file that somebody else replaces."""

    def __init__(self, path: Path, lifetime: float, monotonic: Callable[[], float]) -> None:
        self._path = path
        self._lifetime = lifetime
        self._monotonic = monotonic
        self._read_at: float | None = None
        self._header = ""

    def refresh(self, configuration: Configuration) -> None:
        """Called by the library before each request. A file that cannot be read now leaves the last token in use."""
        now = self._monotonic()
        if self._read_at is None or now - self._read_at >= self._lifetime:
            token = self._read()
            if token:
                self._header = f"Bearer {token}"
            self._read_at = now
        configuration.api_key[_BEARER] = self._header

    def _read(self) -> str:
        try:
            return self._path.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return ""


async def _load(source: InCluster | Kubeconfig, configuration: Configuration) -> Path | None:
    """Let the library fill in the configuration; returns the token file to read again, if there is one."""
    if isinstance(source, InCluster):
        pod = _in_cluster_loader(
            token_filename=str(source.token_file), cert_filename=str(source.ca_file), try_refresh_token=False
        )
        pod.load_and_set(configuration)
        return source.token_file
    merged = _kubeconfig_merger(source.path).config
    if merged is None:
        raise FileNotFoundError(source.path)
    loader = _kubeconfig_loader(merged, active_context=source.context, config_base_path=None)
    await loader.load_and_set(configuration)
    return _token_file(merged, loader.current_context["context"].get("user"))


def _token_file(merged: Any, user_name: str | None) -> Path | None:
    """The token file of a kubeconfig's user, which the library would read only once; None beside a literal token."""
    node: Any = merged["users"].get_with_name(user_name, safe=True) if user_name else None
    user = (node.value.get("user") or {}) if node is not None else {}
    if "tokenFile" not in user or "token" in user:
        return None
    return Path(node.path).absolute().parent / str(user["tokenFile"])
