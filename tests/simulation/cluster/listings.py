"""Listings in chunks: all pages of one listing show the state at the moment of its first page."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.simulation.cluster.etcd import Etcd, Stored
from tests.simulation.cluster.failures import bad_request, expired
from tests.simulation.cluster.kinds import KindSpec, Route


class Listings:
    """LIST on one store. What is left of a listing is kept until it is asked for or expires."""

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd
        self._rests: dict[str, tuple[int, list[Stored]]] = {}
        self._given = 0

    def page(self, at: Route, query: Mapping[str, str]) -> str:
        """One page as JSON text."""
        token = query.get("continue", "")
        if token:
            version, objects = self._rest(token)
        else:
            version, objects = self._etcd.version, [held for _, held in self._etcd.sorted(at.spec, at.namespace)]
        limit = int(query.get("limit") or 0) or len(objects)
        rest = objects[limit:]
        metadata: dict[str, object] = {"continue": ""} if at.spec.custom else {}
        metadata["resourceVersion"] = str(version)
        if rest:
            self._given += 1
            token = f"{self._etcd.epoch}-{version}-{self._given}"
            self._rests[token] = (version, rest)
            metadata |= {"continue": token, "remainingItemCount": len(rest)}
        items = ",".join(_item(at.spec, held) for held in objects[:limit])
        head = f'"kind":"{at.spec.kind}List","apiVersion":"{at.spec.api_version}"'
        return f'{{{head},"metadata":{json.dumps(metadata)},"items":[{items}]}}'

    def expire(self) -> None:
        """No page that is out can be continued any more."""
        self._rests.clear()

    def _rest(self, token: str) -> tuple[int, list[Stored]]:
        if token.count("-") != 2:
            raise bad_request("invalid continue token")
        if token not in self._rests:
            raise expired()
        return self._rests[token]


def _item(spec: KindSpec, held: Stored) -> str:
    """Items of built-in kinds come without kind and apiVersion."""
    if spec.custom:
        return held.text
    return json.dumps({name: value for name, value in held.body.items() if name not in ("kind", "apiVersion")})
