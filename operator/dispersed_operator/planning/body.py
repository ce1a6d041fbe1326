"""C1: from spec to the body of `POST /v1/jobs` (API reference §5.1), and the digest that identifies it.

Invariants: the same spec always gives the same digest, before any time is known (title, description and our env entry
are left out of it); everything is ASCII text and integers, so that every published reading of the signature rule agrees
(§2.5). A text that cannot be sent is a `BodyProblem` that names the field, never the value.

The digest speaks of the spec alone: a value that is referred to stands in it as its reference, never as the value or a
hash of it, because the digest is public and a weak password could be guessed from it (ADR 0007).
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field

from dispersed_operator.errors import UnsignableRequest
from dispersed_operator.model import naming
from dispersed_operator.model.job import DispersedJobSpec, JobTemplate, Task
from dispersed_operator.model.naming import Identity
from dispersed_operator.model.sources import Volume
from dispersed_operator.planning.resolved import RegistryLogin, Resolved
from dispersed_operator.remote.signing import canonical_body

SSH_PORT = 22
EXPIRY_GRACE_SECONDS = 3600
DIGESTS_KEPT = 64

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class SignedBody:
    """The canonical bytes to hash and to send, and the digest that stands in intent and description."""

    content: bytes = field(repr=False)
    digest: str


class BodyProblem(ValueError):
    """The spec cannot be expressed as a request; the text names the field and the remedy."""


@functools.lru_cache(maxsize=DIGESTS_KEPT)
def body_digest(spec: DispersedJobSpec) -> str:
    """SHA-256 (hex) of the canonical body without title, description and our env entry (protocol, Names).

    Each step of a pass asks for it, so those of as many passes as there are workers by default are kept. Specs that are
    equal have one body, for nothing in it is a number with a fraction.
    """
    return hashlib.sha256(_canonical(_body(spec))).hexdigest()


def build_body(
    spec: DispersedJobSpec,
    *,
    identity: Identity,
    attempt: int,
    signed_at: int,
    references: Resolved | None = None,
) -> SignedBody:
    """The body for one attempt, signed at `signed_at` seconds since the epoch by the server's clock. `references` are
    the values of a spec that has any."""
    digest = body_digest(spec)
    token = naming.create_token(identity, attempt)
    body = _body(spec, token=token, references=references)
    template = _template_of(spec)
    body["title"] = naming.remote_title(
        identity,
        attempt=attempt,
        signed_at=signed_at,
        expiry=expiry_of(spec, signed_at),
        user_title=template.title,
    )
    body["description"] = naming.remote_description(
        token=token, digest=digest, title=template.title, description=template.description or ""
    )
    return SignedBody(content=_canonical(body), digest=digest)


def expiry_of(spec: DispersedJobSpec, signed_at: int) -> int:
    """When the job must certainly be over, in seconds since the epoch: what its title says (protocol, Names).

    `limits.maxLifetimeSeconds` after the signature; for a BATCH job not later than its deadlines and retries allow. 0
    for a PERSISTENT one without a lifetime: it is never reaped.
    """
    lifetime, deadlines = spec.limits.max_lifetime_seconds, spec.deadlines
    ends = [] if lifetime is None else [signed_at + lifetime]
    if spec.task is Task.BATCH and deadlines.run_seconds is not None:
        once = deadlines.assign_seconds + deadlines.start_seconds + deadlines.run_seconds
        ends.append(signed_at + once * (spec.retry.remote_retries + 1) + EXPIRY_GRACE_SECONDS)
    return min(*ends, naming.MAX_TIME) if ends else 0


def published_ports(template: JobTemplate) -> list[int]:
    """The container ports to publish. A list replaces the service's default set, so 22 is in it when ssh is wanted."""
    ports = [port.container_port for port in template.ports]
    return [SSH_PORT, *ports] if template.ssh is not None else ports


def _template_of(spec: DispersedJobSpec) -> JobTemplate:
    """The template. One that is not there is sent nowhere: an adopted job is never created."""
    if spec.template is None or spec.adopt is not None:
        raise BodyProblem("a job is created only from spec.template, and only without spec.adopt")
    return spec.template


def _body(spec: DispersedJobSpec, *, token: str | None = None, references: Resolved | None = None) -> Json:
    template, deadlines = _template_of(spec), spec.deadlines
    resources = template.resources
    run_seconds = deadlines.run_seconds
    body: Json = {
        "task": "BATCH" if spec.task is Task.BATCH else "PERSISTENT",
        "max_timeout_assign_ms": deadlines.assign_seconds * 1000,
        "max_timeout_start_ms": deadlines.start_seconds * 1000,
        "max_timeout_run_ms": run_seconds * 1000 if spec.task is Task.BATCH and run_seconds is not None else None,
        "max_retry_count": spec.retry.remote_retries,
        "max_node_count": 1,
        "parameters": {"type": "docker", "parameters": _container(template, token, references)},
    }
    wanted: Json = {
        "cpu_count": resources.cpu_count,
        "min_ram_gb": resources.min_ram_gb,
        "min_storage_gb": resources.min_storage_gb,
        "allowed_region_codes": list(resources.regions) or None,
    }
    if resources.gpu is not None:
        wanted |= {
            "gpu_count": resources.gpu.count,
            "min_vram_gb": resources.gpu.min_vram_gb,
            "gpu_name": resources.gpu.name,
            "gpu_registry_uuid": resources.gpu.registry_uuid,
        }
    return body | {name: value for name, value in wanted.items() if value is not None}


def _container(template: JobTemplate, token: str | None, references: Resolved | None) -> Json:
    container = _described(template)
    if references is not None:
        container = _with_values(container, template, references)
    if token is not None:
        container["env"] = {**_env(template, references), naming.TOKEN_ENV: token}
    return container


def _env(template: JobTemplate, references: Resolved | None) -> Json:
    if references is not None:
        return dict(references.env)
    return {
        variable.name: variable.value_from.to_api() if variable.value_from is not None else variable.value or ""
        for variable in template.env
    }


def _described(template: JobTemplate) -> Json:
    """The container with each reference in the place of its value: what the digest speaks of. Without references it is
    also what is sent."""
    container: Json = {
        "image": template.image,
        "tag": template.tag,
        "env": _env(template, None),
        "ports": published_ports(template),
    }
    if template.ssh is not None:
        ref = template.ssh.public_key_secret_ref
        container["sshkey"] = ref.to_api() if ref is not None else template.ssh.public_key
    if template.allowed_cidrs:
        container["allowed_ips"] = list(template.allowed_cidrs)
    if template.env_from:
        container["envFrom"] = [entry.to_api() for entry in template.env_from]
    if template.image_pull_secret_ref is not None:
        container["imagePullSecretRef"] = template.image_pull_secret_ref.to_api()
    if template.volumes:
        container["volumes"] = [_described_volume(volume) for volume in template.volumes]
    return container


def _described_volume(volume: Volume) -> Json:
    found = _volume(volume, None)
    return found if volume.pull_secret_ref is None else found | {"pullSecretRef": volume.pull_secret_ref.to_api()}


def _with_values(container: Json, template: JobTemplate, references: Resolved) -> Json:
    """The container as it is sent: every reference replaced by what it came to."""
    sent = {name: value for name, value in container.items() if name not in {"envFrom", "imagePullSecretRef"}}
    if references.ssh_key is not None:
        sent["sshkey"] = references.ssh_key
    if references.login is not None:
        login = references.login
        sent |= {"image": login.image, "host": login.host, "user": login.user, "secret": login.secret}
    if template.volumes:
        sent["volumes"] = [
            _volume(volume, login) for volume, login in zip(template.volumes, references.volume_logins, strict=True)
        ]
    return sent


def _volume(volume: Volume, login: RegistryLogin | None) -> Json:
    """One volume; the official form names all six fields, empty where they are not needed (API reference §5.1)."""
    return {
        "image": login.image if login is not None else volume.image,
        "tag": volume.tag,
        "registry": login.host if login is not None else volume.registry or "",
        "user": login.user if login is not None else "",
        "secret": login.secret if login is not None else "",
        "mount": volume.mount_path,
    }


def _canonical(body: Json) -> bytes:
    try:
        return canonical_body(body)
    except UnsignableRequest as error:
        raise BodyProblem(
            f"spec.template cannot be sent as it is: {error}; use ASCII text and integers only"
        ) from error
