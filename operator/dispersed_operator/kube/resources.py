"""Which resources of the API server the operator speaks to, and how their URLs are spelled."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote

from dispersed_operator.model.keys import Kind

GROUP = "dispersed.dev"
VERSION = "v1alpha1"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API server; the core group is the empty text."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    def path(self, *, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection, of one object, or of its subresource.

        Raises `ValueError` where a namespace or a name is missing or empty: the URL would then mean something else,
        for a DELETE the whole collection.
        """
        if namespace is not None and not self.namespaced:
            raise ValueError(f"{self.plural} are not namespaced")
        if namespace is None and name is not None and self.namespaced:
            raise ValueError(f"one of {self.plural} needs a namespace")
        if subresource is not None and name is None:
            raise ValueError("a subresource needs a name")
        parts = ["api", self.version] if not self.group else ["apis", self.group, self.version]
        if namespace is not None:
            parts += ["namespaces", _segment(namespace)]
        parts.append(self.plural)
        if name is not None:
            parts.append(_segment(name))
        if subresource is not None:
            parts.append(_segment(subresource))
        return "/" + "/".join(parts)


DISPERSED_JOBS = Resource(GROUP, VERSION, "dispersedjobs")
DISPERSED_ACCOUNTS = Resource(GROUP, VERSION, "dispersedaccounts")
CLUSTER_DISPERSED_ACCOUNTS = Resource(GROUP, VERSION, "clusterdispersedaccounts", namespaced=False)
DISPERSED_ORPHANS = Resource(GROUP, VERSION, "dispersedorphans", namespaced=False)
SECRETS = Resource("", "v1", "secrets")
CONFIG_MAPS = Resource("", "v1", "configmaps")
EVENTS = Resource("", "v1", "events")
NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
LEASES = Resource("coordination.k8s.io", "v1", "leases")
ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", namespaced=False)
"""Questions of the form "may I?". They are created and never stored; every user may ask them."""
SELF_REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", namespaced=False)
"""The question "who am I?", likewise."""

RESOURCES = MappingProxyType(
    {
        Kind.JOB: DISPERSED_JOBS,
        Kind.ACCOUNT: DISPERSED_ACCOUNTS,
        Kind.CLUSTER_ACCOUNT: CLUSTER_DISPERSED_ACCOUNTS,
        Kind.ORPHAN: DISPERSED_ORPHANS,
    }
)


def _segment(text: str) -> str:
    if text in ("", ".", ".."):
        raise ValueError("a namespace, name or subresource must not be empty or dots")
    return quote(text, safe="")
