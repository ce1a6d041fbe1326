"""DispersedAccount and ClusterDispersedAccount: which API, which key, how often to ask, and who may spend.

One API key sees every job of its account, so the account is the boundary between tenants. Host and Secret are
immutable: another account knows none of the jobs, which must never be mistaken for "they are gone". The reference to
the Secret has no namespace: that of a DispersedAccount is beside it, that of a ClusterDispersedAccount in the namespace
of the operator, so no account can name a Secret of somebody else.
"""

from __future__ import annotations

from enum import StrEnum
from operator import not_
from typing import Annotated

from pydantic import ConfigDict, Field

from dispersed_operator.model import cel
from dispersed_operator.model.base import ResourceModel, optional_list
from dispersed_operator.model.status import Condition

DEFAULT_BASE_URL = "https://api.dispersed.com"
_HTTPS = r"^https://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?$"
_HTTP_LOOPBACK = r"^http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?$"


class CredentialsSecretRef(ResourceModel):
    """The Secret with the API key."""

    name: Annotated[
        str,
        cel.resource_name(
            "not a Secret name: use the metadata.name of the Secret with the keys publicKey and secretKey"
        ),
    ]
    """Name of the Secret. Its keys are `publicKey` and `secretKey`. Immutable; the contents may be rotated to another
    key of the same account."""


class AccountPolling(ResourceModel):
    """How often the operator asks for the state of the jobs."""

    interval_seconds: Annotated[int, Field(ge=5, le=3600)] = 15
    """Seconds between two listings of the account's live jobs, 5 to 3600. One listing serves all jobs."""


def _immutable(kind: str) -> ConfigDict:
    return ConfigDict(
        json_schema_extra=cel.rules(
            cel.immutable("baseURL", f"baseURL can not be changed: create another {kind} for the other host"),
            cel.immutable(
                "credentialsSecretRef.name",
                f"the Secret's name can not be changed: put the new key into the same Secret, or create another {kind}",
            ),
        )
    )


class AccountSpec(ResourceModel):
    """What accounts of both scopes have in common."""

    base_url: Annotated[
        str,
        cel.text(
            253,
            cel.Rule(
                f"self.matches(r'{_HTTPS}') || self.matches(r'{_HTTP_LOOPBACK}')",
                "not an API address: write https://host or https://host:port without a path or a slash at the end; "
                "http is allowed for localhost, 127.x.x.x and [::1] only",
            ),
        ),
    ] = DEFAULT_BASE_URL
    """Address of the API: scheme, host and port, without a path. https; http for loopback addresses only. Immutable."""

    credentials_secret_ref: CredentialsSecretRef
    """The Secret with the API key, in the namespace of the account."""

    requests_per_minute: Annotated[int | None, Field(ge=1, le=60000)] = None
    """Most requests a minute that the operator sends for this account. Default: no limit; the operator slows down when
    the service answers 429."""

    polling: AccountPolling = AccountPolling()
    """How often the operator asks for the state of the jobs."""

    allow_adoption: bool = False
    """Whether DispersedJobs of this account may take over remote jobs that exist (`spec.adopt`), and later cancel them.
    One key sees every job of its account, so this is for people who may end each of them. While it is false, nothing is
    adopted, and a job that was adopted before is neither shown nor cancelled."""


class DispersedAccountSpec(AccountSpec):
    """An account of the Dispersed network: API, key and limits. It has no settings that change what a job sends."""

    model_config = _immutable("DispersedAccount")


class Comparison(StrEnum):
    """How a label is compared, as in any label selector of Kubernetes."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


_LABEL_VALUE = Annotated[str, Field(max_length=63)]


class Requirement(ResourceModel):
    """One requirement on a label."""

    model_config = ConfigDict(
        json_schema_extra=cel.rules(
            cel.Rule(
                "!has(self.operator) || (self.operator in ['In', 'NotIn'])"
                " == (has(self.values) && size(self.values) > 0)",
                "values do not fit the operator: give In and NotIn at least one, remove them from the others",
                cel.FORBIDDEN,
                ".values",
            )
        )
    )

    key: Annotated[str, Field(min_length=1, max_length=317)]
    """Key of the label."""

    operator: Comparison
    """How the label is compared with `values`. NotIn also holds for a namespace without the label."""

    values: Annotated[tuple[_LABEL_VALUE, ...], Field(max_length=64)] = optional_list()
    """The values for In and NotIn."""


class LabelSelector(ResourceModel):
    """A label selector of Kubernetes. All that it says must hold; one that says nothing selects every namespace."""

    match_labels: Annotated[dict[str, _LABEL_VALUE], Field(max_length=64)] = Field(
        default_factory=dict, exclude_if=not_
    )
    """Labels that a namespace must have, with these values."""

    match_expressions: Annotated[tuple[Requirement, ...], Field(max_length=64)] = optional_list()
    """Requirements on labels."""


_NamespaceName = Annotated[
    str,
    cel.text(
        63,
        cel.matches(cel.DNS_LABEL, "not the name of a namespace: use lower-case letters, digits and '-', like team-a"),
    ),
]


class AllowedNamespaces(ResourceModel):
    """The namespaces whose jobs may be created with the account: those that `names` lists, and those that `selector`
    selects. Without both, none."""

    names: Annotated[tuple[_NamespaceName, ...], Field(max_length=256)] = optional_list()
    """Names of namespaces."""

    selector: LabelSelector | None = None
    """Selects namespaces by their labels. Whoever may label a namespace can let it in. `{}` selects every namespace."""


class ClusterDispersedAccountSpec(AccountSpec):
    """An account of the Dispersed network that several namespaces share. It has no settings that change what a job
    sends."""

    model_config = _immutable("ClusterDispersedAccount")

    credentials_secret_ref: CredentialsSecretRef
    """The Secret with the API key, in the namespace of the operator. No other namespace can be named."""

    allowed_namespaces: AllowedNamespaces | None = None
    """The namespaces whose jobs may be created with the account, or adopt one of its jobs. Default: none. A namespace
    that is taken off keeps its jobs: they are still shown, cancelled and deleted."""


class AccountProbes(ResourceModel):
    """Whether the service refuses old and repeated requests: "never twice" rests on it, so it is tested."""

    replay_refused: bool | None = None
    """Whether the second of two identical signed requests was refused."""

    stale_refused: bool | None = None
    """Whether a request with an old signature was refused."""

    refusal_statuses: tuple[int, ...] = optional_list()
    """HTTP statuses with which such requests were refused."""

    expiry_seconds: int | None = None
    """Age in seconds from which on signatures are refused: 300, or more if the probe had to go further."""

    checked_at: str | None = None
    """When this was tested."""


class DispersedAccountStatus(ResourceModel):
    """What the operator knows about the account. Written by the operator only."""

    observed_generation: int | None = None
    """The metadata.generation that this status answers; -1 until the operator has seen the object."""

    key_fingerprint: str | None = None
    """Short digest of the API key in use: it changes when the key is rotated."""

    account_uuid: str | None = None
    """Uuid of the account as the service reports it, where it does."""

    clock_offset_seconds: int | None = None
    """Clock of the service minus clock of the operator, in seconds."""

    live_jobs: int | None = None
    """Number of live remote jobs that belong to resources of this cluster."""

    hourly_rate_usd: str | None = None
    """Sum of their prices in US dollars an hour, a decimal number in text form."""

    api_server_cas: tuple[str, ...] = optional_list()
    """Fingerprints of the certificate authorities that vouched for this cluster's API server when the account was last
    in use. If all of them have changed, this may be a copy of the cluster: creates and cancels wait for a person."""

    probes: AccountProbes | None = None
    """Whether the service refuses old and repeated requests."""

    conditions: tuple[Condition, ...] = optional_list()
    """Ready: key present and accepted, clock within bounds. Conformant: the service behaves as the operator relies
    on."""
