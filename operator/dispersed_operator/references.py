"""C1: reads the Secrets and ConfigMaps that a template names, and leaves what they came to on the desk.

Each object is read once, by quorum, when an attempt is about to be claimed; never for a job that exists. Nothing is
watched and nothing kept: the values lie on the desk until they are signed. What was in a Secret is made known to the
redactor first, because the container may print it and the service may quote it; the redactor alone knows it until the
resource is gone.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dispersed_operator.errors import KubernetesForbidden, KubernetesNotFound, OperatorError
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.resources import CONFIG_MAPS, SECRETS
from dispersed_operator.model.event_reasons import EventReason
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.naming import EGRESS_LABEL
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.passes import Pass
from dispersed_operator.planning.references import (
    Source,
    SourceKind,
    SourceName,
    Unreadable,
    resolve,
    source_names,
    told,
    unresolved,
)
from dispersed_operator.planning.vocabulary import Problem
from dispersed_operator.statuses import StatusWriter

_RESOURCES = {SourceKind.SECRET: SECRETS, SourceKind.CONFIG_MAP: CONFIG_MAPS}

_log = logging.getLogger(__name__)


class References:
    """Resolves the references of one resource at a time."""

    def __init__(
        self, *, kube: KubeClient, statuses: StatusWriter, redactor: Redactor, monotonic: Callable[[], float]
    ) -> None:
        self._kube = kube
        self._statuses = statuses
        self._redactor = redactor
        self._monotonic = monotonic
        self._hidden: dict[ResourceKey, frozenset[str]] = {}

    def forget(self, key: ResourceKey) -> None:
        """The resource is gone, and with it everything that could show what it was given."""
        for value in self._hidden.pop(key, frozenset()):
            self._redactor.forget(value, holder=str(key))

    async def resolve(self, work: Pass) -> None:
        """Read and resolve; a problem is remembered with the time of the next look. Raises KubernetesError if the API
        server cannot be reached."""
        resource, spec = work.resource, work.resource.spec
        if spec is None or spec.template is None:
            raise OperatorError("planning asked for the references of a spec that has no template")
        namespace = resource.key.namespace
        sources = {name: await self._read(namespace, name) for name in source_names(spec.template)}
        found = resolve(spec.template, namespace, sources)
        if isinstance(found, Problem):
            work.references = found
            again = unresolved(found, work.memory.unresolved, generation=resource.generation, now=self._monotonic())
            work.memory = replace(work.memory, unresolved=again)
            _log.info("the references cannot be resolved: %s", found.reason)
            return
        self._hide(resource.key, work.account, found.secrets)
        work.references = found
        work.memory = replace(work.memory, unresolved=None)
        if found.skipped:
            await self._statuses.tell(resource, EventReason.KEYS_SKIPPED, told(found.skipped), warning=True)

    def _hide(self, key: ResourceKey, account: ResourceKey, values: frozenset[str]) -> None:
        """What an earlier attempt was given stays hidden as well: its output may still be shown."""
        for value in values:
            self._redactor.register(value, holder=str(key), group=str(account))
        self._hidden[key] = self._hidden.get(key, frozenset()) | values

    async def _read(self, namespace: str, name: SourceName) -> Source | Unreadable:
        try:
            body = await self._kube.get(_RESOURCES[name.kind], namespace=namespace, name=name.name)
        except KubernetesNotFound:
            return Unreadable.MISSING
        except KubernetesForbidden:
            return Unreadable.FORBIDDEN
        return source_of(name.kind, body)


def source_of(kind: SourceKind, body: Mapping[str, Any]) -> Source:
    """A Secret or ConfigMap as planning sees it. Of a ConfigMap only `data` counts, as for the kubelet."""
    data: Mapping[str, str] = body.get("data") or {}
    labels: Mapping[str, str] = body["metadata"].get("labels") or {}
    decoded = {
        key: base64.b64decode(value) if kind is SourceKind.SECRET else value.encode() for key, value in data.items()
    }
    return Source(type=body.get("type") or "", egress=labels.get(EGRESS_LABEL), data=decoded)
