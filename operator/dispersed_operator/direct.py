"""A client of the Dispersed API for one command, also of a person who has only a key: no cluster, no Secret.

Why it exists: `reap` and `conformance` must work when the cluster is gone. The key comes from two environment variables
or two files, never from the command line, where every process of the machine could read it. Invariant: no text that
leaves here holds a part of the key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dispersed_operator.config import Settings
from dispersed_operator.errors import SettingsError, UnsignableRequest
from dispersed_operator.model.account import DEFAULT_BASE_URL
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.remote.client import DispersedClient
from dispersed_operator.remote.clock import ServerClock
from dispersed_operator.remote.limiter import Limiter
from dispersed_operator.remote.signing import Credentials
from dispersed_operator.remote.transport import build_http_client

KEY_PREFIX = "DISPERSED_"
LARGEST_KEY_FILE = 4096


class KeyAtHand(BaseSettings):
    """Host and key pair. A flag wins over its variable, a file over a key in a variable."""

    model_config = SettingsConfigDict(
        env_prefix=KEY_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True, hide_input_in_errors=True
    )

    base_url: str = DEFAULT_BASE_URL
    public_key_file: Path | None = None
    secret_key_file: Path | None = None
    public_key: SecretStr | None = Field(None, repr=False)
    secret_key: SecretStr | None = Field(None, repr=False)

    def credentials(self) -> Credentials:
        """The key pair. Raises SettingsError that names what is missing or unusable, never a value."""
        public = _text(self.public_key_file, self.public_key, "public-key-file", "PUBLIC_KEY")
        secret = _text(self.secret_key_file, self.secret_key, "secret-key-file", "SECRET_KEY")
        try:
            return Credentials(public_key=public, secret_key=secret)
        except UnsignableRequest as error:
            raise SettingsError(f"the key pair cannot be used: {error}") from None


def load_key(
    *, base_url: str | None = None, public_key_file: str | None = None, secret_key_file: str | None = None
) -> KeyAtHand:
    """Host and key from flags (None: not given) and the environment. Raises SettingsError."""
    given = {"base_url": base_url, "public_key_file": public_key_file, "secret_key_file": secret_key_file}
    try:
        return KeyAtHand.model_validate({name: text for name, text in given.items() if text is not None})
    except ValidationError as error:
        names = sorted({str(entry["loc"][0]) for entry in error.errors(include_url=False, include_input=False)})
        raise SettingsError(f"{', '.join(names)}: not a value that can be used") from None


@asynccontextmanager
async def open_client(settings: Settings, key: KeyAtHand) -> AsyncIterator[DispersedClient]:
    """A client for one command and the key at hand."""
    async with connect(settings, base_url=key.base_url, credentials=key.credentials()) as client:
        yield client


@asynccontextmanager
async def connect(settings: Settings, *, base_url: str, credentials: Credentials) -> AsyncIterator[DispersedClient]:
    """A client for one command; proxy and certificate authorities are those of the operator's settings.

    Raises SettingsError for an address that must not be used.
    """
    proxy = settings.remote_proxy.get_secret_value() if settings.remote_proxy is not None else None
    authorities = str(settings.remote_ca_file) if settings.remote_ca_file is not None else None
    async with build_http_client(proxy=proxy, ca=authorities) as http:
        yield DispersedClient(
            http,
            base_url=base_url,
            credentials=credentials,
            clock=ServerClock(),
            limiter=Limiter(),
            outside=Redactor(settings.secret_texts).clean,
        )


def _text(file: Path | None, variable: SecretStr | None, flag: str, name: str) -> str:
    """One half of the pair, without the line end that editors add."""
    if file is not None:
        try:
            with file.expanduser().open(encoding="ascii") as opened:
                return opened.read(LARGEST_KEY_FILE).strip()
        except (OSError, ValueError):
            raise SettingsError(f"--{flag} names no file that can be read as ASCII text") from None
    if variable is None:
        raise SettingsError(f"no key: set {KEY_PREFIX}{name}, or give --{flag} (or {KEY_PREFIX}{name}_FILE)")
    return variable.get_secret_value().strip()
