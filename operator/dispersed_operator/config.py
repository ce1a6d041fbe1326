"""Every setting of the operator in one validated, frozen model, read from flags and environment.

A flag wins over its environment variable, which wins over the default. A setting that makes no sense ends the process
at start with one line (exit code 2): half-valid settings are how an operator comes up and quietly does the wrong thing.
The line names the setting and the remedy and never repeats the value: it may be a secret pasted into the wrong place.

Invariant: what leaves `load_settings` is complete, consistent and immutable; nothing else in the operator reads the
environment.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import uuid
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from dispersed_operator.errors import SettingsError
from dispersed_operator.model.orphan import OrphanPolicy
from dispersed_operator.model.shard import Shard
from dispersed_operator.model.windows import SERVICE_WINDOWS, ProofWindows, windows_for

SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
ENV_PREFIX = "DISPERSED_OPERATOR_"

# Kubernetes announces a Service called dispersed-operator to pods in variables that begin with our prefix.
_SERVICE_LINK = re.compile(
    r"(?:.*_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_.*)?)=.*|(?:.*_)?PORT=\w+://.*",
    re.DOTALL,
)
_IDENTITY = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

_WINDOW_RULE = (
    "A constant of the service: a less safe value is applied only to accounts whose baseURL is loopback, elsewhere the "
    "default holds."
)

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a log line is written."""

    JSON = "json"
    TEXT = "text"


def _default_holder() -> str:
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:50] or "operator"
    return f"{host}_{uuid.uuid4().hex[:8]}"


def _default_namespace() -> str:
    try:
        found = SERVICE_ACCOUNT_NAMESPACE.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        found = ""
    return found or "dispersed-system"


class Settings(BaseSettings):
    """The operator's settings. Times are in seconds."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True, hide_input_in_errors=True
    )

    kubeconfig: Path | None = Field(
        None, description="Kubeconfig file. Unset: $KUBECONFIG, then the pod's service account, then ~/.kube/config."
    )
    context: str | None = Field(None, description="Context of the kubeconfig. Unset: its current context.")
    namespaces: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Namespaces to watch, separated by commas. Empty: all namespaces."
    )
    operator_namespace: str = Field(
        default_factory=_default_namespace,
        description="Namespace of the operator; only its Secrets can be named by a ClusterDispersedAccount. Default: "
        "that of the pod's service account, else dispersed-system.",
    )
    cluster_id: str | None = Field(
        None,
        description="Identity of this cluster inside remote job titles. Unset: the uid of the namespace kube-system. "
        "Changing it while jobs run makes them strangers to the operator.",
    )
    holder: str = Field(
        default_factory=_default_holder,
        description="Name of this process in create intents. Must differ between processes. Default: host name and "
        "eight random characters.",
    )

    leader_elect: bool = Field(
        False,
        description="true: hold a Lease, so that of several replicas one works and the others stand by. Needed where "
        "there is more than one.",
    )
    lease_name: str = Field(
        "dispersed-operator",
        description="Name of that Lease, in the operator's namespace. Installations that share the namespace need "
        "different ones.",
    )

    shard: str = Field(
        "0/1",
        description="index/count, as 0/3: this process works for every account whose hash falls on the index, and for "
        "its jobs. Each index below the count needs a process. A Lease is then called NAME-INDEX-of-COUNT.",
    )

    workers: int = Field(
        128,
        ge=1,
        le=256,
        description="Resources reconciled at the same time. No account or namespace gets all of them.",
    )
    reconcile_deadline_seconds: Seconds = Field(
        180.0, ge=60, description="Longest time of one reconcile; the resource is queued again after it."
    )
    resync_seconds: Seconds = Field(600.0, description="Interval of the full LIST that finds lost deletions.")
    sweep_seconds: Seconds = Field(
        300.0,
        ge=1,
        description="Shortest time between two sweeps of an account for orphans and duplicates; the longest is twice "
        "that. A suspect is looked at again as soon as it can be judged.",
    )
    orphan_policy: OrphanPolicy = Field(
        OrphanPolicy.REPORT,
        description="What happens to a live remote job of this cluster that no resource owns and nobody has decided "
        "about: report, or cancel. An installation with --namespaces only reports.",
    )
    shutdown_grace_seconds: Seconds = Field(
        60.0,
        ge=50,
        description="Time for an orderly stop. Must leave room for a POST in flight (45 s), and stay below "
        "the pod's terminationGracePeriodSeconds.",
    )
    poll_jitter_ratio: float = Field(
        0.1, ge=0, le=0.5, allow_inf_nan=False, description="Share by which each polling interval varies at random."
    )
    remote_concurrency: int = Field(
        16, ge=1, le=16, description="Requests to the Dispersed API in flight at once, for each account."
    )
    max_clock_offset_seconds: Seconds = Field(
        300.0, description="Difference to the service's clock above which an account is reported as ClockSkew."
    )

    remote_proxy: SecretStr | None = Field(
        None,
        description="HTTP proxy for the Dispersed API, as http://host:port. Variables like HTTPS_PROXY are ignored.",
    )
    remote_ca_file: Path | None = Field(
        None,
        description="PEM file with the certificate authorities trusted for the Dispersed API. Unset: the built-in set.",
    )
    kube_proxy: SecretStr | None = Field(
        None,
        description="HTTP proxy for the Kubernetes API, as http://host:port. Variables like HTTPS_PROXY are ignored.",
    )

    health_host: str = Field("0.0.0.0", description="Address that serves /healthz, /readyz and /metrics.")  # noqa: S104
    health_port: int = Field(8080, ge=0, le=65535, description="Port of that address. 0: a free port.")
    health_port_file: Path | None = Field(None, description="File that receives the port actually bound.")
    log_level: LogLevel = Field(LogLevel.INFO, description="Least severe level that is logged.")
    log_format: LogFormat = Field(LogFormat.JSON, description="One JSON object per line, or text for people.")

    signature_window_seconds: Seconds = Field(
        SERVICE_WINDOWS.signature_window, description="How long the service accepts a signed request. " + _WINDOW_RULE
    )
    proof_margin_seconds: Seconds = Field(
        SERVICE_WINDOWS.proof_margin, description="Wait on top of it before absence counts as proven. " + _WINDOW_RULE
    )
    second_sighting_seconds: Seconds = Field(
        SERVICE_WINDOWS.second_sighting, description="Distance of two reads that must agree. " + _WINDOW_RULE
    )
    server_date_max_age_seconds: Seconds = Field(
        SERVICE_WINDOWS.server_date_max_age, description="Oldest server date that may time a create. " + _WINDOW_RULE
    )
    send_deadline_seconds: Seconds = Field(
        SERVICE_WINDOWS.send_deadline, description="Longest time between intent and POST. " + _WINDOW_RULE
    )

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split_namespaces(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in (piece.strip() for piece in value.split(",")) if part)
        return value

    @field_validator("namespaces")
    @classmethod
    def _check_namespaces(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(_DNS_LABEL.fullmatch(name) is None for name in value):
            raise ValueError("each entry must be the name of a namespace: lower-case letters, digits and '-'")
        if len(set(value)) != len(value):
            raise ValueError("names a namespace twice; name each once")
        return value

    @field_validator("operator_namespace")
    @classmethod
    def _check_operator_namespace(cls, value: str) -> str:
        if _DNS_LABEL.fullmatch(value) is None:
            raise ValueError("must be the name of a namespace: lower-case letters, digits and '-'")
        return value

    @field_validator("lease_name")
    @classmethod
    def _check_lease_name(cls, value: str) -> str:
        if _DNS_LABEL.fullmatch(value) is None:
            raise ValueError("must be the name of a Lease: lower-case letters, digits and '-', at most 63")
        return value

    @field_validator("shard")
    @classmethod
    def _check_shard(cls, value: str) -> str:
        return str(Shard.read(value))

    @field_validator("cluster_id", "holder")
    @classmethod
    def _check_identity(cls, value: str | None) -> str | None:
        if value is not None and _IDENTITY.fullmatch(value) is None:
            raise ValueError("must be 1 to 64 letters, digits, '.', '_' or '-'")
        return value

    @field_validator("kubeconfig", "remote_ca_file")
    @classmethod
    def _check_readable(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        path = value.expanduser()
        if not path.is_file() or not os.access(path, os.R_OK):
            raise ValueError("names no readable file; give the path of an existing one or leave it unset")
        return path

    @field_validator("health_port_file")
    @classmethod
    def _check_writable(cls, value: Path | None) -> Path | None:
        if value is not None and not (value.parent.is_dir() and os.access(value.parent, os.W_OK)):
            raise ValueError("lies in no writable folder; create the folder first")
        return value

    @field_validator("remote_proxy", "kube_proxy")
    @classmethod
    def _check_proxy(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value.get_secret_value())
            valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port is not None
        except ValueError:
            valid = False
        if not valid:
            raise ValueError("is not a proxy address; write http://host:port")
        return value

    @field_validator("health_host")
    @classmethod
    def _check_host(cls, value: str) -> str:
        if value != "localhost":
            try:
                ipaddress.ip_address(value)
            except ValueError:
                raise ValueError("is not an address to listen on; write an IP address or localhost") from None
        return value

    @model_validator(mode="after")
    def _check_windows(self) -> Self:
        windows = self.proof_windows
        if max(windows.send_deadline, windows.server_date_max_age) >= windows.signature_window:
            raise ValueError(
                "send_deadline_seconds and server_date_max_age_seconds must both be below signature_window_seconds; "
                "a request would be sent with an expired signature"
            )
        if windows.less_safe_than_service and self.remote_proxy is not None:
            raise ValueError(
                "shortened proof windows and remote_proxy exclude each other (behind a proxy a loopback address is not "
                "this machine); remove one of them"
            )
        return self

    @property
    def secret_texts(self) -> tuple[str, ...]:
        """What of these settings must never be shown: the logins of the proxies, as they are written and as sent."""
        proxies = (self.remote_proxy, self.kube_proxy)
        return tuple(
            text for proxy in proxies if proxy is not None for text in _login(urlsplit(proxy.get_secret_value()))
        )

    @property
    def part(self) -> Shard:
        """Which accounts are this process's."""
        return Shard.read(self.shard)

    @property
    def lease(self) -> str:
        """The name of the Lease that this process elects by: shards do not stand by for each other."""
        part = self.part
        return self.lease_name if part.alone else f"{self.lease_name}-{part.index}-of-{part.count}"

    @property
    def proof_windows(self) -> ProofWindows:
        """The windows as configured. Ask `windows_for` for the ones that hold for an account."""
        return ProofWindows(
            signature_window=self.signature_window_seconds,
            proof_margin=self.proof_margin_seconds,
            second_sighting=self.second_sighting_seconds,
            server_date_max_age=self.server_date_max_age_seconds,
            send_deadline=self.send_deadline_seconds,
        )

    def windows_for(self, base_url: str) -> ProofWindows:
        """The proof windows for an account with this base URL (rule: `model.windows.windows_for`)."""
        return windows_for(base_url, self.proof_windows)


def _login(url: SplitResult) -> Iterator[str]:
    if url.password is not None:
        user, password = unquote(url.username or ""), unquote(url.password)
        yield from (url.netloc.rpartition("@")[0], f"{user}:{password}", url.password, password)


def load_settings(flags: Mapping[str, str] | None = None) -> Settings:
    """Settings from flags (field name → text) and the process environment; flags win.

    Raises `SettingsError` with one line that names every setting at fault and the remedy, never a value.
    """
    _refuse_unknown_variables(os.environ)
    try:
        return Settings.model_validate(dict(flags or {}))
    except ValidationError as error:
        faults = [_fault(entry["loc"], entry["msg"]) for entry in error.errors(include_url=False, include_input=False)]
        raise SettingsError("; ".join(faults)) from None


def flag_name(field: str) -> str:
    """The command-line flag of a field."""
    return "--" + field.replace("_", "-")


def variable_name(field: str) -> str:
    """The environment variable of a field."""
    return ENV_PREFIX + field.upper()


def default_text(info: FieldInfo) -> str:
    """A field's default as a person would write it; empty if there is none."""
    default = info.default
    if info.default_factory is not None or default is None or default == ():
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


def _fault(location: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    if not location:
        return text
    field = str(location[0])
    if field not in Settings.model_fields:
        return f"{flag_name(field)} is not a setting; see dispersed-operator run --help"
    return f"{flag_name(field)} ({variable_name(field)}): {text[0].lower()}{text[1:]}"


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    known = {variable_name(field) for field in Settings.model_fields}
    unknown = sorted(
        name.upper()
        for name, value in environ.items()
        if name.upper().startswith(ENV_PREFIX)
        and name.upper() not in known
        and not _SERVICE_LINK.fullmatch(f"{name[len(ENV_PREFIX) :].upper()}={value}")
    )
    if unknown:
        raise SettingsError(
            f"{', '.join(unknown)}: no such setting; correct the name or remove the variable "
            "(dispersed-operator run --help lists them)"
        )
