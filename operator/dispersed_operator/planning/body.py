"""C1: from spec to the body of `POST /v1/jobs` (API reference §5.1), and the digest that identifies it.

Invariants: the same spec always gives the same digest, before any time is known (title, description and our env entry
are left out of it); everything is ASCII text and integers, so that every published reading of the signature rule agrees
(§2.5). A text that cannot be sent is a `BodyProblem` that names the field, never the value.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from dispersed_operator.errors import UnsignableRequest
from dispersed_operator.model import naming
from dispersed_operator.model.job import DispersedJobSpec, JobTemplate, Task
from dispersed_operator.model.naming import Identity
from dispersed_operator.remote.signing import canonical_body

SSH_PORT = 22
EXPIRY_GRACE_SECONDS = 3600

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class SignedBody:
    """The canonical bytes to hash and to send, and the digest that stands in intent and description."""

    content: bytes
    digest: str


class BodyProblem(ValueError):
    """The spec cannot be expressed as a request; the text names the field and the remedy."""


def body_digest(spec: DispersedJobSpec) -> str:
    """SHA-256 (hex) of the canonical body without title, description and our env entry (protocol, Names)."""
    return hashlib.sha256(_canonical(_body(spec))).hexdigest()


def build_body(spec: DispersedJobSpec, *, identity: Identity, attempt: int, signed_at: int) -> SignedBody:
    """The body for one attempt, signed at `signed_at` seconds since the epoch by the server's clock."""
    digest = body_digest(spec)
    token = naming.create_token(identity, attempt)
    body = _body(spec, token=token)
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


def _body(spec: DispersedJobSpec, *, token: str | None = None) -> Json:
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
        "parameters": {"type": "docker", "parameters": _container(template, token)},
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


def _container(template: JobTemplate, token: str | None) -> Json:
    env = {variable.name: variable.value for variable in template.env}
    if token is not None:
        env[naming.TOKEN_ENV] = token
    container: Json = {
        "image": template.image,
        "tag": template.tag,
        "env": env,
        "ports": published_ports(template),
    }
    if template.ssh is not None:
        container["sshkey"] = template.ssh.public_key
    if template.allowed_cidrs:
        container["allowed_ips"] = list(template.allowed_cidrs)
    return container


def _canonical(body: Json) -> bytes:
    try:
        return canonical_body(body)
    except UnsignableRequest as error:
        raise BodyProblem(
            f"spec.template cannot be sent as it is: {error}; use ASCII text and integers only"
        ) from error
