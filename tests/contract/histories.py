"""Random histories of requests, and what two clusters must agree on in their answers.

A request names versions by when they were seen ("the one before the last of this object"), so that the same history can
be told to two servers that count differently. Answers are compared after uids, times and versions were replaced by the
order in which they appeared.

Left out are requests in which a field of the server, or one that is ignored, is forged: the real server notes who tried
in managedFields, which makes a version of its own although nothing else has changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from dispersed_operator.kube.client import DISPERSED_JOBS, SECRETS, Resource
from dispersed_operator.kube.resources import DISPERSED_ORPHANS
from tests.contract.clusters import JSON, MERGE_PATCH, Cluster, Json, path_of
from tests.integration.crds.objects import job

_FINALIZERS = ("example.com/a", "example.com/b", "example.com/c")
_TIMES = ("creationTimestamp", "deletionTimestamp")
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `version` and `uid` are how long ago they were seen: 0 is the newest, None leaves them out."""

    method: str
    res: Resource
    name: str
    sub: str | None = None
    body: Any = None
    version: int | None = None
    uid: int | None = None


def history(rng: Random, length: int) -> Iterator[Request]:
    """Requests about a few names of three kinds, most of them sensible, some not."""
    for _ in range(length):
        res = rng.choice((DISPERSED_JOBS, DISPERSED_JOBS, DISPERSED_JOBS, SECRETS, DISPERSED_ORPHANS))
        name = rng.choice(("a", "b"))
        yield rng.choice((_create, _create, _patch, _patch, _patch, _status, _status, _replace, _delete, _read))(
            rng, res, name
        )


def _create(rng: Random, res: Resource, name: str) -> Request:
    return Request("POST", res, name, body=_body(rng, res))


def _patch(rng: Random, res: Resource, name: str) -> Request:
    metadata: Json = {}
    if rng.random() < 0.5:
        metadata["finalizers"] = rng.choice((None, [], *_some_finalizers(rng)))
    if rng.random() < 0.5:
        metadata["annotations"] = rng.choice((None, {"k": rng.choice((None, "1", "2"))}, {"j": "3"}))
    if rng.random() < 0.1:
        metadata["deletionTimestamp"] = None
    body: Json = {"metadata": metadata}
    if rng.random() < 0.4:
        body |= _edit(rng, res)
    if rng.random() < 0.2:
        body["status"] = {"phase": "FromTheSide"}
    return Request("PATCH", res, name, body=body, version=_ago(rng), uid=rng.choice((None, None, None, 0, 1)))


def _status(rng: Random, res: Resource, name: str) -> Request:
    create = rng.choice((None, {"locked": True}, {"locked": False}, {"token": "t", "attempt": 1}))
    status = rng.choice((None, {}, {"phase": rng.choice((None, "Open", "Closed"))}, {"create": create}, {"phase": 3}))
    body: Json = {"status": status}
    if rng.random() < 0.3:
        body |= {"metadata": {"labels": {"by": "status"}, "finalizers": None}, "spec": {"unknown": 1}}
    return Request("PATCH", res, name, "status", body, _ago(rng))


def _replace(rng: Random, res: Resource, name: str) -> Request:
    return Request("PUT", res, name, body=_body(rng, res), version=_ago(rng), uid=rng.choice((None, None, 0, 1)))


def _delete(rng: Random, res: Resource, name: str) -> Request:
    return Request("DELETE", res, name, version=rng.choice((None, None, 0, 1)), uid=rng.choice((None, 0, 1)))


def _read(rng: Random, res: Resource, name: str) -> Request:
    return Request("GET", res, name if rng.random() < 0.7 else "", body={"limit": rng.choice(("", "1", "2"))})


def _body(rng: Random, res: Resource) -> Json:
    body = _blank(res) | {"status": {"phase": "FromTheStart"}}
    body["metadata"]["finalizers"] = rng.choice((None, *_some_finalizers(rng)))
    if rng.random() < 0.3:
        body |= {"spec": (body.get("spec") or {}) | _edit(rng, res).get("spec", {})}
    return body


def _blank(res: Resource) -> Json:
    if res is DISPERSED_JOBS:
        return job()
    if res is SECRETS:
        return {"kind": "Secret", "apiVersion": "v1", "metadata": {}, "data": {"k": "eA=="}}
    return {"kind": "DispersedOrphan", "apiVersion": "dispersed.dev/v1alpha1", "metadata": {}, "spec": {}}


def _edit(rng: Random, res: Resource) -> Json:
    if res is SECRETS:
        return {"data": rng.choice((None, {"k": rng.choice((None, "eQ=="))}))}
    if res is DISPERSED_ORPHANS:
        return {"spec": {"decision": rng.choice((None, "Report", "Keep", "Nonsense", 3))}}
    deadlines = {"runSeconds": rng.choice((60, 60, 61, 120, 1))}
    return {
        "spec": rng.choice(({"deadlines": deadlines}, {"unknown": 1}, {"retry": None}, {"accountRef": {"name": "x"}}))
    }


def _some_finalizers(rng: Random) -> list[list[str]]:
    return [rng.sample(_FINALIZERS, rng.choice((1, 2)))]


def _ago(rng: Random) -> int | None:
    return rng.choice((None, None, 0, 0, 1))


@dataclass(slots=True)
class Teller:
    """Tells a history to one cluster, and writes its answers in words that do not depend on which cluster it is."""

    cluster: Cluster
    _versions: dict[str, list[str]] = field(default_factory=dict)
    _uids: dict[str, list[str]] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    async def tell(self, request: Request) -> Any:
        """Send the request as it means to this cluster; the answer, fit for comparison."""
        name = self._name(request)
        path = path_of(self.cluster, request.res, name or None, request.sub) if request.method != "POST" else ""
        body, query = request.body, None
        if request.method == "GET":
            # A listing of a kind without namespaces shows what other tests made, too.
            if not name and not request.res.namespaced:
                return None
            body, query = None, {"limit": request.body["limit"]} if request.body["limit"] and not name else None
        elif request.method == "DELETE":
            body = {"preconditions": self._heads(request)}
        else:
            given = {"metadata": {}} | body
            body = given | {"metadata": given["metadata"] | self._heads(request)}
            if request.method != "PATCH":
                body["metadata"]["name"] = name
        kind = MERGE_PATCH if request.method == "PATCH" else JSON
        path = path or path_of(self.cluster, request.res)
        status, answer = await self.cluster.ask(request.method, path, body, content_type=kind, query=query)
        self._remember(request, answer)
        return status, self.in_words(answer)

    def in_words(self, answer: Any, at: str = "") -> Any:
        """The answer with uids, times and versions replaced, and without what a Status says to people."""
        if isinstance(answer, dict):
            if answer.get("kind") == "Status":
                told = {name: answer.get(name) for name in ("status", "reason", "code")}
                details = answer.get("details") or {}
                return told | {"about": [self.in_words(details.get(name)) for name in ("name", "group", "kind", "uid")]}
            whole = {name: value for name, value in answer.items() if name != "managedFields"}
            if "items" in whole:
                whole["metadata"] = _countable(whole["metadata"])
            return {name: self.in_words(whole[name], name) for name in sorted(whole)}
        if isinstance(answer, list):
            return [self.in_words(item) for item in answer]
        if at in _TIMES:
            return "a time"
        if isinstance(answer, str) and (at == "resourceVersion" or _UID.fullmatch(answer)):
            return self._names.setdefault(answer, f"{at} {len(self._names)}")
        return answer

    def _name(self, request: Request) -> str:
        """Names of a kind without namespaces are shared with all other tests."""
        return (
            request.name if request.res.namespaced or not request.name else f"{request.name}-{self.cluster.namespace}"
        )

    def _heads(self, request: Request) -> Json:
        heads: Json = {}
        key = f"{request.res.plural}/{request.name}"
        for name, ago, seen in (
            ("resourceVersion", request.version, self._versions.get(key)),
            ("uid", request.uid, self._uids.get(key)),
        ):
            if ago is not None and seen:
                heads[name] = seen[-1 - min(ago, len(seen) - 1)]
        return heads

    def _remember(self, request: Request, answer: Json) -> None:
        metadata = answer.get("metadata") or {}
        key = f"{request.res.plural}/{request.name}"
        for name, seen in (("resourceVersion", self._versions), ("uid", self._uids)):
            known = seen.setdefault(key, [])
            if metadata.get(name) and request.name and metadata[name] not in known:
                known.append(metadata[name])


def _countable(metadata: Json) -> Json:
    """What two clusters must agree on in the head of a listing; its version counts the writes of the whole cluster."""
    return {"more": bool(metadata.get("continue")), "remaining": metadata.get("remainingItemCount")}
