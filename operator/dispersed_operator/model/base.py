"""What all resource models share: the API group, field names as Kubernetes spells them, reading and writing.

The pydantic models are the single source of the files in ``crds/`` and of ``docs/resources.md``: their docstrings are
what ``kubectl explain`` prints. Invariant: a model reads whatever the API server holds (a newer schema may know more
fields), but code of ours cannot name a field that does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import not_
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

GROUP = "dispersed.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

_ACRONYMS = {
    "cas": "CAs",
    "cidrs": "CIDRs",
    "gb": "GB",
    "ram": "RAM",
    "sha256": "SHA256",
    "url": "URL",
    "usd": "USD",
    "uuid": "UUID",
    "vram": "VRAM",
}


def field_name(python_name: str) -> str:
    """The name in YAML of a Python attribute: ``min_ram_gb`` is ``minRAMGB``, ``uuid`` stays ``uuid``."""
    first, *rest = python_name.split("_")
    return first + "".join(_ACRONYMS.get(part, part.capitalize()) for part in rest)


def optional_list() -> Any:
    """A list that is absent in YAML while it is empty."""
    return Field(default=(), exclude_if=not_)


class ResourceModel(BaseModel):
    """Base of every object inside a resource: frozen, and strict about names when built by our own code."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=field_name,
        validate_by_alias=True,
        validate_by_name=True,
        use_attribute_docstrings=True,
    )

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Read what the API server sent; fields that this version does not know are left out.

        Raises pydantic's ValidationError if the data does not fit, which the CRD's schema rules out for stored objects.
        """
        return cls.model_validate(data, extra="ignore")

    def to_api(self) -> dict[str, Any]:
        """The object as JSON for the API server; what is unset is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
