"""From a template and the objects that it names to the values that are sent, or to the one problem that forbids it.

Semantics are those of core/v1: a later envFrom overrides an earlier one, env overrides them all, keys that are no
variable names are left out and told. Two rules are ours, because everything here leaves for a machine of a third
party: a Secret must carry the label `dispersed.dev/egress: allowed`, and a value must be ASCII text, because nothing
else can be signed.

Invariant: no message holds a value; it names the field, the object and the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dispersed_operator.model import cel
from dispersed_operator.model.naming import EGRESS_ALLOWED, EGRESS_LABEL
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.sources import EnvFromSource, EnvVarSource
from dispersed_operator.model.template import RESERVED_ENV_NAMES, SSH_KEY_PATTERN, JobTemplate
from dispersed_operator.planning.memory import Unresolved
from dispersed_operator.planning.registries import (
    DOCKER_CONFIG_KEY,
    DOCKER_CONFIG_TYPE,
    LoginProblem,
    login_from_docker_config,
    login_from_keys,
)
from dispersed_operator.planning.resolved import RegistryLogin, Resolved
from dispersed_operator.planning.vocabulary import Problem

LONGEST_VALUE = 32768
LARGEST_ENVIRONMENT = 1_048_576
FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 30.0

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_TOLD = 20


class SourceKind(StrEnum):
    """The kinds that a template may refer to."""

    SECRET = "Secret"  # noqa: S105 - a kind
    CONFIG_MAP = "ConfigMap"


@dataclass(frozen=True, slots=True)
class SourceName:
    """One object in the job's namespace."""

    kind: SourceKind
    name: str


@dataclass(frozen=True, slots=True)
class Source:
    """An object as it was read. `type` is that of a Secret; `data` are the bytes under each key; `egress` is the value
    of the label that allows it to leave, None without one."""

    type: str = ""
    egress: str | None = None
    data: Mapping[str, bytes] = field(default_factory=dict, repr=False)


class Unreadable(StrEnum):
    """Why there is nothing to take a value from."""

    MISSING = "does not exist"
    FORBIDDEN = "may not be read by the operator: grant its service account the verb get on it"


Sources = Mapping[SourceName, Source | Unreadable]


class _Unusable(ValueError):
    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(reason, message)


def source_names(template: JobTemplate | None) -> tuple[SourceName, ...]:
    """Every object that the template refers to, once, in the order of first mention; empty if it refers to none."""
    return tuple(dict.fromkeys(_mentioned(template))) if template is not None else ()


def resolve(template: JobTemplate, namespace: str, sources: Sources) -> Resolved | Problem:
    """The values of `template`, or what stands in the way. `sources` holds each of `source_names(template)`."""
    reader = _Reader(namespace, sources)
    try:
        return Resolved(
            env=_environment(template, reader),
            ssh_key=_ssh_key(template, reader),
            login=_image_login(template, reader),
            volume_logins=tuple(_volume_logins(template, reader)),
            skipped=tuple(reader.skipped),
            secrets=frozenset(reader.secrets),
        )
    except _Unusable as error:
        return error.problem


def unresolved(problem: Problem, before: Unresolved | None, *, generation: int, now: float) -> Unresolved:
    """What to remember of `problem`, and when to read again: after 5 s, twice as long each time, up to 30 s. A spec
    that changed (another `generation`) begins anew."""
    same = before is not None and before.generation == generation
    failures = before.failures + 1 if before is not None and same else 1
    delay = min(FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 8), LONGEST_RETRY_SECONDS)
    return Unresolved(problem.reason, problem.message, generation=generation, failures=failures, due=now + delay)


def told(skipped: tuple[str, ...]) -> str:
    """The keys that can be no variables, in words."""
    names = ", ".join(skipped[:_MOST_TOLD]) + (f" and {len(skipped) - _MOST_TOLD} more" if skipped[_MOST_TOLD:] else "")
    return f"keys that are no names of variables, or are reserved ones, were left out of the environment: {names}"


def _mentioned(template: JobTemplate) -> Iterator[SourceName]:
    for entry in template.env_from:
        if entry.secret_ref is not None:
            yield SourceName(SourceKind.SECRET, entry.secret_ref.name)
        if entry.config_map_ref is not None:
            yield SourceName(SourceKind.CONFIG_MAP, entry.config_map_ref.name)
    for variable in template.env:
        if variable.value_from is not None and variable.value_from.secret_key_ref is not None:
            yield SourceName(SourceKind.SECRET, variable.value_from.secret_key_ref.name)
        if variable.value_from is not None and variable.value_from.config_map_key_ref is not None:
            yield SourceName(SourceKind.CONFIG_MAP, variable.value_from.config_map_key_ref.name)
    if template.ssh is not None and template.ssh.public_key_secret_ref is not None:
        yield SourceName(SourceKind.SECRET, template.ssh.public_key_secret_ref.name)
    if template.image_pull_secret_ref is not None:
        yield SourceName(SourceKind.SECRET, template.image_pull_secret_ref.name)
    for volume in template.volumes:
        if volume.pull_secret_ref is not None:
            yield SourceName(SourceKind.SECRET, volume.pull_secret_ref.name)


class _Reader:
    """Takes values out of the objects, and notes which of them are secret. `where` is always the field that asks."""

    def __init__(self, namespace: str, sources: Sources) -> None:
        self._namespace = namespace
        self._sources = sources
        self.secrets: set[str] = set()
        self.skipped: list[str] = []

    def named(self, name: SourceName) -> str:
        return f"the {name.kind} {self._namespace}/{name.name}"

    def source(self, where: str, name: SourceName, *, optional: bool = False) -> Source | None:
        """The object, None if it may lack and does."""
        found = self._sources.get(name, Unreadable.MISSING)
        if found is Unreadable.MISSING and optional:
            return None
        if isinstance(found, Unreadable):
            raise self.unusable(where, name, found.value)
        if name.kind is SourceKind.SECRET and found.egress != EGRESS_ALLOWED:
            raise _Unusable(Reason.SECRET_NOT_OPTED_IN, self._not_opted_in(where, name, found))
        return found

    def text(self, where: str, name: SourceName, key: str, value: bytes, *, line: bool = False) -> str:
        """The value as text that can be sent; with `line`, one line that is not empty."""
        if len(value) > LONGEST_VALUE:
            raise self.unusable(where, name, f"has more than {LONGEST_VALUE} characters under the key {key}")
        text = value.decode("latin-1")  # every byte has a place in it, so what is not ASCII meets the pattern
        if re.fullmatch(cel.LINE if line else cel.TEXT, text) is None or (line and not text):
            form = "one line of ASCII text without a line end" if line else "ASCII text: encode it, say as base64"
            raise self.unusable(where, name, f"has a value under the key {key} that is not {form}")
        return text

    def secret_text(self, where: str, name: SourceName, key: str, value: bytes, *, line: bool = False) -> str:
        """As `text`; what comes from a Secret is noted as a value that must never be shown."""
        text = self.text(where, name, key, value, line=line)
        if name.kind is SourceKind.SECRET:
            self.secrets.add(text)
        return text

    def at_key(self, where: str, name: SourceName, source: Source, key: str) -> bytes:
        if key not in source.data:
            raise self.unusable(where, name, f"has no key {key}")
        return source.data[key]

    def unusable(self, where: str, name: SourceName, what: str) -> _Unusable:
        return _Unusable(Reason.INVALID_REFERENCE, f"{where}: {self.named(name)} {what}")

    def _not_opted_in(self, where: str, name: SourceName, source: Source) -> str:
        overwrite = "" if source.egress is None else " --overwrite"
        return (
            f"{where}: {self.named(name)} would be sent to a machine of a third party, which nobody has allowed; "
            f"to allow it: kubectl label secret -n {self._namespace} {name.name} {EGRESS_LABEL}={EGRESS_ALLOWED}"
            f"{overwrite}"
        )


def _environment(template: JobTemplate, reader: _Reader) -> dict[str, str]:
    env: dict[str, str] = {}
    for index, entry in enumerate(template.env_from):
        env |= _all_of(f"spec.template.envFrom[{index}]", entry, reader)
    for index, variable in enumerate(template.env):
        where = f"spec.template.env[{index}].valueFrom"
        value = variable.value or ""
        if variable.value_from is not None:
            found = _one_of(where, variable.value_from, reader)
            if found is None:
                continue  # as the kubelet: what an envFrom gave stays
            value = found
        env[variable.name] = value
    if sum(len(name) + len(value) for name, value in env.items()) > LARGEST_ENVIRONMENT:
        message = f"spec.template.envFrom: the environment has more than {LARGEST_ENVIRONMENT} characters"
        raise _Unusable(Reason.INVALID_REFERENCE, message)
    return env


def _all_of(where: str, entry: EnvFromSource, reader: _Reader) -> dict[str, str]:
    if entry.secret_ref is not None:
        name, optional = SourceName(SourceKind.SECRET, entry.secret_ref.name), entry.secret_ref.optional
        where = f"{where}.secretRef"
    elif entry.config_map_ref is not None:
        name, optional = SourceName(SourceKind.CONFIG_MAP, entry.config_map_ref.name), entry.config_map_ref.optional
        where = f"{where}.configMapRef"
    else:
        return {}
    source = reader.source(where, name, optional=optional)
    env: dict[str, str] = {}
    for key, value in sorted(source.data.items()) if source is not None else ():
        variable = (entry.prefix or "") + key
        if _ENV_NAME.fullmatch(variable) is None or variable in RESERVED_ENV_NAMES:
            reader.skipped.append(f"{variable} ({name.kind} {name.name})")
        else:
            env[variable] = reader.secret_text(where, name, key, value)
    return env


def _one_of(where: str, origin: EnvVarSource, reader: _Reader) -> str | None:
    ref: tuple[SourceKind, str, str, bool]
    if origin.secret_key_ref is not None:
        one = origin.secret_key_ref
        ref, where = (SourceKind.SECRET, one.name, one.key, one.optional), f"{where}.secretKeyRef"
    elif origin.config_map_key_ref is not None:
        other = origin.config_map_key_ref
        ref, where = (SourceKind.CONFIG_MAP, other.name, other.key, other.optional), f"{where}.configMapKeyRef"
    else:
        return None
    kind, object_name, key, optional = ref
    name = SourceName(kind, object_name)
    source = reader.source(where, name, optional=optional)
    if source is None or (optional and key not in source.data):
        return None
    return reader.secret_text(where, name, key, reader.at_key(where, name, source, key))


def _ssh_key(template: JobTemplate, reader: _Reader) -> str | None:
    if template.ssh is None:
        return None
    ref = template.ssh.public_key_secret_ref
    if ref is None:
        return template.ssh.public_key
    where, name = "spec.template.ssh.publicKeySecretRef", SourceName(SourceKind.SECRET, ref.name)
    source = reader.source(where, name)
    assert source is not None
    value = reader.at_key(where, name, source, ref.key).rstrip(b"\r\n")  # a .pub file ends in a line end
    if re.match(SSH_KEY_PATTERN, value.decode("latin-1")) is None:
        raise reader.unusable(where, name, f"has no OpenSSH public key under the key {ref.key}")
    return reader.secret_text(where, name, ref.key, value, line=True)


def _image_login(template: JobTemplate, reader: _Reader) -> RegistryLogin | None:
    if template.image_pull_secret_ref is None:
        return None
    return _login("spec.template.imagePullSecretRef", template.image_pull_secret_ref.name, template.image, None, reader)


def _volume_logins(template: JobTemplate, reader: _Reader) -> Iterator[RegistryLogin | None]:
    for index, volume in enumerate(template.volumes):
        if volume.pull_secret_ref is None:
            yield None
        else:
            where = f"spec.template.volumes[{index}].pullSecretRef"
            yield _login(where, volume.pull_secret_ref.name, volume.image, volume.registry, reader)


def _login(where: str, secret_name: str, image: str, registry: str | None, reader: _Reader) -> RegistryLogin:
    name = SourceName(SourceKind.SECRET, secret_name)
    source = reader.source(where, name)
    assert source is not None

    def bytes_at(key: str) -> bytes:
        return reader.at_key(where, name, source, key)

    def line_at(key: str) -> str:
        return reader.text(where, name, key, bytes_at(key), line=True)

    try:
        if source.type == DOCKER_CONFIG_TYPE:
            config = bytes_at(DOCKER_CONFIG_KEY).decode("utf-8", "replace")
            login = login_from_docker_config(config, image, registry)
        else:
            login = login_from_keys(source.type, line_at, image, registry)
    except LoginProblem as error:
        raise reader.unusable(where, name, str(error)) from None
    for part in (login.user, login.secret):
        reader.secret_text(where, name, DOCKER_CONFIG_KEY, part.encode("utf-8"), line=True)
    return login
