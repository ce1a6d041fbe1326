"""The template of a DispersedJob: everything that shapes the request to the remote service.

Bounds serve two ends: the API server prices every rule by the largest input that the schema allows, and the service's
signers agree only on ASCII text and on integers below 2^53 (API reference §2.5).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from dispersed_operator.model import cel
from dispersed_operator.model.base import ResourceModel, optional_list
from dispersed_operator.model.cel import FORBIDDEN, REQUIRED, Rule, matches
from dispersed_operator.model.sources import (
    TAG_RULE,
    EnvFromSource,
    EnvVarSource,
    PullSecretRef,
    SSHKeyRef,
    Volume,
    image_rules,
    one_of,
)

RESERVED_ENV_NAMES = ("DISPERSED_K8S_TOKEN", "SSH_PUBKEY", "CONTAINER_ACCESS_TOKEN")

_NOT_ASCII = "only ASCII text can be signed: replace the other characters"
_UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
SSH_KEY_PATTERN = (
    r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)"
    r"|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com) AAAA"
)


class PortProtocol(StrEnum):
    """What speaks behind a published port."""

    HTTP = "http"
    TCP = "tcp"


class EnvVar(ResourceModel):
    """One environment variable of the container. It overrides one of the same name that comes by `envFrom`."""

    model_config = ConfigDict(
        json_schema_extra=cel.rules(
            *one_of(
                "value",
                "valueFrom",
                both="value and valueFrom exclude each other: keep one of them",
                neither="a variable needs a value: set value (it may be empty) or valueFrom",
            )
        )
    )

    name: Annotated[
        str,
        cel.text(
            128,
            matches(
                "^[A-Za-z_][A-Za-z0-9_]*$",
                "not a variable name: use letters, digits and underscores, and do not begin with a digit",
            ),
            Rule(
                f"!(self in {list(RESERVED_ENV_NAMES)!r})",
                "this variable is set by the operator or the service: remove it, or use another name",
                FORBIDDEN,
            ),
        ),
    ]
    """Name of the variable: letters, digits and underscores, not beginning with a digit, unique in the list.
    DISPERSED_K8S_TOKEN, SSH_PUBKEY and CONTAINER_ACCESS_TOKEN are reserved."""

    value: Annotated[
        str | None,
        cel.text(
            32768,
            matches(
                cel.TEXT, "only ASCII text can be signed: encode the value, for example as base64", reason=FORBIDDEN
            ),
            shortest=0,
            shown=False,
        ),
    ] = None
    """Value of the variable: ASCII text, tabs and line ends included, at most 32768 characters. It is sent to a machine
    of a third party. Everybody who may read the resource sees it: use `valueFrom` for what is secret."""

    value_from: EnvVarSource | None = None
    """Where the value comes from. It is read once, when the job is created."""


class Port(ResourceModel):
    """One port of the container that the service publishes under a host name and port of its own choice."""

    name: Annotated[
        str,
        cel.text(
            63,
            matches(
                cel.DNS_LABEL,
                "not a port name: use lower-case letters, digits and '-', with a letter or digit at both ends",
            ),
            Rule(
                "self != 'ssh'",
                "the name ssh belongs to the endpoint of spec.template.ssh: choose another name, or set ssh instead",
                FORBIDDEN,
            ),
        ),
    ]
    """Name of the port, a DNS label other than `ssh`, unique in the list. The endpoint in the status carries it, and
    the connection Secret has the key `<name>-url`."""

    container_port: Annotated[
        int,
        Field(
            ge=1,
            le=65535,
            json_schema_extra=cel.rules(
                Rule(
                    "self != 22",
                    "port 22 is published for ssh: remove it here and set spec.template.ssh instead",
                    FORBIDDEN,
                )
            ),
        ),
    ]
    """Port on which the container listens, on all interfaces; unique in the list. 22 is not allowed here: set `ssh`."""

    protocol: PortProtocol = PortProtocol.HTTP
    """`http` gives the endpoint an http or https URL, as the service reports it; `tcp` gives it host and port."""


class SSH(ResourceModel):
    """Access by ssh. Publishes port 22; the image must start an ssh server."""

    model_config = ConfigDict(
        json_schema_extra=cel.rules(
            *one_of(
                "publicKey",
                "publicKeySecretRef",
                both="publicKey and publicKeySecretRef exclude each other: keep one of them",
                neither="ssh needs a key that may log in: set publicKey or publicKeySecretRef",
            )
        )
    )

    public_key: Annotated[
        str | None,
        cel.text(
            8192,
            matches(
                SSH_KEY_PATTERN,
                "not an OpenSSH public key: paste the line of your .pub file, which begins with ssh-ed25519, ssh-rsa, "
                "ecdsa-sha2-nistp256 or another known type",
                reason=FORBIDDEN,
            ),
            matches(
                cel.LINE,
                "the key must be one line of ASCII text: remove line ends and other characters, also in its comment",
                reason=FORBIDDEN,
            ),
        ),
    ] = None
    """OpenSSH public key that may log in: the one line of a .pub file, for example `ssh-ed25519 AAAA... me@example`."""

    public_key_secret_ref: SSHKeyRef | None = None
    """A Secret that holds the public key, instead of `publicKey`."""

    user: Annotated[
        str,
        cel.text(32, matches("^[A-Za-z_][A-Za-z0-9_.-]*$", "not a user name: use letters, digits, '_', '.' and '-'")),
    ] = "duser"
    """User to log in as. Images of the service have `duser`."""


class GPU(ResourceModel):
    """The GPUs that the node must have. `name` and `registryUUID` exclude each other; without both, any model fits."""

    model_config = ConfigDict(
        json_schema_extra=cel.rules(
            Rule(
                "!(has(self.name) && has(self.registryUUID))",
                "name and registryUUID are two selectors for one thing: keep one of them",
                FORBIDDEN,
                ".registryUUID",
            )
        )
    )

    count: Annotated[int, Field(ge=1, le=1024)] = 1
    """Least number of GPUs. The node may have more, and then costs more."""

    min_vram_gb: Annotated[int | None, Field(ge=0, le=65536)] = None
    """Least memory of each GPU, in GB. No limit by default."""

    name: Annotated[
        str | None,
        cel.text(
            128, matches(cel.LINE, "only ASCII text can be signed: copy the name from the service's GPU registry")
        ),
    ] = None
    """Model by its name in the service's GPU registry, for example `NVIDIA RTX 4090`."""

    registry_uuid: Annotated[
        str | None,
        cel.text(
            36, matches(_UUID, "not a uuid: copy the model's uuid from the service's GPU registry, or use name instead")
        ),
    ] = None
    """Model by its uuid in the service's GPU registry."""


_Region = Annotated[
    str,
    cel.text(
        32,
        matches(
            r"^[a-z]{2}-[a-z]+-\d$",
            "not a region code: write it like eu-central-1, or remove it to allow every region",
        ),
    ),
]


class Resources(ResourceModel):
    """What the node must have at least. Everything left out is not asked for."""

    cpu_count: Annotated[int | None, Field(ge=0, le=1024)] = None
    """Least number of CPU cores."""

    min_ram_gb: Annotated[int | None, Field(ge=0, le=65536)] = None
    """Least memory, in GB."""

    min_storage_gb: Annotated[int | None, Field(ge=0, le=1048576)] = None
    """Least free disk space, in GB. Nothing on it outlives a run."""

    gpu: GPU | None = None
    """The GPUs. Left out, the job may land on a node without one."""

    regions: Annotated[tuple[_Region, ...], Field(max_length=64)] = optional_list()
    """Codes of the regions in which the job may run, like `eu-central-1`. Empty allows every region."""


_CIDR = Annotated[
    str,
    cel.text(
        49,
        Rule(
            "isCIDR(self)",
            "not an address range: write an address with a prefix length, like 203.0.113.7/32 or 2001:db8::/48",
        ),
    ),
]


class JobTemplate(ResourceModel):
    """What the remote service is asked to run."""

    model_config = ConfigDict(
        json_schema_extra=cel.rules(
            Rule(
                "!((has(self.ports) && size(self.ports) > 0) || has(self.ssh))"
                " || (has(self.allowedCIDRs) && size(self.allowedCIDRs) > 0)",
                "ports and ssh need allowedCIDRs: list the address ranges that may connect, "
                "or write 0.0.0.0/0 for everyone",
                REQUIRED,
                ".allowedCIDRs",
            )
        )
    )

    title: Annotated[
        str,
        cel.text(
            200,
            matches(cel.LINE, "the title must be one line of ASCII text: replace the other characters and line ends"),
        ),
    ]
    """Title of the remote job: one line of ASCII text, 1 to 200 characters. The remote title shows the first 13 after
    the operator's own mark; the remote description holds all of it."""

    description: Annotated[str | None, cel.text(2000, matches(cel.TEXT, _NOT_ASCII), shortest=0)] = None
    """Description of the remote job, ASCII text, at most 2000 characters."""

    image: Annotated[str, cel.text(255, *image_rules("spec.template.tag"))]
    """Container image without tag and digest, for example `registry.example.com:5000/team/worker`. The service can not
    override the command of the image: configure it by `env`."""

    tag: Annotated[str, cel.text(128, TAG_RULE)] = "latest"
    """Tag of the image. `latest` may be another image tomorrow: name a fixed tag for work that must be repeatable."""

    image_pull_secret_ref: PullSecretRef | None = None
    """Login for the registry of `image`. Not needed for a public image."""

    env: Annotated[
        tuple[EnvVar, ...],
        Field(
            max_length=100,
            json_schema_extra=cel.rules(
                cel.unique("name", "two variables have the same name: remove or rename one of them")
            ),
        ),
    ] = optional_list()
    """Environment variables of the container."""

    env_from: Annotated[tuple[EnvFromSource, ...], Field(max_length=32)] = optional_list()
    """Secrets and ConfigMaps whose keys become environment variables. A later entry overrides an earlier one, and `env`
    overrides them all."""

    ports: Annotated[
        tuple[Port, ...],
        Field(
            max_length=20,
            json_schema_extra=cel.rules(
                cel.unique("name", "two ports have the same name: rename one of them"),
                cel.unique("containerPort", "two ports have the same containerPort: remove one of them"),
            ),
        ),
    ] = optional_list()
    """Container ports to publish. Each becomes an endpoint in the status and a URL in the connection Secret. Needs
    `allowedCIDRs`."""

    ssh: SSH | None = None
    """Access by ssh. Needs `allowedCIDRs`. Off by default."""

    allowed_cidrs: Annotated[tuple[_CIDR, ...], Field(max_length=64)] = optional_list()
    """Address ranges (IPv4 or IPv6, with a prefix length) that may connect to the published ports, ssh included.
    Required for a Persistent job and wherever `ports` or `ssh` is set. There is no default: `0.0.0.0/0` (everyone) must
    be written out."""

    volumes: Annotated[
        tuple[Volume, ...],
        Field(
            max_length=16,
            json_schema_extra=cel.rules(
                cel.unique("mountPath", "two volumes have the same mountPath: change one of them")
            ),
        ),
    ] = optional_list()
    """Images whose content is mounted into the container."""

    resources: Resources = Field(default_factory=Resources)
    """What the node must have at least."""
