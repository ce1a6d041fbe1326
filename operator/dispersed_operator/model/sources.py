"""Where the values of a template may come from besides itself: Secrets and ConfigMaps of the job's own namespace.

Names and meaning are those of core/v1, so that a container that ran in a pod is described the same way here. Nothing
in these models can name another namespace.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict

from dispersed_operator.model import cel
from dispersed_operator.model.base import ResourceModel
from dispersed_operator.model.cel import FORBIDDEN, REQUIRED, Rule, matches

SSH_KEY_DATA = "ssh-publickey"

TAG_RULE = matches("^[A-Za-z0-9_][A-Za-z0-9._-]*$", "not a tag: use letters, digits, '_', '.' and '-'")

_SecretName = Annotated[
    str, cel.resource_name("not a Secret name: use the metadata.name of a Secret of this namespace")
]
_ConfigMapName = Annotated[
    str, cel.resource_name("not a ConfigMap name: use the metadata.name of a ConfigMap of this namespace")
]
_DataKey = Annotated[
    str,
    cel.text(
        253,
        matches(
            "^[A-Za-z0-9._-]+$",
            "not a key of a Secret or ConfigMap: use letters, digits, '-', '_' and '.'",
            reason=FORBIDDEN,  # a value that was pasted here by mistake is not repeated
        ),
    ),
]


def image_rules(tag_field: str) -> tuple[Rule, ...]:
    """The rules of an image name; the remedies send the tag to `tag_field`."""
    return (
        Rule(
            "!self.matches(r':[^/]*$') || self.contains('@')",
            f"image must not contain a tag: move what follows the colon to {tag_field}",
            FORBIDDEN,
        ),
        Rule(
            "!self.contains('@')",
            f"image must not contain a digest, the service knows tags only: remove it and set {tag_field}",
            FORBIDDEN,
        ),
        matches(
            "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
            f"not an image name: write it like registry.example.com:5000/team/worker, with the tag in {tag_field}",
        ),
    )


def one_of(one: str, other: str, *, both: str, neither: str) -> tuple[Rule, Rule]:
    """The two rules that exactly one of two fields is set; the field `other`, or `one` if both lack, is blamed."""
    return (
        Rule(f"!(has(self.{one}) && has(self.{other}))", both, FORBIDDEN, f".{other}"),
        Rule(f"has(self.{one}) || has(self.{other})", neither, REQUIRED, f".{one}"),
    )


class SecretKeyRef(ResourceModel):
    """One key of a Secret of the job's namespace. The Secret must carry the label `dispersed.dev/egress: allowed`."""

    name: _SecretName
    """Name of the Secret."""

    key: _DataKey
    """Key in the Secret. Its value must be ASCII text."""

    optional: bool = False
    """If true, a Secret or key that does not exist leaves the variable out."""


class ConfigMapKeyRef(ResourceModel):
    """One key of a ConfigMap of the job's namespace."""

    name: _ConfigMapName
    """Name of the ConfigMap."""

    key: _DataKey
    """Key in `data` of the ConfigMap (`binaryData` is not looked at). Its value must be ASCII text."""

    optional: bool = False
    """If true, a ConfigMap or key that does not exist leaves the variable out."""


class EnvVarSource(ResourceModel):
    """Where the value of a variable comes from: exactly one of the two."""

    model_config = ConfigDict(
        json_schema_extra=cel.rules(
            *one_of(
                "secretKeyRef",
                "configMapKeyRef",
                both="secretKeyRef and configMapKeyRef exclude each other: keep one of them",
                neither="valueFrom needs a source: set secretKeyRef or configMapKeyRef",
            )
        )
    )

    secret_key_ref: SecretKeyRef | None = None
    """A key of a Secret."""

    config_map_key_ref: ConfigMapKeyRef | None = None
    """A key of a ConfigMap."""


class SecretEnvSource(ResourceModel):
    """A Secret of the job's namespace. It must carry the label `dispersed.dev/egress: allowed`."""

    name: _SecretName
    """Name of the Secret."""

    optional: bool = False
    """If true, a Secret that does not exist gives no variables."""


class ConfigMapEnvSource(ResourceModel):
    """A ConfigMap of the job's namespace."""

    name: _ConfigMapName
    """Name of the ConfigMap."""

    optional: bool = False
    """If true, a ConfigMap that does not exist gives no variables."""


class EnvFromSource(ResourceModel):
    """All keys of one Secret or ConfigMap as variables. Keys that are no variable names are left out, and so are the
    reserved ones; an Event names them."""

    model_config = ConfigDict(
        json_schema_extra=cel.rules(
            *one_of(
                "secretRef",
                "configMapRef",
                both="secretRef and configMapRef exclude each other: make two entries of envFrom",
                neither="an entry of envFrom needs a source: set secretRef or configMapRef",
            )
        )
    )

    prefix: Annotated[
        str | None,
        cel.text(
            64,
            matches(
                "^[A-Za-z_][A-Za-z0-9_]*$",
                "not the beginning of a variable name: use letters, digits and underscores, and begin with no digit",
                reason=FORBIDDEN,
            ),
        ),
    ] = None
    """Put before each key to make the name of the variable."""

    secret_ref: SecretEnvSource | None = None
    """The Secret whose keys become variables."""

    config_map_ref: ConfigMapEnvSource | None = None
    """The ConfigMap whose keys become variables."""


class SSHKeyRef(ResourceModel):
    """The key of a Secret of the job's namespace that holds an OpenSSH public key. The Secret must carry the label
    `dispersed.dev/egress: allowed`."""

    name: _SecretName
    """Name of the Secret."""

    key: _DataKey = SSH_KEY_DATA
    """Key in the Secret. Its value is the line of a .pub file."""


class PullSecretRef(ResourceModel):
    """A Secret of the job's namespace with the login for a private registry: of type `kubernetes.io/dockerconfigjson`
    with an entry for the registry of the image, or of type `Opaque` with the keys `host`, `user` and `secret`. It must
    carry the label `dispersed.dev/egress: allowed`."""

    name: _SecretName
    """Name of the Secret."""


class Volume(ResourceModel):
    """The content of an image, mounted into the container."""

    image: Annotated[str, cel.text(255, *image_rules("the volume's tag"))]
    """Image that holds the data, without tag and digest. With `registry`, its path there."""

    tag: Annotated[str, cel.text(128, TAG_RULE)] = "latest"
    """Tag of the image."""

    mount_path: Annotated[
        str,
        cel.text(
            255,
            matches(
                "^/[A-Za-z0-9._/-]*[A-Za-z0-9._-]$",
                "not a path to mount at: write it from the root, like /data/models, without a slash at its end",
            ),
        ),
    ]
    """Path in the container, from the root; unique in the list."""

    registry: Annotated[
        str | None,
        cel.text(
            255,
            matches(
                r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$",
                "not the host of a registry: write it like registry.example.com:5000, without https:// and path",
            ),
        ),
    ] = None
    """Host of the registry, with its port if it has one. Default: what the name of the image says."""

    pull_secret_ref: PullSecretRef | None = None
    """Login for the registry. Not needed for a public image."""
